"""What patients of any condition tell and ask, and what a doctor answers to it."""

from dataclasses import dataclass
from typing import Literal

from pareft.data.synthetic.consultations.conditions import Span

Topic = Literal["serious", "medicine", "test", "course", "avoid", "catching"]


@dataclass(frozen=True)
class Remark:
    """Clauses of the patient, and clauses in answer to any of them; others, where bacteria are the cause."""

    said: tuple[str, ...]
    answered: tuple[str, ...]
    if_bacterial: tuple[str, ...] = ()


TRIED = {
    "painkiller": Remark(
        said=(
            "I took some paracetamol with little relief",
            "a few Panadol tablets did not do much",
            "paracetamol from my cupboard worked for two hours only",
        ),
        answered=(
            "simple analgesics can be continued within their labelled dose",
            "there is no objection to ordinary analgesics up to their labelled maximum",
        ),
    ),
    "antibiotic": Remark(
        said=(
            "I took amoxicillin left over from my wisdom tooth",
            "a chemist sold me azithromycin and I took three",
            "my friend gave me some antibiotic capsules",
        ),
        answered=(
            "antibacterial agents have no role here, so kindly discontinue them",
            "bacteria are not responsible, hence those capsules should be stopped",
        ),
        if_bacterial=(
            "unprescribed antibacterial agents may be the wrong ones, so let a physician choose",
            "an antibacterial is indeed required, yet only one selected by a physician",
        ),
    ),
    "remedy": Remark(
        said=(
            "I drank ginger tea with honey like my granny says",
            "I tried some herbal stuff from a market",
            "turmeric and oils from my aunt did nothing",
        ),
        answered=(
            "household remedies are harmless adjuncts, although evidence is weak",
            "natural products may accompany, but never replace, proper treatment",
        ),
    ),
    "doctor": Remark(
        said=(
            "my family doctor had a quick look and said wait",
            "I went to a clinic and they just sent me home",
            "a nurse at my work told me it will pass",
        ),
        answered=(
            "please return to whoever saw you first, since a second inspection is often revealing",
            "that earlier assessment was brief, therefore a follow-up visit is justified",
        ),
    ),
    "nothing": Remark(
        said=(
            "I have not taken anything so far",
            "no pills yet because I was afraid to do it wrong",
            "I did not try any medicine",
        ),
        answered=(
            "it was sensible not to self-medicate",
            "holding back from self-medication was wise",
        ),
    ),
}
HISTORY = {
    "diabetes": Remark(
        said=("I take pills for my sugar", "I am a diabetic since five years", "my sugar is 140 on tablets"),
        answered=(
            "good glycaemic control supports recovery, so monitor your glucose closely",
            "because hyperglycaemia delays healing, monitor your glucose closely",
        ),
    ),
    "pressure": Remark(
        said=("I have high bp", "I am on a small tablet for blood pressure", "my pressure is high but under control"),
        answered=(
            "in view of hypertension, decongestants should be avoided and readings recorded",
            "as you are hypertensive, record readings daily plus restrict salt",
        ),
    ),
    "ulcer": Remark(
        said=("I had a bleeding ulcer years ago", "my gut bled once from ibuprofen"),
        answered=(
            "given the former ulcer, oral anti-inflammatory drugs are unsuitable",
            "oral anti-inflammatory drugs are contraindicated after gastric bleeding",
        ),
    ),
    "asthma": Remark(
        said=("I have asthma and a blue puffer", "I use a puffer for asthma now and then"),
        answered=(
            "keep your reliever inhaler available throughout",
            "respiratory control should be reviewed, with a reliever inhaler always available",
        ),
    ),
    "kidney": Remark(
        said=("my kidneys are a bit weak", "my creatinine was up on my last check"),
        answered=(
            "reduced renal function requires dose adjustment, so involve your nephrologist",
            "every new drug must be adjusted to renal function by your nephrologist",
        ),
    ),
    "thyroid": Remark(
        said=("I take thyroxine for two years now", "I am on 50 of thyroxine"),
        answered=(
            "thyroid replacement should be separated from other preparations by four hours",
            "continue hormone replacement, four hours apart from other preparations",
        ),
    ),
    "smoking": Remark(
        said=("I smoke ten a day", "I smoke a pack on bad days", "I have smoked since school"),
        answered=(
            "cessation of tobacco would accelerate recovery",
            "I strongly encourage tobacco cessation, which accelerates recovery",
        ),
    ),
    "penicillin": Remark(
        said=("penicillin gives me a rash", "I cannot have penicillin"),
        answered=(
            "inform every prescriber about your penicillin hypersensitivity",
            "penicillin hypersensitivity must be documented before any prescription",
        ),
    ),
    "stress": Remark(
        said=("I am under a lot of stress at work", "I am going through a divorce", "my boss never lets me rest"),
        answered=(
            "emotional strain aggravates symptoms, so schedule relaxation exercises",
            "relaxation exercises deserve a place, given how strain aggravates symptoms",
        ),
    ),
    "alcohol": Remark(
        said=("I have some beers most evenings", "I drink a bit too much on weekends"),
        answered=(
            "alcohol is best omitted until recovery",
            "I advise abstinence from alcohol until recovery",
        ),
    ),
    "healthy": Remark(
        said=("I was always healthy", "I have no other illness", "I take no regular pills and never had surgery"),
        answered=(
            "without coexisting illness, prospects are favourable",
            "the absence of coexisting illness makes prospects favourable",
        ),
    ),
}
QUESTIONS: dict[Topic, tuple[str, ...]] = {
    "serious": (
        "is that something dangerous",
        "should I be worried or go to hospital right away",
        "could it be cancer or something bad",
    ),
    "medicine": (
        "what can I take for it",
        "which tablet or cream will help me",
        "can you tell me a good medicine",
    ),
    "test": (
        "do I need a scan or blood work",
        "which tests should I get done",
        "is there any check up I must do",
    ),
    "course": (
        "how long till it goes away",
        "when will I be back to normal",
        "how many more days do I have to put up with that",
    ),
    "avoid": (
        "what should I stay away from",
        "is there anything I am doing wrong that feeds it",
        "what must I not eat or do",
    ),
    "catching": (
        "can my family get it from me",
        "is it catching",
        "could I pass it on to my kids",
    ),
}
CIRCUMSTANCES = (
    "my partner says I worry too much",
    "I read so much online that I am now scared",
    "I am flying to my cousin next week",
    "I work as a cashier",
    "our next clinic is two hours away",
    "my insurance only starts next month",
    "I have a big exam soon",
    "I live alone with my dog",
    "I moved here from up north",
    "I care for my old dad",
    "I lost my job in spring",
    "I cannot get an appointment before Friday",
    "my neighbour told me to write here",
    "I am too shy to ask at my chemist",
    "I weigh 70 kg and I am 168 cm tall",
    "I weigh 82 kg",
    "I walk to work and cook at home",
    "my mood is down because of it",
    "it spoils my sleep and my work",
    "I am from a small town",
)
SERIOUS = {
    False: (
        "This is benign, so there is no reason for alarm.",
        "Rest assured, nothing points towards a dangerous disorder.",
    ),
    True: (
        "It is no emergency, yet an examination within days is warranted.",
        "Although not life-threatening, this warrants an examination within days.",
    ),
}
CATCHING = {
    False: ("It is not transmissible to others.", "Others cannot contract this from you."),
    True: ("It is transmissible, so household hygiene matters.", "As others can contract this, household hygiene matters."),
}
SPANS: dict[Span, tuple[str, ...]] = {
    "days": (
        "The recent onset is reassuring.",
        "A history of merely several days argues against a chronic process.",
    ),
    "weeks": (
        "Symptoms of several weeks merit a proper clinical evaluation.",
        "Since this has persisted beyond one week, a proper clinical evaluation is advisable.",
    ),
    "months": (
        "Such chronicity calls for sustained management rather than quick remedies.",
        "Considering the chronicity, sustained management will be required.",
    ),
}
ELDERLY = (
    "At your stage of life, every drug should begin at a low dose.",
    "Advanced age demands low initial doses.",
)
ELDERLY_FROM = 60
