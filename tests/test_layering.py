"""Imports point down: a module sees its own floor and the floors below; neighbours on a floor do not see each other."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "src" / "pareft"
RUNS = (
    "pipeline",
    "run_folder",
    "holding",
    "reporting",
    "artefact",
    "scoring",
    "forecast",
    "operations",
    "planner",
    "budgeting",
    "forking",
    "stepping",
    "measurement",
    "measurement_worker",
    "comparison",
    "budgets",
    "readying",
    "tasking",
    "planning",
    "calibrating",
    "lightening",
    "teaching",
    "search",
    "arms",
    "listing",
)
FLOORS = (
    ("errors",),
    (
        "runtime",
        "frames",
        "processes",
        "settings",
        "adapter_settings",
        "recipe",
        "recipe_file",
        "records",
        "files",
        "failures",
        "sentences",
        "named_tasks",
        "token_ids",
        "progress",
        "extras",
    ),
    ("models",),
    ("data", "pruning", "tuning", "evaluation"),
    (*RUNS, "bench", "exporting", "inference", "preparation", "reproduction"),
    ("report",),
    (
        "live",
        "console",
        "verbs",
        "prepare_verbs",
        "reproduce_verbs",
        "plan_verbs",
        "planner_verbs",
        "bench_verbs",
        "run_tables",
        "demo",
    ),
    ("cli",),
    ("__main__",),
)
NEIGHBOURLY = {1, 4, 6}  # floors whose modules build on each other
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
FILES = sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")


def find_imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "pareft":
            yield node.module.partition(".")[2].split(".")[0]
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[2].split(".")[0] for name in node.names if name.name.split(".")[0] == "pareft")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path):
    room = path.relative_to(ROOT).parts[0].removesuffix(".py")
    for seen in find_imports(path):
        assert seen, "nothing inside imports the package root"
        allowed = seen == room or FLOOR[seen] < FLOOR[room] or (FLOOR[seen] == FLOOR[room] and FLOOR[room] in NEIGHBOURLY)
        assert allowed, f"{room} imports {seen}, which is not below it"
    assert len(path.read_text().splitlines()) <= 400, "a second room inside"
