"""Synthetic discharge notes and detailed radiology notes: the shape and the quirks of MIMIC-IV-Note, and a task to learn."""

import hashlib
import re
from collections import Counter
from statistics import fmean

import pytest
from nltk.tokenize import NLTKWordTokenizer

from pareft.data.sections import LAYOUTS, Pair, pair_sections
from pareft.data.synthetic import COLUMNS, generate_discharge_notes, generate_radiology_notes

NOTES = list(generate_discharge_notes(3000, seed=1))
TEXTS = [note["text"] for note in NOTES]
PAIRS = [pair for text in TEXTS if isinstance(pair := pair_sections(text, "discharge", "clean"), Pair)]
DIAGNOSIS = re.compile(r"(?<=\n)(?:final diagnoses|discharge diagnos[ie]s):", re.IGNORECASE)
tokenize = NLTKWordTokenizer().tokenize
TOKENS = [(tokenize(pair.source), tokenize(pair.target)) for pair in PAIRS[::15]]


def share(string, texts=TEXTS):
    return fmean(string in text for text in texts)


def novelty(order):
    """The share of the targets' n-grams that their sources do not have."""
    new = total = 0
    for source, target in TOKENS:
        known = set(zip(*(source[place:] for place in range(order)), strict=False))
        ngrams = list(zip(*(target[place:] for place in range(order)), strict=False))
        new, total = new + sum(ngram not in known for ngram in ngrams), total + len(ngrams)
    return new / total


def test_same_seed_same_notes():
    assert list(generate_discharge_notes(40, seed=1)) == NOTES[:40]
    assert list(generate_discharge_notes(40, seed=2)) != NOTES[:40]


def test_rows_have_the_shape_of_discharge_csv():
    for note in NOTES:
        assert tuple(note) == COLUMNS
        assert note["note_type"] == "DS"
        assert note["note_id"] == f"{note['subject_id']}-DS-{note['note_seq']}"
        assert re.fullmatch(r"9\d{7}", note["subject_id"])  # MIMIC-IV's patients have numbers below 20 million
        assert re.fullmatch(r"9\d{7}", note["hadm_id"])  # and its admissions below 30 million
        assert re.fullmatch(r"2[12]\d\d-\d\d-\d\d 00:00:00", note["charttime"])
        assert note["charttime"] < note["storetime"]
    assert len({note["note_id"] for note in NOTES}) == len(NOTES)
    notes_of = [note["subject_id"] for note in NOTES]
    assert {notes_of.count(subject) for subject in set(notes_of[:300])} == {1, 2, 3, 4, 5}


def test_every_title_starts_a_line_of_some_notes():
    lowered = [text.lower() for text in TEXTS]
    shares = {title: share(f"\n{title}", lowered) for title in LAYOUTS["discharge"].sources + LAYOUTS["discharge"].targets}
    assert len(shares) == 74
    assert [title for title, found in shares.items() if found < 0.005] == []
    usual = ("chief complaint:", "past medical history:", "physical exam:", "brief hospital course:", "discharge diagnosis:")
    assert all(shares[title] > 0.6 for title in usual)


def test_lines_are_wrapped_and_nothing_is_left_to_fill_in():
    long = {line for text in TEXTS for line in text.split("\n") if len(line) > 79}
    assert long <= {line for text in TEXTS for part in DIAGNOSIS.split(text)[1:] for line in part.split("\n")[1:9]}
    assert not any("{" in text or "}" in text for text in TEXTS)


def test_quirks_occur_as_often_as_said():
    sections = [len(DIAGNOSIS.findall(text)) for text in TEXTS]
    assert share("\nADMISSION PHYSICAL EXAM:") > 0.3
    assert share(" discharge medications: ") + share(" physical exam: ") + share(" allergies: ") == pytest.approx(0.06, abs=0.02)
    assert sections.count(0) / len(TEXTS) == pytest.approx(0.04, abs=0.01)
    assert sections.count(2) / len(TEXTS) == pytest.approx(0.015, abs=0.006)
    assert share("\nLast Name: ___ First Name: ___") == pytest.approx(0.025, abs=0.008)
    assert not any("last name" in pair.target for pair in PAIRS)
    assert 1 - len(PAIRS) / len(TEXTS) == pytest.approx(0.044, abs=0.01)


def test_lengths_are_those_of_the_papers_notes():
    lengths = [len(tokenize(text)) for text in TEXTS[::5]]
    assert fmean(lengths) == pytest.approx(1900, rel=0.05)
    assert 650 < min(lengths) < 1000
    assert 3000 < max(lengths) < 4500
    assert fmean(len(tokenize(pair.target)) for pair in PAIRS) == pytest.approx(14, abs=1)


def test_targets_are_as_novel_as_the_papers():
    assert novelty(1) == pytest.approx(0.18, abs=0.1)
    assert novelty(2) == pytest.approx(0.58, abs=0.1)


def overlap(hypothesis, target):
    """F1 of words, in percent."""
    own, wanted = Counter(re.findall(r"\w+", hypothesis)), Counter(re.findall(r"\w+", target))
    return 200 * (own & wanted).total() / (own.total() + wanted.total())


def test_copying_does_badly():
    history = [re.split(r"present illness: ", pair.source)[1].split(". ")[0] for pair in PAIRS]
    course = [pair.source.split("course")[-1].strip()[:150] for pair in PAIRS]
    assert fmean(overlap(text, pair.target) for text, pair in zip(history, PAIRS, strict=True)) < 15
    assert fmean(overlap(text, pair.target) for text, pair in zip(course, PAIRS, strict=True)) < 15
    assert fmean(pair.target in pair.source for pair in PAIRS) < 0.02


def test_many_wordings_lead_to_one_diagnosis():
    complaints, heads = {}, {}
    for pair in PAIRS:
        complaints.setdefault(pair.target, set()).update(re.findall(r"chief complaint: (.*?) major surgical", pair.source))
        heads.setdefault(pair.target, set()).update(re.findall(r"(?:issues|problems):?(?: =+)? # ?(.{20})", pair.source)[:1])
    assert len({target.split()[0] for target in complaints}) > 20
    assert max(map(len, complaints.values())) >= 3
    assert max(map(len, heads.values())) >= 5


def test_the_principal_problem_is_concluded_first():
    foot_ulcers = [pair.target for pair in PAIRS if re.search(r"chief complaint: foot (ulcer|drainage) ", pair.source)]
    assert foot_ulcers
    assert all("osteomyelitis" in " ".join(target.split()[:8]) for target in foot_ulcers)


DRUGS = re.compile(r"\n(?:Discharge Medications|Medications on Discharge|UPDATED LIST OF MEDICATIONS):\n(.*?)\n \n", re.DOTALL)
WORDS = {
    "DAILY": "once a day",
    "Q24H": "once a day",
    "QHS": "at bedtime",
    "QPM": "every evening",
    "BID": "two times a day",
    "Q12H": "every 12 hours",
    "TID": "three times a day",
    "TID W/MEALS": "three times a day with meals",
    "Q8H": "every 8 hours",
    "QID": "four times a day",
    "Q6H": "every 6 hours",
    "Q4H": "every 4 hours",
}
BETA_LACTAMS = r"cillin|\bcef|cephal|keflex|unasyn|zosyn|penem"
SULFA = r"sulfameth|bactrim|trimethoprim"
OPIOIDS = r"morphine|oxycodone|hydromorphone|dilaudid|fentanyl|codeine|percocet"
FORBIDDEN = {
    "Penicillins": BETA_LACTAMS,
    "Sulfa (Sulfonamide Antibiotics)": SULFA,
    "Bactrim / Keflex": f"{BETA_LACTAMS}|{SULFA}",
    **dict.fromkeys(("codeine / shellfish derived", "Percocet / latex", "morphine"), OPIOIDS),
    "lisinopril": r"pril\b|sartan\b",
    "Statins-Hmg-Coa Reductase Inhibitors": r"statin\b",
    "ibuprofen": r"ibuprofen|ketorolac|naproxen|aspirin|nsaids",
    "ciprofloxacin": r"\bcipro|floxacin",
    "erythromycin base": r"thromycin",
}
KINDS = {
    "statin": r"statin\b",
    "anticoagulant": r"apixaban|rivaroxaban|enoxaparin|warfarin",
    "opioid": OPIOIDS,
    "anti-inflammatory": r"ibuprofen|ketorolac|naproxen",
    "acid": r"prazole\b",
    "beta blocker": r"lol\b",
    "platelet": r"clopidogrel|ticagrelor|cilostazol",
    "acetaminophen": r"acetaminophen",
    "loop diuretic": r"torsemide|furosemide",
    "quinolone": r"floxacin",
    "gabapentinoid": r"gabapentin|pregabalin",
}


def diagnoses(text):
    """What the section of diagnoses says, of all of them where it stands twice."""
    return " ".join(part.split("\n \n")[0] for part in DIAGNOSIS.split(text)[1:]).lower()


def test_every_prescription_is_what_its_order_says():
    count = 0
    for text in TEXTS:
        for entry in re.split(r"\n(?=\d+\.  )", DRUGS.search(text)[1]):
            order, found, prescription = re.sub(r"^\d+\.  ", "", entry).replace(" \n", "\n").partition("\nRx ")
            if not found:
                continue
            count += 1
            name, dose, often, reason = re.fullmatch(r"(.+?) ([\d.]+ m?c?gm?) PO ([A-Z0-9/ ]+?)(?::PRN (.+))?", order).groups()
            wanted = f"{WORDS[often]} as needed for {reason}, " if reason else f"{WORDS[often]}, "
            said = prescription.replace("\n", " ")
            assert said.startswith(f"{name.split(' (')[0].lower()} {dose} one ")
            assert re.search(r"one (tablet|capsule) by mouth (.+ )?(\d+) \1s, no refills$", said)
            assert f" by mouth {wanted}" in said
            assert not re.search(r"liquid|ophth|ointment|patch|inhaler|nasal| iv ", order.lower())
    assert count > 1000


def test_nothing_given_is_among_the_allergies():
    seen = Counter()
    for text in TEXTS:
        allergy = re.search(r"Allergies: \n(.*)\n", text)[1]
        seen[allergy] += 1
        if allergy in FORBIDDEN:
            told = text.split("Attending:")[1].split("\nDear M")[0].lower()
            assert not re.search(FORBIDDEN[allergy], told), allergy
    assert set(FORBIDDEN) < set(seen)


def test_who_bleeds_gets_nothing_against_clotting():
    bleeding = [text for text in TEXTS if re.search("hemorrhage|subdural", diagnoses(text))]
    assert len(bleeding) > 100
    for text in bleeding:
        told = re.split(r"\n(?:In the ED|ED COURSE|In the emergency)", text)[1].lower()
        assert not re.search("heparin|enoxaparin|lovenox|aspirin|clopidogrel|ticagrelor|cilostazol|apixaban|rivaroxaban", told)


def test_kidneys_that_fail_show_in_every_table():
    failing = [text for text in TEXTS if re.search("acute kidney|chronic kidney|hepatorenal|uremia", diagnoses(text))]
    assert len(failing) > 100
    assert min(float(value) for text in failing for value in re.findall(r"Creat-([\d.]+)", text)) > 1.3


def test_hematocrit_is_three_times_hemoglobin_and_a_stays_values_move_slowly():
    for text in TEXTS:
        pairs = [(float(a), float(b)) for a, b in re.findall(r"Hgb-([\d.]+)\*? \n?Hct-([\d.]+)", text)]
        assert pairs
        assert all(hct == pytest.approx(3 * hgb, rel=0.1) for hgb, hct in pairs)
        assert max(hgb for hgb, _ in pairs) - min(hgb for hgb, _ in pairs) < 4


def test_of_a_class_of_drugs_one_is_taken_after_discharge():
    for text in TEXTS:
        orders = [entry.split("\nRx ")[0].lower() for entry in re.split(r"\n(?=\d+\.  )", DRUGS.search(text)[1])]
        for kind, names in KINDS.items():
            assert sum(bool(re.search(names, order)) for order in orders) <= 1, kind


def test_the_pulse_is_as_the_examination_says():
    rapid = [text for text in TEXTS if re.search(r"(?:CV: |; )Irregular(?:ly irregular, tachycardic| rhythm, rate 130s)", text)]
    assert rapid
    for text in rapid:
        before = re.split(r"\nCV: ", text)[0]
        assert all(130 <= int(rate) <= 139 for rate in re.findall(r"HR (\d+)", before))


def test_organs_go_with_the_sex():
    assert not any("uterus" in text for text in TEXTS if "Sex:   M" in text)
    assert not any("prostate" in text for text in TEXTS if "Sex:   F" in text)


def test_plain_radiology_notes_are_those_that_numbers_were_measured_on():
    digest = hashlib.sha256()
    for note in generate_radiology_notes(200, seed=1):
        digest.update(note["text"].encode())
    assert digest.hexdigest() == "e8ece515b384b7f3181bacc98aaefccb6fa85224dc4de3c3395acd3763d8e05d"


def test_detailed_radiology_notes_are_as_long_as_real_ones():
    notes = list(generate_radiology_notes(800, seed=3, detailed=True))
    pairs = [pair for note in notes if isinstance(pair := pair_sections(note["text"], "radiology", "clean"), Pair)]
    assert 0.9 < len(pairs) / len(notes) < 1
    assert fmean(len(tokenize(pair.source)) for pair in pairs) == pytest.approx(130, abs=6)
    assert 0.008 < fmean("_" * 78 in note["text"] for note in notes) < 0.035
    assert not any("signed" in pair.target for pair in pairs)
