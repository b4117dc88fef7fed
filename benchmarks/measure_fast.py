"""What every fast way of `train.fast` brings to LoRA ffn on a pruned model: alone, left out, and all, in turn in one process.

    python benchmarks/measure_fast.py --out docs/fast.json

Random weights of a known shape, the frozen base in bf16 where that is computed with; a step is forward and backward, the second of
two in the same way. `compiled`, if it is asked for, is the plain way by `torch.compile`, which needs a compiler of C++; its first
step is not counted. `--mixed` draws lengths as `pareft bench` does, a quarter of each batch at full length. Peak memory is measured
afterwards, in a process for each way.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch
from rich.console import Console
from transformers import DataCollatorForSeq2Seq

from pareft.adapter_settings import LoraSettings
from pareft.bench.batches import Lengths, draw_lengths, draw_rows
from pareft.bench.shapes import SHAPES, open_config
from pareft.files import write_json
from pareft.models.checkpoint import EMBEDDED, load_tokenizer, open_base
from pareft.models.structure import build_on_meta
from pareft.pruning import plan
from pareft.runtime import (
    choose_device,
    choose_precision,
    describe_hardware,
    list_versions,
    peak_memory_bytes,
    reset_peak_memory,
    wait_for_device,
)
from pareft.settings import FastSettings
from pareft.stepping import learn
from pareft.tuning.adapters import attach
from pareft.tuning.fast import quicken
from pareft.tuning.fast.batches import MULTIPLE

COMPILED = "compiled"
WAYS = ("lora", "dropout", "loss", "attention", "memory", "batches")


def list_settings() -> dict[str, FastSettings]:
    """Plain, each way alone, all but it, and all."""
    none, every = dict.fromkeys(WAYS, False), dict.fromkeys(WAYS, True)
    return {
        "plain": FastSettings(**none),
        **{f"{way} alone": FastSettings(**none | {way: True}) for way in WAYS},
        **{f"all but {way}": FastSettings(**every | {way: False}) for way in WAYS},
        "all": FastSettings(),
        COMPILED: FastSettings(**none),
    }


def build(args: argparse.Namespace) -> Any:
    """The pruned shape with LoRA, and its random weights."""
    config = open_config(args.shape)
    precision = choose_precision("auto", half_precision=True)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        config.save_pretrained(folder)
        base = open_base(folder)
        decided = plan(base, weights=False)
        model = build_on_meta(base.config, decided).to_empty(device=choose_device())
    model = model.to(torch.bfloat16 if precision == "bf16" else torch.float32)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.02)
        for buffer in model.buffers():
            buffer.zero_()
    return attach(model, LoraSettings(target="ffn", rank=16, alpha=32, dropout=0.1)).train()


def compile_if_asked(model: Any, way: str) -> Any:
    """The model as a way steps it."""
    return torch.compile(model) if way == COMPILED else model


def draw_batches(args: argparse.Namespace) -> list[Any]:
    """A padded batch for every round."""
    config, tokenizer = open_config(args.shape), load_tokenizer(open_base(EMBEDDED))
    tokenizer.pad_token = tokenizer.convert_ids_to_tokens(config.pad_token_id)
    lengths = Lengths(source=args.source_tokens, target=args.target_tokens, mixed=args.mixed)
    collate = DataCollatorForSeq2Seq(tokenizer, pad_to_multiple_of=MULTIPLE)
    return [
        collate(draw_rows(batch, vocabulary=config.vocab_size, end=config.eos_token_id, seed=number)).to(choose_device())
        for number, batch in enumerate(draw_lengths(lengths, size=args.batch_size, rounds=args.steps + 1, seed=0))
    ]


def step(model: Any, batch: Any, settings: FastSettings) -> float:
    """Seconds of forward and backward."""
    started = time.perf_counter()
    learn(model, batch, choose_precision("auto", half_precision=True), settings)
    wait_for_device()
    seconds = time.perf_counter() - started
    model.zero_grad()
    return seconds


def measure_peak(way: str, arguments: list[str]) -> int:
    """Peak bytes of two steps in a process of their own, above what it held before the model."""
    command = [sys.executable, __file__, *arguments, "--peak-of", way]
    return int(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", default="bart-large", choices=list(SHAPES))
    parser.add_argument("--batch-size", type=int, default=2)
    parser.add_argument("--source-tokens", type=int, default=512)
    parser.add_argument("--target-tokens", type=int, default=128)
    parser.add_argument("--mixed", action="store_true", help="lengths up to these")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--ways", nargs="*", help="some of: " + ", ".join(list_settings()))
    parser.add_argument("--no-peaks", action="store_true", help="measure no memory")
    parser.add_argument("--peak-of", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    every = list_settings()
    settings = {name: every[name] for name in every if name in (args.ways or every.keys() - {COMPILED})}
    if args.peak_of:
        before = reset_peak_memory()
        model, batches, chosen = build(args), draw_batches(args), every[args.peak_of]
        with quicken(model, chosen):
            stepped = compile_if_asked(model, args.peak_of)
            for batch in batches[:2]:
                step(stepped, batch, chosen)
        sys.stdout.write(f"{peak_memory_bytes() - before}\n")
        return
    model, batches = build(args), draw_batches(args)
    models = {name: compile_if_asked(model, name) for name in settings}
    seconds: dict[str, list[float]] = {name: [] for name in settings}
    for number, batch in enumerate(batches):
        for name, chosen in settings.items():
            with quicken(model, chosen):
                step(models[name], batch, chosen)  # as a step comes after its like
                taken = step(models[name], batch, chosen)
            if number:
                seconds[name].append(taken)
    first, rows = next(iter(settings)), {}
    for name, taken in seconds.items():
        faster = median([one / other for one, other in zip(seconds[first], taken, strict=True)])
        peak = None if args.no_peaks else measure_peak(name, sys.argv[1:])
        rows[name] = {
            "median_step_seconds": round(median(taken), 4),
            "times_faster": round(faster, 3),
            "peak_bytes": peak,
            "step_seconds": [round(value, 4) for value in taken],
        }
        memory = f"{peak / 1e9:.2f} GB" if peak else ""
        Console().print(f"{name:20} {median(taken):8.3f} s  x {faster:.2f}  {memory}")
    if args.out:
        described = {key: value for key, value in vars(args).items() if key not in ("out", "ways", "peak_of")}
        write_json(args.out, {"rows": rows, **described, "hardware": describe_hardware(), "versions": list_versions()})


if __name__ == "__main__":
    main()
