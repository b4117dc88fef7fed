"""Tables for a paper: LaTeX with booktabs."""

from collections.abc import Collection, Sequence

from pareft.comparison import Comparison
from pareft.records import name_score
from pareft.report.table import explain, format_intervals, format_row, list_columns

SPECIAL = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "≈": r"$\approx$",
    "→": r"$\rightarrow$",
    "–": "--",
    "[": "{[}",  # after the end of a row it would be how far away the next one is
    "*": "{*}",
    "|": r"\textbar{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}
PREAMBLE = "% \\usepackage{booktabs,graphicx} in the preamble; with pdfLaTeX also \\usepackage[T1]{fontenc}\n"
FIT = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"  # no wider than the page


def write_latex(comparison: Comparison) -> str:
    """The table, and where examples have scores, one of all scores with their 95 % intervals."""
    rows = [format_row(row, comparison) for row in comparison.rows]
    notes = " ".join(explain(comparison))
    tables = [make_tabular(list_columns(comparison), rows, caption=f"{comparison.title}. {notes}")]
    names = comparison.headlines
    if any(row.intervals for row in comparison.rows):
        cells = [format_intervals(row, names) for row in comparison.rows]
        caption = f"{comparison.title}: scores with 95 % intervals."
        tables.append(make_tabular(["Arm", *map(name_score, names)], cells, caption=caption))
    return PREAMBLE + "\n".join(tables)


def make_tabular(
    heads: Sequence[str], rows: Sequence[Sequence[str]], *, caption: str, rules: Collection[int] = (), left: int = 1
) -> str:
    """A table of plain texts, no wider than the page; a rule comes before the rows `rules`, the first `left` columns are
    left-aligned.
    """
    lines = [_join([_stack(head) for head in heads]), r"\midrule"]
    for index, row in enumerate(rows):
        lines += [r"\midrule"] if index in rules else []
        lines.append(_join([escape_latex(cell) for cell in row]))
    columns = "l" * left + "r" * (len(heads) - left)
    begin = [r"\begin{table}", r"\centering", f"\\caption{{{escape_latex(caption)}}}", r"\small", FIT]
    tabular = [f"\\begin{{tabular}}{{{columns}}}", r"\toprule", *lines, r"\bottomrule", r"\end{tabular}}"]
    return "\n".join([*begin, *tabular, r"\end{table}"]) + "\n"


def _join(cells: Sequence[str]) -> str:
    return f"{' & '.join(cells)} \\\\"


def _stack(head: str) -> str:
    """A head with a line for every word."""
    words = [escape_latex(word) for word in head.split(" ")]
    lines = "\\\\".join(words)
    return lines if len(words) == 1 else f"\\shortstack[r]{{{lines}}}"


def escape_latex(text: str) -> str:
    """Text that LaTeX prints as it is."""
    return "".join(SPECIAL.get(character, character) for character in text)
