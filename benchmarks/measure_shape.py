"""Training speed and memory of the four arms on BART-large's shape, with random weights: no download, the same arithmetic.

    python benchmarks/measure_shape.py --out src/pareft/assets/bart-large-shape.json

Batch 2, 512 source and 128 target tokens, every row full; the arms' steps are interleaved as in every comparison
(`pareft.measurement`). Needs about 16 GiB of memory on a processor. The demo shows what the committed file holds.
"""

import argparse
import shutil
import tempfile
from itertools import islice
from pathlib import Path

import polars as pl
import torch
from transformers import BartConfig, BartForConditionalGeneration

from pareft.data.synthetic import generate_radiology_notes
from pareft.evaluation.efficiency import relative_speed
from pareft.files import write_json
from pareft.forecast.rates import measure_rate
from pareft.forecast.tracing import trace_step
from pareft.measurement import measure
from pareft.models.checkpoint import load_tokenizer, open_base
from pareft.recipe import Recipe, resolve, select_arm
from pareft.records import EfficiencyRecord
from pareft.reproduction.counting import count_arm
from pareft.runtime import choose_precision

ROWS = 64


def write_base(folder: Path, tokenizer: str, **changed: int) -> None:
    """BART-large's config, lines of it changed, with random weights, stored in bf16, and a tokenizer whose ids it covers."""
    torch.manual_seed(0)
    config = BartConfig(**{"d_model": 1024, "vocab_size": 50_265, "forced_eos_token_id": 2} | changed)
    BartForConditionalGeneration(config).to(torch.bfloat16).save_pretrained(folder)
    load_tokenizer(open_base(tokenizer)).save_pretrained(folder)


def write_data(path: Path) -> None:
    """Rows so long that every source and target is cut at its maximum."""
    notes = [note["text"] for note in islice(generate_radiology_notes(10 * ROWS, seed=1), 10 * ROWS)]
    texts = [" ".join(notes[start : start + 10]) for start in range(0, 10 * ROWS, 10)]
    pl.DataFrame({"source": texts, "target": texts}).write_parquet(path)


def make_recipe(base: Path, data: Path, args: argparse.Namespace) -> Recipe:
    return resolve(
        {
            "base": str(base),
            "data": {"path": str(data), "max_source_tokens": args.source_tokens, "max_target_tokens": args.target_tokens},
            "prune": {"layers": "alternating"},
            "adapt": {"target": "ffn", "rank": 16, "alpha": 32, "dropout": 0.1, "bias": "wrapped"},
            "train": {"batch_size": args.batch_size},
            "measure": {"steps": args.steps, "warmup_steps": 2},
            "arms": {"full": {"prune": None, "adapt": None}, "l-prun": {"adapt": None}, "lora": {"prune": None}, "lora+l-prun": {}},
        }
    )


def summarise(record: EfficiencyRecord, recipe: Recipe) -> list[dict[str, object]]:
    """Speed and memory in percent of the first arm; beside them what `pareft reproduce --dry-run` would have forecast."""
    first = next(iter(record.arms.values()))
    precision = choose_precision(recipe.train.precision, half_precision=True)
    arms = {name: select_arm(recipe, name) for name in record.arms}
    steps = {name: trace_step(count_arm(arm).model, arm, precision) for name, arm in arms.items()}
    rate = measure_rate(precision)
    return [
        {
            "arm": name,
            "step_seconds": arm.median_step_seconds,
            "speed_percent": round(relative_speed(first.step_seconds, arm.step_seconds), 1),
            "peak_bytes": arm.peak_bytes,
            "memory_percent": round(100 * arm.peak_bytes / first.peak_bytes, 1),
            "trainable": arm.trainable,
            "total": arm.total,
            "forecast_bytes": steps[name].peak_bytes,
            "utilisation": round(steps[name].operations / arm.median_step_seconds / rate, 2),
        }
        for name, arm in record.arms.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--tokenizer", default="pareft-mini", help="a base whose tokenizer cuts the text; its speed is not measured"
    )
    parser.add_argument("--batch-size", type=int, default=2)
    parser.add_argument("--source-tokens", type=int, default=512)
    parser.add_argument("--target-tokens", type=int, default=128)
    parser.add_argument("--steps", type=int, default=10)
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="pareft-shape-"))
    try:
        write_base(folder / "base", args.tokenizer)
        write_data(folder / "rows.parquet")
        recipe = make_recipe(folder / "base", folder / "rows.parquet", args)
        record = measure({name: select_arm(recipe, name) for name in recipe.arms}, recipe.measure)
        rows = summarise(record, recipe)
    finally:
        shutil.rmtree(folder)
    hardware = record.hardware
    where = hardware.get("gpu") or f"{hardware['threads']} threads of {hardware['processor']}"
    content = {
        "command": f"python benchmarks/measure_shape.py --out {args.out} --steps {args.steps}",
        "measured_on": f"{where}, batch {args.batch_size}, {args.source_tokens} → {args.target_tokens} tokens",
        "method": record.method,
        "versions": record.versions,
        "hardware": hardware,
        "rows": rows,
    }
    write_json(args.out, content)
    for row in rows:
        print(row)


if __name__ == "__main__":
    main()
