"""Bottleneck adapters as a method of peft, which has none: its models, files and switches hold them as they hold LoRA.

y = W x + b is what a frozen layer gives, (..., D); with an adapter y + scale · Up activation(Down dropout(y)), Down (r, D), Up
(D, r), as in Light-PEFT's release (after Houlsby et al. 2019, arXiv 1902.00751). `know_bottleneck` tells peft of them; without
pareft, it refuses their files as of a type that it does not know.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from peft import PeftConfig
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING, PEFT_TYPE_TO_PREFIX_MAPPING, PEFT_TYPE_TO_TUNER_MAPPING
from peft.tuners.tuners_utils import BaseTuner, BaseTunerLayer
from peft.utils.other import get_pattern_key
from torch import nn
from torch.nn import functional

METHOD, MARK = "BOTTLENECK", "bottleneck_"  # its name for peft, and what its tensors' names begin with
ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "relu": functional.relu,
    "tanh": torch.tanh,
    "gelu": functional.gelu,
}
SPREAD = 0.02  # the standard deviation of what starts at random


@dataclass
class BottleneckConfig(PeftConfig):
    """Peft's settings of bottleneck adapters. `rank_pattern`: the width of the modules that have another than `r`."""

    target_modules: list[str] | None = None
    exclude_modules: list[str] | None = None
    modules_to_save: list[str] | None = None
    r: int = 8
    rank_pattern: dict[str, int] = field(default_factory=dict)
    scale: float = 1.0
    activation: str = "relu"
    dropout: float = 0.0
    start: str = "zero"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.peft_type: Any = METHOD

    def find_rank(self, module: str) -> int:
        """The width of one module's adapter."""
        return self.rank_pattern.get(get_pattern_key(self.rank_pattern, module), self.r)


class BottleneckLayer(nn.Module, BaseTunerLayer):
    """A frozen layer and the adapters behind it, by name."""

    adapter_layer_names = ("bottleneck_down", "bottleneck_up")
    other_param_names = ("scaling", "bottleneck_dropout", "activation")
    get_base_layer: Any  # peft's own, as the two below, whose types are not read
    set_adapter: Any
    _move_adapter_to_device_of_base_layer: Any

    def __init__(self, base_layer: nn.Module, name: str) -> None:
        super().__init__()
        self.base_layer = base_layer
        self.bottleneck_down: Any = nn.ModuleDict()
        self.bottleneck_up: Any = nn.ModuleDict()
        self.bottleneck_dropout: Any = nn.ModuleDict()
        self.scaling: dict[str, float] = {}
        self.activation: dict[str, str] = {}
        self._disable_adapters, self._active_adapter = False, name
        self.merged_adapters: list[str] = []
        shape: Any = self.get_base_layer().weight.shape
        plain = isinstance(self.get_base_layer(), nn.Linear)
        self.out_features, self.in_features = shape if plain else reversed(shape)  # GPT-2's Conv1D is the other way round

    def update_layer(self, name: str, rank: int, config: BottleneckConfig) -> None:
        """Add an adapter."""
        width: Any = self.out_features
        down, up = nn.Linear(width, rank, bias=False), nn.Linear(rank, width, bias=False)
        nn.init.normal_(down.weight, std=SPREAD)
        if config.start == "zero":
            nn.init.zeros_(up.weight)
        else:
            nn.init.normal_(up.weight, std=SPREAD)
        self.bottleneck_down[name], self.bottleneck_up[name] = down, up
        self.bottleneck_dropout[name] = nn.Dropout(config.dropout)
        self.scaling[name], self.activation[name] = config.scale, config.activation
        self._move_adapter_to_device_of_base_layer(name)
        self.set_adapter(self.active_adapters, inference_mode=config.inference_mode)

    def forward(self, *args: Any, **options: Any) -> torch.Tensor:
        """What the frozen layer gives, and what the active adapters make of that."""
        base: Any = self.base_layer
        given: torch.Tensor = base(*args, **options)
        result = given
        active: Any = [] if self.disable_adapters else self.active_adapters
        for name in active:
            if name in self.bottleneck_down:
                down, up = self.bottleneck_down[name], self.bottleneck_up[name]
                value = self.bottleneck_dropout[name](given).to(down.weight.dtype)
                result = result + self.scaling[name] * up(ACTIVATIONS[self.activation[name]](down(value))).to(given.dtype)
        return result


class BottleneckModel(BaseTuner):
    """How peft puts bottleneck adapters into a model."""

    prefix = MARK
    tuner_layer_cls = BottleneckLayer
    target_module_mapping: dict[str, Any] = {}  # noqa: RUF012 - peft's own name for defaults, of which there are none

    def _create_and_replace(
        self, config: Any, adapter_name: str, target: Any, target_name: str, parent: Any, current_key: str, **_: Any
    ) -> None:
        layer = target if isinstance(target, BottleneckLayer) else BottleneckLayer(target, adapter_name)
        layer.update_layer(adapter_name, config.find_rank(current_key), config)
        if layer is not target:
            if adapter_name != self.active_adapter:
                layer.requires_grad_(False)
            self._replace_module(parent, target_name, layer, target)


def know_bottleneck() -> None:
    """Tell peft of bottleneck adapters, so that it makes and reads them."""
    PEFT_TYPE_TO_CONFIG_MAPPING[METHOD] = BottleneckConfig
    PEFT_TYPE_TO_TUNER_MAPPING[METHOD] = BottleneckModel
    PEFT_TYPE_TO_PREFIX_MAPPING[METHOD] = MARK
