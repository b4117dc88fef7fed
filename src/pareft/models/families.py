"""Architectures as data. To support another encoder-decoder family, add its row to `FAMILIES`."""

from collections.abc import Mapping
from dataclasses import dataclass

from transformers import PreTrainedConfig

from pareft.errors import ModelError, PlanError


@dataclass(frozen=True)
class Stack:
    """A stack of layers: its name in plans, its path below the base model, and the config field that counts it.

    `carried` names tensors that only the first layer owns and all layers use; they move to whatever layer becomes the first.
    """

    name: str
    path: str
    depth_field: str
    carried: tuple[str, ...] = ()


@dataclass(frozen=True)
class Family:
    """What pareft knows of an architecture. The projections are module names below a layer, for LoRA's targets.

    `half_precision`: bears fp16. `cache_by_encoder`: transformers (5.23) gives the decoder's cache as many layers as the encoder
    has, so a deeper decoder cannot generate.
    """

    model_type: str
    stacks: tuple[Stack, ...]
    query_value: tuple[str, ...]
    attention: tuple[str, ...]
    feed_forward: tuple[str, ...]
    half_precision: bool = True
    cache_by_encoder: bool = False

    def depths(self, config: PreTrainedConfig) -> dict[str, int]:
        """How many layers every stack has."""
        return {stack.name: getattr(config, stack.depth_field) for stack in self.stacks}

    def targets(self, target: str) -> tuple[str, ...]:
        """The modules that `ffn`, `qv`, `attention` or `all` stand for."""
        return {
            "ffn": self.feed_forward,
            "qv": self.query_value,
            "attention": self.attention,
            "all": self.attention + self.feed_forward,
        }[target]


_T5_BIAS = "layer.0.SelfAttention.relative_attention_bias.weight"

FAMILIES = {
    family.model_type: family
    for family in (
        Family(
            model_type="bart",
            stacks=(Stack("encoder", "encoder.layers", "encoder_layers"), Stack("decoder", "decoder.layers", "decoder_layers")),
            query_value=("q_proj", "v_proj"),
            attention=("q_proj", "k_proj", "v_proj", "out_proj"),
            feed_forward=("fc1", "fc2"),
        ),
        Family(
            model_type="t5",
            stacks=(
                Stack("encoder", "encoder.block", "num_layers", carried=(_T5_BIAS,)),
                Stack("decoder", "decoder.block", "num_decoder_layers", carried=(_T5_BIAS,)),
            ),
            query_value=("q", "v"),
            attention=("q", "k", "v", "o"),
            feed_forward=("wi", "wi_0", "wi_1", "wo"),
            half_precision=False,
            cache_by_encoder=True,
        ),
    )
}


def find_family(config: PreTrainedConfig) -> Family:
    """The family of a config.

    Raises:
        ModelError: the base is no encoder-decoder, or its family has no row.
    """
    if not config.is_encoder_decoder:
        raise ModelError(f"{config.model_type} is no encoder-decoder; pareft prunes {', '.join(FAMILIES)} at present")
    if config.model_type not in FAMILIES:
        raise ModelError(
            f"no family {config.model_type!r}: pareft knows {', '.join(FAMILIES)}. Add its row to src/pareft/models/families.py."
        )
    return FAMILIES[config.model_type]


def check_depths(family: Family, depths: Mapping[str, int]) -> None:
    """Raise `PlanError` if stock transformers could not generate with stacks of these depths."""
    if family.cache_by_encoder and depths["decoder"] > depths["encoder"]:
        raise PlanError(
            f"a {family.model_type} with {depths['encoder']} encoder and {depths['decoder']} decoder layers cannot generate: "
            "transformers sizes the decoder's cache by the encoder. Keep at least as many encoder layers as decoder layers."
        )


def check_family(family: Family, name: str) -> None:
    """Raise `PlanError` unless a plan's family is the base's."""
    if family.model_type != name:
        raise PlanError(f"the plan is of family {name!r}, the base of family {family.model_type!r}")
