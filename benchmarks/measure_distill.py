"""What a teacher costs: steps and memory on BART-large's shape, LoRA on 8 + 8 layers, with the unpruned base beside it and without.

    python benchmarks/measure_distill.py [--steps 6] [--out distill.json]

Random weights stored in bf16, LoRA of rank 16 on the feed-forward layers, batch 2, 512 source and 128 target tokens, every row
full. Ways: `without`; `chances` and `states`, asked in every step; `cached`, chances read from disk; `apart`, chances of a
checkpoint of the same weights elsewhere, which therefore shares none. Each way is a process of its own, and their steps are
interleaved. Needs about 12 GiB of memory.
"""

import argparse
import shutil
import tempfile
from pathlib import Path
from statistics import median

from measure_shape import write_base, write_data
from rich.console import Console
from transformers import AutoModelForSeq2SeqLM

from pareft.files import write_json
from pareft.measurement import measure
from pareft.models.checkpoint import load_tokenizer, open_base
from pareft.recipe import Recipe, resolve, select_arm


def make_recipe(base: Path, other: Path, data: Path, args: argparse.Namespace) -> Recipe:
    ways = {
        "without": {},
        "chances": {"distill": {}},
        "states": {"distill": {"logits": 0.0, "hidden": 1.0}},
        "cached": {"distill": {"cache": True}},
        "apart": {"distill": {"teacher": str(other)}},
    }
    return resolve(
        {
            "base": str(base),
            "data": {"path": str(data), "max_source_tokens": 512, "max_target_tokens": 128},
            "prune": {"layers": "alternating"},
            "adapt": {"target": "ffn", "rank": 16, "alpha": 32, "dropout": 0.1, "bias": "wrapped"},
            "train": {"batch_size": args.batch_size},
            "measure": {"steps": args.steps, "warmup_steps": 1},
            "arms": {name: ways[name] for name in args.ways},
        }
    )


def copy_elsewhere(base: Path, other: Path) -> None:
    """The base with one value of one weight changed: another model's weights."""
    model = AutoModelForSeq2SeqLM.from_pretrained(base)
    model.model.encoder.layers[0].fc1.weight.data[0, 0] += 1
    model.save_pretrained(other)
    load_tokenizer(open_base(str(base))).save_pretrained(other)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ways = ["without", "chances", "states", "cached", "apart"]
    parser.add_argument("--ways", nargs="+", choices=ways, default=ways)
    parser.add_argument("--batch-size", type=int, default=2)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="pareft-distill-"))
    try:
        write_base(folder / "base", "pareft-mini")
        copy_elsewhere(folder / "base", folder / "other")
        write_data(folder / "rows.parquet")
        recipe = make_recipe(folder / "base", folder / "other", folder / "rows.parquet", args)
        record = measure({name: select_arm(recipe, name) for name in recipe.arms}, recipe.measure)
    finally:
        shutil.rmtree(folder)
    first = next(iter(record.arms.values()))
    for name, arm in record.arms.items():
        ratio = median(one / other for one, other in zip(arm.step_seconds, first.step_seconds, strict=True))
        more = (arm.peak_bytes - first.peak_bytes) / 1e6
        Console().print(
            f"{name}: {arm.median_step_seconds:.2f} s, {ratio:.2f} times; {arm.peak_bytes / 1e9:.2f} GB, {more:+,.0f} MB"
        )
    if args.out:
        write_json(args.out, record.model_dump(mode="json"))


if __name__ == "__main__":
    main()
