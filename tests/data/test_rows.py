"""Tables row by row: every format gives the same rows, and a broken row costs itself."""

import csv
import gzip
import io
import json
import zipfile

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pareft.data.batches import Flaw
from pareft.data.rows import LONGEST_ROW, read_rows
from pareft.errors import DataError

ROWS = [{"question": f'what,\n"is" {n}?', "answer": f"it is\t{n} ä"} for n in range(5)]


def write_csv(path, rows, delimiter=","):
    file = io.StringIO()
    writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    path.write_bytes(file.getvalue().encode())


def write_xlsx(path, rows, names=None):
    """The least that is a workbook."""
    lines = [names or list(rows[0]), *(list(row.values()) for row in rows)]
    escape = {ord("<"): "&lt;", ord("&"): "&amp;", ord('"'): "&quot;"}
    cells = "".join(
        "<row>"
        + "".join(f'<c t="inlineStr"><is><t xml:space="preserve">{v.translate(escape)}</t></is></c>' for v in line)
        + "</row>"
        for line in lines
    )
    spread, office = (
        "http://schemas.openxmlformats.org/spreadsheetml/2006/main",
        "http://schemas.openxmlformats.org/officeDocument/2006",
    )
    package = "http://schemas.openxmlformats.org/package/2006"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types"><Default Extension="xml" ContentType="application/xml"/>'
        f'<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships">'
        f'<Relationship Id="r1" Type="{office}/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships">'
        f'<Relationship Id="r1" Type="{office}/relationships/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{spread}" xmlns:r="{office}/relationships"><sheets>'
        f'<sheet name="a" sheetId="1" r:id="r1"/></sheets></workbook>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{spread}"><sheetData>{cells}</sheetData></worksheet>',
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in parts.items():
            archive.writestr(name, text)


WRITERS = {
    "a.csv": write_csv,
    "a.tsv": lambda path, rows: write_csv(path, rows, "\t"),
    "a.json": lambda path, rows: path.write_text(json.dumps(rows, indent=1, ensure_ascii=False)),
    "b.json": lambda path, rows: path.write_text("\ufeff" + json.dumps(rows)),
    "a.jsonl": lambda path, rows: path.write_text("\n\n".join(json.dumps(row) for row in rows)),
    "a.parquet": lambda path, rows: pl.DataFrame(rows).write_parquet(path),
    "a.xlsx": write_xlsx,
    "a.csv.gz": lambda path, rows: (write_csv(path, rows), path.write_bytes(gzip.compress(path.read_bytes()))),
    "a.json.gz": lambda path, rows: path.write_bytes(gzip.compress(json.dumps(rows).encode())),
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_rows(name, tmp_path):
    if name.endswith(".xlsx"):
        pytest.importorskip("fastexcel")
    WRITERS[name](tmp_path / name, ROWS)
    found = list(read_rows(tmp_path / name))
    assert [values for _, values, _ in found] == ROWS
    assert [line for line, _, _ in found] == sorted(line for line, _, _ in found)
    assert found[-1][2] == pytest.approx(1, abs=0.2)


def test_a_mark_of_byte_order_is_no_part_of_a_quoted_name(tmp_path):
    (tmp_path / "a.csv").write_text('\ufeff"a","b"\n"1","2"\n', encoding="utf-8")
    assert [row[1] for row in read_rows(tmp_path / "a.csv")] == [{"a": "1", "b": "2"}]


def test_rows_of_a_workbook_are_counted_as_it_counts_them(tmp_path):
    pytest.importorskip("fastexcel")
    write_xlsx(tmp_path / "a.xlsx", [{"a": "1", "b": "x"}, {"a": "", "b": ""}, {"a": "2", "b": "y"}])
    assert [row[0] for row in read_rows(tmp_path / "a.xlsx") if any(row[1].values())] == [2, 4]
    write_xlsx(tmp_path / "b.xlsx", [{"a": "1", "b": "2"}], names=["a", "a"])
    with pytest.raises(DataError, match="two columns of its first line have one name"):
        list(read_rows(tmp_path / "b.xlsx"))


@settings(max_examples=50)
@given(st.lists(st.dictionaries(st.text(max_size=3), st.one_of(st.text(), st.integers(), st.none()))), st.integers(0, 3))
def test_any_json_array_comes_back(tmp_path_factory, rows, indent):
    path = tmp_path_factory.mktemp("rows") / "a.json"
    path.write_text(json.dumps(rows, indent=indent or None))
    assert [values for _, values, _ in read_rows(path)] == rows


def test_long_json_is_read_in_pieces(tmp_path):
    rows = [{"input": f"{n} " + "x" * (n % 7) * 9000} for n in range(400)]
    (tmp_path / "a.json").write_text(json.dumps(rows))
    assert [values for _, values, _ in read_rows(tmp_path / "a.json")] == rows


@pytest.mark.parametrize(
    ("name", "content", "flaws", "kept"),
    [
        ("a.csv", 'a,b\n1,"x"y\n2,z\n', [(2, "broken quoting")], ["2"]),
        ("a.csv", "a,b\n1,x\n2\n\n3,z\n", [(3, "wrong number of columns")], ["1", "3"]),
        ("a.csv", 'a,b\n1,x\n2,"z\n3,z\n', [(3, "broken quoting")], ["1", "3"]),
        (
            "a.csv",
            'a,b\n1,x\n2,"z\n3,z\n4\n5,"z"\n6,z\n',
            [(3, "broken quoting"), (5, "wrong number of columns")],
            ["1", "3", "5", "6"],
        ),
        ("a.csv", f'a,b\n1,"{"y" * (LONGEST_ROW + 9)}"\n2,z\n', [(2, "too long")], ["2"]),
        ("a.jsonl", '{"a": "1"}\n{"a": \n[1]\n{"a": "4"}\n', [(2, "broken JSON"), (3, "no JSON object")], ["1", "4"]),
        (
            "a.json",
            '[{"a": "1"},\n {"a": x}, {"a": "2"}, {"a" "y"},\n\n{"a": "3"}]',
            [(2, "broken JSON"), (2, "broken JSON")],
            ["1", "2", "3"],
        ),
        ("a.json", "[" + '{"a":' * 100_000 + "1" + "}" * 100_000 + ', {"a": "2"}]', [(1, "broken JSON")], ["2"]),
        (
            "a.jsonl",
            '{"a": "1"}\n{"a": "' + "ä" * LONGEST_ROW + '"}\n\n{"a": \n{"a": "4"}',
            [(2, "too long"), (4, "broken JSON")],
            ["1", "4"],
        ),
        ("a.json", '[{"a": "1"}]\n\n[{"a": "2"}]\n', [], ["1", "2"]),
        ("a.json", '[{"a": "1"}]\n{"a": "2"}\n', [(2, "text after the array")], ["1"]),
        ("a.json", '[{"a": "1"},\n 7,\n {"a": "2"}, {"a"', [(2, "no JSON object"), (3, "broken JSON")], ["1", "2"]),
    ],
)
def test_a_broken_row_costs_itself(name, content, flaws, kept, tmp_path):
    (tmp_path / name).write_text(content)
    found = list(read_rows(tmp_path / name))
    assert [(row.line, row.reason) for row in found if isinstance(row, Flaw)] == flaws
    assert [row[1]["a"] for row in found if not isinstance(row, Flaw)] == kept


@pytest.mark.parametrize("name", ["a.csv.gz", "a.json.gz", "a.jsonl.gz"])
def test_a_truncated_gzip_is_read_as_far_as_it_goes(name, tmp_path):
    rows = [{"a": str(n * n * 7919 % 1_000_003), "b": "x"} for n in range(4000)]
    plain = tmp_path / name.removesuffix(".gz")
    WRITERS[plain.name](plain, rows)
    packed = gzip.compress(plain.read_bytes())
    (tmp_path / name).write_bytes(packed[: len(packed) // 2])
    found = list(read_rows(tmp_path / name))
    good = [row[1] for row in found if not isinstance(row, Flaw)]
    assert good == rows[: len(good)]
    assert len(good) > 1000
    assert found[-1].reason == "truncated gzip"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.doc", b"x", r"cannot read \.doc; give one of \.csv"),
        ("a.json", b'{"a": 1}', "is no JSON array of objects"),
        ("a.csv", b"\x89PNG\0\0", "is no text in UTF-8"),
        ("a.csv", b"a,a\n1,2\n", "two columns of its first line have one name"),
        ("a.csv", b'"a"x,b\n1,2\n', "its first line is no header that can be read as csv"),
        ("a.parquet", b"no", "cannot be read as Parquet"),
        ("a.xlsx", b"no", "cannot be read as an Excel workbook"),
    ],
)
def test_files_of_another_kind_are_refused(name, content, message, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        list(read_rows(tmp_path / name))
    with pytest.raises(DataError, match="no file"):
        list(read_rows(tmp_path / "none.csv"))


def test_parquet_reads_only_what_is_asked_for_and_bytes_that_are_no_text(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet

    broken = pa.Array.from_buffers(pa.string(), 2, pa.array([b"ok", b"\xff\xfe"], pa.binary()).buffers())
    table = pa.table({"a": broken, "b": pa.array(["x", "y"]).dictionary_encode(), "when": pa.array([2**62, 1], pa.timestamp("us"))})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    rows = [values for _, values, _ in read_rows(tmp_path / "a.parquet", ["a", "b"])]
    assert rows == [{"a": "ok", "b": "x"}, {"a": "\udcff\udcfe", "b": "y"}]
    with pytest.raises(DataError, match="no column c; the columns are a, b, when"):
        list(read_rows(tmp_path / "a.parquet", ["c"]))
