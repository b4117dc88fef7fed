"""Width pruning: laws 3 and 4 for every family that can lose heads and neurons, and what a stock config can say of it."""

import random
import subprocess
import sys

import pytest
import torch
from tiny import WIDE, drop_first, encoder_inputs, logits, make_inputs, make_model

import pareft
from pareft.errors import PlanError
from pareft.models.families import find_family
from pareft.models.surgery import cut
from pareft.models.width import fits_stock, measure_widths
from pareft.pruning.masks import mask

FULLY_STOCK = ("t5", "t5-gated", "mt5", "llama", "mistral", "qwen2", "qwen3", "gemma2", "gemma3_text", "smollm3")


@pytest.fixture(params=WIDE)
def name(request):
    return request.param


@pytest.fixture
def folder(name, tmp_path_factory):
    folder = tmp_path_factory.mktemp(name)
    make_model(name).save_pretrained(folder)
    return folder


def choose_units(model, layers, pick):
    """Kept heads and neurons of every kept layer: `pick` says which of n."""
    heads, neurons = {}, {}
    for key, size in measure_widths(model.config, find_family(model.config)).items():
        for layer in layers[key.partition(".")[0]]:
            (heads if "." in key else neurons).setdefault(key, {})[layer] = pick(size)
    return {"layers": layers, "heads": heads, "neurons": neurons}


def uneven(seed=0):
    generator = random.Random(seed)
    return lambda size: sorted(generator.sample(range(size), generator.randint(1, size)))


def even(size):
    return list(range(size))[1::2] or [0]


def close(masks, plan):
    """Set to 0 what the plan drops."""
    for key, values in masks.items():
        for index in plan.layers[key.partition(".")[0]]:
            kept = plan.kept_heads(key, index) if "." in key else plan.kept_neurons(key, index)
            values[index] = 0
            values[index, list(kept)] = 1


@pytest.mark.parametrize("pick", [uneven(1), uneven(2), even], ids=["uneven1", "uneven2", "even"])
def test_masked_equals_cut(name, folder, pick):
    whole = make_model(name)
    everything = {stack: list(range(depth)) for stack, depth in find_family(whole.config).depths(whole.config).items()}
    plan = pareft.plan(folder, **choose_units(whole, everything, pick))
    narrow, inputs = pareft.load(folder, plan, dtype=torch.float64), make_inputs(whole.double())
    before = logits(whole, inputs)
    with mask(whole) as masks:
        assert torch.equal(logits(whole, inputs), before)
        close(masks, plan)
        expected = logits(whole, inputs)
        assert not torch.allclose(before, expected, atol=1e-3)
        torch.testing.assert_close(logits(narrow, inputs), expected, rtol=0, atol=1e-5)
        if narrow.can_generate():
            settings = {"max_new_tokens": 6, "num_beams": 4, "do_sample": False}
            cached = narrow.generate(**encoder_inputs(inputs), use_cache=True, **settings)
            assert torch.equal(cached, narrow.generate(**encoder_inputs(inputs), use_cache=False, **settings))
            assert torch.equal(cached, whole.generate(**encoder_inputs(inputs), use_cache=True, **settings))
    assert torch.equal(logits(whole, inputs), before)
    assert not any(module._forward_pre_hooks for module in whole.modules())
    assert not any("masks" in name for name, _ in whole.named_parameters())


@pytest.mark.parametrize("pick", [uneven(3), even], ids=["uneven", "even"])
def test_load_equals_cut_bit_for_bit(name, folder, pick):
    whole = make_model(name)
    plan = pareft.plan(folder, **choose_units(whole, drop_first(whole), pick))
    loaded, narrow = pareft.load(folder, plan), cut(whole, plan)
    assert type(loaded) is type(narrow) is type(whole)
    there, here = loaded.state_dict(), narrow.state_dict()
    assert there.keys() == here.keys()
    assert all(torch.equal(there[key], here[key]) for key in there)
    assert sum(p.numel() for p in loaded.parameters()) < sum(
        p.numel() for p in pareft.load(folder, pareft.plan(folder, layers=drop_first(whole))).parameters()
    )
    torch.testing.assert_close(logits(loaded, make_inputs(whole)), logits(narrow, make_inputs(whole)), rtol=0, atol=1e-6)


def test_uniform_widths_are_stock_where_the_config_can_say_them(name, folder, tmp_path):
    whole = make_model(name)
    chosen = choose_units(whole, drop_first(whole), even)
    plan = pareft.plan(folder, **chosen)
    family = find_family(whole.config)
    assert fits_stock(whole.config, family, plan) == (name in FULLY_STOCK)
    neurons_alone = pareft.plan(folder, layers=chosen["layers"], neurons=chosen["neurons"])
    assert fits_stock(whole.config, family, neurons_alone)
    for sayable in [neurons_alone, *([plan] if name in FULLY_STOCK else [])]:
        model = pareft.load(folder, sayable)
        model.save_pretrained(tmp_path)
        stock, report = type(whole).from_pretrained(tmp_path, output_loading_info=True)
        assert not any(report.values())
        torch.testing.assert_close(logits(stock, make_inputs(whole)), logits(model, make_inputs(whole)), rtol=0, atol=1e-6)


def test_one_layer_that_differs_is_not_stock(name, folder):
    whole = make_model(name)
    chosen = choose_units(whole, drop_first(whole), even)["neurons"]
    stack = next(iter(chosen))
    chosen[stack][next(iter(chosen[stack]))] = [0]
    assert not fits_stock(whole.config, find_family(whole.config), pareft.plan(folder, layers=drop_first(whole), neurons=chosen))


@pytest.mark.parametrize(
    ("units", "message"),
    [
        ({"heads": {"encoder.self": {0: [4]}}}, "encoder.self layer 0 has no head 4: it has 4, numbered 0 to 3"),
        ({"heads": {"encoder.self": {0: [-1]}}}, "has no head -1"),
        ({"heads": {"encoder.self": {0: [1, 1]}}}, "each named once"),
        ({"heads": {"encoder.self": {0: []}}}, "would keep 0 of 4 heads"),
        ({"heads": {"encoder.self": {0: [0, 1, 2, 3, 4]}}}, "has no head 4"),
        (
            {"heads": {"encoder.cross": {0: [0]}}},
            "no 'encoder.cross' whose heads can be pruned",
        ),
        ({"heads": {"encoder.self": {9: [0]}}}, "encoder.self layer 9 is not kept"),
        ({"neurons": {"decoder": {1: [20]}}}, "decoder layer 1 has no neuron 20: it has 20"),
        ({"neurons": {"decoder": {1: ["a"]}}}, "must be a list of integers"),
        (
            {"layers": {"encoder": [0, 1]}, "neurons": {"encoder": {2: [0]}}},
            r"encoder layer 2 is not kept; the kept layers are \[0, 1\]",
        ),
    ],
)
@pytest.mark.parametrize("name", ["bart"], indirect=True)
def test_impossible_units_are_refused(folder, units, message):
    with pytest.raises(PlanError, match=message):
        pareft.plan(folder, **units)


@pytest.mark.parametrize("name", ["bart"], indirect=True)
def test_units_that_keep_everything_are_no_part_of_a_plan(folder):
    plan = pareft.plan(folder, heads={"encoder.self": {0: [0, 1, 2, 3]}}, neurons={"encoder": {1: range(24)}})
    assert plan.keeps_everything
    assert plan.fingerprint == pareft.plan(folder, by="everything").fingerprint
    narrow = pareft.plan(folder, heads={"encoder.self": {0: [1, 3]}})
    assert not narrow.keeps_everything
    assert pareft.PruningPlan.from_json(narrow.to_json()) == narrow


NARROW_PROCESS = """
import sys, torch, pareft
for folder in sys.argv[1:]:
    model = pareft.load(folder)
    inputs = torch.load(f"{folder}/inputs.pt", weights_only=True)
    expected, written = inputs.pop("expected"), inputs.pop("written", None)
    with torch.no_grad():
        torch.testing.assert_close(model(**inputs).logits, expected, rtol=0, atol=1e-5)
    if written is not None:
        start = {name: value for name, value in inputs.items() if not name.startswith("decoder")}
        assert torch.equal(model.generate(**start, num_beams=4, max_new_tokens=6, do_sample=False), written)
    print("same")
"""


def test_another_process_reads_uneven_widths_of_every_family(tmp_path):
    for name in WIDE:
        whole = make_model(name)
        whole.save_pretrained(tmp_path / "base" / name)
        chosen = choose_units(whole, drop_first(whole), uneven())
        model, inputs = pareft.load(tmp_path / "base" / name, pareft.plan(tmp_path / "base" / name, **chosen)), make_inputs(whole)
        pareft.save(model, tmp_path / name)
        case = inputs | {"expected": logits(model, inputs)}
        if model.can_generate():
            case["written"] = model.generate(**encoder_inputs(inputs), num_beams=4, max_new_tokens=6, do_sample=False)
        torch.save(case, tmp_path / name / "inputs.pt")
    done = subprocess.run(
        [sys.executable, "-c", NARROW_PROCESS, *(str(tmp_path / n) for n in WIDE)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("same") == len(WIDE)


@pytest.mark.parametrize("name", ["bart"], indirect=True)
def test_a_narrowed_model_is_no_base_of_another_plan(folder, tmp_path):
    plan = pareft.plan(folder, neurons={"encoder": {1: [0, 1, 2]}})
    model = pareft.load(folder, plan)
    pareft.save(model, tmp_path / "narrow")
    message = "is itself pruned to layers of different widths .* plan what is to stay of .* in one plan"
    with pytest.raises(PlanError, match=message):
        pareft.plan(tmp_path / "narrow")
    with pytest.raises(PlanError, match=message):
        pareft.load(tmp_path / "narrow", plan)
    with pytest.raises(PlanError, match=message):
        cut(model, plan)


@pytest.mark.parametrize("name", ["t5"], indirect=True)
def test_a_class_with_one_of_the_stacks_can_be_narrow(folder):
    plan = pareft.plan(folder, heads={"encoder.self": {1: [0]}})
    model = pareft.load(folder, plan, head="AutoModelForTokenClassification")
    tokens = torch.arange(4, 12)[None]
    assert torch.isfinite(model(input_ids=tokens).logits).all()


@pytest.mark.parametrize("name", ["bart"], indirect=True)
def test_a_layer_cannot_be_written_twice(folder):
    with pytest.raises(PlanError, match="layer 01 is not kept"):
        pareft.plan(folder, neurons={"encoder": {"1": [0], "01": [1]}})


def test_a_family_without_widths_says_so(tmp_path):
    make_model("gpt2").save_pretrained(tmp_path)
    with pytest.raises(PlanError, match="there is none in this family"):
        pareft.plan(tmp_path, neurons={"decoder": {0: [1]}})
