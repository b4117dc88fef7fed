"""Architectures as data. To support another family, add its row to the file of its kind: `encoder_decoder.py`, `encoder_only.py` or
`decoder_only.py`. `docs/families.md` says what a row holds.
"""

from collections.abc import Mapping
from dataclasses import replace

from transformers import PreTrainedConfig

from pareft.errors import ModelError, PlanError
from pareft.models.families import decoder_only, encoder_decoder, encoder_only
from pareft.models.families.schema import Family as Family

FAMILIES = {family.model_type: family for family in (*encoder_decoder.ROWS, *encoder_only.ROWS, *decoder_only.ROWS)}
COMPOSITES = {  # an encoder's row and a decoder's, joined; the Auto class that builds them
    "vision-encoder-decoder": "AutoModelForImageTextToText",
    "encoder-decoder": "AutoModelForSeq2SeqLM",
}
REFUSED = {
    "albert": "all its layers share one set of weights, so dropping one saves nothing",
    "swin": "its layers lie in stages of different widths",
    "funnel": "its blocks shorten the sequence, so none can be left out alone",
}
FOLDER = "src/pareft/models/families/"


def find_family(config: PreTrainedConfig) -> Family:
    """The family of a config; of a composite, its encoder's and its decoder's joined.

    Raises:
        ModelError: the family has no row, cannot lose layers, or this base of it cannot.
    """
    if config.model_type in COMPOSITES:
        return _join(config.model_type, find_family(config.encoder), find_family(config.decoder))
    if config.model_type in REFUSED:
        raise ModelError(f"a base of family {config.model_type!r} cannot be pruned: {REFUSED[config.model_type]}")
    if config.model_type not in FAMILIES:
        raise ModelError(
            f"no family {config.model_type!r}: pareft knows {', '.join(sorted((*FAMILIES, *COMPOSITES)))}. "
            f"Add its row to {FOLDER} (docs/families.md says how)."
        )
    family = FAMILIES[config.model_type]
    for field, value in family.fixed:
        if getattr(config, field, value) != value:
            raise ModelError(
                f"this {family.model_type} cannot lose layers: its {field} is {getattr(config, field)!r}, so what a layer computes "
                "depends on its number"
            )
    return family


def _join(model_type: str, encoder: Family, decoder: Family) -> Family:
    """One family of two: depth alone, as their widths are not one stock config's."""
    parts = {"encoder": encoder, "decoder": decoder}
    stacks = [(name, part.stacks) for name, part in parts.items()]
    if many := [name for name, found in stacks if len(found) != 1]:
        raise ModelError(f"the {many[0]} of this {model_type} is a {parts[many[0]].model_type}, which has several stacks itself")
    return Family(
        model_type,
        "encoder-decoder",
        stacks=tuple(replace(found[0], name=name, part=name, width=None) for name, found in stacks),
        query_value=_unique(encoder.query_value + decoder.query_value),
        attention=_unique(encoder.attention + decoder.attention),
        feed_forward=_unique(encoder.feed_forward + decoder.feed_forward),
        outputs=_unique(encoder.targets("outputs") + decoder.targets("outputs")),
        head=COMPOSITES[model_type],
        half_precision=encoder.half_precision and decoder.half_precision,
    )


def _unique(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def check_kept(family: Family, layers: Mapping[str, tuple[int, ...]]) -> None:
    """Raise `PlanError` if stock transformers could not build or run stacks of these layers."""
    for stack in family.stacks:
        if stack.first_stays and 0 not in layers[stack.name]:
            raise PlanError(f"{stack.name} layer 0 of a {family.model_type} must stay: {stack.first_stays}")
    if family.cache_by_encoder and len(layers["decoder"]) > len(layers["encoder"]):
        raise PlanError(
            f"a {family.model_type} with {len(layers['encoder'])} encoder and {len(layers['decoder'])} decoder layers cannot "
            "generate: transformers sizes the decoder's cache by the encoder. Keep at least as many encoder layers as decoder "
            "layers."
        )
