"""`pareft plan`."""

from pathlib import Path
from typing import Annotated

import typer


def plan(
    base: Annotated[str, typer.Argument(help="pareft-mini, a folder, or a name on the Hub.")],
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
        str,
        typer.Option(
            help="How to choose: alternating, even, drop-top, drop-bottom, drop-middle; or by a criterion: magnitude, and on "
            "--data: influence, angular, taylor, leave-one-out, greedy, rouge, gates."
        ),
    ] = "alternating",
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
) -> None:
    """Print a pruning plan as JSON: by the paper's alternating rule, another, or a criterion; or what you name. All numbers are
    0-based and the base's own.
    """
    from pareft.plan_verbs import make_plan

    named = {"encoder": encoder, "decoder": decoder, "heads": heads or [], "neurons": neurons or []}
    limits = {"keep": keep, "never_drop": never_drop or [], "least": least, "symmetric": symmetric}
    make_plan(base, named, limits, by=by, data=data, examples=examples, out=out, revision=revision)
