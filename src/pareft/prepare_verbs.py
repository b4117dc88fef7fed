"""What the prepare verbs do once their arguments are read: build, and print what a person wants to see. No torch in here."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pyarrow.parquet
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pareft.data.prepared import SPLIT_NAMES
from pareft.data.sections import Kind
from pareft.files import write_atomic
from pareft.live import LiveProgress
from pareft.preparation.statistics import DatasetStatistics, Lengths, Reader, count_examples, describe_folder, measure_folder
from pareft.preparation.synthetic import SyntheticKind, write_synthetic
from pareft.preparation.writing import Handling, Prepared


def build_and_show(build: Callable[[Handling], Mapping[Path, Prepared]], handling: Handling) -> None:
    """The builders of `pareft prepare`: what they write, by its folder."""
    console = Console()
    with LiveProgress(console) as progress:
        done = build(replace(handling, progress=progress))
    for folder, prepared in done.items():
        show_prepared(prepared, folder, console, show_text=handling.show_text)


def synthesise_and_show(kind: SyntheticKind, count: int, out: Path, *, seed: int, packed: bool, overwrite: bool) -> None:
    """`pareft prepare synthetic`."""
    console = Console()
    with LiveProgress(console) as progress:
        path = write_synthetic(kind, count, out, seed=seed, packed=packed, overwrite=overwrite, progress=progress)
    what = "notes" if kind in get_args(Kind) else "consultations"
    console.print(f"{count:,} {what} written to {path}", soft_wrap=True)


def describe_and_show(out: Path, reader: Reader, *, workers: int | None = None) -> None:
    """`pareft prepare statistics`, and `--statistics` of the builders: `statistics.json` and `lengths.png` beside the splits."""
    from pareft.report.lengths import draw_lengths

    console = Console()
    count = sum(count_examples(out).values())
    with LiveProgress(console) as progress:
        described = describe_folder(out, workers=workers, progress=progress)
        lengths, arrays = measure_folder(out, reader, progress=progress)
    described = described.model_copy(update={"lengths": lengths})
    limits = {"source": reader.max_source_tokens, "target": reader.max_target_tokens}
    sampled = "" if lengths.source.examples == count else f" of {count:,}"
    title = f"{out.resolve().name}: tokens of {Path(reader.base).name}, {lengths.source.examples:,}{sampled} examples"
    write_atomic(out / "statistics.json", described.to_json(), private=True)
    write_atomic(out / "lengths.png", draw_lengths(arrays, limits, title=title), private=True)
    console.print(make_statistics_table(described), make_lengths_table(lengths))
    console.print("Words and sentences by our own offline rules, close to NLTK's: see tokenizer in statistics.json", soft_wrap=True)
    console.print(f"Written to {out}: statistics.json, lengths.png", soft_wrap=True)


def choose_reader(recipe: Path | None, base: str | None, max_source_tokens: int | None, max_target_tokens: int | None) -> Reader:
    """A recipe's base, prefix and lengths, but for those that are given."""
    reader = Reader()
    if recipe is not None:
        from pareft.recipe_file import read_recipe

        read = read_recipe(recipe)
        reader = Reader(read.base, read.revision, read.data.prefix, read.data.max_source_tokens, read.data.max_target_tokens)
    given = {"base": base, "max_source_tokens": max_source_tokens, "max_target_tokens": max_target_tokens}
    changes = {name: value for name, value in given.items() if value is not None}
    return replace(reader, **changes | ({"revision": None} if base else {}))  # type: ignore[arg-type]


def start_table(title: str, columns: Sequence[str]) -> Table:
    """An empty table: what a row is of, and numbers."""
    table = Table(title=title, title_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("", no_wrap=True)
    for name in columns:
        table.add_column(name, justify="right")
    return table


def make_statistics_table(described: DatasetStatistics) -> Table:
    """Table 1 of arXiv 2305.08285: sizes, averages, novel n-grams."""
    title = "Means of an example; % novel: target n-grams that the source has not"
    columns = ("Examples", "Source sentences", "words", "Target sentences", "words", "% novel unigrams", "bigrams")
    table = start_table(title, columns)
    for name, split in {**described.splits, "all": described.all}.items():
        novel = ["–" if share is None else f"{share:.0f}" for share in (split.novel_unigrams, split.novel_bigrams)]
        means = (split.source_sentences, split.source_words, split.target_sentences, split.target_words)
        table.add_row(name, f"{split.examples:,}", *(f"{mean:.1f}" for mean in means), *novel)
    return table


def make_lengths_table(lengths: Lengths) -> Table:
    """How long sources and targets are in tokens, and how many are cut."""
    title = f"Tokens of {lengths.base}, of {lengths.source.examples:,} examples"
    table = start_table(title, ("Mean", "Median", "95 %", "Longest", "Limit", "% cut"))
    for name, own in (("source", lengths.source), ("target", lengths.target)):
        numbers = (own.mean, own.median, own.p95, own.longest, own.limit)
        table.add_row(name, *(f"{number:,.0f}" for number in numbers), f"{own.truncated_percent:.1f}")
    return table


def show_prepared(prepared: Prepared, out: Path, console: Console, *, show_text: bool) -> None:
    """Sizes, what was dropped and why, and the lines of bad rows; texts only if they may be shown."""
    said = prepared.description
    table = start_table(f"{said['builder']}: {said['rows']:,} rows read", SPLIT_NAMES)
    for what in ("examples", "patients", "groups"):
        if what in said:
            table.add_row(what, *(f"{said[what][name]:,}" for name in SPLIT_NAMES))
    console.print(table)
    for reason, count in said["dropped"].items():
        flaws = prepared.flaws.get(reason, [])
        lines = f", line{'s' if len(flaws) > 1 else ''} {', '.join(str(flaw.line) for flaw in flaws)}" if flaws else ""
        console.print(f"  dropped {count:,}: {reason}{lines}{' …' if flaws and count > len(flaws) else ''}", soft_wrap=True)
        if show_text:
            for flaw in flaws:
                console.print(f"    {flaw.line}: {escape(repr(flaw.text))}", soft_wrap=True)
    if show_text:
        first = next(pyarrow.parquet.ParquetFile(out / "train.parquet").iter_batches(batch_size=1)).to_pylist()[0]
        console.print(f"\n[bold]source[/bold]  {escape(first['source'])}\n[bold]target[/bold]  {escape(first['target'])}\n")
    console.print(f"Written to {out}: train, validation and test.parquet, dataset.json", soft_wrap=True)
