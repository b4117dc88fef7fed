"""Reports cut at their titles: laws of any text, the release's quirks under `paper`, each mended under `clean`."""

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pareft.data.sections import DISCHARGE_SOURCES, LAYOUTS, UNDERLINE, Pair, find_sections, fold, pair_sections

TITLES = [title for layout in LAYOUTS.values() for title in layout.titles("paper")]
FRAGMENTS = st.sampled_from(
    [*TITLES, "\n", "\n ", " ", "___", UNDERLINE, "last name: x first name: y", "Physical Exam:", "text", "İ", "1. ", "=" * 15]
)
REPORTS = st.one_of(st.text(), st.lists(st.one_of(FRAGMENTS, st.text(max_size=20)), max_size=30).map("".join))
KINDS = sorted(LAYOUTS)


@pytest.mark.parametrize("rules", ["paper", "clean"])
@pytest.mark.parametrize("kind", KINDS)
@given(report=REPORTS)
def test_sections_part_the_text_from_the_first_title_on(kind, rules, report):
    text = report.lower()
    sections = find_sections(text, LAYOUTS[kind].titles(rules), rules)
    assert all(text[section.start : section.end] == section.title for section in sections)
    assert [section.stop for section in sections[:-1]] == [section.start for section in sections[1:]]
    if sections:
        assert text[sections[0].start :] == "".join(text[section.start : section.stop] for section in sections)
        assert sections[-1].stop == len(text)


@pytest.mark.parametrize("rules", ["paper", "clean"])
@pytest.mark.parametrize("kind", KINDS)
@given(report=REPORTS)
def test_any_text_gives_a_pair_or_a_reason_and_always_the_same(kind, rules, report):
    found = pair_sections(report, kind, rules)
    assert found == pair_sections(report, kind, rules)
    if isinstance(found, Pair):
        assert found.source
        assert found.target
        if rules == "clean":
            assert found.source == " ".join(found.source.split())
            assert not any(title in found.target for title in LAYOUTS[kind].targets)
    else:
        assert found in ("no target section", "no source section", "empty", "near-empty", "titles within titles")


def find_first_places(report, titles):
    """What the release does, told plainly: every title searched once, the places sorted, each owning what is up to the next."""
    text = report.lower()
    places = sorted((match.span(), title) for title in titles if (match := re.search(re.escape(title), text)))
    stops = [span[0] for span, _ in places[1:]] + [len(text)]
    return text, [(title, span[0], span[1], stop) for (span, title), stop in zip(places, stops, strict=False)]


def pair_discharge_plainly(report):
    layout = LAYOUTS["discharge"]
    text, places = find_first_places(report, [*layout.sources, *layout.targets])
    source = "".join(text[start:stop].strip() + "\n" for title, start, _, stop in places if title in layout.sources).strip()
    target = "".join(text[end:stop].strip() + "\n" for title, _, end, stop in places if title in layout.targets).strip()
    kept = ""
    for line in target.split("\n"):
        if "last name" in line and "first name" in line:
            break
        kept += line + "\n"
    return (source, kept.strip()) if source and kept.strip() else None


def pair_radiology_plainly(report):
    layout = LAYOUTS["radiology"]
    text, places = find_first_places(report, [*layout.sources, "=" * 15, *layout.targets])
    there = {title for title, *_ in places}
    if not there & set(layout.sources) or not there & set(layout.targets):
        return None
    source, target = "", ""
    for number, (title, start, end, stop) in enumerate(places, 1):
        if title in layout.sources:
            source += text[start:stop].strip() + "\n"
        elif title in layout.targets:
            target += text[start if number == len(places) else end : stop].strip() + "\n"
    source, target = source.strip(), target.strip()
    if UNDERLINE in target:
        target = target[: target.index(UNDERLINE)]
    return (source, target) if source and target else None


@pytest.mark.parametrize(("kind", "plainly"), [("discharge", pair_discharge_plainly), ("radiology", pair_radiology_plainly)])
@settings(max_examples=400)
@given(report=REPORTS)
def test_paper_is_character_for_character_what_the_release_gives(kind, plainly, report):
    found = pair_sections(report, kind, "paper")
    assert ((found.source, found.target) if isinstance(found, Pair) else None) == plainly(report)


def test_there_are_as_many_titles_as_in_the_release():
    assert len(DISCHARGE_SOURCES) == len(set(DISCHARGE_SOURCES)) == 71


NOTE = """Name:  ___                     Unit No:   ___

Chief Complaint:
Chest pain

ADMISSION PHYSICAL EXAM:
VS 98.1, alert.   Lungs  clear.

Brief Hospital Course:
Ruled out for infarction. Discharge medications: see below.

Medications on Admission:
aspirin

Discharge Diagnosis:
Atypical chest pain
Hypertension
Last Name: ____ First Name: ____ Title: MD

Discharge Instructions:
Dear Ms. ____, you were admitted with chest pain.
"""


def test_paper_discharge_is_what_the_release_makes_of_it():
    pair = pair_sections(NOTE, "discharge", "paper")
    assert pair.target == "atypical chest pain\nhypertension"
    assert pair.source.split("\n") == [
        *("chief complaint:", "chest pain"),
        "admission",  # "physical exam:" within "admission physical exam:" ends the outer title's section
        *("physical exam:", "vs 98.1, alert.   lungs  clear."),
        "brief",
        *("hospital course:", "ruled out for infarction."),
        "discharge",  # a title in the middle of a sentence
        "medications: see below.",
        *("medications on admission:", "aspirin"),
        *("discharge instructions:", "dear ms. ____, you were admitted with chest pain."),
    ]


def test_clean_discharge_takes_titles_at_line_starts_the_longest_there():
    pair = pair_sections(NOTE, "discharge", "clean")
    assert pair.target == "atypical chest pain hypertension"
    assert pair.source == (
        "chief complaint: chest pain admission physical exam: vs 98.1, alert. lungs clear. brief hospital course: ruled out for "
        "infarction. discharge medications: see below. medications on admission: aspirin discharge instructions: dear ms. ___, you "
        "were admitted with chest pain."
    )


RADIOLOGY = f"""                    FINAL REPORT
 EXAMINATION:  CHEST (PA AND LAT)

 FINDINGS:

 Heart size is normal.  The   lungs are clear, seen by Dr. ____.

 IMPRESSION:

 No acute process.
{UNDERLINE}
 Signed by somebody
"""


def test_paper_radiology_keeps_the_last_sections_title_and_the_white_space():
    pair = pair_sections(RADIOLOGY, "radiology", "paper")
    assert pair.target == "impression:\n\n no acute process.\n"
    assert pair.source.startswith("final report\n examination")
    assert "the   lungs" in pair.source
    not_last = "FINAL REPORT\n IMPRESSION: Normal.\n FINDINGS: The lungs are clear and the heart is of normal size."
    assert pair_sections(not_last, "radiology", "paper") == Pair(
        "final report\nfindings: the lungs are clear and the heart is of normal size.", "normal."
    )


def test_paper_radiology_takes_its_own_files_divider_for_a_title():
    note = f"FINDINGS: clear lungs\n IMPRESSION: normal\n {'=' * 15} addendum"
    assert pair_sections(note, "radiology", "paper") == Pair("findings: clear lungs", "normal")


# What `clean` mends, each by its name in FIXES; `duplicates` is the builder's.


def test_line_start():
    note = "FINAL REPORT\n FINDINGS: see prior impression: stable. The lungs are clear.\n IMPRESSION: Normal."
    assert pair_sections(note, "radiology", "paper").target.startswith("impression: stable")
    assert pair_sections(note, "radiology", "clean").target == "normal."


def test_longest_title():
    sections = find_sections(NOTE.lower(), LAYOUTS["discharge"].titles("clean"), "clean")
    assert "admission physical exam:" in [section.title for section in sections]
    assert "physical exam:" not in [section.title for section in sections]
    assert "physical exam:" in [
        section.title for section in find_sections(NOTE.lower(), LAYOUTS["discharge"].titles("paper"), "paper")
    ]


def test_every_title():
    note = NOTE + "\nDischarge Diagnosis:\nPrimary: chest pain\n"
    assert "primary: chest pain" in pair_sections(note, "discharge", "paper").source
    clean = pair_sections(note, "discharge", "clean")
    assert clean.target.endswith("hypertension primary: chest pain")
    assert "primary" not in clean.source


def test_needed_section():
    note = "FINAL REPORT\n EXAMINATION: chest, two views, compared with none.\n IMPRESSION: normal chest"
    assert isinstance(pair_sections(note, "radiology", "paper"), Pair)
    assert pair_sections(note, "radiology", "clean") == "no source section"


@pytest.mark.parametrize(
    ("diagnosis", "target"),
    [
        ("Primary discharge diagnosis: chest pain", "primary: chest pain"),
        ("discharge diagnosis: chest pain", "chest pain"),
        ("DISDISCHARGE DIAGNOSIS:CHARGE DIAGNOSIS: chest pain", "chest pain"),
    ],
)
def test_no_title_in_target(diagnosis, target):
    assert pair_sections(f"{NOTE}\nDischarge Diagnosis: {diagnosis}", "discharge", "clean").target.endswith(
        f"hypertension {target}"
    )


def test_signature_per_section():
    note = NOTE + "\nDischarge Diagnoses:\nLate entry: gastritis\n"
    assert "gastritis" not in pair_sections(note, "discharge", "paper").target
    assert pair_sections(note, "discharge", "clean").target.endswith("late entry: gastritis")


def test_folded():
    pair = pair_sections(RADIOLOGY, "radiology", "clean")
    assert pair.target == "no acute process."
    assert "  " not in pair.source
    assert "dr. ___." in pair.source


@given(st.text(alphabet="_ \n\tab"))
def test_folding_twice_is_folding_once(text):
    assert fold(fold(text)) == fold(text)
    assert re.search(r"__(?!_)(?<!___)|____", fold(text)) is None


def test_near_empty():
    assert (
        pair_sections("FINDINGS: the lungs are clear and the heart is normal\n IMPRESSION: ok", "radiology", "clean")
        == "near-empty"
    )
    assert pair_sections("Service: x\nDischarge Diagnosis: long enough", "discharge", "clean") == "near-empty"


@pytest.mark.parametrize(
    ("note", "kind", "rules", "reason"),
    [
        ("Service: medicine", "discharge", "paper", "no target section"),
        ("Discharge Diagnosis: x", "discharge", "paper", "no source section"),
        ("Service: medicine\nDischarge Diagnosis:\nlast name: a first name: b", "discharge", "paper", "empty"),
        ("FINDINGS: x", "radiology", "paper", "no target section"),
        ("IMPRESSION: x", "radiology", "paper", "no source section"),
        (f"IMPRESSION:{UNDERLINE}\nFINDINGS: x", "radiology", "paper", "empty"),
    ],
)
def test_what_gives_no_pair_has_a_reason(note, kind, rules, reason):
    assert pair_sections(note, kind, rules) == reason


def test_the_order_of_titles_in_the_list_does_not_matter():
    generator = random.Random(0)
    titles = list(LAYOUTS["discharge"].titles("clean"))
    for rules in ("paper", "clean"):
        expected = find_sections(NOTE.lower(), titles, rules)
        shuffled = generator.sample(titles, len(titles))
        assert find_sections(NOTE.lower(), shuffled, rules) == expected
