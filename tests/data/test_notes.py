"""Files of notes: broken ones cost themselves alone, and how the file is cut changes nothing."""

import csv
import gzip
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pareft.data.batches import Flaw
from pareft.data.notes import pair_notes
from pareft.data.sections import Pair, pair_sections
from pareft.errors import DataError

COLUMNS = ["note_id", "subject_id", "hadm_id", "text"]
FINDINGS = (
    'FINAL REPORT\n FINDINGS: The heart is of normal size and view {} shows clear lungs, "as before".\n IMPRESSION:\n Normal, {}.\n'
)


def make_csv(texts, columns=COLUMNS):
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([f"{1000 + i}-RR-{i}", str(1000 + i), "", text] for i, text in enumerate(texts))
    return file.getvalue().encode()


@pytest.fixture
def write(tmp_path):
    def write_bytes(content, name="radiology.csv"):
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    return write_bytes


def read(path, **options):
    """All of a file's pairs and flaws, in order."""
    batches = list(pair_notes(path, "radiology", "clean", **options))
    pairs = [pair for batch in batches for pair in zip(batch.ids, batch.groups, batch.sources, batch.targets, strict=True)]
    assert sum(batch.rows for batch in batches) == len(pairs) + sum(sum(batch.dropped.values()) for batch in batches)
    return pairs, [flaw for batch in batches for flaw in batch.flaws]


def find_line(content, start):
    """The number, from 1, of the line that begins so."""
    return content[: content.index(b"\n" + start)].count(b"\n") + 2


TEXTS = [FINDINGS.format(word, word) for word in ("one", "two", "three", "four", "five")]


def test_every_note_is_paired_as_it_would_be_alone(write):
    pairs, flaws = read(write(make_csv(TEXTS)))
    assert not flaws
    assert [identity for identity, *_ in pairs] == [f"{1000 + i}-RR-{i}" for i in range(5)]
    assert [Pair(source, target) for *_, source, target in pairs] == [pair_sections(text, "radiology", "clean") for text in TEXTS]


@pytest.mark.parametrize("size", [1, 7, 100, 250, 10**6])
@pytest.mark.parametrize("packed", [False, True])
def test_slabs_and_gzip_change_nothing(size, packed, write):
    content = make_csv(TEXTS * 9)
    path = write(gzip.compress(content) if packed else content)
    assert read(path, slab_bytes=size) == read(write(content, "plain.csv"))


@settings(max_examples=60)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), max_size=8), st.integers(1, 400))
def test_any_texts_come_back_whatever_the_slabs(tmp_path_factory, texts, size):
    path = tmp_path_factory.mktemp("notes") / "radiology.csv"
    path.write_bytes(make_csv(texts))
    assert read(path, slab_bytes=size) == read(path)
    expected = [pair for text in texts if text.strip() and isinstance(pair := pair_sections(text, "radiology", "clean"), Pair)]
    assert [Pair(*pair[2:]) for pair in read(path)[0]] == expected


def test_processes_change_nothing(write):
    path = write(make_csv(TEXTS * 40))
    assert read(path, workers=2, slab_bytes=1500) == read(path)


def break_quoting(content):
    return content.replace(b'1002-RR-2,1002,,"FINAL', b'1002-RR-2,1002,,"FIN"AL')


def never_close(content):
    return content.replace(b'Normal, three.\n"', b"Normal, three.\n")


def close_early(content):
    return content.replace(b"Normal, three.", b'Normal,"\n three.')


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (break_quoting, "broken quoting"),
        (never_close, "broken quoting"),
        (close_early, "broken quoting"),
        (lambda content: content.replace(b"view three", b"view \xff\xfe"), "invalid UTF-8"),
        (lambda content: content.replace(b"view three", b"view \0"), "NUL byte"),
        (lambda content: content.replace(b"1002-RR-2,1002,,", b"1002-RR-2,1002,"), "wrong number of columns"),
        (lambda content: content.replace(b"view three", b"view " + b"x" * 4_000_000), "too long"),
        (lambda content: content.replace(TEXTS[2].replace('"', '""').encode(), b"  \n"), "empty text"),
    ],
)
@pytest.mark.parametrize("size", [200, 2**22])
def test_a_bad_note_costs_itself_alone_and_its_line_is_named(damage, reason, size, write):
    content = make_csv(TEXTS)
    damaged = damage(content)
    assert damaged != content
    pairs, flaws = read(write(damaged), slab_bytes=size)
    assert [identity for identity, *_ in pairs] == ["1000-RR-0", "1001-RR-1", "1003-RR-3", "1004-RR-4"]
    assert flaws == [Flaw(find_line(damaged, b"1002-RR-2"), reason)]


def test_a_note_of_50_megabytes_is_passed_over(write):
    content = make_csv([TEXTS[0], "word \n" * 9_000_000, TEXTS[1], " ", TEXTS[2]])
    pairs, flaws = read(write(content))
    assert [identity for identity, *_ in pairs] == ["1000-RR-0", "1002-RR-2", "1004-RR-4"]
    assert flaws == [Flaw(find_line(content, b"1001-RR-1"), "too long"), Flaw(find_line(content, b"1003-RR-3"), "empty text")]


@pytest.mark.parametrize("size", [1, 50, 300, 2**22])
def test_a_text_may_quote_how_a_record_begins(size, write):
    quoting = TEXTS[1].replace("IMPRESSION", 'see\n12345678-RR-2,12345678,,"Normal",\n77-RR-1,77,x\n IMPRESSION')
    texts = [TEXTS[0], quoting, TEXTS[2]]
    pairs, flaws = read(write(make_csv(texts)), slab_bytes=size)
    assert not flaws
    assert [Pair(*pair[2:]) for pair in pairs] == [pair_sections(text, "radiology", "clean") for text in texts]


@pytest.mark.parametrize(
    ("between", "reason"),
    [
        (b"a stray line\n", "wrong number of columns"),
        (b'1002-rr-2,1002,,"a note\nwith an odd id"\n', "no note's id"),
        (b"\n\n", None),
    ],
)
@pytest.mark.parametrize("size", [40, 2**22])
def test_what_is_between_records_costs_neither_neighbour(between, reason, size, write):
    content = make_csv(TEXTS)
    start = content.index(b"1003-RR-3")
    odd = content[:start] + between + content[start:]
    pairs, flaws = read(write(odd), slab_bytes=size)
    assert [identity for identity, *_ in pairs] == [f"{1000 + i}-RR-{i}" for i in range(5)]
    assert flaws == ([Flaw(odd[:start].count(b"\n") + 1, reason)] if reason else [])


@pytest.mark.parametrize("share", [0.3, 0.6, 0.99])
def test_a_truncated_gzip_is_read_as_far_as_it_goes(share, write):
    content = make_csv([FINDINGS.format(i, i * 7919 % 1000) for i in range(3000)])
    packed = gzip.compress(content)
    pairs, flaws = read(write(packed[: int(len(packed) * share)]), slab_bytes=5000)
    whole, _ = read(write(content, "whole.csv"))
    assert pairs == whole[: len(pairs)]
    assert len(pairs) > share * 0.8 * len(whole)
    assert [flaw.reason for flaw in flaws] == ["truncated gzip"]


def test_a_damaged_gzip_is_told_from_a_truncated_one(write):
    packed = bytearray(gzip.compress(make_csv(TEXTS * 50)))
    packed[-6] ^= 1  # the checksum
    assert [flaw.reason for flaw in read(write(bytes(packed)))[1]] == ["damaged gzip"]


def test_a_file_that_ends_within_a_note_loses_that_note_alone(write):
    content = make_csv(TEXTS)
    pairs, flaws = read(write(content[: content.index(b"1004-RR-4") + 60]))
    assert len(pairs) == 4
    assert [flaw.reason for flaw in flaws] == ["broken quoting"]


def test_windows_line_ends_and_a_byte_order_mark(write):
    content = make_csv(TEXTS)
    odd = b"\xef\xbb\xbf" + content.replace(b'\n"\n', b'\n"\r\n').replace(b"text\n", b"text\r\n")
    assert read(write(odd)) == read(write(content, "plain.csv"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"note_id,body\n1-RR-1,x\n", r"no column subject_id, text; the columns are note_id, body$"),
        (b"Smith,pneumonia\n1-RR-1,x\n", r"no column note_id, subject_id, text; the first line does not look like a header"),
        (b"\x89PNG\r\n\x1a\n\0\0\0", "is no text in UTF-8"),
        (b"PAR1\x15\x00\x15", "is no text in UTF-8"),
        (b"", "no column note_id, subject_id, text"),
        (b"Mrs. Smith came with pain, and left without it, on a Sunday" * 3, "the first line does not look like a header"),
        (make_csv(TEXTS).replace(b"-RR-", b"/RR/"), "no line begins with a note's id"),
        (make_csv(TEXTS).replace(b"-RR-", b"-DS-"), "holds discharge notes .its ids have DS., and not radiology ones"),
        (b"note_id,subject_id,text," + b"x" * 70_000, "its first line has more than 65,536 bytes"),
        (b"note_id,subject_id,te\rxt\n", "its first line is no CSV header"),
        (b"note_id,subject_id,text," + b"x" * 5000 + b"\xff\n", "is no text in UTF-8"),
    ],
)
def test_a_file_of_another_kind_is_refused_without_its_text(content, message, write):
    with pytest.raises(DataError, match=message) as raised:
        read(write(content))
    assert "Smith" not in str(raised.value)


def test_text_of_bad_notes_is_kept_only_where_it_may_be_shown(write):
    path = write(never_close(make_csv(TEXTS)))
    assert [flaw.text for flaw in read(path)[1]] == [""]
    (flaw,) = read(path, show_text=True)[1]
    assert flaw.text.startswith("FINAL REPORT FINDINGS")
    assert len(flaw.text) <= 80
