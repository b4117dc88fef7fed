"""SummaC (Laban et al. 2022, arXiv 2111.09525): is every sentence of a summary entailed by some sentence of its source?

Our own, as the published package needs an old transformers. Any NLI model, by name or path; its labels say which output is which.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from pareft.errors import DataError
from pareft.evaluation.metrics.scorers import find_limit, load_scorer, open_scorer
from pareft.evaluation.metrics.scores import Array, Scores, average
from pareft.files import digest_file
from pareft.sentences import split_sentences
from pareft.settings import SummacSettings

ENTAILMENT, CONTRADICTION = 0, 1
SHORTEST = 10  # characters; shorter sentences say nothing, as in the published code
LONGEST = 500  # tokens of a pair
CONV_SENTENCES = 10  # of a summary, as many as the published weights were trained with
WINDOW = 64  # examples whose pairs are asked together
KEPT_PAIRS = 200_000  # what a model has said of so many pairs is kept: some 50 MB
LABELS = {"entailment": ("entail", "support"), "contradiction": ("contra", "refut")}  # how NLI models call them
PERCENTILES = (
    *(0, 0.01, 0.02, 0.03, 0.04, 0.07, 0.13, 0.37, 0.9, 0.91, 0.92, 0.93),
    *(0.94, 0.95, 0.955, 0.96, 0.965, 0.97, 0.975, 0.98, 0.985, 0.99, 0.995, 1),
)
EVEN = tuple(np.linspace(0, 1, 51))
BINS = {len(edges) - 1: edges for edges in (PERCENTILES, EVEN)}  # by the number of weights a bin has one of


@dataclass
class Nli:
    """A natural-language-inference model, and what it has said of the latest pairs of sentences, by their hash."""

    tokenizer: Any
    model: Any
    labels: tuple[int, int]  # the outputs for entailment and contradiction
    limit: int  # tokens of a pair
    batch_size: int
    known: dict[bytes, tuple[float, float]] = field(default_factory=dict)

    @torch.inference_mode()
    def ask(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Judge (premise, hypothesis) pairs that are not known yet, longest first."""
        new = sorted({pair for pair in pairs if _hash(*pair) not in self.known}, key=lambda pair: (-sum(map(len, pair)), pair))
        for start in range(0, len(new), self.batch_size):
            batch = new[start : start + self.batch_size]
            encoded = self.tokenizer(
                [premise for premise, _ in batch],
                [hypothesis for _, hypothesis in batch],
                padding=True,
                truncation=True,
                max_length=self.limit,
                return_tensors="pt",
            )
            logits = self.model(**encoded.to(self.model.device)).logits
            chances = logits.float().softmax(-1)[:, list(self.labels)].tolist()
            self.known |= {_hash(*pair): (entailed, denied) for pair, (entailed, denied) in zip(batch, chances, strict=True)}

    def forget(self) -> None:
        """Keep no more than the latest pairs."""
        for key in list(self.known)[: max(0, len(self.known) - KEPT_PAIRS)]:
            del self.known[key]

    def matrix(self, source: Sequence[str], summary: Sequence[str]) -> Array:
        """Probabilities, 2 (entailment, contradiction) x source sentences x summary sentences."""
        values = [[self.known[_hash(premise, hypothesis)] for hypothesis in summary] for premise in source]
        return np.asarray(values, dtype=float).transpose(2, 0, 1)


def summac(predictions: Sequence[str], sources: Sequence[str], settings: SummacSettings, *, device: torch.device) -> Scores:
    """SummaC-ZS, between -100 and 100, and, with the published convolution's weights, SummaC-Conv in percent.

    ZS: the mean, over the summary's sentences, of the greatest entailment minus contradiction that a source sentence gives it. (The
    published code takes the maxima of both apart.) Conv: see `convolve`. A text whose sentences all have fewer than 11 characters
    has none, as in the published code: ZS is 0 then, and Conv what the weights say of a pair that is not entailed.

    Raises:
        DataError: no NLI model, one whose labels do not say what they mean, or weights that are no SummaC-Conv's.
    """
    nli = load_nli(settings, device)
    weights = read_convolution(Path(settings.convolution)) if settings.convolution else None
    examples = []
    for matrix in _ask_all(nli, sources, predictions, settings.max_source_sentences):
        example = {"summac_zs": 100 * zero_shot(matrix)}
        if weights:
            example["summac_conv"] = 100 * convolve(matrix, weights)
        examples.append(example)
    return average(examples, ["summac_zs", *(["summac_conv"] if weights else [])])


def _ask_all(nli: Nli, sources: Sequence[str], summaries: Sequence[str], longest: int) -> Iterator[Array]:
    """The matrix of every example, window by window, so that no more pairs are held in memory."""
    texts = list(zip(sources, summaries, strict=True))
    for start in range(0, len(texts), WINDOW):
        split = [(_sentences(source)[:longest], _sentences(summary)) for source, summary in texts[start : start + WINDOW]]
        nli.ask([(premise, hypothesis) for source, summary in split for premise in source for hypothesis in summary])
        yield from (nli.matrix(source, summary) if source and summary else np.zeros((2, 1, 1)) for source, summary in split)
        nli.forget()


def zero_shot(matrix: Array) -> float:
    """SummaC-ZS of a matrix (2 x source x summary)."""
    return float((matrix[ENTAILMENT] - matrix[CONTRADICTION]).max(axis=0).mean())


def convolve(matrix: Array, weights: Mapping[str, Array]) -> float:
    """SummaC-Conv of a matrix (2 x source x summary): the histogram of every summary sentence's entailments, over the source, is
    weighted to a number; the mean of these numbers, three times, goes through a last layer of two classes, and the second one's
    probability is the score.
    """
    edges = BINS[weights["mlp.weight"].shape[1]]
    histograms = np.asarray([np.histogram(column, bins=edges)[0] for column in matrix[ENTAILMENT].T[:CONV_SENTENCES]])
    outputs = histograms @ weights["mlp.weight"][0] + weights["mlp.bias"][0]
    logits = weights["layer_final.weight"] @ np.full(3, outputs.mean()) + weights["layer_final.bias"]
    return float(1 / (1 + np.exp(logits[0] - logits[1])))


def read_convolution(path: Path) -> dict[str, Array]:
    """SummaC-Conv's published weights: safetensors, or a pickle of tensors alone.

    Raises:
        DataError: no such file, or something else in it.
    """
    try:
        pickled = path.suffix != ".safetensors"
        tensors = torch.load(path, map_location="cpu", weights_only=True) if pickled else load_file(path)
        weights = {name: np.asarray(tensor.double()) for name, tensor in tensors.items()}
        shapes = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    except Exception as error:  # torch and pickle raise a dozen kinds
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DataError(f"evaluate.summac.convolution: cannot read weights from {path}: {reason}") from error
    bins = shapes.get("mlp.weight", (0, 0))[-1]
    wanted = {"mlp.weight": (1, bins), "mlp.bias": (1,), "layer_final.weight": (2, 3), "layer_final.bias": (2,)}
    if bins not in BINS or shapes != wanted:
        raise DataError(
            f"evaluate.summac.convolution: {path} holds no SummaC-Conv of {' or '.join(map(str, BINS))} bins ({shapes})"
        )
    return weights


def load_nli(settings: SummacSettings, device: torch.device) -> Nli:
    """The NLI model of the settings; asked for again, it is the same one and remembers.

    Raises:
        DataError: none is given, it is not there, or its labels do not say which output is which.
    """
    return _load_nli(settings.model, settings.labels, settings.batch_size, device)


@lru_cache(maxsize=1)
def _load_nli(name: str | None, labels: tuple[int, int] | None, batch_size: int, device: torch.device) -> Nli:
    tokenizer, model = load_scorer("summac", name, device)
    return Nli(tokenizer, model, find_labels(model.config, labels), find_limit(tokenizer, model, LONGEST), batch_size)


def find_labels(config: Any, given: tuple[int, int] | None) -> tuple[int, int]:
    """The outputs for entailment and contradiction: those given, else what the model's labels are called.

    Raises:
        DataError: the labels do not say it, or there is no such output.
    """
    names = {int(number): str(label).lower() for number, label in config.id2label.items()}
    found = given or tuple(
        next((number for number, label in names.items() if label.startswith(starts)), -1) for starts in LABELS.values()
    )
    if not set(found) <= set(names) or len(set(found)) < 2:
        raise DataError(
            f"summac: the model's labels are {', '.join(f'{number} {label}' for number, label in names.items())}; which are "
            "entailment and contradiction? Give evaluate.summac.labels, such as [2, 0]"
        )
    return found[0], found[1]


def describe_summac(settings: SummacSettings) -> dict[str, Any]:
    """What SummaC depends on besides the texts: NLI model, labels, convolution. No weights are loaded.

    Raises:
        DataError: what `summac` raises before it computes.
    """
    base, _, weights = open_scorer("summac", settings.model)
    convolution = None
    if settings.convolution:
        read_convolution(Path(settings.convolution))
        convolution = digest_file(Path(settings.convolution))
    return {
        "model": base.name,
        "weights": weights,
        "labels": list(find_labels(base.config, settings.labels)),
        "convolution": convolution,
        "max_source_sentences": settings.max_source_sentences,
    }


def _hash(premise: str, hypothesis: str) -> bytes:
    return hashlib.blake2b(f"{premise}\0{hypothesis}".encode(), digest_size=16).digest()


def _sentences(text: str) -> list[str]:
    return [sentence for sentence in split_sentences(text) if len(sentence) > SHORTEST]
