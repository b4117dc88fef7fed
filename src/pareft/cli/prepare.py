"""`pareft prepare`: one short function per builder."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pareft.data.sections import Rules

if TYPE_CHECKING:
    from pareft.preparation.writing import Handling

prepare = typer.Typer(
    no_args_is_help=True, help="Build data sets: clinical notes, dialogues or any table into train, validation and test."
)

NotesOption = Annotated[Path, typer.Option(help="The file of notes, .csv or .csv.gz, or the folder it is in.", show_default=False)]
OutOption = Annotated[
    Path, typer.Option(help="The folder to write: train, validation and test.parquet and dataset.json.", show_default=False)
]
RulesOption = Annotated[Rules, typer.Option(help="clean, or paper for exactly what the paper's release gives.")]
SplitByOption = Annotated[
    Literal["report", "patient"] | None,
    typer.Option(help="What stays whole.  \\[default: patient; with --rules paper, report]", show_default=False),
]
SeedOption = Annotated[int, typer.Option(help="The seed of the split.")]
StrictOption = Annotated[bool, typer.Option("--strict", help="Stop at the first bad row; else they are counted and left out.")]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace a data set that is there.")]
ShowTextOption = Annotated[
    bool, typer.Option("--show-text", help="Print an example and how bad rows begin, in the terminal alone; else no text is shown.")
]
StatisticsOption = Annotated[
    bool, typer.Option("--statistics", help="Describe what was written, too; see `pareft prepare statistics`.")
]
WorkersOption = Annotated[
    int | None,
    typer.Option(min=0, help="Processes beside this one.  \\[default: one a core; none for a small file]", show_default=False),
]


def _handle(*, strict: bool, overwrite: bool, show_text: bool, workers: int | None = 0) -> "Handling":
    from pareft.preparation.writing import Handling

    return Handling(strict=strict, overwrite=overwrite, show_text=show_text, workers=workers)


def _describe(asked: bool, *folders: Path) -> None:
    if asked:
        from pareft.preparation.statistics import Reader
        from pareft.prepare_verbs import describe_and_show

        for folder in folders:
            describe_and_show(folder, Reader())


@prepare.command("mimic-discharge")
def mimic_discharge(
    notes: NotesOption,
    out: OutOption,
    rules: RulesOption = "clean",
    split_by: SplitByOption = None,
    seed: SeedOption = 42,
    workers: WorkersOption = None,
    strict: StrictOption = False,
    overwrite: OverwriteOption = False,
    show_text: ShowTextOption = False,
    statistics: StatisticsOption = False,
) -> None:
    """MIMIC-IV-Note's discharge summaries: the hospital stay → its diagnoses."""
    from pareft.preparation import prepare_notes
    from pareft.prepare_verbs import build_and_show

    build_and_show(
        lambda how: {out: prepare_notes("discharge", notes, out, rules=rules, split_by=split_by, seed=seed, handling=how)},
        _handle(strict=strict, overwrite=overwrite, show_text=show_text, workers=workers),
    )
    _describe(statistics, out)


@prepare.command("mimic-radiology")
def mimic_radiology(
    notes: NotesOption,
    out: OutOption,
    rules: RulesOption = "clean",
    split_by: SplitByOption = None,
    seed: SeedOption = 42,
    discharge_count: Annotated[
        int | None,
        typer.Option(min=0, help="With --rules paper: how many discharge pairs were split before.", show_default=False),
    ] = None,
    workers: WorkersOption = None,
    strict: StrictOption = False,
    overwrite: OverwriteOption = False,
    show_text: ShowTextOption = False,
    statistics: StatisticsOption = False,
) -> None:
    """MIMIC-IV-Note's radiology reports: findings → impression."""
    from pareft.preparation import prepare_notes
    from pareft.prepare_verbs import build_and_show

    build_and_show(
        lambda handling: {
            out: prepare_notes(
                "radiology",
                notes,
                out,
                rules=rules,
                split_by=split_by,
                seed=seed,
                discharge_count=discharge_count,
                handling=handling,
            )
        },
        _handle(strict=strict, overwrite=overwrite, show_text=show_text, workers=workers),
    )
    _describe(statistics, out)


@prepare.command("mimic")
def mimic(
    notes: Annotated[Path, typer.Option(help="The folder of discharge.csv and radiology.csv, or .csv.gz.", show_default=False)],
    out: Annotated[Path, typer.Option(help="The folder for the folders discharge and radiology.", show_default=False)],
    rules: RulesOption = "clean",
    split_by: SplitByOption = None,
    seed: SeedOption = 42,
    workers: WorkersOption = None,
    strict: StrictOption = False,
    overwrite: OverwriteOption = False,
    show_text: ShowTextOption = False,
    statistics: StatisticsOption = False,
) -> None:
    """Both of MIMIC-IV-Note's files; with --rules paper, split as one after the other, as the paper does."""
    from pareft.preparation import prepare_both
    from pareft.prepare_verbs import build_and_show

    build_and_show(
        lambda handling: {
            out / kind: done
            for kind, done in prepare_both(notes, out, rules=rules, split_by=split_by, seed=seed, handling=handling).items()
        },
        _handle(strict=strict, overwrite=overwrite, show_text=show_text, workers=workers),
    )
    _describe(statistics, out / "discharge", out / "radiology")


PlaceArgument = Annotated[
    str, typer.Argument(metavar="FILE|HUB_NAME", help="CSV, TSV, JSON, JSONL, Parquet or Excel, or a data set on the Hub.")
]
IdOption = Annotated[str | None, typer.Option("--id", help="The column of ids.  \\[default: the row's number]", show_default=False)]
GroupOption = Annotated[str | None, typer.Option(help="Rows that are equal in this column stay in one split.", show_default=False)]
DuplicatesOption = Annotated[bool, typer.Option("--drop-duplicates", help="Leave out pairs that were there before.")]


def _add_table_builder(name: str, about: str, *, source_column: str, target_column: str) -> None:
    """A builder for tables whose columns are usually called so."""

    @prepare.command(name, help=about)
    def build(
        place: PlaceArgument,
        out: OutOption,
        source: Annotated[str, typer.Option(help="The column of the texts that are read.")] = source_column,
        target: Annotated[str, typer.Option(help="The column of the texts that are written.")] = target_column,
        id: IdOption = None,
        group: GroupOption = None,
        seed: SeedOption = 42,
        drop_duplicates: DuplicatesOption = False,
        strict: StrictOption = False,
        overwrite: OverwriteOption = False,
        show_text: ShowTextOption = False,
        statistics: StatisticsOption = False,
    ) -> None:
        from pareft.data.tables import Columns
        from pareft.preparation import prepare_table
        from pareft.prepare_verbs import build_and_show

        columns = Columns(source, target, id, group)
        build_and_show(
            lambda handling: {
                out: prepare_table(place, out, columns, builder=name, seed=seed, drop_duplicates=drop_duplicates, handling=handling)
            },
            _handle(strict=strict, overwrite=overwrite, show_text=show_text),
        )
        _describe(statistics, out)


_add_table_builder(
    "dialogue",
    "Questions and answers in ChatDoctor's format (instruction, input, output): HealthCareMagic, iCliniq.",
    source_column="input",
    target_column="output",
)
_add_table_builder(
    "table",
    "Any table with two text columns, split 8:1:1; a Hub data set with three splits keeps them.",
    source_column="source",
    target_column="target",
)


@prepare.command("synthetic")
def synthetic(
    kind: Annotated[
        Literal["discharge", "radiology", "healthcaremagic", "icliniq"],
        typer.Option(help="Of which notes, or consultations.", show_default=False),
    ],
    notes: Annotated[int, typer.Option(min=1, help="How many notes or consultations.", show_default=False)],
    out: Annotated[Path, typer.Option(help="The folder for KIND.csv, or KIND.json of consultations.", show_default=False)],
    seed: Annotated[int, typer.Option(help="The seed of the texts.")] = 42,
    packed: Annotated[bool, typer.Option("--gzip", help="Write .csv.gz, as PhysioNet does, or .json.gz.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there.")] = False,
) -> None:
    """Notes in MIMIC-IV-Note's shape, or consultations in ChatDoctor's, that no patient stands behind, to try things with."""
    from pareft.prepare_verbs import synthesise_and_show

    synthesise_and_show(kind, notes, out, seed=seed, packed=packed, overwrite=overwrite)


@prepare.command("statistics")
def describe(
    folder: Annotated[Path, typer.Argument(help="A prepared folder.", show_default=False)],
    recipe: Annotated[Path | None, typer.Option(help="Take base, prefix and lengths from a recipe.", show_default=False)] = None,
    base: Annotated[
        str | None, typer.Option(help="Whose tokens are counted.  \\[default: the recipe's, or pareft-mini]", show_default=False)
    ] = None,
    max_source_tokens: Annotated[
        int | None, typer.Option(min=1, help="Longer sources are cut.  \\[default: the recipe's, or 1024]", show_default=False)
    ] = None,
    max_target_tokens: Annotated[
        int | None, typer.Option(min=1, help="Longer targets are cut.  \\[default: the recipe's, or 128]", show_default=False)
    ] = None,
    workers: WorkersOption = None,
) -> None:
    """Sizes, sentences, words and novel n-grams of the splits, and how much of the texts a recipe cuts, with a histogram."""
    from pareft.prepare_verbs import choose_reader, describe_and_show

    describe_and_show(folder, choose_reader(recipe, base, max_source_tokens, max_target_tokens), workers=workers)
