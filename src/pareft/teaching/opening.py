"""A teacher in memory, beside the model that learns from it."""

import torch
from peft import PeftModel
from transformers import PreTrainedModel

from pareft.artefact import load as load_run
from pareft.models.loading import load
from pareft.models.structure import build_on_meta, count_parameters
from pareft.readying import Prepared
from pareft.run_folder import ADAPTER
from pareft.runtime import choose_device
from pareft.teaching.finding import Teacher
from pareft.tuning.adapters import adapt, attach
from pareft.tuning.teacher import open_whole


def open_teacher(teacher: Teacher, model: PreTrainedModel | PeftModel, prepared: Prepared) -> PreTrainedModel | PeftModel:
    """A teacher on the model's device. Where it is the unpruned base, what both have and nothing trains is in memory once."""
    dtype = _choose_dtype(prepared)
    if teacher.shares(prepared):
        whole = open_whole(model, prepared.base, prepared.plan, dtype=dtype)
        if teacher.adapter:
            return adapt(whole, teacher.adapter, steps=1).to(choose_device())
        return attach(whole, teacher.folder / ADAPTER) if teacher.folder else whole
    if teacher.folder:
        return load_run(teacher.folder, dtype=dtype).to(choose_device())
    plan = None if teacher.plan.keeps_everything else teacher.plan
    return adapt(load(teacher.base, plan, dtype=dtype), teacher.adapter, steps=1).to(choose_device())


def _choose_dtype(prepared: Prepared) -> torch.dtype:
    return torch.bfloat16 if prepared.precision == "bf16" else torch.float32


def forecast_bytes(teacher: Teacher, prepared: Prepared) -> int:
    """What a teacher takes beside the model: its parameters, or those of the dropped layers."""
    whole = count_parameters(build_on_meta(teacher.base.config, None if teacher.folder and teacher.trained else teacher.plan)).total
    kept = count_parameters(build_on_meta(prepared.base.config, prepared.plan)).total if teacher.shares(prepared) else 0
    return (whole - kept) * _choose_dtype(prepared).itemsize
