"""The radiology builder: the release's quirks under `paper`, mended under `clean`."""

import csv
import gzip

import pytest

from pareft.data.mimic import Pair, pair_radiology, read_radiology
from pareft.errors import DataError

NOTE = f"""                    FINAL REPORT
 EXAMINATION:  CHEST (PA AND LAT)

 FINDINGS:

 Heart size is normal.  The   lungs are clear, seen by Dr. ____.

 IMPRESSION:

 No acute process.
{"_" * 78}
 Signed by somebody
"""


def test_paper_keeps_the_last_sections_title_and_the_line_ends():
    pair = pair_radiology(NOTE, "paper")
    assert pair.target.startswith("impression:\n\n no acute process.")
    assert "signed" not in pair.target
    assert pair.source.startswith("final report")
    assert "the   lungs" in pair.source


def test_paper_drops_the_title_of_an_impression_that_is_not_last():
    note = "FINAL REPORT\n IMPRESSION: Normal.\n FINDINGS: The lungs are clear and the heart is of normal size."
    assert pair_radiology(note, "paper") == Pair(
        "final report\nfindings: the lungs are clear and the heart is of normal size.", "normal."
    )


def test_paper_takes_a_title_wherever_it_occurs_first():
    note = "FINAL REPORT\n FINDINGS: see prior impression: stable. Clear.\n IMPRESSION: Normal."
    assert pair_radiology(note, "paper").target.startswith("impression: stable")
    assert pair_radiology(note, "clean").target == "normal."


def test_clean_target_never_contains_its_title_and_space_is_folded():
    pair = pair_radiology(NOTE, "clean")
    assert pair.target == "no acute process."
    assert "  " not in pair.source
    assert "dr. ___." in pair.source


@pytest.mark.parametrize(
    ("note", "rules", "reason"),
    [
        ("FINDINGS: x", "paper", "no impression"),
        ("IMPRESSION: x", "paper", "no findings"),
        ("FINAL REPORT\n IMPRESSION: something here", "clean", "no findings"),
        ("FINDINGS: the lungs are clear and the heart is normal\n IMPRESSION: ok", "clean", "near-empty"),
        (f"FINDINGS: x\nIMPRESSIONS:\n{'_' * 78}", "clean", "near-empty"),
        (f"IMPRESSION:{'_' * 78}\nFINDINGS: x", "paper", "empty target"),
    ],
)
def test_a_dropped_note_has_a_reason(note, rules, reason):
    assert pair_radiology(note, rules) == reason


def write_notes(path, texts, opener=open):
    with opener(path, "wt", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["note_id", "subject_id", "text"])
        writer.writerows([f"{i}-RR-1", str(i), text] for i, text in enumerate(texts))


def test_csv_and_gz_give_the_same_in_the_files_order(tmp_path):
    texts = [NOTE.replace("clear", word) for word in ("clear", "hazy", "dense", "clear")] + ["no sections"]
    write_notes(tmp_path / "radiology.csv", texts)
    (tmp_path / "gz").mkdir()
    write_notes(tmp_path / "gz" / "radiology.csv.gz", texts, gzip.open)
    plain, tally = read_radiology(tmp_path, rules="clean")
    packed, _ = read_radiology(tmp_path / "gz", rules="clean")
    assert plain.equals(packed)
    assert plain["id"].to_list() == ["0-RR-1", "1-RR-1", "2-RR-1"]
    assert (tally.notes, tally.kept, tally.dropped) == (5, 3, {"duplicate": 1, "no impression": 1})
    assert read_radiology(tmp_path, rules="paper")[0].height == 4


def test_missing_files_and_columns_are_named(tmp_path):
    with pytest.raises(DataError, match=r"expected radiology\.csv"):
        read_radiology(tmp_path, rules="clean")
    (tmp_path / "radiology.csv").write_text("note_id,body\n1,x\n")
    with pytest.raises(DataError, match="no column subject_id, text; the columns are note_id, body"):
        read_radiology(tmp_path, rules="clean")
    write_notes(tmp_path / "radiology.csv", ["nothing here"])
    with pytest.raises(DataError, match="none of 1 notes"):
        read_radiology(tmp_path, rules="clean")
