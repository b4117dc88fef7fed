"""BERTScore (Zhang et al. 2020) by torchmetrics: any encoder, by name or path."""

from collections.abc import Sequence
from pathlib import Path

import torch

from pareft.errors import DataError
from pareft.evaluation.metrics.scorers import load_scorer
from pareft.evaluation.metrics.scores import Scores, average
from pareft.extras import explain_missing
from pareft.recipe import BertScoreSettings

PARTS = ("precision", "recall", "f1")
LONGEST = 512  # tokens of a text that are compared


def bertscore(
    predictions: Sequence[str], references: Sequence[str], settings: BertScoreSettings, *, device: torch.device
) -> Scores:
    """Precision, recall and F1 of greedy matching of contextual embeddings, in percent.

    The encoder and layer are the settings'; `baseline`, a file in bert-score's format (a line `LAYER,P,R,F` for each layer),
    rescales to (score - b) / (1 - b). An empty text scores 0.

    Raises:
        DataError: torchmetrics is not installed, the encoder is not there, or has no such layer; no baseline of the layer.
    """
    with explain_missing("torchmetrics", extra="bertscore", error=DataError):
        from torchmetrics.functional.text.bert import bert_score
    tokenizer, whole = load_scorer("bertscore", settings.model, device)
    encoder = whole.get_encoder() if whole.config.is_encoder_decoder else whole
    layer, base = choose_layer(encoder.config.num_hidden_layers, settings)
    examples = [dict.fromkeys((f"bertscore_{part}" for part in PARTS), 0.0) for _ in predictions]
    texts = list(zip(predictions, references, strict=True))
    written = sorted((i for i, pair in enumerate(texts) if all(text.strip() for text in pair)), key=lambda i: len(texts[i][0]))
    for start in range(0, len(written), settings.batch_size):  # all at once, it would hold the embeddings of all texts
        chosen = written[start : start + settings.batch_size]
        found = bert_score(
            [texts[i][0] for i in chosen],
            [texts[i][1] for i in chosen],
            model=encoder,
            user_tokenizer=tokenizer,
            num_layers=layer,
            max_length=min(LONGEST, tokenizer.model_max_length),
            batch_size=settings.batch_size,
            device=device,
            truncation=True,
        )
        for part, offset in zip(PARTS, base, strict=True):
            for i, value in zip(chosen, torch.as_tensor(found[part]).reshape(-1).tolist(), strict=True):
                examples[i][f"bertscore_{part}"] = 100 * (value - offset) / (1 - offset)
    return average(examples, [f"bertscore_{part}" for part in PARTS])


def choose_layer(depth: int, settings: BertScoreSettings) -> tuple[int, tuple[float, float, float]]:
    """The layer whose states are compared, by default the last, and the baseline of precision, recall and F1 there.

    Raises:
        DataError: no such layer, or no baseline of it.
    """
    if settings.layer is not None and settings.layer > depth:
        raise DataError(f"evaluate.bertscore.layer is {settings.layer}; {settings.model} has {depth}, and 0 for its embeddings")
    layer = depth if settings.layer is None else settings.layer
    return layer, _read_baseline(Path(settings.baseline), layer) if settings.baseline else (0.0, 0.0, 0.0)


def _read_baseline(path: Path, layer: int) -> tuple[float, float, float]:
    try:
        rows = [line.split(",") for line in path.read_text(encoding="utf-8").splitlines()[1:]]
        found = {int(row[0]): (float(row[1]), float(row[2]), float(row[3])) for row in rows if len(row) >= 4}
    except (OSError, ValueError, UnicodeDecodeError) as error:
        raise DataError(f"evaluate.bertscore.baseline: cannot read {path}: {error}") from error
    if layer not in found:
        raise DataError(f"evaluate.bertscore.baseline: {path} has no layer {layer}; it has {', '.join(map(str, found)) or 'none'}")
    return found[layer]
