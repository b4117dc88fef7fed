"""What four tasks take on disk: four fine-tuned models, or one pruned base and four adapters.

    python benchmarks/measure_storage.py                # the embedded pareft-mini
    python benchmarks/measure_storage.py --bart-large   # BART-large's shape with random weights, about 12 GB of temporary files

Everything is written as users would have it (weights in bf16, adapters in float32, with configs, plans and cards, without
tokenizers), then counted. The adapters are LoRA of rank 16 on the feed-forward layers, biases trained, as in the paper; what is in
them does not change their size. The four adapters are then loaded onto one base, and a batch of four rows with an adapter each is
compared with each adapter alone.
"""

import argparse
import tempfile
from pathlib import Path

import torch
from peft import PeftModel
from transformers import BartConfig, BartForConditionalGeneration

import pareft
from pareft.exporting.checking import compute_logits, make_inputs
from pareft.tuning.adapters import merge

TASKS = ("discharge", "radiology", "dialogue", "notes")
SETTINGS = pareft.LoraSettings(target="ffn", rank=16, alpha=32, dropout=0.0)


def write_bart_large(folder: Path) -> str:
    """BART-large's shape with random weights in bf16."""
    torch.manual_seed(0)
    config = BartConfig(d_model=1024, vocab_size=50_265, forced_eos_token_id=2)
    BartForConditionalGeneration(config).to(torch.bfloat16).save_pretrained(folder)
    return str(folder)


def count_bytes(*folders: Path) -> int:
    """The bytes of all files in these folders."""
    return sum(path.stat().st_size for folder in folders for path in folder.rglob("*") if path.is_file())


def save_adapters(base: str, plan: pareft.PruningPlan, place: Path) -> list[Path]:
    """Four adapters that differ."""
    folders = []
    for seed, task in enumerate(TASKS):
        model = pareft.attach(pareft.load(base, plan), SETTINGS, seed=seed)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter.add_(0.02 * torch.randn(parameter.shape, generator=generator))
        folders.append(place / task)
        pareft.save(model, folders[-1])
    return folders


def compare_mixed(base: str, plan: pareft.PruningPlan, folders: list[Path]) -> float:
    """The largest difference between rows of a mixed batch and each adapter alone, in float32."""
    model: PeftModel | None = None
    for task, folder in zip(TASKS, folders, strict=True):
        model = pareft.attach(model or pareft.load(base, plan, dtype=torch.float32), folder, name=task)
    assert model is not None
    row = {name: value[:1] for name, value in make_inputs(model.get_base_model()).items()}
    with torch.no_grad():
        mixed = model(**{name: value.repeat(len(TASKS), 1) for name, value in row.items()}, adapter_names=list(TASKS)).logits
    largest = 0.0
    for index, task in enumerate(TASKS):
        model.set_adapter(task)
        largest = max(largest, float((compute_logits(model, row)[0] - mixed[index]).abs().max()))
    return largest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bart-large", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        base = write_bart_large(place / "base") if args.bart_large else "pareft-mini"
        whole, plan = pareft.plan(base, by="everything"), pareft.plan(base)
        pareft.save(pareft.load(base), place / "whole")
        pareft.save(pareft.load(base, plan), place / "pruned")
        on_whole = save_adapters(base, whole, place / "on-whole")
        on_pruned = save_adapters(base, plan, place / "on-pruned")
        merged = merge(pareft.attach(pareft.load(base, plan), on_pruned[0])).to(torch.bfloat16)
        pareft.save(merged, place / "merged")
        full, pruned = count_bytes(place / "whole"), count_bytes(place / "pruned")
        rows = [
            ("four fine-tuned models", f"4 × {full / 1e6:.1f}", 4 * full),
            ("four pruned models, merged", f"4 × {count_bytes(place / 'merged') / 1e6:.1f}", 4 * count_bytes(place / "merged")),
            ("the base and four adapters", _sum(full, on_whole), full + count_bytes(*on_whole)),
            ("the pruned base and four adapters", _sum(pruned, on_pruned), pruned + count_bytes(*on_pruned)),
        ]
        print("| Four tasks as | MB | Total, MB | % |\n| --- | ---: | ---: | ---: |")
        for name, terms, total in rows:
            print(f"| {name} | {terms} | {total / 1e6:.1f} | {100 * total / rows[0][2]:.1f} |")
        difference = compare_mixed(base, plan, on_pruned)
        print(f"\nA batch with an adapter for each row against each adapter alone: logits differ by {difference:.1e} at most.")


def _sum(base: int, adapters: list[Path]) -> str:
    return f"{base / 1e6:.1f} + 4 × {count_bytes(adapters[0]) / 1e6:.1f}"


if __name__ == "__main__":
    main()
