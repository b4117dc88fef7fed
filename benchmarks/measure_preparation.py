"""How fast notes become splits, and in how much memory, at growing sizes.

    python benchmarks/measure_preparation.py [--notes 5000 50000] [--kinds discharge radiology] [--rules paper clean]
                                             [--rounds 3] [--folder DIR] [--out preparation.json]

No accelerator. Makes synthetic notes of realistic length (about 1,900 words a discharge note, 130 a radiology report's source) as
`.csv` and `.csv.gz`, once for the largest size, and builds each file as `pareft prepare mimic-*` does: in a process of its own,
with as many processes beside it as it chooses itself. A build is the whole of it: reading, unpacking, sections, splits, Parquet.

Prints, for every build, notes a second (median over the rounds, which are interleaved) and the peak resident memory: of the process
itself, and with those beside it (each one's own peak added up, shared pages counted every time).
"""

import argparse
import gzip
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from pareft.data.workers import MOST_WORKERS
from pareft.preparation import prepare_notes
from pareft.preparation.synthetic import write_synthetic
from pareft.preparation.writing import Handling

MEGABYTE = 2**20


def make_notes(kind: str, count: int, folder: Path) -> dict[str, Path]:
    """`count` notes, plain and packed, made unless they are there."""
    place = folder / f"{kind}-{count}"
    plain, packed = place / f"{kind}.csv", place / f"{kind}.csv.gz"
    if not plain.is_file():
        write_synthetic(kind, count, place, seed=1)  # type: ignore[arg-type]
    if not packed.is_file():
        with plain.open("rb") as source, gzip.open(packed, "wb", compresslevel=6) as target:
            shutil.copyfileobj(source, target)
    return {"csv": plain, "csv.gz": packed}


def build(kind: str, path: Path, rules: str, out: Path) -> dict[str, Any]:
    """One build in this process: what it took."""
    shutil.rmtree(out, ignore_errors=True)
    start = time.perf_counter()
    count = 1 if (kind, rules) == ("radiology", "paper") else None
    handling = Handling(workers=None)
    prepared = prepare_notes(kind, path, out, rules=rules, discharge_count=count, handling=handling)  # type: ignore[arg-type]
    seconds = time.perf_counter() - start
    own, beside = (resource.getrusage(who).ru_maxrss * 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    shutil.rmtree(out)
    rows = prepared.description["rows"]
    workers = 0 if not beside else min(os.cpu_count() or 1, MOST_WORKERS)
    return {"rows": rows, "seconds": seconds, "own_bytes": own, "all_bytes": own + workers * beside}


def build_apart(kind: str, path: Path, rules: str, out: Path) -> dict[str, Any]:
    """The same in a fresh process."""
    command = [sys.executable, __file__, "--one", kind, str(path), rules, str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--notes", type=int, nargs="+", default=[5000, 50_000])
    parser.add_argument("--kinds", nargs="+", default=["discharge", "radiology"])
    parser.add_argument("--rules", nargs="+", default=["paper", "clean"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path("build/preparation"))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        kind, path, rules, out = asked.one
        print(json.dumps(build(kind, Path(path), rules, Path(out))))
        return
    cases = [
        (kind, count, form, rules, path)
        for kind in asked.kinds
        for count in asked.notes
        for form, path in make_notes(kind, count, asked.folder).items()
        for rules in asked.rules
    ]
    taken: dict[int, list[dict[str, Any]]] = {number: [] for number in range(len(cases))}
    for _ in range(asked.rounds):
        for number, (kind, _, _, rules, path) in enumerate(cases):
            taken[number].append(build_apart(kind, path, rules, asked.folder / "out"))
    report(cases, taken, asked.out)


def report(cases: list[tuple[str, int, str, str, Path]], taken: dict[int, list[dict[str, Any]]], out: Path | None) -> None:
    """A line a build, and all of it as JSON."""
    table = Table()
    for name in ("Kind", "Notes", "File", "Rules", "Notes/s", "Peak MB", "with workers"):
        table.add_column(name, justify="right" if name[0] in "NPw" else "left")
    lines = []
    for number, (kind, count, form, rules, path) in enumerate(cases):
        rate = statistics.median(one["rows"] / one["seconds"] for one in taken[number])
        own, every = (max(one[key] for one in taken[number]) / MEGABYTE for key in ("own_bytes", "all_bytes"))
        lines.append(
            {"kind": kind, "notes": count, "file": form, "bytes": path.stat().st_size, "rules": rules, "builds": taken[number]}
        )
        table.add_row(kind, f"{count:,}", form, rules, f"{rate:,.0f}", f"{own:,.0f}", f"{every:,.0f}")
    Console().print(table)
    if out:
        out.write_text(json.dumps(lines, indent=2) + "\n")


if __name__ == "__main__":
    main()
