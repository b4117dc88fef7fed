"""SummaC (Laban et al. 2022, arXiv 2111.09525): is every sentence of a summary entailed by some sentence of its source?

Our own, as the published package needs an old transformers. Any NLI model, by name or path; its labels say which output is which.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from pareft.errors import DataError
from pareft.evaluation.metrics.rouge import split_sentences
from pareft.evaluation.metrics.scorers import load_scorer
from pareft.evaluation.metrics.scores import Array, Scores, average
from pareft.recipe import SummacSettings

ENTAILMENT, CONTRADICTION = 0, 1
SHORTEST = 10  # characters; shorter sentences say nothing, as in the published code
LONGEST = 500  # tokens of a pair
CONV_SENTENCES = 10  # of a summary, as many as the published weights were trained with
PERCENTILES = (
    *(0, 0.01, 0.02, 0.03, 0.04, 0.07, 0.13, 0.37, 0.9, 0.91, 0.92, 0.93),
    *(0.94, 0.95, 0.955, 0.96, 0.965, 0.97, 0.975, 0.98, 0.985, 0.99, 0.995, 1),
)
EVEN = tuple(np.linspace(0, 1, 51))
BINS = {len(edges) - 1: edges for edges in (PERCENTILES, EVEN)}  # by the number of weights a bin has one of


@dataclass
class Nli:
    """A natural-language-inference model, and what it has said: a pair of sentences is asked once."""

    tokenizer: Any
    model: Any
    labels: tuple[int, int]  # the outputs for entailment and contradiction
    batch_size: int
    known: dict[tuple[str, str], tuple[float, float]] = field(default_factory=dict)

    @torch.inference_mode()
    def ask(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Judge (premise, hypothesis) pairs that are not known yet, longest first."""
        new = sorted({pair for pair in pairs if pair not in self.known}, key=lambda pair: (-len(pair[0]) - len(pair[1]), pair))
        for start in range(0, len(new), self.batch_size):
            batch = new[start : start + self.batch_size]
            encoded = self.tokenizer(
                [premise for premise, _ in batch],
                [hypothesis for _, hypothesis in batch],
                padding=True,
                truncation="only_first",
                max_length=min(LONGEST, self.tokenizer.model_max_length),
                return_tensors="pt",
            )
            logits = self.model(**encoded.to(self.model.device)).logits
            chances = logits.float().softmax(-1)[:, list(self.labels)].tolist()
            self.known |= {pair: (entailed, denied) for pair, (entailed, denied) in zip(batch, chances, strict=True)}

    def matrix(self, source: Sequence[str], summary: Sequence[str]) -> Array:
        """Probabilities, 2 (entailment, contradiction) x source sentences x summary sentences."""
        values = [[self.known[premise, hypothesis] for hypothesis in summary] for premise in source]
        return np.asarray(values, dtype=float).transpose(2, 0, 1)


def summac(predictions: Sequence[str], sources: Sequence[str], settings: SummacSettings, *, device: torch.device) -> Scores:
    """SummaC-ZS, between -100 and 100, and, with the published convolution's weights, SummaC-Conv in percent.

    ZS: the mean, over the summary's sentences, of the greatest entailment minus contradiction that a source sentence gives it. (The
    published code takes the maxima of both apart.) Conv: see `convolve`. A text without sentences scores 0.

    Raises:
        DataError: no NLI model, one whose labels do not say what they mean, or weights that are no SummaC-Conv's.
    """
    nli = load_nli(settings, device)
    weights = read_convolution(Path(settings.convolution)) if settings.convolution else None
    split = [
        (_sentences(source)[: settings.max_source_sentences], _sentences(summary))
        for source, summary in zip(sources, predictions, strict=True)
    ]
    nli.ask([(premise, hypothesis) for source, summary in split for premise in source for hypothesis in summary])
    examples = []
    for source, summary in split:
        matrix = nli.matrix(source, summary) if source and summary else np.zeros((2, 1, 1))
        example = {"summac_zs": 100 * zero_shot(matrix)}
        if weights:
            example["summac_conv"] = 100 * convolve(matrix, weights)
        examples.append(example)
    return average(examples, ["summac_zs", *(["summac_conv"] if weights else [])])


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
    """The NLI model of the settings.

    Raises:
        DataError: none is given, it is not there, or its labels do not name entailment and contradiction.
    """
    tokenizer, model = load_scorer("summac", settings.model, device)
    named = {str(label).lower(): number for number, label in model.config.id2label.items()}
    found = [next((number for label, number in named.items() if label.startswith(start)), None) for start in ("entail", "contra")]
    entailment, contradiction = found
    if entailment is None or contradiction is None:
        raise DataError(
            f"summac: the labels of {settings.model} are {', '.join(named)}; they must name entailment and contradiction"
        )
    return Nli(tokenizer, model, (entailment, contradiction), settings.batch_size)


def _sentences(text: str) -> list[str]:
    return [sentence for sentence in split_sentences(text) if len(sentence) > SHORTEST]
