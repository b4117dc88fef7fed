"""How fast texts are written: stock `generate` beside pareft's switches and bf16, interleaved.

    python benchmarks/measure_generation.py [--bart-large] [--beams 6] [--batch 8] [--new-tokens 64] [--out generation.json]

pareft-mini writes for synthetic findings of mixed lengths, in fp32 with the same settings, on every way in turn, several rounds;
ratios are of medians, of the wall's time and of the processor's, which other work on the machine disturbs less. Texts are compared
with those of the plain way, and in bf16 also by ROUGE between both. `--bart-large` is BART-large's shape with random weights,
which writes as many tokens as it may; its sources have `--source-tokens`, some of them padding. `static` is the plain way with
transformers' static cache, which has room for the longest text from the start.
"""

import argparse
import copy
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from measure_evaluation import make_sources
from rich.console import Console
from transformers import BartConfig, BartForConditionalGeneration

import pareft
from pareft.evaluation.generation import Batch, make_batches, write_batch
from pareft.evaluation.metrics.rouge import rouge
from pareft.files import write_json
from pareft.models.checkpoint import load_tokenizer, open_base
from pareft.runtime import describe_hardware, list_versions
from pareft.settings import EvaluateSettings

STATIC = "static"
PLAIN = {"beams": False, "repeats": False}
TEXTUAL = ("same_texts", "rouge1_with_plain")
WAYS: dict[str, tuple[dict[str, bool], torch.dtype]] = {
    "plain": (PLAIN, torch.float32),
    "beams": (PLAIN | {"beams": True}, torch.float32),
    "repeats": (PLAIN | {"repeats": True}, torch.float32),
    STATIC: (PLAIN, torch.float32),
    "both": ({}, torch.float32),
    "bf16": (PLAIN, torch.bfloat16),
    "both, bf16": ({}, torch.bfloat16),
}


@dataclass(frozen=True)
class Written:
    """What a way has written, and the time it took."""

    texts: list[str]
    wall_seconds: float
    processor_seconds: float


def make_large(tokens: int, batch: int) -> tuple[Any, list[Batch]]:
    """BART-large's shape and one batch: half of its rows are full, half an eighth shorter."""
    torch.manual_seed(0)
    model = BartForConditionalGeneration(BartConfig(vocab_size=50_265, forced_eos_token_id=None))
    model.generation_config.eos_token_id = None  # random weights end a text anywhere
    lengths = [tokens if row % 2 == 0 else tokens - tokens // 8 for row in range(batch)]
    rows = tuple(torch.randint(4, 4_000, (length,)).tolist() for length in lengths)
    return model.eval(), [Batch(tuple(range(batch)), tuple(range(batch)), rows)]


def write(model: Any, tokenizer: Any, batches: list[Batch], settings: EvaluateSettings) -> Written:
    started, used = time.perf_counter(), time.process_time()
    texts = [text for batch in batches for text in write_batch(model, tokenizer, batch, settings)]
    return Written(texts, time.perf_counter() - started, time.process_time() - used)


def summarise(rounds: Mapping[str, list[Written]], tokens: Callable[[list[str]], int]) -> dict[str, dict[str, Any]]:
    """Medians of a way's rounds, and how they stand to the plain way's."""

    def middle(way: str, field: str) -> float:
        return statistics.median(getattr(found, field) for found in rounds[way])

    plain = rounds["plain"][0].texts
    return {
        way: {
            "seconds": round(middle(way, "wall_seconds"), 3),
            "tokens_per_second": round(tokens(found[0].texts) / middle(way, "wall_seconds"), 1),
            "times": round(middle("plain", "wall_seconds") / middle(way, "wall_seconds"), 2),
            "times_by_processor": round(middle("plain", "processor_seconds") / middle(way, "processor_seconds"), 2),
            "same_texts": sum(a == b for a, b in zip(plain, found[0].texts, strict=True)),
            "rouge1_with_plain": round(rouge(found[0].texts, plain).corpus["rouge1"], 2),
        }
        for way, found in rounds.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bart-large", action="store_true", help="BART-large's shape with random weights instead")
    parser.add_argument("--ways", nargs="*", choices=tuple(WAYS), default=list(WAYS), help="plain always is one")
    parser.add_argument("--beams", type=int, default=6)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--examples", type=int, default=32, help="of pareft-mini; of BART-large's shape one batch is written for")
    parser.add_argument("--source-tokens", type=int, default=512)
    parser.add_argument("--new-tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    settings = EvaluateSettings(num_beams=args.beams, max_new_tokens=args.new_tokens, batch_size=args.batch)
    tokenizer = load_tokenizer(open_base("pareft-mini"))
    if args.bart_large:
        model, batches = make_large(args.source_tokens, args.batch)
    else:
        model = pareft.load("pareft-mini", dtype=torch.float32).eval()
        numbered = enumerate(make_sources(args.examples))
        batches = list(make_batches(numbered, tokenizer, settings, max_source_tokens=args.source_tokens))
    models = {torch.float32: model}
    rounds: dict[str, list[Written]] = {}
    for number in range(args.rounds + 1):  # the first is not counted: a short one, as memory is not there yet
        for way in ("plain", *(way for way in args.ways if way != "plain")):
            fast, dtype = WAYS[way]
            if dtype not in models:
                models[dtype] = copy.deepcopy(model).to(dtype)
            how = settings.model_validate(settings.model_dump() | {"fast": fast})
            models[dtype].generation_config.cache_implementation = STATIC if way == STATIC else None
            if number:
                rounds.setdefault(way, []).append(write(models[dtype], tokenizer, batches, how))
            else:
                write(models[dtype], tokenizer, batches[:1], how.model_copy(update={"max_new_tokens": 2}))
    sources = sum(len(batch.ids) for batch in batches)
    fixed = sources * args.new_tokens if args.bart_large else None
    found = summarise(rounds, lambda texts: fixed or sum(len(tokenizer(text)["input_ids"]) for text in texts))
    if args.bart_large:  # random weights write no texts
        found = {way: {name: value for name, value in row.items() if name not in TEXTUAL} for way, row in found.items()}
    for way, values in found.items():
        Console().print(way, values)
    if args.out:
        asked = {key: value for key, value in vars(args).items() if key != "out"}
        write_json(args.out, {"asked": asked, "ways": found, "versions": list_versions(), "hardware": describe_hardware()})


if __name__ == "__main__":
    main()
