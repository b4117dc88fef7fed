"""A recipe's adapter as peft's own settings: which modules, with which ranks, and which are trained as a whole."""

from typing import Any

from peft import AdaLoraConfig, EvaConfig, IA3Config, LoraConfig, PeftConfig
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from pareft.adapter_settings import AdapterSettings, BottleneckSettings, LoraSettings, StackSettings
from pareft.errors import AdapterError
from pareft.models.families import find_family
from pareft.tuning.bottleneck import BottleneckConfig, know_bottleneck
from pareft.tuning.targets import find_feed_forward, find_fresh, find_norms, find_targets, name_fully

BEGINNING, END = 0.1, 0.5  # of the steps of AdaLoRA: with all ranks, and with those that it leaves
_STARTS: dict[str, Any] = {"zero": True, "gap": True, "pissa": "pissa_niter_16", "olora": "olora", "eva": "eva"}
SURPLUS = 1.5  # the ranks that AdaLoRA starts with, times those that it leaves

_TASKS = {"AutoModelForSeq2SeqLM": "SEQ_2_SEQ_LM", "AutoModelForCausalLM": "CAUSAL_LM"}
_HEADS = {"ForSequenceClassification": "SEQ_CLS", "ForTokenClassification": "TOKEN_CLS", "ForQuestionAnswering": "QUESTION_ANS"}


def make_config(model: PreTrainedModel, settings: AdapterSettings, *, steps: int | None = None) -> PeftConfig:
    """Peft's settings for an adapter on a model, which may be on `meta`. `steps`: of the training, which AdaLoRA must know; of a
    model on `meta`, which is only counted, any will do.

    Raises:
        AdapterError: no module is called what `target` says; AdaLoRA without steps.
    """
    common: dict[str, Any] = {
        "task_type": find_task(model),
        "target_modules": find_targets(model, settings),
        "modules_to_save": [*find_fresh(model), *(find_norms(model, settings.layers) if settings.norms else [])] or None,
    }
    if isinstance(settings, BottleneckSettings):
        know_bottleneck()
        own = settings.model_dump(include={"scale", "activation", "dropout", "start"})
        return BottleneckConfig(**common, r=settings.rank, **own)
    if not isinstance(settings, LoraSettings):
        names = name_fully(model, common["target_modules"])
        return IA3Config(**common | {"target_modules": names}, feedforward_modules=find_feed_forward(model, names))
    common |= {
        "lora_alpha": settings.alpha,
        "lora_dropout": settings.dropout,
        "bias": "lora_only" if settings.bias == "wrapped" else "none",
    }
    if settings.method == "adalora":
        return _make_adalora(settings, 100 if steps is None and model.device.type == "meta" else steps, common)
    named = dict(model.named_modules())
    if settings.start == "olora" and any(isinstance(named[name], Conv1D) for name in name_fully(model, common["target_modules"])):
        raise AdapterError("adapt.start: peft's olora takes the weights of a Conv1D (GPT-2) the wrong way round; start with pissa")
    ranks, alphas = _list_patterns(model, settings, common["target_modules"])
    return LoraConfig(
        **common,
        r=settings.rank,
        rank_pattern=ranks,
        alpha_pattern=alphas,
        use_rslora=settings.rslora,
        use_dora=settings.dora,
        init_lora_weights=True if model.device.type == "meta" else _STARTS[settings.start],
        eva_config=EvaConfig(rho=1.0) if settings.start == "eva" else None,  # every module keeps its rank
    )


def _make_adalora(settings: LoraSettings, steps: int | None, common: dict[str, Any]) -> AdaLoraConfig:
    if steps is None:
        raise AdapterError("AdaLoRA shares ranks out over the steps of a training; say how many there are: attach(..., steps=)")
    first, last = int(BEGINNING * steps), int(END * steps)
    return AdaLoraConfig(
        **common, target_r=settings.rank, init_r=round(SURPLUS * settings.rank), tinit=first, tfinal=last, total_step=steps
    )


def _list_patterns(model: PreTrainedModel, settings: LoraSettings, targets: list[str]) -> tuple[dict[str, int], dict[str, float]]:
    """The ranks and alphas of modules that a stack's own settings change, by full names."""
    family = find_family(model.config)
    ranks: dict[str, int] = {}
    alphas: dict[str, float] = {}
    for name in name_fully(model, targets) if settings.encoder or settings.decoder else ():
        place = family.locate(name)
        own: StackSettings | None = getattr(settings, place.stack.name) if place else None
        if own and own.rank and own.rank != settings.rank:
            ranks[name] = own.rank
        if own and own.alpha and own.alpha != settings.alpha:
            alphas[name] = own.alpha
    return ranks, alphas


def find_task(model: PreTrainedModel) -> str | None:
    """What peft calls the task that a model's head is for."""
    for ending, task in _HEADS.items():
        if type(model).__name__.endswith(ending):
            return task
    family = find_family(model.config)
    return _TASKS.get(family.auto_class) if model.main_input_name == "input_ids" and model.can_generate() else None
