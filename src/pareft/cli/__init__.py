"""The command line: one short function per verb. Heavy imports wait until a verb needs them, so `--help` answers at once."""

import logging
import os
import sys
import warnings
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
import typer.core

from pareft.cli.plan import plan
from pareft.cli.prepare import prepare
from pareft.errors import PareftError, PareftWarning, RunError

AFTER_INTERRUPT = {
    "prepare": "nothing half-written is left, start it again",
    "bench": "what was measured is written; start it again for the rest",
}


class Verbs(typer.core.TyperGroup):
    """The user's mistakes are one line and exit code 2; an interrupt is one line and 130."""

    def invoke(self, ctx: Any) -> Any:
        """Run the verb."""
        try:
            return super().invoke(ctx)
        except PareftError as error:
            print(f"pareft: {error}", file=sys.stderr)
            raise typer.Exit(2) from error
        except OSError as error:
            if error.filename is None:
                raise  # not of a file, so not the user's
            print(f"pareft: {error.filename}: {error.strerror}", file=sys.stderr)
            raise typer.Exit(2) from error
        except KeyboardInterrupt as error:
            rest = AFTER_INTERRUPT.get(ctx.invoked_subcommand, "the same command goes on where it stopped")
            print(f"pareft: interrupted; {rest}", file=sys.stderr)
            raise typer.Exit(130) from error


app = typer.Typer(
    cls=Verbs,
    name="pareft",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"pareft {metadata.version('pareft')}")
        raise typer.Exit


@app.callback()
def about(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Prune a pretrained Transformer, recover it by parameter-efficient fine-tuning, and compare quality, memory and speed."""


adapters = typer.Typer(no_args_is_help=True, help="Work on a trained adapter.")
app.add_typer(adapters, name="adapter")
app.add_typer(prepare, name="prepare")

RecipeArgument = Annotated[Path, typer.Argument(help="A recipe, such as recipes/mts-dialog.yaml.", show_default=False)]
ChangesArgument = Annotated[
    list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Lines of the recipe to change, such as train.epochs=3.")
]
RunOutOption = Annotated[
    Path | None, typer.Option(help="The folder to write to.  \\[default: runs/<recipe>/<arm, or run>]", show_default=False)
]
OutOption = Annotated[Path | None, typer.Option(help="The folder to write to.  \\[default: runs/<recipe>]", show_default=False)]

ExamplesOption = Annotated[
    int | None, typer.Option(min=0, help="How many test examples the report shows.  \\[default: 24]", show_default=False)
]
ShowTextOption = Annotated[bool, typer.Option("--show-text", help="Show the sources of these examples, too.")]


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="The folder to write to.")] = Path("pareft-demo"),
) -> None:
    """See the whole of it in minutes, offline: notes, four arms, the table, a picture, examples."""
    from pareft.demo import run_demo

    run_demo(out)


@app.command()
def run(
    recipe: RecipeArgument,
    changes: ChangesArgument = None,
    arm: Annotated[str | None, typer.Option(help="Run this arm of the recipe.", show_default=False)] = None,
    out: RunOutOption = None,
) -> None:
    """Run one recipe, or one arm of it: plan, load, adapt, train, evaluate, record."""
    from pareft.verbs import run_and_show

    run_and_show(recipe, changes or [], arm, out)


@app.command()
def compare(
    recipe: Annotated[
        Path, typer.Argument(help="A recipe, such as recipes/mts-dialog.yaml; or a finished run's folder.", show_default=False)
    ],
    changes: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Lines of the recipe to change, such as train.epochs=3; or more runs."),
    ] = None,
    out: OutOption = None,
    report: Annotated[
        Path | None, typer.Option(help="Write a report to this folder: a page, plots, Markdown, CSV, LaTeX.", show_default=False)
    ] = None,
    examples: ExamplesOption = None,
    show_text: ShowTextOption = False,
    equal: Annotated[
        Literal["steps", "time", "flops"],
        typer.Option(help="What every arm gets as much of as the first one: training steps, time of them, or operations."),
    ] = "steps",
) -> None:
    """Run every arm of a recipe and print the table. Finished arms are read, an interrupted one goes on. Or: tabulate runs that are
    finished, the first as 100 %.
    """
    from pareft.verbs import compare_and_show

    compare_and_show(recipe, changes or [], out, report, examples=examples, show_text=show_text, equal=equal)


@app.command()
def tune(
    recipe: Annotated[Path, typer.Argument(help="A recipe, such as recipes/mts-dialog.yaml.", show_default=False)],
    changes: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Lines of the recipe to change, such as train.epochs=3.")
    ] = None,
    metric: Annotated[str, typer.Option(help="By what trials are compared, on the validation split.")] = "rouge1",
    trials: Annotated[int, typer.Option(min=1, help="How many there are to be in all; the recipe as it is is the first.")] = 20,
    arm: Annotated[str | None, typer.Option(help="Which arm, of a recipe that has some.", show_default=False)] = None,
    space: Annotated[
        str,
        typer.Option(
            help="What to look for, with commas: learning_rate, rank, target, epochs.  \\[default: all it has]", show_default=False
        ),
    ] = "",
    out: Annotated[
        Path | None, typer.Option(help="The folder to write to.  \\[default: runs/<recipe>[-<arm>]-tune]", show_default=False)
    ] = None,
) -> None:
    """Look for an arm's learning rate, rank, target and length: trainings judged on the validation split, the best as a recipe."""
    from pareft.verbs import tune_and_show

    tune_and_show(recipe, changes or [], metric=metric, trials=trials, arm=arm, space=space, out=out)


@app.command()
def reproduce(
    table: Annotated[str, typer.Argument(help="table3, table4a, table4b, table5a, table5b, table6 or all.", show_default=False)],
    changes: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Lines of all its recipes to change, such as train.precision=bf16."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count every arm beside the paper, and forecast memory and hours; run nothing.")
    ] = False,
    teraflops: Annotated[
        float | None, typer.Option(min=0.001, help="Forecast for a machine that multiplies matrices so fast.", show_default=False)
    ] = None,
    small: Annotated[bool, typer.Option("--small", help="Run all of it with small bases and synthetic data, offline.")] = False,
    data: Annotated[
        Path | None,
        typer.Option(
            help="The folder that discharge/, radiology/, healthcaremagic/ and icliniq/ are in.  \\[default: data]",
            show_default=False,
        ),
    ] = None,
    bart: Annotated[str | None, typer.Option(help="A base in the place of BART-large.", show_default=False)] = None,
    t5: Annotated[str | None, typer.Option(help="A base in the place of T5-large.", show_default=False)] = None,
    out: Annotated[
        Path | None, typer.Option(help="The folder to write to.  \\[default: runs/paper or runs/paper-small]", show_default=False)
    ] = None,
    examples: ExamplesOption = None,
    show_text: ShowTextOption = False,
) -> None:
    """Run a table of arXiv 2305.08285 again, with the paper's figures beside ours. An interrupted call goes on."""
    from pareft.reproduce_verbs import foresee_and_show, parse_request, reproduce_and_show

    request = parse_request(table, changes or [], small=small, data=data, bart=bart, t5=t5, out=out)
    if dry_run and (examples is not None or show_text):
        raise RunError("--examples and --show-text are of tables that are run; leave them out with --dry-run")
    if teraflops and not dry_run:
        raise RunError("--teraflops is for a forecast; add --dry-run")
    if dry_run:
        foresee_and_show(request, teraflops)
    else:
        reproduce_and_show(request, examples=examples, show_text=show_text)


@app.command()
def bench(
    shape: Annotated[
        str, typer.Option(help="With commas: pareft-mini,flan-t5-base,bart-large,t5-large, all, or folders with a config.json.")
    ] = "pareft-mini",
    lengths: Annotated[
        str, typer.Option(help="With commas: tokens of source/target, as 1024/128, or mixed, or mixed:512/128.")
    ] = "512/128",
    arms: Annotated[
        str, typer.Option(help="With commas: full,l-prun,lora-qv,lora-ffn,lora-qv+l-prun,lora-ffn+l-prun, or all.")
    ] = "all",
    ways: Annotated[
        str, typer.Option(help="With commas: pareft,stock,stock-fp32, or all. full in stock-fp32 is always measured.")
    ] = "pareft,stock",
    batch: Annotated[int, typer.Option(min=1, help="Texts in a training step.")] = 4,
    steps: Annotated[int, typer.Option(min=1, help="Counted steps of every arm.")] = 8,
    warmup: Annotated[int, typer.Option(min=0, help="Steps before, not counted.")] = 2,
    new_tokens: Annotated[int, typer.Option(min=0, help="Tokens to write for every source; 0 leaves writing out.")] = 32,
    out: Annotated[Path, typer.Option(help="The folder to write to.")] = Path("runs/bench"),
) -> None:
    """Measure arms on shapes with random weights, beside stock transformers and peft: steps, memory, FLOP/s, writing, loading."""
    from pareft.bench_verbs import bench_and_show, parse_request

    request = parse_request(shape, lengths, arms, ways, batch=batch, steps=steps, warmup=warmup, new_tokens=new_tokens)
    bench_and_show(request, out)


@app.command()
def show(
    place: Annotated[Path, typer.Argument(metavar="RUN|DIR", help="The folder of a run, or one with runs in it.")] = Path("runs"),
) -> None:
    """Show a run, or all the runs in a folder, finished or not: state, layers, parameters, scores, the loss as a line."""
    from pareft.run_tables import show

    show(place)


@app.command()
def evaluate(
    run: Annotated[Path, typer.Argument(help="The folder of a run.", show_default=False)],
    changes: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Lines of evaluate to change, such as evaluate.num_beams=4."),
    ] = None,
    split: Annotated[str, typer.Option(help="test, validation or train.")] = "test",
    metrics: Annotated[
        str | None, typer.Option(help="With commas: rouge,bleu,surface.  \\[default: the recipe's]", show_default=False)
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The folder to write to.  \\[default: RUN/evaluation/SPLIT]", show_default=False)
    ] = None,
    keep_adapter: Annotated[bool, typer.Option("--keep-adapter", help="Do not add the adapter into the weights first.")] = False,
) -> None:
    """Write and score a split with what a run has made; scores with 95 % intervals. An interrupted one goes on."""
    from pareft.verbs import evaluate_and_show

    evaluate_and_show(run, changes or [], split, metrics, out, merged=not keep_adapter)


@app.command()
def generate(
    model: Annotated[str, typer.Argument(help="A run, a base or a checkpoint: a folder or a name on the Hub.", show_default=False)],
    input: Annotated[
        str,
        typer.Option(
            help="A table (CSV, TSV, JSON, JSONL, Parquet, Excel) or plain lines; - for standard input.", show_default=False
        ),
    ],
    output: Annotated[
        Path, typer.Option(help="JSONL with id and prediction; plain lines with the suffix .txt.", show_default=False)
    ],
    changes: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="How to write, such as evaluate.num_beams=4.")
    ] = None,
    source: Annotated[str, typer.Option(help="The column that holds the text.")] = "source",
    pair: Annotated[
        str | None, typer.Option(help="The column of the second text.  \\[default: the run's, if it reads two]", show_default=False)
    ] = None,
    format: Annotated[str, typer.Option(help="auto, jsonl, json, csv, tsv, parquet, xlsx or lines.")] = "auto",
    prefix: Annotated[str | None, typer.Option(help="Put before every text.  \\[default: the run's]", show_default=False)] = None,
    max_source_tokens: Annotated[
        int | None, typer.Option(min=1, help="Longer texts are cut.  \\[default: the run's]", show_default=False)
    ] = None,
    keep_adapter: Annotated[bool, typer.Option("--keep-adapter", help="Do not add the adapter into the weights first.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Also over a file that something else has written.")] = False,
) -> None:
    """Write a target for every text of a file. An interrupted call goes on where it stopped."""
    from pareft.verbs import generate_and_show

    generate_and_show(
        model, input, output, changes or [], column=source, pair=pair, format=format, prefix=prefix,
        max_source_tokens=max_source_tokens, merged=not keep_adapter, overwrite=overwrite,
    )  # fmt: skip


app.command()(plan)


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="The folder of a finished run.", show_default=False)],
    folder: Annotated[Path, typer.Argument(help="Where to write; it must not be there yet.", show_default=False)],
    merged: Annotated[
        bool, typer.Option("--merged", help="A stock checkpoint with tokenizer and model card (the default).")
    ] = False,
    adapter: Annotated[bool, typer.Option("--adapter", help="The peft adapter with its plan.")] = False,
    base: Annotated[bool, typer.Option("--base", help="The pruned base that adapters of this plan sit on.")] = False,
    onnx: Annotated[bool, typer.Option("--onnx", help="The forward pass as ONNX; needs pip install 'pareft\\[export]'.")] = False,
) -> None:
    """Write a run for users of stock libraries, verified by a process that has no pareft."""
    from pareft.verbs import export_and_show

    asked = {"merged": merged, "adapter": adapter, "base": base, "onnx": onnx}
    export_and_show(run, folder, [form for form, chosen in asked.items() if chosen])


@app.command()
def families(
    markdown: Annotated[bool, typer.Option("--markdown", help="As the table of docs/families.md.")] = False,
) -> None:
    """List the families that can be pruned, and what of each."""
    from pareft.verbs import show_families

    show_families(markdown=markdown)


@adapters.command()
def remap(
    adapter: Annotated[Path, typer.Argument(help="The folder of the adapter.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Where to write; it must not be there yet.", show_default=False)],
    to: Annotated[str, typer.Option(help="The file of a plan, or `full` for the whole base.")] = "full",
    base: Annotated[
        str | None, typer.Option(help="The base it was trained on, if it was trained without pareft.", show_default=False)
    ] = None,
) -> None:
    """Move an adapter onto the whole base, or onto another plan of it: every layer's LoRA to that layer's new number."""
    from pareft.verbs import remap_and_show

    remap_and_show(adapter, to, out, base=base)


def main() -> None:
    """The console script."""
    _quiet()
    app()


def _quiet() -> None:
    """Keep the libraries' bars and hints out of our output, here and in the workers; `PAREFT_VERBOSE=1` lets them speak."""
    if os.environ.get("PAREFT_VERBOSE"):
        return
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TQDM_DISABLE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    warnings.filterwarnings("ignore")
    warnings.filterwarnings("once", category=PareftWarning)
    warnings.formatwarning = lambda message, *_, **__: f"pareft: {message}\n"
    logging.disable(logging.WARNING)
