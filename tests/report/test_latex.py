"""LaTeX of a comparison and of a reproduction: whole rows, and texts that LaTeX prints as they are."""

import re
import shutil
import subprocess

import pytest
from made import make_report

from pareft.report import beside
from pareft.report.latex import SPECIAL, escape_latex, make_tabular, write_latex
from pareft.reproduction.filling import fill_table
from pareft.reproduction.paper import TABLES

BASES = dict.fromkeys(TABLES["table4a"].recipes, "pareft-mini")


def test_every_row_has_every_cell():
    for text in (write_latex(make_report().comparison), beside.write_latex(fill_table("table4a", BASES, {}, small=True))):
        for body in re.findall(r"\\toprule\n(.*?)\\bottomrule", text, flags=re.S):
            rows = [line for line in body.splitlines() if line.endswith("\\\\")]
            assert len({len(re.findall(r"(?<!\\)&", row)) for row in rows}) == 1
            assert len(rows) > 2


def test_texts_are_printed_as_they_are():
    assert escape_latex("50 % of a_b & {c} #1 $x ~^\\") == (
        r"50 \% of a\_b \& \{c\} \#1 \$x \textasciitilde{}\textasciicircum{}\textbackslash{}"
    )
    hostile = "".join(SPECIAL) + r"\input{/etc/passwd}"
    text = make_tabular([hostile], [[hostile]], caption=hostile)
    assert r"\input" not in text
    assert text.count(r"\textbackslash{}input\{/etc/passwd\}") == 3


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="pdflatex is not installed")
@pytest.mark.parametrize("kind", ["comparison", "reproduction"])
def test_it_compiles_and_fits_the_page(kind, tmp_path):
    table = fill_table("table5a", dict.fromkeys(TABLES["table5a"].recipes, "x"), {}, small=True)
    text = write_latex(make_report().comparison) if kind == "comparison" else beside.write_latex(table)
    packages = r"\usepackage[T1]{fontenc}\usepackage{booktabs,graphicx}"
    (tmp_path / "t.tex").write_text(f"\\documentclass{{article}}{packages}\\begin{{document}}\n{text}\\end{{document}}\n")
    done = subprocess.run(["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "t.tex"], cwd=tmp_path, capture_output=True)
    assert done.returncode == 0, done.stdout[-2000:]
    assert b"Overfull" not in done.stdout
