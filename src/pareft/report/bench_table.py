"""A bench as a table: the cells that the terminal and the Markdown share."""

from statistics import median

from pareft.bench.record import ANCHOR, BenchRecord, Case, Entry
from pareft.report.table import format_number, join_cells

COLUMNS = (
    "Step s",
    "× full fp32",
    "× full",
    "× stock",
    "Memory GB",
    "TFLOP/s",
    "of ceiling %",
    "Greedy tok/s",
    "Beam 6 tok/s",
    "Load s",
)
LEGEND = (
    "× full fp32: steps in the time of one of full in stock-fp32; × full: of full in the same way; × stock: of the same arm in the "
    "way stock. Every time is a median; tok/s: new tokens of the whole batch."
)


def title_of(case: Case) -> str:
    """What a case is, in a line."""
    hardware = case.hardware
    where = hardware.get("gpu") or f"{hardware['threads']} threads of {hardware['processor']}"
    return f"{case.shape}, {case.lengths} tokens, batch {case.batch_size}, on {where}"


def format_entry(case: Case, entry: Entry) -> list[str]:
    """The cells of a way of an arm, in the order of `COLUMNS`."""
    rate, share = case.operations_per_second(entry), case.ceiling_share(entry)
    written = [entry.writing[beams].tokens_per_second if beams in entry.writing else None for beams in ("greedy", "beam 6")]
    return [
        f"{entry.median_seconds:.3g}",
        format_number(case.speed(*entry.key), 2),
        format_number(case.compare(entry, "full", entry.way), 2),
        format_number(case.compare(entry, entry.arm, "stock"), 2),
        f"{entry.peak_bytes / 1e9:.2f}",
        format_number(rate and rate / 1e12, 3 if rate and rate < 1e12 else 1),
        format_number(share and 100 * share, 0),
        *(format_number(value, 0 if value and value >= 100 else 1) for value in written),
        format_number(entry.load_seconds, 2),
    ]


def list_notes(case: Case) -> list[str]:
    """What to know of a case beyond its table."""
    rates: dict[str, list[float]] = {}
    for entry in (entry for group in case.groups for entry in group):
        rates.setdefault(entry.precision, []).extend(entry.ceilings)
    ceilings = ", ".join(f"{median(found) / 1e12:.2f} TFLOP/s in {name}" for name, found in rates.items())
    notes = [f"Ceiling, by products of matrices before every step, the median: {ceilings}."] if ceilings else []
    precisions = ", ".join(dict.fromkeys(f"{entry.way} in {entry.precision}" for entry in case.entries))
    notes += [f"Computed: {precisions}."] if precisions else []
    if len(case.groups) > 1:
        notes.append(f"In {len(case.groups)} groups, as not all fits into memory at once.")
    if case.stands_apart:
        notes.append(f"Some had not even room beside {' in '.join(ANCHOR)}, and were measured after it.")
    return notes + [f"Failed: {name}, {reason}" for name, reason in case.failed.items()]


def write_markdown(record: BenchRecord) -> str:
    """Every case's table with its notes and method."""
    parts = ["# pareft bench"]
    for case in record.cases:
        heads = ["Arm", "Way", *COLUMNS]
        lines = [join_cells(heads), join_cells(["---", "---", *["---:"] * len(COLUMNS)])]
        lines += [join_cells([entry.arm, entry.way, *format_entry(case, entry)]) for entry in case.entries]
        steps = f"{case.steps} counted rounds after {case.warmup_steps}; {case.method}"
        notes = "\n".join(f"- {note}" for note in [*list_notes(case), LEGEND, f"Method: {steps}."])
        parts.append(f"## {title_of(case)}\n\n" + "\n".join(lines) + f"\n\n{notes}")
    return "\n\n".join(parts) + "\n"
