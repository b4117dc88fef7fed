"""The planner beside reality: for every configuration what `pareft plan --dry-run` forecasts, and what training then took.

    python benchmarks/planner.py --out FOLDER [--shapes bart t5 t5-gated bart-large] [--steps 5] [--writing]

Random weights of a small BART, T5 and gated T5, and BART-large's shape; full fine-tuning, LoRA, pruned, both; batches, lengths,
precisions, layers computed again or not. A configuration is forecast, then trained for some steps in a process of its own, so
that both see the machine at nearly the same time; it should have nothing else to do. Writes planner.json and planner.md; what is
finished is read. On two cores some half a minute for a configuration. `--writing`: the peak of writing in its place, of one batch
of texts that are as long as they may be; writes writing.md.
"""

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from transformers import BartConfig, PreTrainedConfig, T5Config

from pareft.bench.batches import Lengths
from pareft.bench.shapes import open_config, write_base
from pareft.bench.worker import Order, start
from pareft.files import write_atomic, write_json
from pareft.forking import open_context
from pareft.planner import forecast
from pareft.planner.arms import open_arm
from pareft.planner.record import Forecast
from pareft.planner.reference import choose_reference
from pareft.planner.writers import measure_beside, measure_writing, trace_arm_writing
from pareft.recipe import Recipe, override, resolve
from pareft.runtime import describe_hardware, list_versions

LORA = {"adapt.target": "ffn", "adapt.rank": 16, "adapt.alpha": 32}
ALL = {"adapt.target": "all", "adapt.rank": 8, "adapt.alpha": 16}
PRUNED = {"prune.layers": "alternating"}
AGAIN = {"train.gradient_checkpointing": True}
FP32 = {"train.precision": "fp32"}


def _lengths(source: int, target: int, batch: int) -> dict[str, Any]:
    return {"data.max_source_tokens": source, "data.max_target_tokens": target, "train.batch_size": batch}


SMALL: dict[str, dict[str, Any]] = {
    "full": _lengths(256, 64, 4),
    "full, fp32": _lengths(256, 64, 4) | FP32,
    "l-prun": _lengths(256, 64, 8) | PRUNED,
    "lora": _lengths(256, 64, 8) | LORA,
    "lora, again": _lengths(256, 64, 16) | LORA | AGAIN,
    "lora+l-prun": _lengths(512, 64, 4) | LORA | PRUNED,
    "lora+l-prun all, fp32": _lengths(256, 128, 8) | ALL | PRUNED | FP32,
}
LARGE: dict[str, dict[str, Any]] = {
    "full": _lengths(128, 32, 1),
    "lora": _lengths(256, 64, 1) | LORA,
    "lora+l-prun": _lengths(256, 64, 2) | LORA | PRUNED,
    "lora+l-prun, again": _lengths(256, 64, 4) | LORA | PRUNED | AGAIN,
}
SHAPES: dict[str, Mapping[str, dict[str, Any]]] = {"bart": SMALL, "t5": SMALL, "t5-gated": SMALL, "bart-large": LARGE}


def make_config(shape: str) -> PreTrainedConfig:
    if shape == "bart-large":
        return open_config(shape)
    if shape == "bart":
        sides = {
            f"{side}_{name}": size
            for side in ("encoder", "decoder")
            for name, size in (("layers", 6), ("ffn_dim", 2048), ("attention_heads", 8))
        }
        return BartConfig(d_model=512, vocab_size=16_384, forced_eos_token_id=2, **sides)
    kind = (
        {"feed_forward_proj": "gated-gelu", "d_ff": 1024, "tie_word_embeddings": False} if shape == "t5-gated" else {"d_ff": 2048}
    )
    return T5Config(
        d_model=512, num_layers=6, num_decoder_layers=6, num_heads=8, vocab_size=16_384, decoder_start_token_id=0, **kind
    )


def write_shape(folder: Path, shape: str) -> Path:
    """Random weights of a shape."""
    make_config(shape).save_pretrained(folder / "config")
    write_base(folder / "base", str(folder / "config"), seed=0)
    return folder / "base"


def measure(recipe: Recipe, base: Path, steps: int) -> tuple[float, int]:
    """The median second of a step and the peak."""
    lengths = Lengths(source=recipe.data.max_source_tokens, target=recipe.data.max_target_tokens)
    precision = open_arm("", recipe).precision
    order = Order(
        arm="",
        way="pareft",
        recipe=recipe,
        precision=precision,
        checkpoint=str(base),
        lengths=lengths,
        rounds=steps + 2,
        new_tokens=0,
    )
    with start(order) as worker:
        worker.ask("load")
        seconds = [worker.ask("step", number)["seconds"] for number in range(steps + 2)]
        return median(seconds[2:]), worker.ask("peak")["peak_bytes"]


def measure_shape(shape: str, steps: int, done: dict[str, Any], keep: Any, console: Console) -> None:
    """Every configuration of a shape that is not done."""
    todo = {name: lines for name, lines in SHAPES[shape].items() if f"{shape} {name}" not in done}
    with tempfile.TemporaryDirectory(prefix="pareft-planner-") as folder:
        base = write_shape(Path(folder), shape) if todo else Path(folder)
        for name, lines in todo.items():
            recipe = resolve(override({"base": str(base), "data": {}, "train": {"gradient_checkpointing": False}}, lines))
            [row] = forecast({f"{shape} {name}": recipe})
            seconds, peak = measure(recipe, base, steps)
            done[row.name] = {"forecast": row.model_dump() | {"base": shape}, "step_seconds": seconds, "peak_bytes": peak}
            console.print(*describe(done[row.name]))
            keep()


WRITING: dict[str, dict[str, Any]] = {
    "greedy": {"evaluate.num_beams": 1, "evaluate.batch_size": 16, "evaluate.max_new_tokens": 64, "data.max_source_tokens": 256},
    "6 beams": {"evaluate.num_beams": 6, "evaluate.batch_size": 8, "evaluate.max_new_tokens": 64, "data.max_source_tokens": 256},
    "6 beams, long": {"evaluate.num_beams": 6, "evaluate.batch_size": 8, "data.max_source_tokens": 512},
    "6 beams, bf16": {
        "evaluate.num_beams": 6,
        "evaluate.batch_size": 8,
        "data.max_source_tokens": 512,
        "evaluate.precision": "bf16",
    },
}


def compare_writing(shapes: Sequence[str], out: Path, console: Console) -> None:
    """The table of writing."""
    lines = ["| configuration | forecast MB | measured MB | error |", "| --- | ---: | ---: | ---: |"]
    for shape in shapes:
        with tempfile.TemporaryDirectory(prefix="pareft-planner-") as folder:
            base = write_shape(Path(folder), shape)
            for name, asked in WRITING.items():
                arm = open_arm("", resolve(override({"base": str(base), "data": {}}, asked)))
                expected = trace_arm_writing(arm) + measure_beside(choose_reference(arm))
                with ProcessPoolExecutor(1, mp_context=open_context("pareft.planner.writers")) as pool:
                    peak = pool.submit(measure_writing, arm).result()
                cells = [f"{shape} {name}", *(f"{size / 1e6:,.0f}" for size in (expected, peak)), _compare(expected, peak)]
                lines.append("| " + " | ".join(cells) + " |")
                console.print(*cells)
    write_atomic(out / "writing.md", "\n".join(lines) + "\n")


def describe(found: Mapping[str, Any]) -> list[str]:
    """Name, peak forecast and measured in MB with the error, seconds of a step likewise."""
    row = Forecast.model_validate(found["forecast"])
    assert row.step_seconds
    peaks, seconds = (row.peak_bytes, found["peak_bytes"]), (row.step_seconds, found["step_seconds"])
    return [
        row.name,
        f"{row.tensor_bytes / 1e6:,.0f}",
        *(f"{value / 1e6:,.0f}" for value in peaks),
        _compare(*peaks),
        *(f"{value:.2f}" for value in seconds),
        _compare(*seconds),
    ]


def _compare(forecast: float, measured: float) -> str:
    return f"{100 * (forecast / measured - 1):+.0f} %"


def tabulate(done: Mapping[str, Any]) -> str:
    heads = "| configuration | tensors MB | forecast MB | measured MB | error | forecast s | measured s | error |\n"
    lines = ["| " + " | ".join(describe(found)) + " |" for found in done.values()]
    peaks = [Forecast.model_validate(found["forecast"]).peak_bytes / found["peak_bytes"] - 1 for found in done.values()]
    times = [found["forecast"]["step_seconds"] / found["step_seconds"] - 1 for found in done.values()]
    near = sum(abs(error) <= 0.1 for error in peaks), sum(abs(error) <= 0.15 for error in times)
    within = f"{near[0]} peaks of {len(peaks)} within 10 %, {near[1]} times within 15 %"
    return heads + "| --- |" + " ---: |" * 7 + "\n" + "\n".join(lines) + f"\n\n{within}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--writing", action="store_true")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    if args.writing:
        compare_writing(args.shapes, args.out, Console())
        return
    file = args.out / "planner.json"
    record = (
        json.loads(file.read_text())
        if file.is_file()
        else {"hardware": describe_hardware(), "versions": list_versions(), "rows": {}}
    )

    def keep() -> None:
        write_json(file, record)
        write_atomic(args.out / "planner.md", tabulate(record["rows"]))

    for shape in args.shapes:
        measure_shape(shape, args.steps, record["rows"], keep, Console())


if __name__ == "__main__":
    main()
