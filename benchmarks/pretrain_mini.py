"""Pretrain pareft-mini: a BART as deep as BART-large (12 + 12 layers) and thin (d = 128), by denoising; or its T5 sibling.

    python benchmarks/pretrain_mini.py --data ../shared/data --out build/pareft-mini           # from nothing
    python benchmarks/pretrain_mini.py --data … --out build/mini-t5 --family t5                # a T5 (v1.0), as deep and thin
    python benchmarks/pretrain_mini.py --data … --out … --init ../shared/models/mini-bart      # from an earlier model
    python benchmarks/pretrain_mini.py --data … --out … --resume --steps 3000                  # go on, or end sooner

Text: synthetic radiology notes of `pareft.data.synthetic` (a seed the demo does not use), MedQuAD and the MTS-Dialog training part
(both CC BY 4.0). Task: BART's text infilling (Lewis et al. 2020, arXiv:1910.13461): 30 % of the tokens, in spans, become one <mask>
each and the whole text is the target; two batches in three mask spans of 3 tokens on average, one in three a few long spans. The
number of spans is fixed, so that no batch is padded and no attention mask is needed (a third faster on a processor). The learning
rate is constant after its warm-up and falls linearly over the last fifth of the steps, so a run can be resumed with fewer or more
steps. The T5 has the same vocabulary, batches and task: the whole text is the target, and not the spans alone.
"""

import argparse
import csv
import json
import math
import random
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    AutoModelForSeq2SeqLM,
    BartConfig,
    BartForConditionalGeneration,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

from pareft.data.sections import Pair, pair_sections
from pareft.data.synthetic import generate_radiology_notes

VOCABULARY, POSITIONS, WIDTH = 4096, 512, 128
BOS, PAD, EOS, MASK = 0, 1, 2, 4
NOTES_SEED = 20_230_508  # the demo and the recipes use other seeds
HELD_OUT_ROWS = 96


@dataclass(frozen=True)
class Shape:
    """Rows of one batch: `rows` texts of `length` tokens, of which 30 % in spans of `span` tokens on average are masked."""

    text: str
    rows: int
    length: int
    span: int

    @property
    def masked(self) -> int:
        return round(0.3 * self.length)

    @property
    def spans(self) -> int:
        return max(1, round(self.masked / self.span))


SHAPES = (
    Shape("notes", rows=32, length=128, span=3),
    Shape("general", rows=32, length=128, span=3),
    Shape("notes", rows=32, length=128, span=16),
    Shape("notes", rows=32, length=128, span=3),
    Shape("general", rows=10, length=500, span=3),
    Shape("notes", rows=32, length=128, span=16),
)


def read_notes(count: int) -> list[str]:
    """Built notes, source and impression, as one text each."""
    pairs = (pair_sections(row["text"], "radiology", "clean") for row in generate_radiology_notes(count, seed=NOTES_SEED))
    return [f"{pair.source} impression: {pair.target}" for pair in pairs if isinstance(pair, Pair)]


def read_general(data: Path) -> list[str]:
    """MedQuAD's answers with their questions; dialogue and section of MTS-Dialog's (augmented) training part, both orders of
    naming.
    """
    texts = []
    with (data / "medquad/all.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            texts.append(f"{row['source']} {row['target']}")
    csv.field_size_limit(10**9)
    for path in sorted((data / "mts-dialog").glob("*Augmented-TrainingSet*.csv")):
        with path.open(encoding="utf-8-sig", newline="") as file:
            texts += [f"{row['dialogue']} Section: {row['section_text']}" for row in csv.DictReader(file)] * 2
    return [re.sub(r"\s+", " ", text).strip() for text in texts]


def train_tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    """A byte-level BPE with BART's special tokens in BART's places."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=special, initial_alphabet=alphabet)
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", BOS), ("</s>", EOS)])
    names = {"bos": "<s>", "eos": "</s>", "pad": "<pad>", "unk": "<unk>", "mask": "<mask>", "cls": "<s>", "sep": "</s>"}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=POSITIONS, **{f"{role}_token": token for role, token in names.items()}
    )


def pack(texts: list[str], tokenizer: PreTrainedTokenizerFast, length: int) -> np.ndarray:
    """Rows of `length` tokens without padding; a row starts where a text starts, and the next text fills what is left of it."""
    rows, row = [], []
    for ids in tokenizer(texts, add_special_tokens=False)["input_ids"]:
        if row and len(row) < length:
            rows.append(([*row, EOS, *ids])[:length])
            row = []
        for start in range(0, len(ids), length):
            row = ids[start : start + length]
            if len(row) == length:
                rows.append(row)
                row = []
    return np.array([row for row in rows if len(row) == length], dtype=np.int64)


def infill(row: np.ndarray, shape: Shape, rng: np.random.Generator) -> np.ndarray:
    """Mask `shape.spans` spans of together `shape.masked` tokens, wherever they fall. Returns (length - masked + spans + 2,)."""
    cuts = np.sort(rng.choice(shape.masked - 1, shape.spans - 1, replace=False)) + 1
    lengths = np.diff(np.concatenate([[0], cuts, [shape.masked]]))
    room = shape.length - shape.masked
    gaps = np.sort(rng.integers(0, room + 1, shape.spans))
    pieces, position, taken = [np.array([BOS])], 0, 0
    for gap, span in zip(gaps, lengths, strict=True):
        pieces += [row[position : position + gap - taken], np.array([MASK])]
        position += gap - taken + span
        taken = gap
    return np.concatenate([*pieces, row[position:], np.array([EOS])])


def make_batch(rows: np.ndarray, shape: Shape, rng: np.random.Generator) -> dict[str, torch.Tensor]:
    """`input_ids` (B, S), and `labels` (B, length + 2): the whole text between <s> and </s>."""
    chosen = rows[rng.integers(0, len(rows), shape.rows)]
    source = np.stack([infill(row, shape, rng) for row in chosen])
    edge = np.ones((len(chosen), 1), dtype=np.int64)
    return {
        "input_ids": torch.from_numpy(source),
        "labels": torch.from_numpy(np.concatenate([BOS * edge, chosen, EOS * edge], axis=1)),
    }


def configure() -> BartConfig:
    return BartConfig(
        d_model=WIDTH, encoder_layers=12, decoder_layers=12, encoder_attention_heads=4, decoder_attention_heads=4,
        encoder_ffn_dim=4 * WIDTH, decoder_ffn_dim=4 * WIDTH, vocab_size=VOCABULARY, max_position_embeddings=POSITIONS,
        dropout=0.0, attention_dropout=0.0, activation_dropout=0.0, pad_token_id=PAD, bos_token_id=BOS, eos_token_id=EOS,
        decoder_start_token_id=EOS, forced_eos_token_id=EOS,
    )  # fmt: skip


def configure_t5() -> T5Config:
    return T5Config(
        d_model=WIDTH, d_kv=WIDTH // 4, d_ff=4 * WIDTH, num_layers=12, num_decoder_layers=12, num_heads=4, vocab_size=VOCABULARY,
        dropout_rate=0.0, feed_forward_proj="relu", pad_token_id=PAD, eos_token_id=EOS, decoder_start_token_id=PAD,
    )  # fmt: skip


def build(family: str) -> PreTrainedModel:
    if family == "t5":
        return T5ForConditionalGeneration(configure_t5())
    return BartForConditionalGeneration(configure())


@torch.no_grad()
def transfer_vocabulary(
    model: BartForConditionalGeneration, old: PreTrainedTokenizerFast, new: PreTrainedTokenizerFast
) -> BartForConditionalGeneration:
    """Give every token of `new` the mean embedding of the pieces `old` cuts it into (Gee et al. 2022). In place."""
    table = model.get_input_embeddings().weight
    learnt, known = table.clone(), old.get_vocab()
    for token, index in new.get_vocab().items():
        pieces = [known[token]] if token in known else [piece.id for piece in old.backend_tokenizer.model.tokenize(token)]
        table[index] = learnt[pieces].mean(0)
    return model


def learning_rate(step: int, steps: int, peak: float, warmup: int = 100) -> float:
    """Warm-up, constant, then linear to 2 % over the last fifth."""
    decay = min(1.0, (steps - step) / (0.2 * steps))
    return peak * min(1.0, (step + 1) / warmup) * max(0.02, decay)


@dataclass
class Corpus:
    """The packed rows by text and length, training and held out."""

    training: dict[tuple[str, int], np.ndarray]
    held_out: dict[tuple[str, int], np.ndarray]

    def batches(self, rng: np.random.Generator, start: int) -> Iterator[tuple[Shape, dict[str, torch.Tensor]]]:
        index = start
        while True:
            shape = SHAPES[index % len(SHAPES)]
            yield shape, make_batch(self.training[shape.text, shape.length], shape, rng)
            index += 1


def build_corpus(data: Path, out: Path, notes: int) -> Corpus:
    """Read the texts, train the tokenizer (or take the one already in `out`), pack."""
    texts = {"notes": read_notes(notes), "general": read_general(data)}
    for kind in texts.values():
        random.Random(0).shuffle(kind)
    if (out / "tokenizer.json").exists():
        tokenizer = PreTrainedTokenizerFast.from_pretrained(out)
    else:
        tokenizer = train_tokenizer([text for kind in texts.values() for text in kind])
        tokenizer.save_pretrained(out)
    packed = {(s.text, s.length): pack(texts[s.text], tokenizer, s.length) for s in SHAPES}
    for (kind, length), rows in packed.items():
        print(f"{kind} x {length}: {len(rows):,} rows, {rows.size:,} tokens, {len(texts[kind]):,} texts", flush=True)
    return Corpus(
        {key: rows[HELD_OUT_ROWS:] for key, rows in packed.items()}, {key: rows[:HELD_OUT_ROWS] for key, rows in packed.items()}
    )


@torch.no_grad()
def evaluate(model: PreTrainedModel, corpus: Corpus) -> dict[str, float]:
    """Held-out infilling loss per text, tokens per nat of it, with masks of a fixed seed."""
    model.eval()
    losses = {}
    for shape in {(s.text, s.length, s.span): s for s in SHAPES}.values():
        batch = make_batch(corpus.held_out[shape.text, shape.length], shape, np.random.default_rng(0))
        losses[f"{shape.text} x {shape.length}, spans of {shape.span}"] = round(model(**batch).loss.item(), 4)
    model.train()
    return losses


def train(model: PreTrainedModel, corpus: Corpus, args: argparse.Namespace, *, first: int) -> None:
    """Steps `first` to `args.steps`; a resumed optimiser starts afresh, with a warm-up of its own."""
    rng = np.random.default_rng(first)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.learning_rate, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
    forward = torch.compile(model) if args.compile else model
    started, average, tokens = time.time(), math.nan, 0
    for step, (shape, batch) in zip(range(first, args.steps), corpus.batches(rng, first), strict=False):
        rate = learning_rate(step, args.steps, args.learning_rate) * min(1.0, (step - first + 1) / 50)
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss = forward(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        tokens += shape.rows * shape.length
        average = loss.item() if math.isnan(average) else 0.98 * average + 0.02 * loss.item()
        if (step + 1) % 25 == 0:
            speed = tokens / (time.time() - started)
            print(f"step {step + 1} loss {average:.3f} rate {rate:.1e} {speed:,.0f} tokens/s", flush=True)
        if (step + 1) % 150 == 0:
            save(model, args.out, step + 1)


def save(model: PreTrainedModel, out: Path, step: int) -> None:
    model.save_pretrained(out / "last")
    (out / "progress.json").write_text(json.dumps({"step": step}))


def start(args: argparse.Namespace) -> tuple[PreTrainedModel, int]:
    """The model to go on with and the steps it has had."""
    if args.resume:
        model = AutoModelForSeq2SeqLM.from_pretrained(args.out / "last", dtype=torch.float32)
        return model, json.loads((args.out / "progress.json").read_text())["step"]
    if args.init:
        model = BartForConditionalGeneration.from_pretrained(args.init, dtype=torch.float32)
        old, new = (PreTrainedTokenizerFast.from_pretrained(folder) for folder in (args.init, args.out))
        return transfer_vocabulary(model, old, new), 0
    return build(args.family), 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with medquad/ and mts-dialog/")
    parser.add_argument("--out", type=Path, required=True, help="where the model and its checkpoints go")
    parser.add_argument("--init", type=Path, help="begin with this model; its embeddings are carried to the new vocabulary")
    parser.add_argument("--family", choices=("bart", "t5"), default="bart")
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--notes", type=int, default=20_000)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--compile", action="store_true", help="torch.compile: minutes of it for each of three shapes")
    parser.add_argument("--resume", action="store_true", help="go on from OUT/last")
    args = parser.parse_args()
    torch.manual_seed(0)
    args.out.mkdir(parents=True, exist_ok=True)
    corpus = build_corpus(args.data, args.out, args.notes)
    model, first = start(args)
    print("before:", evaluate(model, corpus), flush=True)
    train(model, corpus, args, first=first)
    reached = evaluate(model, corpus)
    print("reached:", reached, flush=True)
    model.to(torch.bfloat16).save_pretrained(args.out)
    (args.out / "reached.json").write_text(json.dumps({"steps": args.steps, "held_out_loss": reached}, indent=2) + "\n")


if __name__ == "__main__":
    main()
