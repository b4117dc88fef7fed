"""What `pareft plan` does once its arguments are read: what a user writes of layers, heads and neurons, and what is printed."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pareft.artefact import check_base
from pareft.calibrating import CRITERIA, name_how
from pareft.console import make_layers_table, make_tried_table
from pareft.errors import PlanError, RecipeError, suggest
from pareft.files import check_file_place, write_atomic
from pareft.lightening import check_light, lighten
from pareft.live import LiveProgress, start_console
from pareft.models.plan import PruningPlan
from pareft.planner.amounts import say_amount
from pareft.planning import EXAMPLES, choose_layers, choose_within, plan
from pareft.readying import prepare
from pareft.recipe_file import parse_changes, take_recipe
from pareft.records import BudgetLine, PlanningRecord
from pareft.report.choices import Chosen, draw_choices
from pareft.report.figure import render_png
from pareft.run_tables import describe_light


def make_plan(
    base: str,
    named: Mapping[str, Any],
    limits: Mapping[str, Any],
    *,
    by: str | None,
    data: Path | None,
    examples: int | None,
    out: Path | None,
    revision: str | None,
) -> None:
    """`pareft plan`: the plan on standard output or in a file, what a user should know of it on standard error.

    Args:
        base: as the user names it.
        named: `encoder`, `decoder`, `heads` and `neurons` that are to stay, as written.
        limits: `keep`, `never_drop`, `least`, `symmetric` and `budget`, as written.
        by: the rule or criterion, if one is named.
        data: a recipe.
        examples: of it.
        out: a file for the plan.
        revision: the Hub's.
    """
    if Path(base).suffix in (".yaml", ".yml") and Path(base).is_file():
        raise PlanError(
            f"{base} is a recipe: add --dry-run for a forecast, or --strategy early-masks; for a plan, name a base and give "
            f"--data {base}"
        )
    check_base(Path(base))
    if out:
        check_file_place(out)
    layers = {stack: parse_numbers(f"--{stack}", named[stack]) for stack in ("encoder", "decoder") if named[stack] is not None}
    units = bool(named["heads"] or named["neurons"])
    asked: dict[str, Any] = {
        "keep": None if limits["keep"] is None else parse_keep(limits["keep"]),
        "never_drop": parse_stacks("--never-drop", limits["never_drop"]),
        "least": limits["least"],
        "symmetric": limits["symmetric"],
        "data": data,
        "examples": EXAMPLES if examples is None else examples,
    }
    record, how = None, name_how(by, budgeted=bool(limits["budget"]))
    if layers or units:
        given = {"--keep": asked["keep"] is not None, "--never-drop": limits["never_drop"], "--least": limits["least"] != 1}
        given |= {
            "--budget": limits["budget"],
            "--symmetric": limits["symmetric"],
            "--data": data,
            "--examples": examples,
            "--by": by,
        }
        if chosen := [option for option, value in given.items() if value]:
            raise PlanError(f"{chosen[0]} is for layers that are chosen, and these are named; give one of both")
        whole = plan(base, layers=layers, revision=revision)
        kept_heads, kept_neurons = (parse_units(f"--{what}", named[what], whole) for what in ("heads", "neurons"))
        decided = plan(base, layers=layers, heads=kept_heads or None, neurons=kept_neurons or None, revision=revision)
    elif limits["budget"]:
        if asked.pop("keep") is not None:
            raise PlanError("--budget says how much stays, and so does --keep; give one of both")
        with LiveProgress(start_console(stderr=True)) as progress:
            budget = parse_budget(limits["budget"])
            decided, record = choose_within(base, budget, by=how, revision=revision, progress=progress, **asked)
    elif how in CRITERIA:
        with LiveProgress(start_console(stderr=True)) as progress:
            decided, record = choose_layers(base, by=how, revision=revision, progress=progress, **asked)
    else:
        decided = plan(base, by=how, revision=revision, **asked)
    _show(base, decided, record, out)


STRATEGIES = ("early-masks",)


def plan_early(recipe: str, changes: list[str], *, strategy: str, arm: str | None, out: Path | None) -> None:
    """`pareft plan RECIPE --strategy early-masks`: estimate, choose, and print the plan or write it.

    Raises:
        PlanError: another strategy.
        RecipeError: a recipe without early pruning.
    """
    if strategy not in STRATEGIES:
        raise PlanError(f"no strategy {strategy!r}.{suggest(strategy, STRATEGIES)} There is {', '.join(STRATEGIES)}")
    asked = take_recipe(Path(recipe), parse_changes(changes), arm=arm).model_copy(update={"arms": {}})
    if asked.light is None:
        raise RecipeError(f"{recipe} has no light: add light: {{}} to it, or light.heads=0.33 here, or name an --arm that has")
    if out:
        check_file_place(out)
    prepared = prepare(asked)
    check_light(prepared)
    with LiveProgress(start_console(stderr=True)) as progress:
        found = lighten(prepared, None, progress)
    _show(asked.base, found.plan, None, out)
    assert found.light
    print(describe_light(found.light), file=sys.stderr)


def _show(base: str, decided: PruningPlan, record: PlanningRecord | None, out: Path | None) -> None:
    if out:
        write_atomic(out, decided.to_json())
        if record:
            write_atomic(out.with_suffix(".scores.json"), record.to_json())
            if picture := draw_choices([Chosen(decided.depths, decided.layers, record)]):
                write_atomic(out.with_suffix(".png"), render_png(picture))
    else:
        print(decided.to_json(), end="")
    if record:
        console = start_console(stderr=True)
        if record.scores or record.path:
            console.print(make_layers_table(decided, record))
        if record.budgets:
            console.print(make_tried_table(decided, record))
            console.print("\n".join(say_budget(line) for line in record.budgets))
    if out:
        print(f"written to {out}: {decided.describe()}", file=sys.stderr)
    if decided.keeps_everything:
        print("note: this plan drops nothing", file=sys.stderr)
    if decided.weights_digest is None:
        print(f"note: {base} has no weights, so the plan fits any base of this architecture", file=sys.stderr)


def parse_keep(text: str) -> int | float | dict[str, int | float]:
    """`8`, `50%`, `0.5`, `encoder=10,decoder=6`, `total=16`.

    Raises:
        PlanError: something else.
    """
    if "=" not in text:
        return _parse_amount(text)
    found: dict[str, int | float] = {}
    for part in text.split(","):
        stack, _, amount = part.partition("=")
        if stack.strip() in found:
            raise PlanError(f"--keep {text!r}: {stack.strip()} is named twice")
        found[stack.strip()] = _parse_amount(amount)
    return found


def _parse_amount(text: str) -> int | float:
    try:
        part = text.strip().endswith("%")
        amount = float(text.strip().removesuffix("%")) / (100 if part else 1)
        whole = int(amount)
    except (ValueError, OverflowError) as error:
        raise PlanError(
            f"--keep: {text!r} is no number of layers; write 8, 50%, encoder=10,decoder=6, or total=16 for all stacks together"
        ) from error
    if part and not 0 < amount <= 1:
        raise PlanError(f"--keep: {text.strip()} is no part of the layers; give up to 100%")
    return whole if amount == whole and not part and "." not in text else amount


def parse_budget(texts: list[str]) -> dict[str, str]:
    """`["memory=8GB", "step_time=60%"]` → {"memory": "8GB", "step_time": "60%"}.

    Raises:
        PlanError: something else, or one twice.
    """
    found: dict[str, str] = {}
    for text in texts:
        name, equals, amount = text.partition("=")
        if not equals or name.strip() in found:
            raise PlanError(f"--budget {text!r}: write NAME=AMOUNT once for each, such as memory=8GB or step_time=60%")
        found[name.strip()] = amount
    return found


def say_budget(line: BudgetLine) -> str:
    """How near a plan comes to a budget."""
    amounts = [say_amount(line.name, value) for value in (line.found, line.limit, line.whole)]
    return f"{line.name}={line.asked}: {amounts[0]} of {amounts[1]} ({100 * line.found / line.limit:.0f} %); unpruned {amounts[2]}"


def parse_stacks(option: str, texts: list[str]) -> dict[str, list[int]]:
    """`["encoder=0,-1"]` → {"encoder": [0, -1]}.

    Raises:
        PlanError: something else.
    """
    found: dict[str, list[int]] = {}
    for text in texts:
        stack, equals, numbers = text.partition("=")
        if not equals or stack in found:
            raise PlanError(f"{option} {text!r}: write STACK=LAYERS once for a stack, such as encoder=0,-1")
        found[stack] = parse_numbers(option, numbers)
    return found


def parse_numbers(option: str, text: str) -> list[int]:
    """`0,2,4-6` → [0, 2, 4, 5, 6].

    Raises:
        PlanError: something else.
    """
    numbers: list[int] = []
    try:
        for part in filter(None, (part.strip() for part in text.split(","))):
            first, dash, last = part.partition("-")
            numbers += _count(int(first), int(last)) if dash and first else [int(part)]
    except ValueError as error:
        raise PlanError(f"{option} {text!r}: give numbers with commas, or ranges, such as 0,1,4 or 0-4,7") from error
    return numbers


def _count(first: int, last: int) -> range:
    if last < first:
        raise ValueError("a range that goes down")
    return range(first, last + 1)


def parse_units(option: str, texts: list[str], whole: PruningPlan) -> dict[str, dict[int, list[int]]]:
    """`["encoder:1-2=0-3"]` → {"encoder": {1: [0, 1, 2, 3], 2: [0, 1, 2, 3]}}; without layers, every kept one of the stack.

    Raises:
        PlanError: something else, or a layer that is named twice.
    """
    units: dict[str, dict[int, list[int]]] = {}
    for text in texts:
        where, equals, kept = text.partition("=")
        key, colon, layers = where.partition(":")
        if not equals or (colon and not layers):
            raise PlanError(f"{option} {text!r}: write WHERE=NUMBERS or WHERE:LAYERS=NUMBERS, such as encoder:1-2=0-1023")
        if key not in whole.widths or ("." in key) != (option == "--heads"):
            known = [known for known in whole.widths if ("." in known) == (option == "--heads")]
            raise PlanError(f"{option}: no {key!r} that can be pruned; there is {', '.join(known) or 'none in this family'}")
        named = parse_numbers(option, layers) if colon else list(whole.layers.get(key.partition(".")[0], ()))
        by_layer = units.setdefault(key, {})
        if twice := set(named) & set(by_layer):
            raise PlanError(f"{option}: {key} layer {min(twice)} is named twice")
        by_layer |= dict.fromkeys(named, parse_numbers(option, kept))
    return units
