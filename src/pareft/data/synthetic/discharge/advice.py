"""What is done in any stay, told to colleagues and to the patient: phrases around what `problems` tell.

Where a sentence has words beside it, it is not said of who has a problem that may say one of them, or has the `#trait`.
"""

COURSE_OPENINGS = (
    "{Title} ___ is a ___ year old {man} with {past} who presented with {complaint} and was admitted for further management.",
    "___ {man} with PMH of {past}, admitted from the ED with {complaint}.",
    "BRIEF SUMMARY: ___ y/o {man} with {past} who came with {complaint}. The stay was remarkable for the following.",
)
MANAGEMENT: dict[str, tuple[str, ...]] = {
    "Symptoms improved over the following days.": (),
    "The plan was discussed with the outpatient provider, who agreed.": (),
    "Repeat labs on the day of discharge were reassuring.": (),
    "Pain was controlled with acetaminophen and position changes.": ("intubat", "constipation", "confus"),
    "{He} remained hemodynamically stable on the general ward.": ("#shock", "pressor", "icu", "intubation"),
    "Consultants followed along daily and signed off before {he} left.": (),
    "Electrolytes were repleted as necessary.": (),
    "{He} ambulated in the hallway without desaturation.": ("#shock", "hip", "bedbound", "nonrebreather"),
    "Physical therapy evaluated {him} and cleared {him} for the planned disposition.": (),
    "Alternative explanations were considered unlikely given the time course.": (),
    "{He} was monitored on telemetry without events.": ("telemetry", "icu", "rvr", "ventricular"),
    "Family was updated at the bedside.": (),
    "Imaging was reviewed with the attending radiologist.": (),
    "{He} was counseled at length about the importance of follow up.": (),
    "Prophylaxis with subcutaneous heparin was given throughout.": (
        "pericard",
        "#bleeding",
        "#anticoagulated",
        "#marrow",
        "#liver",
        "heparin",
        "ulcer",
        "bleed",
        "transfus",
        "craniotomy",
        "laminectomy",
        "lp:",
    ),
    "Oral intake was adequate by the second day.": ("npo", "bowel rest", "ngt"),
    "Blood pressure stayed in the 120s to 130s systolic without additional agents.": (
        "#shock",
        "pressor",
        "norepinephrine",
        "hypotension",
        "midodrine",
        "sbp",
    ),
    "Nutrition saw {him} and recommended supplements with meals.": (),
    "Overnight {he} had one episode of nausea, which resolved with ondansetron.": (),
    "Lines and catheters were removed once they were no longer needed.": (),
    "A repeat set of cultures remained sterile to date.": (),
    "{He} was given written instructions in {his} preferred language.": (),
    "Case management arranged equipment for home.": (),
    "The risk and benefit of further testing were reviewed, and {he} preferred to defer it.": (),
    "{He} slept well and was without complaints on the morning of departure.": ("delirium", "hallucin"),
    "Serial examinations by the primary team were unchanged.": (),
    "Social work met with the family about support at home.": (),
    "The medication list was reconciled with the outpatient pharmacy.": (),
    "A bowel regimen was ordered, with good effect.": ("diarrhea", "stool", "#bleeding", "bowel", "lactulose"),
    "{He} received intravenous fluids for the first day and then drank freely.": ("#fluid", "#salt", "dialysis"),
    "Incentive spirometry was encouraged every hour while awake.": (),
    "Outpatient appointments were requested through the discharge office.": (),
    "All drug doses were reviewed by pharmacy.": (),
    "Vital signs were stable on the last two days.": (),
    "Nursing had no concerns overnight.": (),
}
DRAFTED = (
    "By the second day the team's working formulation was {draft}.",
    "Overall the picture fits {draft}.",
    "Signed out to the day team as {draft}.",
    "The consultants agreed: {draft}.",
)
RULED_OUT = (
    "There was an early question of this, but the workup was negative and treatment was stopped.",
    "Considered on admission and felt to be unlikely after further testing.",
    "Initially on the differential; no evidence was found.",
    "Raised by the ED, ruled out on review of the data.",
)
TRANSITIONS = (
    "[ ] Please recheck CBC and chem-10 within one week.",
    "[ ] Titrate antihypertensives as an outpatient.",
    "[ ] Incidental 4 mm lung nodule, repeat imaging in twelve months.",
    "[ ] Confirm that {he} obtained all new prescriptions.",
    "[ ] Consider a sleep study if daytime fatigue continues.",
    "[ ] Age appropriate cancer screening is due.",
    "[ ] Discharge weight: ___ kg.",
    "[ ] Pending results at the time of this letter will be communicated by phone.",
    "[ ] Re-evaluate need for a proton pump inhibitor.",
    "[ ] Home safety evaluation by VNA.",
    "[ ] Hepatitis B vaccine series was not complete.",
    "[ ] Check TSH in six weeks.",
    "[ ] Follow up of blood pressure at the next visit, goal below 130/80.",
    "[ ] Bone density scan has not been done in the last five years.",
    "[ ] Consider deprescribing, {he} takes several sedating drugs.",
    "[ ] Letter sent to the primary care provider with the summary of this stay.",
    "[ ] Repeat lipid panel and hemoglobin A1c at three months.",
    "[ ] Needs transportation to upcoming appointments, social work aware.",
)
CLOSINGS = (
    "# CODE: Full (confirmed)\n# CONTACT: ___ (spouse)",
    "# Code status: DNR/DNI\n# HCP: ___, daughter",
    "# CODE: presumed full\n# EMERGENCY CONTACT: ___",
    "# Communication: ___\n# Code: Full",
)
ASIDES = (
    "At a glance, discharge medications: see below.",
    "For doses at discharge, discharge medications: as listed.",
    "With normal physical exam: discharged in stable state.",
    "Regarding allergies: none new, list was reviewed.",
)
CONSULTS = (
    "Asked to comment on perioperative risk. RCRI of 1, no further testing indicated, proceed without delay.",
    "Seen for blood pressure control. Suggest amlodipine 5 mg and recheck in the morning, no further recommendations.",
)
ASSESSMENTS = (
    "___ {man} with {past} presenting with {complaint}, hemodynamically stable, admitted for workup as below.",
    "In sum, {complaint} in a patient with {past}. Plan by problem follows.",
)
ENDS = (
    "This document was completed by the covering resident. Any further question may be directed to the page operator.",
    "Final culture data returned after departure and showed no growth; the patient was called.",
    "An earlier draft omitted the pharmacy's reconciliation, which has since been completed.",
)
PREADMISSION = (
    "List of home medicines checked with the pharmacy and found complete.",
    "List of home medicines taken from an old record; it could not be \nchecked before discharge.",
)
PLACES = (("Home", 34), ("Home With Service", 36), ("Extended Care", 30))
CONDITIONS = {
    "Home": (
        "Mental State: Oriented to person, place and time.\nConsciousness: Awake, answers readily.\nMobility: Walks without help.",
        "Stable, afebrile, tolerating a regular diet, ambulating.",
    ),
    "Home With Service": (
        "Mental State: Oriented to person, place and time.\nConsciousness: Awake, answers readily.\nMobility: Walks without help.",
        "Mental State: Oriented to person, place and time.\nConsciousness: Awake, answers readily.\n"
        "Mobility: Walks with a cane or walker, needs somebody at hand on \nstairs.",
    ),
    "Extended Care": (
        "Mental State: Oriented to person, place and time.\nConsciousness: Awake, answers readily.\n"
        "Mobility: Walks with a cane or walker, needs somebody at hand on \nstairs.",
        "Mental State: Forgetful in the evenings.\nConsciousness: Awake, answers readily.\n"
        "Mobility: From bed to chair with the help of one person; \nwheelchair for longer ways.",
    ),
}
GREETINGS = (
    "Thank you for letting us look after you at ___!",
    "Thank you for allowing us to participate in your care.",
    "It was our privilege to look after you at ___.",
)
REASONS = (
    "You came to the hospital because of {plain}.",
    "You were admitted with {plain}.",
    "You were in the hospital for treatment of {plain}.",
)
ALSO = ("We also treated you for {plain}.", "In addition we found {plain}.")
DONE: dict[str, tuple[str, ...]] = {
    "You had blood tests and imaging to find out what was going on.": (),
    "You received medicines through a vein and later by mouth.": (),
    "Our specialists met you and helped to plan your treatment.": (),
    "You worked with our physical therapists to regain your strength.": (),
    "We watched your heart rhythm and blood pressure closely.": (),
    "You improved and are now safe to leave the hospital.": (),
    "We changed some of your medicines, please see the attached list.": (),
    "You were seen by a nutritionist who talked with you about your diet.": (),
    "Your pain was treated, and you were able to walk around the unit.": (),
    "We spoke with your family about how to help you at home.": (),
    "Your blood tests got better every day.": ("#kidneys", "#marrow", "#liver"),
    "We gave you fluids because you had not been drinking enough.": ("#fluid", "#salt"),
}
NARCOTIC = (
    "Do not drive or operate machinery while taking narcotic pain medicine.",
    "Use a stool softener while you take pain medicine, since it can cause constipation.",
)
WEIGHED = "Weigh yourself every morning and call your doctor if it goes up more than three pounds."
DUTIES: dict[str, tuple[str, ...]] = {
    "Please take all of your medicines exactly as prescribed.": (),
    "Please keep the appointments listed in your paperwork.": (),
    "Avoid lifting anything heavier than ten pounds for four weeks.": (),
    "Drink plenty of fluids and eat a balanced diet.": ("#fluid", "#salt"),
    "Call your doctor or return if you have fever, chills, chest pain, trouble breathing, or anything else that concerns you.": (),
    "You may shower, but do not soak in a bath until you have been seen in clinic.": (),
    "Please avoid ibuprofen and similar medicines until you see your primary care doctor.": (),
    "Get up and walk several times a day as you are able.": (),
    "Do not drink alcohol with your new medicines.": (),
    "If you smoke, please talk with your doctor about ways to stop.": (),
    "Bring your pill bottles and this letter to your next visit.": (),
    "It is normal to feel tired for a few weeks, so rest when you need to.": (),
    "Check your blood pressure at home and write the numbers down for your doctor.": (),
    "Go to the nearest emergency room if you faint, have new weakness, or cannot speak clearly.": (),
    "You will need blood tests within a week, which your primary care office can arrange.": (),
    "Keep any dressing clean and dry, and look at it daily for redness or drainage.": (),
}
