"""How fast predictions are written and scored, beside what one does with stock transformers; and what memory it takes.

    python benchmarks/measure_evaluation.py [--bart-large] [--memory 1000 10000] [--out evaluation.json]

Sources are synthetic radiology findings, joined so that lengths are mixed: half of them one, a quarter three, a quarter seven.
`Seq2SeqTrainer.predict` and pareft write for the same sources with the same beams, lengths and batch size, in turn, several
rounds; the ratio is of the medians. The model has a LoRA of rank 16 on its feed-forward layers. pareft's time is that of a user:
the adapter is merged first, and every prediction goes to the disk. The trainer is timed with the adapter as it is, and with it
merged before the clock starts. Texts are compared, too.
"""

import argparse
import copy
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import PeftModel
from rich.console import Console
from rouge_score.rouge_scorer import RougeScorer
from transformers import (
    AutoTokenizer,
    BartConfig,
    BartForConditionalGeneration,
    DataCollatorForSeq2Seq,
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
)

import pareft
from pareft.data.synthetic import generate_radiology_notes
from pareft.evaluation.metrics.rouge import ROUGE_TYPES, rouge
from pareft.evaluation.predictions import Predictions, make_key, predict
from pareft.models.checkpoint import load_tokenizer, open_base
from pareft.runtime import Processes
from pareft.sentences import join_sentences
from pareft.settings import EvaluateSettings
from pareft.tuning.adapters import merge

ROUGE_ROUNDS = 2


def make_sources(count: int) -> list[str]:
    """Texts of mixed lengths."""
    notes = [
        note["text"].split("FINDINGS:")[-1].split("IMPRESSION:")[0].strip() for note in generate_radiology_notes(count, seed=1)
    ]
    generator = random.Random(1)
    return [" ".join(generator.choices(notes, k=(1, 1, 3, 7)[index % 4])) for index in range(count)]


def make_model(large: bool, folder: Path) -> tuple[PeftModel, AutoTokenizer]:
    tokenizer = load_tokenizer(open_base("pareft-mini"))
    base: str | Path = "pareft-mini"
    if large:
        torch.manual_seed(0)
        config = BartConfig(vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.eos_token_id)
        base = folder / "base"
        BartForConditionalGeneration(config).save_pretrained(base)
    model = pareft.attach(pareft.load(base, pareft.plan(base), dtype=torch.float32), pareft.LoraSettings())
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.01)
    return model.eval(), tokenizer


def predict_stock(model: Any, tokenizer: Any, sources: list[str], settings: EvaluateSettings, folder: str) -> list[str]:
    rows = [tokenizer(text, truncation=True, max_length=1024) for text in sources]
    encoded = Dataset.from_list([dict(row) | {"labels": row["input_ids"][:24]} for row in rows])  # it wants references
    arguments = Seq2SeqTrainingArguments(
        output_dir=str(folder), per_device_eval_batch_size=settings.batch_size, predict_with_generate=True, report_to="none",
        generation_num_beams=settings.num_beams, generation_max_length=settings.max_new_tokens + 1, disable_tqdm=True,
        use_cpu=not torch.cuda.is_available(),
    )  # fmt: skip
    trainer = Seq2SeqTrainer(model, arguments, data_collator=DataCollatorForSeq2Seq(tokenizer, model), processing_class=tokenizer)
    ids = trainer.predict(encoded, no_repeat_ngram_size=settings.no_repeat_ngram_size, min_length=0).predictions
    ids[ids < 0] = tokenizer.pad_token_id
    return [text.strip() for text in tokenizer.batch_decode(ids, skip_special_tokens=True)]


def predict_pareft(model: Any, tokenizer: Any, sources: list[str], settings: EvaluateSettings, folder: str) -> list[str]:
    """As `pareft evaluate`: merged, and onto the disk."""
    merged = merge(model).eval()
    target = Path(folder) / f"{time.monotonic_ns()}.jsonl"
    with Predictions(target, make_key(merged, tokenizer, settings, sources), Processes()) as written:
        numbered = enumerate(sources)
        predict(merged, tokenizer, numbered, written, settings, max_source_tokens=1024, on_progress=lambda _: None)
        texts = [row["prediction"] for row in written.rows(len(sources))]
        written.remove()
    return texts


def measure_speed(large: bool, args: argparse.Namespace) -> dict:
    settings = EvaluateSettings(num_beams=args.beams, max_new_tokens=args.new_tokens, batch_size=16)
    wide = settings.model_copy(update={"batch_size": 64})
    seconds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as place:
        model, tokenizer = make_model(large, Path(place))
        sources = make_sources(args.examples)
        merged = merge(copy.deepcopy(model)).eval()
        routes = {
            "Seq2SeqTrainer.predict": lambda _: predict_stock(model, tokenizer, sources, settings, place),
            "Seq2SeqTrainer.predict, merged": lambda _: predict_stock(merged, tokenizer, sources, settings, place),
            "pareft, batches of 16": lambda own: predict_pareft(own, tokenizer, sources, settings, place),
            "pareft, batches of at most 64": lambda own: predict_pareft(own, tokenizer, sources, wide, place),
        }
        texts = {}
        for _ in range(args.rounds):
            for name, route in routes.items():
                own = copy.deepcopy(model) if name.startswith("pareft") else None  # merging changes it
                started = time.perf_counter()
                texts[name] = route(own)
                seconds.setdefault(name, []).append(time.perf_counter() - started)
    stock = statistics.median(seconds["Seq2SeqTrainer.predict"])
    same = {name: sum(a == b for a, b in zip(texts["Seq2SeqTrainer.predict"], found, strict=True)) for name, found in texts.items()}
    return {
        name: {
            "examples_per_second": args.examples / statistics.median(taken),
            "times": stock / statistics.median(taken),
            "same_texts": same[name],
        }
        for name, taken in seconds.items()
    }


def measure_rouge(pairs: int, words: int) -> dict:
    generator = random.Random(2)
    whole = " ".join(make_sources(400)).split()
    starts = [generator.randrange(len(whole) - words) for _ in range(pairs + 1)]
    texts = [" ".join(whole[start : start + generator.randint(words // 2, words)]) for start in starts]
    ours, plain = [], []
    for _ in range(ROUGE_ROUNDS):
        started = time.perf_counter()
        found = rouge(texts[1:], texts[:-1])
        ours.append(time.perf_counter() - started)
        started = time.perf_counter()
        scorer = RougeScorer(list(ROUGE_TYPES), use_stemmer=True)
        for prediction, reference, example in zip(texts[1:], texts[:-1], found.examples, strict=True):
            scored = scorer.score(join_sentences(reference), join_sentences(prediction))
            assert {name: 100 * scored[name].fmeasure for name in ROUGE_TYPES} == example
        plain.append(time.perf_counter() - started)
    return {
        "seconds": statistics.median(ours),
        "plain_seconds": statistics.median(plain),
        "times": statistics.median(plain) / statistics.median(ours),
    }


MEMORY = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from measure_evaluation import make_sources
from pareft.inference import generate
from pareft.runtime import peak_memory_bytes, reset_peak_memory
folder = Path(sys.argv[1])
rows = make_sources(1000)
with (folder / "in.jsonl").open("w") as file:
    for index in range(int(sys.argv[2])):
        file.write(json.dumps({"id": str(index), "source": rows[index % 1000]}) + "\\n")
before = reset_peak_memory()
generate("pareft-mini", str(folder / "in.jsonl"), folder / "out.jsonl", {"evaluate.num_beams": 1, "evaluate.max_new_tokens": 4})
print(json.dumps({"peak": peak_memory_bytes() - before}))
"""


def measure_memory(counts: list[int]) -> dict:
    peaks = {}
    for count in counts:
        with tempfile.TemporaryDirectory() as place:
            command = [sys.executable, "-c", MEMORY, place, str(count), str(Path(__file__).parent)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            peaks[count] = json.loads(done.stdout.strip().splitlines()[-1])["peak"]
    return peaks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=192)
    parser.add_argument("--beams", type=int, default=1)
    parser.add_argument("--new-tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rouge-pairs", type=int, default=10_000)
    parser.add_argument("--rouge-words", type=int, nargs="*", default=[60, 120], help="so long texts at most")
    parser.add_argument("--bart-large", action="store_true", help="BART-large's shape with random weights, too")
    parser.add_argument("--memory", type=int, nargs="*", default=[], metavar="EXAMPLES", help="peak memory at so many examples")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    console = Console()
    result: dict = {}
    for words in args.rouge_words:
        result[f"rouge of {words} words"] = measure_rouge(args.rouge_pairs, words)
        console.print(f"ROUGE of {args.rouge_pairs:,} pairs of {words // 2} to {words} words:", result[f"rouge of {words} words"])
    for large in (False, True) if args.bart_large else (False,):
        name = "BART-large's shape" if large else "pareft-mini"
        result[name] = measure_speed(large, args)
        console.print(name, result[name])
    if args.memory:
        result["memory"] = measure_memory(args.memory)
        console.print("peak bytes above the imports, by examples:", result["memory"])
    if args.out:
        args.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
