"""What a run can be exported as. Each form writes `result` into a temporary folder and has it checked."""

import shutil
from pathlib import Path
from typing import Any, Literal

import torch
from peft import PeftModel
from transformers import PreTrainedModel

from pareft.artefact import find_head, load
from pareft.exporting.card import describe_base, describe_checkpoint, list_scores
from pareft.exporting.checking import Checked, check, compute_logits, make_inputs, verify
from pareft.exporting.onnx_file import ONNX_FILE, ONNX_NOTE, write_onnx
from pareft.files import write_atomic
from pareft.models.checkpoint import Base, load_tokenizer, open_base
from pareft.models.loading import load as load_base
from pareft.models.padding import pad
from pareft.models.plan import PLAN_FILE, PruningPlan
from pareft.models.saving import is_stock, save_checkpoint
from pareft.records import RunRecord
from pareft.run_folder import ADAPTER, LABELS, RECIPE, RECORD, read_task
from pareft.tuning.adapters import merge
from pareft.tuning.bottleneck import BottleneckConfig
from pareft.tuning.storage import describe_adapter, make_mixable, read_adapter, write_adapter

Form = Literal["merged", "adapter", "base", "onnx"]


def _write_merged(run: Path, record: RunRecord, temporary: Path) -> Checked:
    model, plan = _load_merged(run), PruningPlan.read(run / PLAN_FILE)
    inputs = make_inputs(model)
    expected = compute_logits(model, inputs)
    notes = [f"{plan.describe()}; a stock {type(model).__name__}"]
    if not is_stock(model, plan):
        narrow = sum(parameter.numel() for parameter in model.parameters())
        model = pad(model, plan)
        padded = sum(parameter.numel() for parameter in model.parameters())
        notes.append(
            f"padded with zeros: no stock config can say its widths, so it has {padded:,} parameters where the run has {narrow:,}; "
            "pareft.load of the run gives the smaller one"
        )
    save_checkpoint(model, temporary / "result", tokenizer=load_tokenizer(_open_base_of(plan)), trained=True)
    write_atomic(temporary / "result" / "README.md", describe_checkpoint(record, plan, run, notes))
    shutil.copyfile(run / RECIPE, temporary / "result" / RECIPE)
    shutil.copyfile(run / RECORD, temporary / "result" / RECORD)
    return verify(temporary, inputs, expected, model=temporary / "result", notes=notes)


def _write_adapter(run: Path, record: RunRecord, temporary: Path) -> Checked:
    plan = PruningPlan.read(run / PLAN_FILE)
    base = load_base(plan.base, plan, dtype=torch.float32, **find_head(run))
    stored = make_mixable(read_adapter(run / ADAPTER), base)
    card = describe_adapter(
        plan,
        stored.config,
        head=find_head(run),
        extra="How it was trained is in `recipe.yaml`, how well it does in `record.json`.\n",
    )
    target = temporary / "result"
    write_adapter(
        type(stored)(target, stored.config, stored.tensors, plan), card + list_scores(record, writes=read_task(run) == "generation")
    )
    shutil.copyfile(run / RECIPE, target / RECIPE)
    shutil.copyfile(run / RECORD, target / RECORD)
    if (run / LABELS).is_file():
        shutil.copyfile(run / LABELS, target / LABELS)
    inputs = make_inputs(base)
    expected = compute_logits(_load(run), inputs)
    known = not isinstance(stored.config, BottleneckConfig)
    if known and is_stock(base, plan):
        save_checkpoint(base, temporary / "check")
        notes = ("verified on the pruned base as a stock checkpoint (export --base writes it)",)
        return verify(temporary, inputs, expected, model=temporary / "check", adapter=target, notes=notes)
    difference = float((compute_logits(PeftModel.from_pretrained(base, target).eval(), inputs) - expected).abs().max())
    notes = (
        "no stock config can say the widths of its base: it was verified on pareft.load's, which alone it fits"
        if known
        else "peft has no bottleneck adapters of its own: it was verified through pareft, which loads it",
    )
    return check(difference, expected, by_stock=False, notes=notes)


def _write_base(run: Path, record: RunRecord, temporary: Path) -> Checked:
    plan = PruningPlan.read(run / PLAN_FILE)
    base = load_base(plan.base, plan, **find_head(run))  # an adapter brings its head, and a stock config says how many labels
    tokenizer, target = load_tokenizer(_open_base_of(plan)), temporary / "result"
    save_checkpoint(base, target, tokenizer=tokenizer)
    write_atomic(target / PLAN_FILE, plan.to_json())
    write_atomic(target / "README.md", describe_base(plan, stock=is_stock(base, plan)))
    base, inputs = base.float(), make_inputs(base)
    expected = compute_logits(base, inputs)
    if is_stock(base, plan):
        return verify(temporary, inputs, expected, model=target, notes=(plan.describe(),))
    difference = float((compute_logits(load_base(target, dtype=torch.float32), inputs) - expected).abs().max())
    notes = (plan.describe(), "no stock config can say its widths: pareft.load reads it, stock transformers does not")
    return check(difference, expected, by_stock=False, notes=notes)


def _write_onnx(run: Path, record: RunRecord, temporary: Path) -> Checked:
    model, plan = _load_merged(run), PruningPlan.read(run / PLAN_FILE)
    inputs = make_inputs(model)
    write_onnx(model, {name: value[..., :7] for name, value in inputs.items()}, temporary / "result")
    expected = compute_logits(model, inputs)
    load_tokenizer(_open_base_of(plan)).save_pretrained(temporary / "result")
    notes = [f"{plan.describe()}; forward pass without cache, float32, batch and lengths free", ONNX_NOTE]
    write_atomic(temporary / "result" / "README.md", describe_checkpoint(record, plan, run, notes))
    return verify(temporary, inputs, expected, model=temporary / "result" / ONNX_FILE, notes=notes)


def _load(run: Path) -> Any:
    return load(run, dtype=torch.float32)


def _load_merged(run: Path) -> PreTrainedModel:
    model = _load(run)
    return merge(model) if isinstance(model, PeftModel) else model


def _open_base_of(plan: PruningPlan) -> Base:
    return open_base(plan.base, revision=plan.revision)


WRITERS = {"merged": _write_merged, "adapter": _write_adapter, "base": _write_base, "onnx": _write_onnx}
