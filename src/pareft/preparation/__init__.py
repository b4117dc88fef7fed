"""The first stage on its own: notes, dialogues or any table in, a folder of splits out, which recipes then name as `data.path`."""

import json
from pathlib import Path
from typing import Any, get_args

from pareft.data.notes import pair_notes
from pareft.data.prepared import SplitBy
from pareft.data.sections import FIXES, Kind, Rules
from pareft.data.tables import Columns, describe_file, open_table, pair_table
from pareft.data.workers import choose_count
from pareft.errors import DataError
from pareft.preparation.writing import CAREFUL, DESCRIPTION, Division, Handling, Prepared, check_replaceable, write_examples

KINDS: tuple[Kind, ...] = get_args(Kind)
PACKED = 4  # times as long as its gzip is a text, about
RELEASE_HAS_NO_SEED = (
    "the release of arXiv 2305.08285 splits dialogues without a seed, so its splits cannot be made again; these are pareft's own"
)


def prepare_notes(
    kind: Kind,
    notes: Path,
    out: Path,
    *,
    rules: Rules = "clean",
    split_by: SplitBy | None = None,
    seed: int = 42,
    discharge_count: int | None = None,
    handling: Handling = CAREFUL,
) -> Prepared:
    """`discharge.csv` or `radiology.csv`, plain or gzipped (the file, or the folder it is in), to splits.

    `split_by` is by patient for `clean` and by report for `paper`. The paper's radiology splits continue the random numbers of the
    discharge ones: `discharge_count` is how many discharge pairs there are.

    Raises:
        DataError: no such file, a column is missing, no pair, a bad row under `strict`; the discharge count is not known.
        RunError: the folder is there, or cannot be written.
    """
    by = _choose_split(rules, split_by)
    continues = kind == "radiology" and _continues(rules, by)
    if continues and discharge_count is None:
        raise DataError(
            "the paper's radiology splits continue the random numbers of its discharge splits: give the number of discharge pairs "
            "with --discharge-count, or build both with `pareft prepare mimic`"
        )
    if discharge_count is not None and not continues:
        raise DataError("--discharge-count is for radiology with --rules paper, split by report; leave it out")
    path = find_notes(kind, notes)
    check_replaceable(out, overwrite=handling.overwrite, source=path)
    origin = _describe_origin(kind, path, rules, by, seed)
    origin |= {"discharge_count": discharge_count} if continues else {}
    size = path.stat().st_size * (PACKED if path.suffix == ".gz" else 1)
    workers = choose_count(size) if handling.workers is None else handling.workers
    batches = pair_notes(path, kind, rules, workers=workers, show_text=handling.show_text)
    division = Division(by, seed, shuffled_before=discharge_count or 0, drop_duplicates=rules == "clean")
    return write_examples(batches, out, origin, division, handling, group_column="subject_id")


def prepare_both(
    notes: Path,
    out: Path,
    *,
    rules: Rules = "clean",
    split_by: SplitBy | None = None,
    seed: int = 42,
    handling: Handling = CAREFUL,
) -> dict[Kind, Prepared]:
    """Both of MIMIC-IV-Note's files, to the folders `discharge` and `radiology`; the second continues the first's random numbers
    where the paper's do. A first that is there, of the same notes and by the same rules, is not built again.

    Raises:
        DataError: what `prepare_notes` refuses.
        RunError: what `prepare_notes` refuses.
    """
    if not notes.is_dir():
        raise DataError(f"{notes} is no folder; give the one that discharge.csv and radiology.csv are in, or build one kind alone")
    by = _choose_split(rules, split_by)
    paths = {kind: find_notes(kind, notes) for kind in KINDS}
    first = (
        None if handling.overwrite else find_finished("discharge", notes, out / "discharge", rules=rules, split_by=by, seed=seed)
    )
    for kind in KINDS[1 if first else 0 :]:
        check_replaceable(out / kind, overwrite=handling.overwrite, source=paths[kind])
    if first is None:
        first = prepare_notes("discharge", notes, out / "discharge", rules=rules, split_by=by, seed=seed, handling=handling)
    count = sum(first.description["examples"].values()) if _continues(rules, by) else None
    second = prepare_notes(
        "radiology", notes, out / "radiology", rules=rules, split_by=by, seed=seed, discharge_count=count, handling=handling
    )
    return {"discharge": first, "radiology": second}


def prepare_table(
    place: str,
    out: Path,
    columns: Columns,
    *,
    builder: str = "table",
    seed: int = 42,
    drop_duplicates: bool = False,
    handling: Handling = CAREFUL,
) -> Prepared:
    """A file or a data set on the Hub to splits: 8:1:1, or those that the Hub's data set has. No group is in two splits.

    Raises:
        DataError: no such file or data set, a column is missing, no pair, a bad row under `strict`.
        RunError: the folder is there, or cannot be written.
    """
    check_replaceable(out, overwrite=handling.overwrite, source=Path(place))
    table = open_table(place)
    published = table.published
    if published and columns.group:
        raise DataError(f"{place} has splits of its own, which are kept; leave --group out")
    by: SplitBy = "patient" if columns.group else "report"
    origin: dict[str, Any] = {"builder": builder, "columns": columns.describe()}
    origin |= {"split_by": "as published"} if published else {"split_by": columns.group or "row", "seed": seed}
    if builder == "dialogue" and not published:
        origin["remark"] = RELEASE_HAS_NO_SEED
    origin["source"] = table.origin
    division = Division(by, seed, labels=published, drop_duplicates=drop_duplicates)
    batches = pair_table(table, columns, show_text=handling.show_text)
    return write_examples(batches, out, origin, division, handling, group_column="group" if columns.group else None)


def find_finished(
    kind: Kind, notes: Path, out: Path, *, rules: Rules = "clean", split_by: SplitBy | None = None, seed: int = 42
) -> Prepared | None:
    """The data set that `prepare_notes` has made of these notes before, if it is there; without its indices and flaws.

    Raises:
        DataError: there are no such notes.
    """
    try:
        said = json.loads((out / DESCRIPTION).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    origin = _describe_origin(kind, find_notes(kind, notes), rules, _choose_split(rules, split_by), seed)
    if not isinstance(said, dict) or any(said.get(key) != value for key, value in origin.items()):
        return None
    return Prepared({key: value for key, value in said.items() if key != "indices"}, {}, {})


def find_notes(kind: Kind, notes: Path) -> Path:
    """The file of notes of a kind.

    Raises:
        DataError: it is not there.
    """
    candidates = [notes] if notes.is_file() else [notes / f"{kind}.csv", notes / f"{kind}.csv.gz"]
    for path in candidates:
        if path.is_file():
            return path
    raise DataError(f"no {kind} notes at {notes}: expected {kind}.csv or {kind}.csv.gz there, as PhysioNet ships them")


def _describe_origin(kind: Kind, path: Path, rules: Rules, by: SplitBy, seed: int) -> dict[str, Any]:
    origin: dict[str, Any] = {"builder": f"mimic-{kind}", "rules": rules}
    origin |= {"fixes": list(FIXES)} if rules == "clean" else {}
    return origin | {"split_by": by, "seed": seed, "source": describe_file(path)}


def _choose_split(rules: Rules, split_by: SplitBy | None) -> SplitBy:
    return split_by or ("patient" if rules == "clean" else "report")


def _continues(rules: Rules, by: SplitBy) -> bool:
    """Whether the radiology splits continue the random numbers of the discharge ones."""
    return rules == "paper" and by == "report"
