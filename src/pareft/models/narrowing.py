"""Layers narrower than the stock config can say: a stock model whose projections are replaced by smaller ones as it is built."""

from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from pareft.models.families.schema import Attention, Family, Stack
from pareft.models.plan import PruningPlan
from pareft.models.width import Slice, shares_heads, slice_tensor


def narrowed_class(base_class: type[PreTrainedModel], family: Family, plan: PruningPlan) -> type[PreTrainedModel]:
    """A class whose `__init__` builds the stock model and narrows it, for `from_pretrained` to use while all is on `meta`."""

    class Narrowed(base_class):
        pareft_stock_class = base_class

        def __init__(self, config: Any, *args: Any, **kwargs: Any) -> None:
            super().__init__(config, *args, **kwargs)
            narrow(self, family, plan)

    Narrowed.__name__ = base_class.__name__  # saved in the config
    return Narrowed


def stock_class(model_class: type[PreTrainedModel]) -> type[PreTrainedModel]:
    """The stock class of a narrowed one; any other is its own."""
    return getattr(model_class, "pareft_stock_class", model_class)


def narrow(model: PreTrainedModel, family: Family, plan: PruningPlan) -> None:
    """Replace the projections of every layer by ones of the planned width, uninitialised. In place."""
    for stack in family.stacks:
        if stack.width is None:
            continue
        try:
            layers = model.base_model.get_submodule(stack.path)
        except AttributeError:  # a class with one of the stacks alone, such as T5EncoderModel
            continue
        for layer, kept in zip(layers, plan.layers[stack.name], strict=True):
            for path, module in list(layer.named_modules()):
                if isinstance(module, nn.Linear | nn.Embedding):
                    sliced = slice_tensor(model.config, stack, plan, kept, f"{path}.weight")
                    if sliced is not None:
                        layer.set_submodule(path, _resize(module, sliced))
            for attention in stack.width.attentions:
                _recount(layer, stack, attention, plan, kept)


def _resize(module: nn.Linear | nn.Embedding, sliced: Slice) -> nn.Module:
    size, device, dtype = len(sliced.units) * sliced.size, module.weight.device, module.weight.dtype
    if isinstance(module, nn.Embedding):
        return nn.Embedding(module.num_embeddings, size, device=device, dtype=dtype)
    rows, columns = (size, module.in_features) if sliced.dim == 0 else (module.out_features, size)
    return nn.Linear(columns, rows, bias=module.bias is not None, device=device, dtype=dtype)


def _recount(layer: nn.Module, stack: Stack, attention: Attention, plan: PruningPlan, kept: int) -> None:
    """Tell an attention how many heads it has, and let it make its own position bias where the first layer's would not fit."""
    module: Any = layer.get_submodule(attention.module)
    heads = len(plan.kept_heads(f"{stack.name}.{attention.name}", kept))
    for attribute in attention.counted:
        setattr(module, attribute, heads)
    if not attention.passed or shares_heads(plan, stack, attention):
        return
    if attention.per_head and not module.has_relative_attention_bias:
        module.has_relative_attention_bias = True
        table = nn.Embedding(
            module.relative_attention_num_buckets, heads, device=module.q.weight.device, dtype=module.q.weight.dtype
        )
        layer.set_submodule(attention.per_head, table)
    module.register_forward_pre_hook(_Forget(attention.passed), with_kwargs=True)


class _Forget:
    """A hook that drops an argument which the layer before has passed on."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, module: nn.Module, args: tuple[torch.Tensor, ...], kwargs: dict[str, Any]) -> Any:
        return args, {**kwargs, self.name: None}
