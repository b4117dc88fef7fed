"""`pareft plan`."""

from pathlib import Path
from typing import Annotated

import typer

from pareft.errors import PlanError

DRY = "Forecast of a recipe"


def plan(
    base: Annotated[
        str, typer.Argument(metavar="BASE|RECIPE", help="pareft-mini, a folder, or a name on the Hub; a recipe's file.")
    ],
    changes: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...",
            help="With --dry-run or --strategy: lines of the recipe to change, such as train.batch_size=4.",
        ),
    ] = None,
    encoder: Annotated[str | None, typer.Option(help="The encoder layers to keep, as 0,1,4 or 0-4,7.", show_default=False)] = None,
    decoder: Annotated[str | None, typer.Option(help="The decoder layers to keep.", show_default=False)] = None,
    heads: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STACK.ATTENTION[:LAYERS]=HEADS",
            help="The heads (key-value groups under GQA) to keep in layers, as decoder.cross:3-5=0-7; again for others.",
            show_default=False,
        ),
    ] = None,
    neurons: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STACK[:LAYERS]=NEURONS",
            help="The feed-forward neurons to keep in layers, as encoder=0-1023 for all of them.",
            show_default=False,
        ),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            help="How to choose: alternating, even, drop-top, drop-bottom, drop-middle; or by a criterion: magnitude, and on "
            "--data: influence, angular, taylor, leave-one-out, greedy, rouge, gates; auto is influence.  "
            "\\[default: alternating; with --budget, auto]",
            show_default=False,
        ),
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option(
            metavar="8|50%|encoder=10,decoder=6|total=16",
            help="How many layers stay: of every stack, of each, or (criteria) of all together.",
            show_default=False,
        ),
    ] = None,
    never_drop: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STACK=LAYERS", help="Layers that a criterion leaves, as encoder=0,-1; again for others.", show_default=False
        ),
    ] = None,
    least: Annotated[int, typer.Option(help="Of a total: how many layers of each stack stay at least.")] = 1,
    symmetric: Annotated[bool, typer.Option("--symmetric", help="Of a total: as many layers of each stack.")] = False,
    strategy: Annotated[
        str | None,
        typer.Option(
            metavar="early-masks",
            help="Of a recipe with light: estimate which heads and neurons are needed least, and stop after the plan.",
            show_default=False,
        ),
    ] = None,
    budget: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=AMOUNT",
            help="In the place of --keep, what the recipe of --data may take: memory=8GB, step_time=60%, latency=0.5s, "
            "parameters=300M; % of what it takes unpruned; again for others.",
            show_default=False,
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(metavar="RECIPE", help="The recipe of whose training split a criterion sees examples.", show_default=False),
    ] = None,
    examples: Annotated[int | None, typer.Option(help="How many examples; 128 by default.", show_default=False)] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Write the plan to this file; a criterion's scores and picture beside it.",
            show_default=False,
        ),
    ] = None,
    revision: Annotated[str | None, typer.Option(help="The Hub revision of the base.", show_default=False)] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Forecast a recipe's memory and time, by its config alone.", rich_help_panel=DRY)
    ] = False,
    arm: Annotated[
        str | None, typer.Option(help="Of this arm alone; with --strategy, too.", show_default=False, rich_help_panel=DRY)
    ] = None,
    grid: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=V,V...",
            help="Every combination: layers=12,10+6 rank=8,16 batch=4,8 dtype=fp32,bf16 lengths=512/128 checkpointing=true,false "
            "beams=1,6.",
            show_default=False,
            rich_help_panel=DRY,
        ),
    ] = None,
    cards: Annotated[int, typer.Option(min=1, help="Share the states of training over so many (FSDP).", rich_help_panel=DRY)] = 1,
    teraflops: Annotated[
        float | None,
        typer.Option(min=0.001, help="Of a machine that multiplies matrices so fast.", show_default=False, rich_help_panel=DRY),
    ] = None,
    on_paper: Annotated[bool, typer.Option("--on-paper", help="Measure nothing on this machine.", rich_help_panel=DRY)] = False,
) -> None:
    """Print a pruning plan as JSON: by the paper's alternating rule, another, or a criterion; or what you name. All numbers are
    0-based and the base's own. With --dry-run: what a recipe will take. With --strategy early-masks: what a recipe's early pruning
    keeps.
    """
    of_plans: dict[str, object] = {
        "--by": by,
        "--keep": keep,
        "--never-drop": never_drop,
        "--least": least != 1,
        "--symmetric": symmetric,
        "--budget": budget,
        "--data": data,
        "--examples": examples,
    }
    of_plans |= {"--encoder": encoder, "--decoder": decoder, "--heads": heads, "--neurons": neurons, "--revision": revision}
    if dry_run:
        from pareft.planner_verbs import foresee_and_show

        if said := [option for option, value in (of_plans | {"--strategy": strategy}).items() if value]:
            raise PlanError(f"{said[0]} makes a plan, and --dry-run forecasts what a recipe says; change lines of it instead")
        foresee_and_show(
            base, changes or [], arm=arm, grid=grid or [], cards=cards, teraflops=teraflops, on_paper=on_paper, out=out
        )
        return
    of_forecasts: dict[str, object] = {"--grid": grid, "--cards": cards != 1, "--teraflops": teraflops, "--on-paper": on_paper}
    if strategy:
        from pareft.plan_verbs import plan_early

        if said := [option for option, value in (of_plans | of_forecasts).items() if value]:
            raise PlanError(f"{said[0]} does not go with --strategy, which goes by the recipe's light; change lines of it instead")
        plan_early(base, changes or [], strategy=strategy, arm=arm, out=out)
        return
    of_forecasts |= {"--arm": arm, f"{(changes or [''])[0]}": changes}
    if said := [option for option, value in of_forecasts.items() if value]:
        raise PlanError(f"{said[0]} is for the forecast of a recipe; add --dry-run")
    from pareft.plan_verbs import make_plan

    named = {"encoder": encoder, "decoder": decoder, "heads": heads or [], "neurons": neurons or []}
    limits = {"keep": keep, "never_drop": never_drop or [], "least": least, "symmetric": symmetric, "budget": budget or []}
    make_plan(base, named, limits, by=by, data=data, examples=examples, out=out, revision=revision)
