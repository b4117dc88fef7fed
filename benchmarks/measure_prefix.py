"""What the frozen-prefix cache saves: steps on BART-large's shape, adapters in the decoder alone, in turn with it and without.

    python benchmarks/measure_prefix.py [--layers 12+12 8+8 12+6] [--steps 5] [--out prefix.json]

Random weights stored in bf16, LoRA of rank 16 on the decoder's feed-forward layers, batch 2, 1024 source and 128 target tokens,
every row full. Ways: `without`; `states`, the encoder's are kept; `all`, the keys and values of the decoder's cross-attention, too.
The steps are those of the second epoch and later. Each way is a process of its own (`pareft.measurement`), and their steps are
interleaved. Needs about 9 GiB of memory.
"""

import argparse
import shutil
import tempfile
from pathlib import Path
from statistics import median

from measure_shape import write_base, write_data
from rich.console import Console

from pareft.evaluation.efficiency import relative_speed
from pareft.files import write_json
from pareft.measurement import measure
from pareft.recipe import Recipe, resolve, select_arm

WARMUP = 1


def make_recipe(base: Path, data: Path, args: argparse.Namespace) -> Recipe:
    return resolve(
        {
            "base": str(base),
            "data": {"path": str(data), "max_source_tokens": args.source_tokens, "max_target_tokens": args.target_tokens},
            "adapt": {"target": "ffn", "rank": 16, "alpha": 32, "dropout": 0.1, "bias": "wrapped", "layers": {"decoder": "all"}},
            "train": {"batch_size": args.batch_size, "precision": args.precision},
            "measure": {"steps": args.steps, "warmup_steps": WARMUP},
            "arms": {
                "without": {},
                "states": {"train.cache_frozen_prefix": True, "train.cache_cross_attention": False},
                "all": {"train.cache_frozen_prefix": True, "train.cache_cross_attention": True},
            },
        }
    )


def measure_layers(layers: str, args: argparse.Namespace) -> dict[str, object]:
    encoder, decoder = map(int, layers.split("+"))
    folder = Path(tempfile.mkdtemp(prefix="pareft-prefix-"))
    try:
        write_base(folder / "base", "pareft-mini", encoder_layers=encoder, decoder_layers=decoder)
        write_data(folder / "rows.parquet")
        recipe = make_recipe(folder / "base", folder / "rows.parquet", args)
        record = measure({name: select_arm(recipe, name) for name in recipe.arms}, recipe.measure)
    finally:
        shutil.rmtree(folder)
    seconds = {name: arm.step_seconds for name, arm in record.arms.items()}
    states = 1024 * 2 * args.source_tokens
    return {
        "layers": layers,
        "median_step_seconds": {name: round(median(values), 3) for name, values in seconds.items()},
        "times_faster": {name: round(relative_speed(seconds["without"], values) / 100, 2) for name, values in seconds.items()},
        "peak_bytes": {name: arm.peak_bytes for name, arm in record.arms.items()},
        "bytes_per_example": {"without": 0, "states": states, "all": states * (1 + 2 * decoder)},
        "step_seconds": seconds,
        "versions": record.versions,
        "hardware": record.hardware,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", nargs="*", default=["12+12", "8+8", "12+6"], help="of the encoder and the decoder")
    parser.add_argument("--batch-size", type=int, default=2)
    parser.add_argument("--source-tokens", type=int, default=1024)
    parser.add_argument("--target-tokens", type=int, default=128)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    results = []
    for layers in args.layers:
        results.append(measure_layers(layers, args))
        Console().print({key: results[-1][key] for key in ("layers", "median_step_seconds", "times_faster", "peak_bytes")})
    if args.out:
        write_json(args.out, results)


if __name__ == "__main__":
    main()
