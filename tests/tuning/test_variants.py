"""Every kind of adapter with a name: it starts as the model, comes back from disk, merges, moves, and stock peft loads it."""

import pytest
import torch
from peft import LoraConfig, PeftModel
from tiny import logits, make_inputs, make_model

import pareft
from pareft.adapter_settings import BottleneckSettings, Ia3Settings, LoraSettings, StackSettings
from pareft.errors import AdapterError, RecipeError
from pareft.evaluation.predictions import read_rows
from pareft.recipe import override, resolve, select_arm
from pareft.run_folder import PREDICTIONS
from pareft.tuning.adapters import merge
from pareft.tuning.allocating import AllocateRanks
from pareft.tuning.plain import make_plain
from pareft.tuning.storage import list_parameters

FAMILIES = ("bart", "t5", "roberta", "llama")
SMALL = {"rank": 2, "alpha": 4, "dropout": 0.0}
VARIANTS = {
    "all": LoraSettings(**SMALL, target="all"),
    "norms": LoraSettings(**SMALL, norms=True),
    "rslora": LoraSettings(**SMALL, rslora=True),
    "dora": LoraSettings(**SMALL, dora=True),
    "pissa": LoraSettings(**SMALL, start="pissa"),
    "pissa-rslora": LoraSettings(**SMALL, start="pissa", rslora=True, target="qv"),
    "olora": LoraSettings(**SMALL, start="olora", target="attention"),
    "eva": LoraSettings(**SMALL, start="eva"),
    "adalora": LoraSettings(**SMALL, method="adalora"),
    "ia3": Ia3Settings(method="ia3", target="all"),
    "ia3-norms": Ia3Settings(method="ia3", norms=True),
    "bottleneck": BottleneckSettings(method="bottleneck", rank=3),
    "bottleneck-all": BottleneckSettings(method="bottleneck", rank=3, target="all", activation="tanh", scale=2.0, norms=True),
}
HEADS = {"roberta": "AutoModelForSequenceClassification"}


@pytest.fixture(params=FAMILIES)
def family(request):
    return request.param


@pytest.fixture
def base(family, tmp_path):
    model = make_model(family)
    model.save_pretrained(tmp_path / "base")
    return tmp_path / "base"


@pytest.fixture
def plan(base):
    depths = pareft.plan(base, by="everything").depths
    return pareft.plan(base, layers={stack: [0, 2, 3] for stack in depths})


def load(base, plan, family):
    torch.manual_seed(0)  # a new head's weights
    return pareft.load(base, plan, head=HEADS.get(family))


def attach(model, settings):
    return pareft.attach(model, settings, steps=20).eval()


def disturb(model, by=0.1):
    """As if it had been trained."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(by * torch.randn(parameter.shape, generator=generator))
    return model


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_variant_starts_as_the_model_and_comes_back_merges_and_moves(variant, family, base, plan, tmp_path):
    settings = VARIANTS[variant]
    model = load(base, plan, family)
    inputs = make_inputs(model)
    plain = logits(model, inputs)
    adapted = attach(model, settings)
    torch.testing.assert_close(logits(adapted, inputs), plain, rtol=1e-4, atol=1e-4)
    trained = logits(disturb(adapted, 0.5 if settings.method == "adalora" else 0.1), inputs)
    assert not torch.allclose(trained, plain, atol=1e-2)
    pareft.save(adapted, tmp_path / "adapter")
    again = pareft.attach(load(base, plan, family), tmp_path / "adapter")
    torch.testing.assert_close(logits(again, inputs), trained, rtol=1e-4, atol=1e-4)
    stock = PeftModel.from_pretrained(load(base, plan, family), tmp_path / "adapter").eval()
    torch.testing.assert_close(logits(stock, inputs), trained, rtol=1e-4, atol=1e-4)
    if settings.method in ("ia3", "bottleneck"):
        with pytest.raises(AdapterError, match="is no LoRA; pareft moves LoRA between plans"):
            pareft.remap(tmp_path / "adapter", tmp_path / "whole")
    else:
        pareft.remap(tmp_path / "adapter", tmp_path / "whole")
        pareft.remap(tmp_path / "whole", tmp_path / "back", to=plan)
        back = pareft.attach(load(base, plan, family), tmp_path / "back")
        torch.testing.assert_close(logits(back, inputs), trained, rtol=1e-4, atol=1e-4)
    if settings.method == "bottleneck":
        with pytest.raises(AdapterError, match="has an activation inside and cannot be added into the weights"):
            merge(again)
    else:
        torch.testing.assert_close(logits(merge(again), inputs), trained, rtol=1e-3, atol=1e-3)


def test_ranks_that_adalora_leaves_out_are_not_stored(family, base, plan, tmp_path):
    model = disturb(attach(load(base, plan, family), VARIANTS["adalora"]), 0.3)
    inputs = make_inputs(model)
    names = [name for name, _ in model.named_parameters() if "lora_E" in name]
    with torch.no_grad():
        model.get_parameter(names[0]).zero_()
        model.get_parameter(names[1])[1:] = 0
    expected = logits(model, inputs)
    pareft.save(model, tmp_path / "adapter")
    config = LoraConfig.from_pretrained(tmp_path / "adapter")
    assert sorted(config.rank_pattern.values()) == [1, 1]
    assert config.r == 3  # half as many again as the two that are to be left
    again = pareft.attach(load(base, plan, family), tmp_path / "adapter")
    torch.testing.assert_close(logits(again, inputs), expected, rtol=1e-4, atol=1e-4)


def test_a_stack_has_its_own_rank_alpha_and_target(tmp_path):
    make_model("bart").save_pretrained(tmp_path / "base")
    settings = LoraSettings(**SMALL, encoder=StackSettings(rank=5), decoder=StackSettings(target="qv", alpha=9))
    model = pareft.attach(pareft.load(tmp_path / "base"), settings)
    ranks = {name: module.r["default"] for name, module in model.named_modules() if hasattr(module, "lora_A")}
    scales = {name: module.scaling["default"] for name, module in model.named_modules() if hasattr(module, "lora_A")}
    for name, rank in ranks.items():
        if ".encoder." in name:
            assert (name.endswith(("fc1", "fc2")), rank, scales[name]) == (True, 5, 4 / 5)
        else:
            assert (name.endswith(("q_proj", "v_proj")), rank, scales[name]) == (True, 2, 9 / 2)
    assert sum(".encoder." in name for name in ranks) == 10
    assert sum(".decoder." in name for name in ranks) == 16  # of self- and cross-attention
    disturb(model)
    pareft.save(model.eval(), tmp_path / "adapter")
    again = pareft.attach(pareft.load(tmp_path / "base"), tmp_path / "adapter")
    inputs = make_inputs(model)
    torch.testing.assert_close(logits(again, inputs), logits(model, inputs), rtol=1e-4, atol=1e-4)


def test_layers_and_targets_of_stacks_together(tmp_path):
    make_model("t5").save_pretrained(tmp_path / "base")
    settings = LoraSettings(**SMALL, norms=True, layers={"decoder": [1]}, decoder=StackSettings(target="qv"))
    model = pareft.attach(pareft.load(tmp_path / "base"), settings)
    wrapped = {name for name, module in model.named_modules() if hasattr(module, "lora_A")}
    assert len(wrapped) == 4
    assert all(".decoder.block.1." in name and name.endswith((".q", ".v")) for name in wrapped)
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad and "lora" not in name}
    assert len(trained) == 3
    assert all(".decoder.block.1." in name and "layer_norm" in name for name in trained)


def test_what_does_not_go_together_is_refused(tmp_path):
    values = {"base": "x", "data": {"path": "y"}}
    for adapt, message in [
        ({"method": "adalora", "dora": True}, "neither dora, rslora nor another start"),
        ({"method": "adalora", "decoder": {"rank": 3}}, "no rank and alpha"),
        ({"dora": True, "start": "pissa"}, "which dora is not"),
        ({"method": "ia3", "rank": 3}, "unknown key adapt.rank"),
        ({"method": "lorra"}, "no 'lorra'. Did you mean lora"),
        ({"decoder": {"rnk": 3}}, "Did you mean adapt.decoder.rank"),
    ]:
        with pytest.raises(RecipeError, match=message):
            resolve(values | {"adapt": adapt})
    make_model("llama").save_pretrained(tmp_path / "base")
    with pytest.raises(AdapterError, match=r"adapt.encoder: the base has no stack 'encoder'; it has decoder"):
        pareft.attach(pareft.load(tmp_path / "base"), LoraSettings(encoder=StackSettings(rank=3)))
    with pytest.raises(AdapterError, match="say how many there are"):
        pareft.attach(pareft.load(tmp_path / "base"), LoraSettings(method="adalora"))
    model = pareft.attach(pareft.load(tmp_path / "base"), LoraSettings(**SMALL, start="olora"))
    del model.pareft_start
    with pytest.raises(AdapterError, match="nothing says by what"):
        make_plain(model, "default", list_parameters(model))


def test_an_adapter_that_changes_the_base_shares_it_with_no_other(tmp_path):
    make_model("bart").save_pretrained(tmp_path / "base")
    for first, second in ((VARIANTS["pissa"], VARIANTS["all"]), (VARIANTS["all"], VARIANTS["olora"])):
        model = pareft.attach(pareft.load(tmp_path / "base"), first)
        with pytest.raises(AdapterError, match="shares it with no other"):
            pareft.attach(model, second, name="second")


def test_olora_is_refused_where_peft_has_it_wrong_and_ranks_beyond_a_layer_are_all_it_has(tmp_path):
    make_model("gpt2").save_pretrained(tmp_path / "gpt2")
    with pytest.raises(AdapterError, match="wrong way round; start with pissa"):
        pareft.attach(pareft.load(tmp_path / "gpt2"), VARIANTS["olora"])
    make_model("bart").save_pretrained(tmp_path / "bart")
    model = pareft.attach(pareft.load(tmp_path / "bart"), LoraSettings(rank=40, dropout=0.0, start="pissa")).eval()
    inputs = make_inputs(model)
    expected = logits(disturb(model), inputs)
    pareft.save(model, tmp_path / "adapter")
    again = pareft.attach(pareft.load(tmp_path / "bart"), tmp_path / "adapter")
    torch.testing.assert_close(logits(again, inputs), expected, rtol=1e-4, atol=1e-4)


def test_two_stored_ia3_share_a_base(tmp_path):
    make_model("t5").save_pretrained(tmp_path / "base")
    inputs, alone = make_inputs(make_model("t5")), {}
    for number, name in enumerate(("one", "two")):
        model = pareft.attach(pareft.load(tmp_path / "base"), VARIANTS["ia3"]).eval()
        alone[name] = logits(disturb(model, 0.1 + 0.2 * number), inputs)
        pareft.save(model, tmp_path / name)
    model = pareft.attach(pareft.load(tmp_path / "base"), tmp_path / "one", name="one")
    model = pareft.attach(model, tmp_path / "two", name="two")
    for name, expected in alone.items():
        model.set_adapter(name)
        torch.testing.assert_close(logits(model, inputs), expected, rtol=1e-4, atol=1e-4)


def test_the_card_says_what_is_stored(tmp_path):
    make_model("bart").save_pretrained(tmp_path / "base")
    for variant in ("pissa", "adalora"):
        model = attach(pareft.load(tmp_path / "base"), VARIANTS[variant])
        pareft.save(model, tmp_path / variant)
        config = LoraConfig.from_pretrained(tmp_path / variant)
        assert f"Rank {config.r}, alpha {config.lora_alpha:g}" in (tmp_path / variant / "README.md").read_text()


def test_layers_beside_targets_of_stacks_are_checked(tmp_path):
    make_model("bart").save_pretrained(tmp_path / "base")
    for layers in ({"decodr": "all", "encoder": "all"}, {"decodr": "all"}):
        with pytest.raises(AdapterError, match="no stack 'decodr'"):
            pareft.attach(pareft.load(tmp_path / "base"), LoraSettings(layers=layers, encoder=StackSettings(target="qv")))


def test_eva_says_when_batches_are_too_small(values, bases, tmp_path):
    adapt = {"start": "eva", "rank": 64, "dropout": 0.0}
    recipe = resolve(
        values | {"adapt": adapt, "train": values["train"] | {"batch_size": 1}, "data": values["data"] | {"max_target_tokens": 6}}
    )
    with pytest.raises(AdapterError, match="eva needs a batch of 64 tokens"):
        pareft.run(recipe, out=tmp_path / "run", arm="lora+l-prun")


def test_components_are_found_in_full_precision(values, tmp_path, monkeypatch):
    """peft finds them in hooks of the model's pass, which is under autocast; on CUDA, bf16 cannot be decomposed."""
    found, plain = [], torch.linalg.qr
    monkeypatch.setattr(
        torch.linalg, "qr", lambda states, *args, **more: found.append(states.dtype) or plain(states, *args, **more)
    )
    recipe = resolve(values | {"adapt": {"start": "eva", "rank": 2, "dropout": 0.0, "start_examples": 8}})
    pareft.run(recipe, {"train.precision": "bf16"}, out=tmp_path / "run", arm="lora+l-prun")
    assert found
    assert torch.bfloat16 not in found


def test_an_arm_of_another_method_drops_what_that_has_not():
    values = {
        "base": "x",
        "data": {"path": "y"},
        "adapt": {"rank": 3, "target": "qv"},
        "arms": {"one": {"adapt": {"method": "ia3"}}, "two": {"adapt.method": "ia3"}, "three": {"adapt.method": "adalora"}},
    }
    recipe = resolve(values)
    for arm in ("one", "two"):
        assert select_arm(recipe, arm).adapt == Ia3Settings(method="ia3", target="qv")
    assert select_arm(recipe, "three").adapt == LoraSettings(method="adalora", rank=3, target="qv")
    assert override({"adapt": None}, {"adapt.method": "ia3"}) == {"adapt": {"method": "ia3"}}
    both = {"adapt.rank": 8, "adapt.method": "lora"}
    assert override({"adapt": {"method": "ia3", "target": "qv"}}, both)["adapt"] == {"method": "lora", "target": "qv", "rank": 8}


@pytest.mark.parametrize(
    "adapt",
    [
        {"method": "adalora", "rank": 2, "dropout": 0.0},
        {"start": "pissa", "rank": 2, "dropout": 0.0},
        {"start": "eva", "rank": 2, "dropout": 0.0, "start_examples": 8},
        {"dora": True, "rank": 2, "norms": True},
        {"method": "ia3", "target": "all"},
    ],
    ids=lambda adapt: str(adapt.get("method", adapt.get("start", "dora"))),
)
@pytest.mark.parametrize("family", ["bart", pytest.param("t5", marks=pytest.mark.slow)])
def test_a_run_of_a_variant_trains_stores_and_writes_the_same_again(adapt, family, values, bases, tmp_path):
    train = values["train"] | {"max_steps": 10, "evaluate_every": 0.8, "lora_plus": 4.0 if "method" not in adapt else None}
    recipe = resolve(values | {"base": str(bases[family]), "adapt": adapt, "train": train})
    record = pareft.run(recipe, out=tmp_path / "run", arm="lora+l-prun")
    assert record.steps == 10
    losses = [entry["loss"] for entry in record.history if "loss" in entry]
    assert losses[-1] < losses[0]
    again = pareft.evaluate(tmp_path / "run", out=tmp_path / "again")
    assert {name: score.value for name, score in again.scores.items()} == record.scores
    one, other = (read_rows(tmp_path / folder / PREDICTIONS) for folder in ("run", "again"))
    assert [row["prediction"] for row in one] == [row["prediction"] for row in other]


@pytest.mark.parametrize("stop", [5, 6, 9], ids=["before the half", "at the half", "behind it"])
def test_adalora_goes_on_where_it_stopped(stop, values, tmp_path, monkeypatch):
    """From the half of the steps on ranks are final: those that were left stay so."""
    train = values["train"] | {"max_steps": 12, "evaluate_every": 0.25, "learning_rate": 0.05}
    recipe = resolve(values | {"adapt": {"method": "adalora", "rank": 2, "dropout": 0.0}, "train": train})
    shared, plain = [], AllocateRanks.on_optimizer_step

    def stop_once(self, args, state, control, **more):
        plain(self, args, state, control, **more)
        shared.append((state.global_step + 1, self.left))
        if len(shared) == stop + 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(AllocateRanks, "on_optimizer_step", stop_once)
    with pytest.raises(KeyboardInterrupt):
        pareft.run(recipe, out=tmp_path / "run", arm="lora+l-prun")
    pareft.run(recipe, out=tmp_path / "run", arm="lora+l-prun")
    assert [step for step, _ in shared] == [*range(1, stop + 2), *range(stop + 1, 13)]
    final = [left for step, left in shared[stop + 1 :] if step >= 6]
    assert all(left == final[0] for left in final)
    assert sum(map(sum, final[0].values())) <= 2 * len(final[0]) < sum(map(len, final[0].values()))
    if stop > 6:
        assert final[0] == shared[stop][1]


@pytest.mark.parametrize("steps", [1, 2])
def test_adalora_in_hardly_any_steps(steps, values, tmp_path):
    recipe = resolve(values | {"adapt": {"method": "adalora", "rank": 2}, "train": values["train"] | {"max_steps": steps}})
    assert pareft.run(recipe, out=tmp_path / "run", arm="lora+l-prun").steps == steps
