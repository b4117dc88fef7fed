"""Peak memory and time of loading BART-large at 8 + 8 layers in bf16: pareft, and what one does with stock transformers.

    python benchmarks/measure_loading.py [--out loading.json]

Random weights in BART-large's shape, float32, in one file and in shards (1.6 GB each, in a temporary folder). Every route has a
process of its own; its peak is that of the process after a forward pass of four tokens, less what the imports had taken before.
Rounds are interleaved. The files are in the page cache: times are of reading memory, not of a disk.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import track
from transformers import BartConfig, BartForConditionalGeneration

KEPT = [0, 1, 2, 4, 6, 8, 10, 11]
BEFORE = """
import json, sys, time, torch, transformers, pareft
from pareft.runtime import peak_memory_bytes, reset_peak_memory
import pareft.artefact, pareft.pruning
from transformers import AutoModelForSeq2SeqLM
folder, kept = sys.argv[1], json.loads(sys.argv[2])
ids = torch.zeros(1, 4, dtype=torch.long)
torch.nn.Linear(8, 8).bfloat16()(torch.zeros(1, 8).bfloat16())  # what the first product loads is no model's
before = reset_peak_memory()
started = time.perf_counter()
"""
ROUTES = {
    "pareft.load(base, plan)": """
plan = pareft.plan(folder, layers={"encoder": kept, "decoder": kept})
planned = time.perf_counter() - started
model = pareft.load(folder, plan, dtype=torch.bfloat16)
""",
    "from_pretrained, then delete layers": """
planned = 0.0
model = AutoModelForSeq2SeqLM.from_pretrained(folder, dtype=torch.bfloat16)
for stack in (model.model.encoder, model.model.decoder):
    stack.layers = torch.nn.ModuleList(layer for number, layer in enumerate(stack.layers) if number in kept)
""",
    "from_pretrained of the saved pruned checkpoint": """
planned = 0.0
model = AutoModelForSeq2SeqLM.from_pretrained(folder + "-pruned", dtype=torch.bfloat16)
""",
}
AFTER = """
seconds = time.perf_counter() - started
with torch.no_grad():
    model.eval()(input_ids=ids, decoder_input_ids=ids, use_cache=False)
weights = sum(tensor.nbytes for tensor in {t.data_ptr(): t for t in [*model.parameters(), *model.buffers()]}.values())
print(json.dumps({"peak": peak_memory_bytes() - before, "weights": weights, "seconds": seconds, "planned": planned}))
"""


def write_bases(place: Path) -> dict[str, Path]:
    """BART-large's shape in float32, in one file and in shards, and beside each the pruned checkpoint."""
    import pareft

    torch.manual_seed(0)
    model = BartForConditionalGeneration(BartConfig(d_model=1024, vocab_size=50_265, forced_eos_token_id=2))
    bases = {"one file": place / "single", "shards": place / "sharded"}
    model.save_pretrained(bases["one file"], max_shard_size="10GB")
    model.save_pretrained(bases["shards"], max_shard_size="300MB")
    for folder in bases.values():
        plan = pareft.plan(folder, layers={"encoder": KEPT, "decoder": KEPT})
        pareft.load(folder, plan).save_pretrained(f"{folder}-pruned")
    return bases


def run_route(route: str, folder: Path) -> dict[str, float]:
    """One route in a process of its own."""
    script = BEFORE + ROUTES[route] + AFTER
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder), json.dumps(KEPT)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.strip().splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    console, found = Console(), []
    with tempfile.TemporaryDirectory() as temporary:
        bases = write_bases(Path(temporary))
        rounds = [(layout, route) for _ in range(args.rounds) for layout in bases for route in ROUTES]
        measured: dict[tuple[str, str], list[dict[str, float]]] = {}
        for layout, route in track(rounds, console=console, transient=True):
            measured.setdefault((layout, route), []).append(run_route(route, bases[layout]))
    for (layout, route), values in measured.items():
        middle = {key: statistics.median(value[key] for value in values) for key in values[0]}
        found.append({"layout": layout, "route": route, **middle, "ratio": middle["peak"] / middle["weights"]})
    print("| Base | Route | Peak above the imports, MB | Weights, MB | Peak / weights | Seconds |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    for row in found:
        cells = (row["layout"], row["route"], f"{row['peak'] / 1e6:.0f}", f"{row['weights'] / 1e6:.0f}")
        print(f"| {' | '.join(cells)} | {row['ratio']:.2f} | {row['seconds']:.1f} |")
    planned = [row["planned"] for row in found if row["planned"]]
    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    print(f"\nThe plan with its digest of 1.6 GB of weights: {max(planned):.2f} s. {versions}.")
    if args.out:
        args.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
