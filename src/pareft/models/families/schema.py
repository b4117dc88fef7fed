"""What pareft knows of an architecture, as data: where its layers are, what counts them, which weights share a unit."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from transformers import PreTrainedConfig

Kind = Literal["encoder-decoder", "encoder", "decoder"]


@dataclass(frozen=True)
class Attention:
    """An attention of a layer. `query`, `key`, `value`, `output` are its projections below the layer.

    A head is `head_dim` rows of the first three and as many columns of `output`. `counted` names the attributes of the attention
    module that hold the number of heads. T5's attention makes a position bias, from `per_head`, a table with a column for every
    head, and every layer passes it on to the next as the argument `passed`.
    """

    name: str
    query: str
    key: str
    value: str
    output: str
    counted: tuple[str, ...] = ()
    per_head: str = ""
    passed: str = ""

    @classmethod
    def below(cls, name: str, module: str, projections: tuple[str, str, str, str], **more: Any) -> "Attention":
        """An attention whose query, key, value and output projections lie in one module."""
        query, key, value, output = (f"{module}.{projection}" for projection in projections)
        return cls(name, query, key, value, output, **more)

    @property
    def module(self) -> str:
        """The module below the layer that owns the projections in."""
        return self.query.rpartition(".")[0]


@dataclass(frozen=True)
class FeedForward:
    """The feed-forward part of a layer: a neuron is a row of every `inputs` projection the layer has and a column of `output`."""

    inputs: tuple[str, ...]
    output: str


@dataclass(frozen=True)
class Width:
    """What can be pruned inside a layer, and the config fields that say how much of it there is.

    `groups_field` counts the key-value heads where they are fewer than the heads (GQA); a group goes as a whole. With a
    `head_dim_field` the config can say fewer heads than the hidden size has room for; without one, it cannot.
    """

    attentions: tuple[Attention, ...]
    feed_forward: FeedForward
    heads_field: str
    neurons_field: str
    groups_field: str = ""
    head_dim_field: str = ""


@dataclass(frozen=True)
class Stack:
    """A stack of layers: its name in plans, its path below the base model, and the config field that counts it.

    `stored` is the path in checkpoints where it differs, `renamed` the modules of a layer by their names there; `part` the
    sub-config that holds the fields (VisionEncoderDecoder); `lists` the config fields with one entry per layer; `carried` the
    tensors that only the first layer owns and all layers use, and that move to whatever layer becomes the first; `first_stays` why
    the first layer cannot be dropped, where it cannot.
    """

    name: str
    path: str
    depth_field: str
    stored: str = ""
    renamed: Mapping[str, str] = field(default_factory=dict, hash=False)
    part: str = ""
    lists: tuple[str, ...] = ()
    carried: tuple[str, ...] = ()
    first_stays: str = ""
    width: Width | None = None

    def config_of(self, config: PreTrainedConfig) -> PreTrainedConfig:
        """The config that holds this stack's fields."""
        return getattr(config, self.part) if self.part else config

    def depth(self, config: PreTrainedConfig) -> int:
        """How many layers the stack has."""
        return getattr(self.config_of(config), self.depth_field)


@dataclass(frozen=True)
class Place:
    """Where a tensor or module lies: its stack, its name before the layer's number, the number, its name below the layer."""

    stack: Stack
    prefix: str
    layer: int
    tail: str


@dataclass(frozen=True)
class Family:
    """An architecture. The projections are modules of a layer, for adapters' targets: a last name, or the path below the layer;
    `outputs` those that end an attention or feed-forward part, where they are not the last of both.

    `head` is the Auto class that builds a model for a checkpoint that names none, or a headless one. `half_precision`: bears fp16.
    `cache_by_encoder`: transformers (5.23) gives the decoder's cache as many layers as the encoder has, so a deeper decoder cannot
    generate. `computed`: tensors that a formula fills where a checkpoint has none, by the end of their names. `fixed`: fields of
    the config that must have this value for layers to be renumbered.
    """

    model_type: str
    kind: Kind
    stacks: tuple[Stack, ...]
    query_value: tuple[str, ...]
    attention: tuple[str, ...]
    feed_forward: tuple[str, ...]
    outputs: tuple[str, ...] = ()
    head: str = ""
    half_precision: bool = True
    cache_by_encoder: bool = False
    computed: tuple[str, ...] = ()
    fixed: tuple[tuple[str, Any], ...] = ()

    def depths(self, config: PreTrainedConfig) -> dict[str, int]:
        """How many layers every stack has."""
        return {stack.name: stack.depth(config) for stack in self.stacks}

    def locate(self, name: str) -> Place | None:
        """The place of a tensor or module by its name; `None` outside of the stacks."""
        for stack in self.stacks:
            part = rf"{stack.part}\." if stack.part else ""
            for path in filter(None, (stack.stored, stack.path)):
                match = re.match(rf"({part}(?:\w+\.)*?{re.escape(path)}\.)(\d+)(?:\.(.+))?$", name)
                if match:
                    return Place(stack, match[1], int(match[2]), match[3] or "")
        return None

    @property
    def auto_class(self) -> str:
        """The name of the Auto class that gives a model its usual head."""
        by_kind = {"encoder-decoder": "AutoModelForSeq2SeqLM", "decoder": "AutoModelForCausalLM", "encoder": "AutoModel"}
        return self.head or by_kind[self.kind]

    def targets(self, target: str) -> tuple[str, ...]:
        """The modules that `ffn`, `qv`, `attention`, `outputs` or `all` stand for."""
        return {
            "ffn": self.feed_forward,
            "qv": self.query_value,
            "attention": self.attention,
            "outputs": self.outputs or (self.attention[-1], self.feed_forward[-1]),
            "all": self.attention + self.feed_forward,
        }[target]
