"""BERTScore (Zhang et al. 2020): any encoder, by name or path.

Its matching is written out here: torchmetrics (1.9) pairs the texts of a batch with those of others where their lengths differ.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from pareft.errors import DataError
from pareft.evaluation.metrics.scorers import find_limit, load_scorer, open_scorer
from pareft.evaluation.metrics.scores import Scores, average
from pareft.files import digest_file
from pareft.settings import BertScoreSettings

PARTS = ("precision", "recall", "f1")
LONGEST = 512  # tokens of a text that are compared


@dataclass(frozen=True)
class Encoder:
    """An encoder's layer. The first and the last token of every text take no part: where a tokenizer sets no special token there
    (T5's, GPT-2's), one that the model does not see takes the place.
    """

    tokenizer: Any
    model: Any
    layer: int
    limit: int

    def count(self, text: str) -> int:
        """How many tokens a text has, special ones not counted."""
        return len(self.tokenizer(text.strip(), add_special_tokens=False)["input_ids"])

    def tokenize(self, texts: Sequence[str]) -> dict[str, torch.Tensor]:
        """Token ids and mask (texts x tokens); byte-level tokenizers get the blank before the first word that bert-score sets."""
        before, after = self._lacks
        rows = self.tokenizer([self._blank + text.strip() for text in texts], truncation=True, max_length=self.limit)["input_ids"]
        rows = [[self._pad] * before + row + [self._pad] * after for row in rows]
        width = max(map(len, rows))
        return {
            "input_ids": torch.tensor([row + [self._pad] * (width - len(row)) for row in rows]),
            "attention_mask": torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows]),
        }

    def embed(self, texts: Sequence[str], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """The layer's states of unit length (texts x tokens x width), and which tokens take part (texts x tokens)."""
        batch = {name: tensor.to(device) for name, tensor in self.tokenize(texts).items()}
        states, taking = self._compute(batch), batch["attention_mask"].clone()
        taking[torch.arange(len(taking)), taking.sum(-1) - 1] = 0
        taking[:, 0] = 0
        return torch.nn.functional.normalize(states.float(), dim=-1), taking.float()

    def _compute(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        (before, after), ids, mask = self._lacks, batch["input_ids"], batch["attention_mask"].clone()
        if after:
            mask[torch.arange(len(mask)), mask.sum(-1) - 1] = 0
        states = self.model(ids[:, before:], attention_mask=mask[:, before:], output_hidden_states=True).hidden_states[self.layer]
        return torch.nn.functional.pad(states, (0, 0, before, 0), value=1.0)

    @cached_property
    def _blank(self) -> str:
        return " " if self.tokenizer.tokenize("a") != self.tokenizer.tokenize(" a") else ""

    @cached_property
    def _lacks(self) -> tuple[int, int]:
        """Whether (1 or 0) a special token lacks at the start, and at the end."""
        mask = self.tokenizer("a", return_special_tokens_mask=True)["special_tokens_mask"]
        return int(not mask or not mask[0]), int(not mask or not mask[-1])

    @property
    def _pad(self) -> int:
        return int(self.tokenizer.pad_token_id or 0)


def bertscore(
    predictions: Sequence[str], references: Sequence[str], settings: BertScoreSettings, *, device: torch.device
) -> Scores:
    """Precision, recall and F1 of greedy matching of contextual embeddings, in percent.

    The encoder and layer are the settings'; `baseline`, a file in bert-score's format (a line `LAYER,P,R,F` for each layer),
    rescales to (score - b) / (1 - b). A text without tokens scores 0.

    Raises:
        DataError: the encoder is not there, or has no such layer; no baseline of the layer.
    """
    tokenizer, whole = load_scorer("bertscore", settings.model, device)
    model = whole.get_encoder() if whole.config.is_encoder_decoder else whole
    layer, base = choose_layer(whole.config, settings)
    encoder = Encoder(tokenizer, model, layer, find_limit(tokenizer, model, LONGEST))
    examples = [dict.fromkeys((f"bertscore_{part}" for part in PARTS), 0.0) for _ in predictions]
    texts = list(zip(predictions, references, strict=True))
    written = sorted((i for i, pair in enumerate(texts) if all(map(encoder.count, pair))), key=lambda i: len(texts[i][0]))
    for start in range(0, len(written), settings.batch_size):  # all at once, it would hold the embeddings of all texts
        chosen = written[start : start + settings.batch_size]
        with torch.inference_mode():
            sides = [encoder.embed([texts[i][side] for i in chosen], device) for side in (0, 1)]
            found = match_greedily(*sides[0], *sides[1])
        for part, values, offset in zip(PARTS, found, base, strict=True):
            for i, value in zip(chosen, values.tolist(), strict=True):
                examples[i][f"bertscore_{part}"] = 100 * (value - offset) / (1 - offset)
    return average(examples, [f"bertscore_{part}" for part in PARTS])


def match_greedily(
    one: torch.Tensor, in_one: torch.Tensor, other: torch.Tensor, in_other: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Precision, recall and F1 of pairs of texts (Zhang et al. 2020, section 3): every token of one goes with the most similar of
    the other, and what takes no part is as unlike as can be.

    Args:
        one: states of unit length, (B, T, D).
        in_one: 1 for tokens that take part, else 0: (B, T).
        other: those of the texts they are compared with, (B, S, D).
        in_other: as `in_one`, (B, S).
    """
    similar = torch.bmm(one, other.transpose(1, 2)) * in_one[:, :, None] * in_other[:, None, :]
    precision = similar.amax(2).sum(1) / in_one.sum(1)
    recall = similar.amax(1).sum(1) / in_other.sum(1)
    return precision, recall, (2 * precision * recall / (precision + recall)).nan_to_num(0.0)


def describe_bertscore(settings: BertScoreSettings) -> dict[str, Any]:
    """What BERTScore depends on besides the texts: encoder, layer and baseline. No weights are loaded.

    Raises:
        DataError: what `bertscore` raises before it computes.
    """
    base, _, weights = open_scorer("bertscore", settings.model)
    layer, _ = choose_layer(base.config, settings)
    baseline = digest_file(Path(settings.baseline)) if settings.baseline else None
    return {"model": base.name, "weights": weights, "layer": layer, "baseline": baseline, "pairs": "matched"}


def choose_layer(config: Any, settings: BertScoreSettings) -> tuple[int, tuple[float, float, float]]:
    """The layer whose states are compared, by default the last, and the baseline of precision, recall and F1 there.

    Raises:
        DataError: no such layer, or no baseline of it.
    """
    depth = int(getattr(config, "encoder_layers", None) or config.num_hidden_layers)
    if settings.layer is not None and settings.layer > depth:
        raise DataError(f"evaluate.bertscore.layer is {settings.layer}; {settings.model} has {depth}, and 0 for its embeddings")
    layer = depth if settings.layer is None else settings.layer
    return layer, _read_baseline(Path(settings.baseline), layer) if settings.baseline else (0.0, 0.0, 0.0)


def _read_baseline(path: Path, layer: int) -> tuple[float, float, float]:
    place = "evaluate.bertscore.baseline"
    try:
        rows = [line.split(",") for line in path.read_text(encoding="utf-8").splitlines()[1:]]
        found = {int(row[0]): (float(row[1]), float(row[2]), float(row[3])) for row in rows if len(row) >= 4}
    except (OSError, ValueError, UnicodeDecodeError) as error:
        raise DataError(f"{place}: cannot read {path}: {error}") from error
    if layer not in found:
        raise DataError(f"{place}: {path} has no layer {layer}; it has {', '.join(map(str, found)) or 'none'}")
    if not all(math.isfinite(value) and value < 1 for value in found[layer]):
        raise DataError(f"{place}: {path} has {found[layer]} for layer {layer}; a baseline is below 1")
    return found[layer]
