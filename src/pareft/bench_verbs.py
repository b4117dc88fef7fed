"""What `pareft bench` does once its arguments are read: check all of them, measure, write after every group, print the table."""

from pathlib import Path

from pareft.bench import Request, bench
from pareft.bench.arms import ARMS, WAYS, choose
from pareft.bench.batches import Lengths, parse_lengths
from pareft.bench.record import BenchRecord, Case
from pareft.bench.shapes import SHAPES, open_config
from pareft.console import make_bench_table
from pareft.errors import MeasurementError, RunError
from pareft.files import check_folder_place, write_atomic
from pareft.live import LiveProgress, start_console
from pareft.models.structure import count_positions
from pareft.report.bench_table import LEGEND, list_notes, write_markdown

RECORD, TABLE = "bench.json", "bench.md"


def parse_request(
    shape: str, lengths: str, arms: str, ways: str, *, batch: int, steps: int, warmup: int, new_tokens: int
) -> Request:
    """What was asked for on the command line.

    Raises:
        RunError: a shape, length, arm or way that is not there, or a length that a shape has no positions for.
    """
    cases = _parse_cases(shape, lengths)
    least = min(at.target for chosen in cases.values() for at in chosen)
    if least < new_tokens:
        raise RunError(f"--new-tokens {new_tokens}: the shortest targets have {least}; lower it")
    return Request(
        cases=cases,
        arms=choose("--arms", arms, list(ARMS)),
        ways=choose("--ways", ways, list(WAYS)),  # type: ignore[arg-type]
        batch_size=batch,
        steps=steps,
        warmup_steps=warmup,
        new_tokens=new_tokens,
    )


def _parse_cases(shape: str, lengths: str) -> dict[str, list[Lengths]]:
    shapes = list(SHAPES) if shape.strip() == "all" else [name.strip() for name in shape.split(",") if name.strip()]
    texts = [text.strip() for text in lengths.split(",") if text.strip()]
    if not shapes or not texts:
        raise RunError(f"--shape and --lengths: name at least one, such as {next(iter(SHAPES))} and 512/128")
    return {name: [parse_lengths(text, positions=count_positions(open_config(name))) for text in texts] for name in shapes}


def bench_and_show(request: Request, out: Path) -> None:
    """`pareft bench`. What is in the folder of other shapes and lengths stays.

    Raises:
        RunError: the folder holds something else under the name of the record.
        MeasurementError: something could not be measured; all else is written and shown.
    """
    console = start_console()
    check_folder_place(out)
    record = read_bench(out)
    measured: dict[tuple[str, str, int], Case] = {}
    with LiveProgress(console) as progress:
        for case in bench(request, progress=progress):
            record = record.with_case(case)
            measured[case.name] = case
            write_atomic(out / RECORD, record.to_json())
            write_atomic(out / TABLE, write_markdown(record))
    for case in measured.values():
        console.print(make_bench_table(case))
        for note in list_notes(case):
            console.print(f"- {note}", soft_wrap=True)
    console.print(f"- {LEGEND}", soft_wrap=True)
    console.print(f"Written to {out}: {RECORD} with every time, {TABLE}", soft_wrap=True)
    if others := [name for name in SHAPES if name not in request.cases]:
        console.print(f"More: --shape {','.join(others)}; --lengths 1024/128,512/128,mixed", soft_wrap=True)
    if failed := [name for case in measured.values() for name in case.failed]:
        raise MeasurementError(f"{len(failed)} could not be measured: {', '.join(failed)}; why is above and in {out / RECORD}")


def read_bench(out: Path) -> BenchRecord:
    """What the folder holds already.

    Raises:
        RunError: a file there that is none of ours, or of another version.
    """
    path = out / RECORD
    if not path.is_file():
        return BenchRecord()
    try:
        return BenchRecord.from_json(path.read_text(encoding="utf-8"))
    except (RunError, UnicodeDecodeError) as error:
        raise RunError(f"{path} is no bench of this version; give another folder with --out") from error
