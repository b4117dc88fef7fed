"""The unpruned base beside its pruned self, and LoRA that starts as what dropped layers added."""

import json

import pytest
import torch
from datasets import Dataset
from tiny import VOCABULARY, logits, make_inputs, make_model

import pareft
from pareft.adapter_settings import LoraSettings
from pareft.errors import AdapterError, RecipeError
from pareft.models.checkpoint import open_base
from pareft.recipe import resolve
from pareft.tuning import starting
from pareft.tuning.gaps import bridge, check_bridges, list_gaps
from pareft.tuning.starting import begin
from pareft.tuning.teacher import open_whole

KEPT = {"encoder": [0, 1, 4], "decoder": [0, 2]}
SETTINGS = LoraSettings(rank=4, alpha=8, dropout=0.0, start="gap", start_examples=40)


@pytest.fixture(params=["bart", "t5", "t5-gated", "pegasus"])
def family(request):
    return request.param


@pytest.fixture
def base(family, tmp_path):
    make_model(family).save_pretrained(tmp_path / "base")
    return tmp_path / "base"


@pytest.fixture
def plan(base):
    return pareft.plan(base, layers=KEPT)


def make_batches(count=10):
    """Batches with padding in sources and targets."""
    generator = torch.Generator().manual_seed(2)
    for _ in range(count):
        source, labels = (torch.randint(4, VOCABULARY, (4, length), generator=generator) for length in (9, 7))
        labels[0, 5:] = -100
        mask = torch.ones_like(source)
        mask[1, 6:] = 0
        yield {"input_ids": source, "attention_mask": mask, "labels": labels}


def disturb(model):
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.3 * torch.randn_like(parameter))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_whole_base_shares_what_is_frozen_and_computes_what_it_does_alone(base, plan, dtype):
    model = pareft.attach(pareft.load(base, plan, dtype=dtype), LoraSettings(rank=2))
    alone = pareft.load(base, dtype=dtype)
    inputs = make_inputs(alone)
    disturb(model)
    whole = open_whole(model, open_base(str(base)), plan)
    assert torch.equal(logits(whole, inputs), logits(alone, inputs))
    shared = {parameter.data_ptr() for parameter in model.parameters() if not parameter.requires_grad}
    own = [(name, parameter) for name, parameter in whole.named_parameters() if parameter.data_ptr() not in shared]
    stacks = {"encoder": {2, 3}, "decoder": {1, 3}}
    for name, _ in own:
        stack = "encoder" if "encoder." in name else "decoder"
        layer = next((int(part) for part in name.split(".") if part.isdigit()), None)
        trained = name.endswith(("fc1.bias", "fc2.bias"))
        assert trained or layer in stacks[stack], name
    frozen = {name: parameter.clone() for name, parameter in whole.named_parameters()}
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        loss = model.train()(**next(make_batches())).loss
    loss.backward()
    assert not any(parameter.requires_grad for parameter in whole.parameters())
    assert all(torch.equal(parameter, frozen[name]) for name, parameter in whole.named_parameters())


@pytest.mark.parametrize("start", ["zero", "pissa"])
def test_the_whole_base_beside_weights_that_are_not_its_own(base, plan, start):
    """Full fine-tuning and starts that change the base share nothing."""
    model = pareft.load(base, plan)
    if start == "pissa":
        model = pareft.attach(model, LoraSettings(rank=2, start="pissa"))
    disturb(model)
    alone = pareft.load(base)
    inputs = make_inputs(alone)
    assert torch.equal(logits(open_whole(model, open_base(str(base)), plan), inputs), logits(alone, inputs))


def test_gaps_are_where_layers_are_dropped_after_a_kept_one(base):
    plan = pareft.plan(base, layers={"encoder": [1, 2, 4], "decoder": [0, 1]})
    gaps = list_gaps(plan)
    assert [(gap.stack, gap.layer, gap.before, gap.dropped) for gap in gaps] == [
        ("encoder", 1, 2, (3,)),
        ("decoder", 1, 1, (2, 3)),
    ]


def find_states(model, batches, stack, layer):
    """What a layer of a stack gives, of all batches, without padding."""
    found = []
    part = model.get_encoder() if stack == "encoder" else model.get_decoder()
    module = (part.block if hasattr(part, "block") else part.layers)[layer]

    def take(_, given, made):
        states = made[0] if isinstance(made, tuple) else made
        found.append(states[(batch["labels"] != -100) if stack == "decoder" else batch["attention_mask"].bool()])

    hook = module.register_forward_hook(take)
    with torch.no_grad():
        for batch in batches:
            model(**batch)
    hook.remove()
    return torch.cat(found)


def test_behind_a_gap_states_are_nearer_to_the_unpruned_models(base, plan):
    """Held-out examples, the first gap of the encoder: nothing before it differs from the unpruned model."""
    model = pareft.attach(pareft.load(base, plan), SETTINGS).eval()
    alone = pareft.load(base)
    batches = list(make_batches(40))
    fit, held = batches[:-8], batches[-8:]
    wanted = find_states(alone, held, "encoder", 3)
    before = find_states(model.get_base_model(), held, "encoder", 1)
    bridged = bridge(model, alone, plan, fit, precision="fp32")
    assert [f"{found.gap.stack} {found.gap.before}" for found in bridged] == ["encoder 1", "decoder 0", "decoder 2"]
    after = find_states(model.get_base_model(), held, "encoder", 1)
    error, first = (float((states - wanted).square().sum()) for states in (after, before))
    assert bridged[0].explained > 0.02
    assert error < first


def test_with_every_rank_it_is_the_regression_itself(tmp_path):
    """T5 has no bias there and ends in no normalisation: the update is the ridge regression of what is missing."""
    make_model("t5").save_pretrained(tmp_path / "base")
    plan = pareft.plan(tmp_path / "base", layers=KEPT)
    model = pareft.attach(pareft.load(tmp_path / "base", plan), SETTINGS.model_copy(update={"rank": 16})).eval()
    alone = pareft.load(tmp_path / "base")
    batches = list(make_batches(24))
    fit = [batch for number, batch in enumerate(batches) if number % 4]
    writer = alone.encoder.block[1].layer[1].DenseReluDense.wo
    come_in = []
    hook = writer.register_forward_hook(
        lambda _, given, made: come_in.append(given[0][fit[len(come_in)]["attention_mask"].bool()]) if recording else None
    )
    recording = True
    missing = find_states(alone, fit, "encoder", 3) - find_states_again(alone, fit)
    recording = False
    hook.remove()
    inner = torch.cat(come_in[: len(fit)]).double()
    bridged = bridge(model, alone, plan, batches, precision="fp32")
    module = model.get_base_model().encoder.block[1].layer[1].DenseReluDense.wo
    update = (module.scaling["default"] * module.lora_B["default"].weight @ module.lora_A["default"].weight).double()
    square = inner.T @ inner
    candidates = [
        torch.linalg.solve(square + 10.0**power * square.diagonal().mean() * torch.eye(len(square)), inner.T @ missing.double()).T
        for power in range(-6, 3)
    ]
    assert bridged[0].explained > 0
    assert min(float((candidate - update).norm() / candidate.norm()) for candidate in candidates) < 1e-3


def find_states_again(model, batches):
    """The states before the gap, without a second look at what comes into the feed-forward output."""
    hooks = dict(model.encoder.block[1].layer[1].DenseReluDense.wo._forward_hooks)
    model.encoder.block[1].layer[1].DenseReluDense.wo._forward_hooks.clear()
    found = find_states(model, batches, "encoder", 1)
    model.encoder.block[1].layer[1].DenseReluDense.wo._forward_hooks.update(hooks)
    return found


def make_examples(model):
    rows = [
        {key: batch[key][row].tolist() for key in ("input_ids", "attention_mask", "labels")}
        for batch in make_batches(12)
        for row in range(2, 4)
    ]
    return Dataset.from_list(rows)


def start(model, base, plan, tokenizer, settings=SETTINGS):
    examples = make_examples(model.get_base_model())
    return begin(model, settings, examples, tokenizer, base=open_base(str(base)), plan=plan, precision="fp32")


@pytest.fixture
def tokenizer(bases):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(bases["bart"])


def test_a_start_is_never_worse_than_none(base, plan, tokenizer):
    """Law 7: as near to the unpruned model as without it, or nearer, by the loss on examples it was not found on."""
    model = pareft.attach(pareft.load(base, plan), SETTINGS)
    modes = [module.training for module in model.modules()]
    record = start(model, base, plan, tokenizer)
    assert record.loss_after <= record.loss_before
    assert [module.training for module in model.modules()] == modes
    assert record.examples == 24


def test_a_start_that_is_worse_is_given_up(base, plan, tokenizer, monkeypatch):
    model = pareft.attach(pareft.load(base, plan), SETTINGS)
    inputs = make_inputs(model)
    before = logits(model, inputs)

    def spoil(model, *_, **__):
        disturb(model)
        next(parameter for parameter in model.parameters() if parameter.requires_grad).fill_(float("nan"))
        return []

    monkeypatch.setattr(starting, "bridge", spoil)
    losses = iter([1.0, 2.0, float("nan"), 4.0, 3.0, 2.5])
    monkeypatch.setattr(starting, "_measure_loss", lambda *_: next(losses))
    record = start(model, base, plan, tokenizer)
    assert record.share == 0.0
    assert record.loss_after == record.loss_before == 2.0
    assert torch.equal(logits(model, inputs), before)


def test_a_model_without_a_loss_does_not_start_for_ever(base, plan, tokenizer, monkeypatch):
    model = pareft.attach(pareft.load(base, plan), SETTINGS)
    monkeypatch.setattr(starting, "_measure_loss", lambda *_: float("nan"))
    assert start(model, base, plan, tokenizer).share == 0.0


def test_ranks_beyond_a_layers_outputs_are_zero(base, plan, tokenizer):
    settings = SETTINGS.model_copy(update={"rank": 20})
    model = pareft.attach(pareft.load(base, plan), settings)
    record = start(model, base, plan, tokenizer, settings)
    assert record.loss_after <= record.loss_before


def test_half_a_start_is_half_the_update(tmp_path, tokenizer, monkeypatch):
    make_model("bart").save_pretrained(tmp_path / "base")
    plan = pareft.plan(tmp_path / "base", layers=KEPT)
    model = pareft.attach(pareft.load(tmp_path / "base", plan), SETTINGS)
    layer = next(module for module in model.modules() if hasattr(module, "lora_A"))
    found = {}

    def spoil(model, *_, **__):
        disturb(model)
        found["update"] = (layer.lora_B["default"].weight @ layer.lora_A["default"].weight).clone()
        found["bias"] = layer.base_layer.bias.clone()
        return []

    first = layer.base_layer.bias.clone()
    monkeypatch.setattr(starting, "bridge", spoil)
    losses = iter([1.0, 2.0, 5.0, 1.5])
    monkeypatch.setattr(starting, "_measure_loss", lambda *_: next(losses))
    assert start(model, tmp_path / "base", plan, tokenizer).share == 0.5
    update = layer.lora_B["default"].weight @ layer.lora_A["default"].weight
    torch.testing.assert_close(update, found["update"] / 2)
    torch.testing.assert_close(layer.base_layer.bias, (first + found["bias"]) / 2)


def test_nothing_dropped_is_nothing_to_start_with_and_a_batch_is_too_little(base, plan, tokenizer):
    whole = pareft.plan(base, by="everything")
    model = pareft.attach(pareft.load(base, whole), SETTINGS)
    assert start(model, base, whole, tokenizer) is None
    few = SETTINGS.model_copy(update={"start_examples": 2})
    model = pareft.attach(pareft.load(base, plan), few)
    with pytest.raises(AdapterError, match=r"one batch of examples.*raise adapt.start_examples"):
        start(model, base, plan, tokenizer, few)


def test_without_lora_before_a_gap_it_is_refused(base, plan, tokenizer):
    settings = SETTINGS.model_copy(update={"target": "qv"})
    model = pareft.attach(pareft.load(base, plan), settings)
    with pytest.raises(AdapterError, match=r"encoder layer 1 has no LoRA there; let adapt.target be ffn or all"):
        start(model, base, plan, tokenizer, settings)
    with pytest.raises(RecipeError, match="dora keeps their lengths"):
        resolve({"base": "x", "data": {"path": "y"}, "adapt": {"dora": True, "start": "gap"}})


def test_a_plan_that_drops_neurons_too_is_refused(tmp_path):
    make_model("bart").save_pretrained(tmp_path / "base")
    plan = pareft.plan(tmp_path / "base", layers=KEPT, neurons={"encoder": {0: list(range(8))}})
    model = pareft.attach(pareft.load(tmp_path / "base", plan), SETTINGS)
    with pytest.raises(AdapterError, match="drops heads or neurons, too"):
        check_bridges(model, plan)


def test_a_recipe_whose_gaps_have_no_lora_is_refused_before_anything_is_read(values, tmp_path):
    recipe = resolve(values | {"adapt": values["adapt"] | {"start": "gap", "target": "qv"}})
    with pytest.raises(AdapterError, match=r"let adapt.target be ffn or all"):
        pareft.run(recipe, out=tmp_path / "run", arm="lora+l-prun")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("family", ["bart", "t5"])
def test_a_run_with_a_gap_start_keeps_what_it_found(family, values, bases, tmp_path):
    adapt = values["adapt"] | {"start": "gap", "start_examples": 16, "target": "ffn"}
    recipe = resolve(values | {"base": str(bases[family]), "adapt": adapt})
    record = pareft.run(recipe, out=tmp_path / "run", arm="lora+l-prun")
    assert record.start.loss_after <= record.start.loss_before
    assert set(record.start.explained) == {"encoder 2", "encoder 4", "decoder 2"}
    stored = json.loads((tmp_path / "run" / "record.json").read_text())
    assert stored["start"]["examples"] == 16
    again = pareft.evaluate(tmp_path / "run", out=tmp_path / "again")
    assert {name: score.value for name, score in again.scores.items()} == record.scores
