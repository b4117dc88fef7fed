"""The laws of depth pruning, for every family, on a tiny model of it."""

import json
import shutil
import subprocess
import sys

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tiny import MAKERS, ROW, drop_first, encoder_inputs, logits, make_inputs, make_model

import pareft
from pareft.errors import ModelError, PlanError
from pareft.models.families import COMPOSITES, FAMILIES, REFUSED, find_family
from pareft.models.surgery import cut

COMPOSITE_OF = {"trocr": "vision-encoder-decoder", "bert2bert": "encoder-decoder"}


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """Folders of tiny bases, made when they are asked for."""
    made = {}

    def get(name):
        if name not in made:
            made[name] = tmp_path_factory.mktemp(name)
            make_model(name).save_pretrained(made[name])
        return made[name]

    return get


@pytest.fixture(params=MAKERS)
def name(request):
    return request.param


@pytest.fixture
def folder(folders, name):
    return folders(name)


@pytest.fixture
def whole(name):
    return make_model(name)


@pytest.fixture
def plan(folder, whole):
    return pareft.plan(folder, layers=drop_first(whole))


def assert_same_tensors(one, other):
    there, here = one.state_dict(), other.state_dict()
    assert there.keys() == here.keys()
    assert [name for name in there if not torch.equal(there[name], here[name])] == []


def test_every_row_has_a_tiny_model():
    assert {ROW.get(name, COMPOSITE_OF.get(name, name)) for name in MAKERS} | {"trocr"} == {*FAMILIES, *COMPOSITES}


def test_keep_everything_is_the_identity(folder, whole):
    plan = pareft.plan(folder, by="everything")
    assert plan.keeps_everything
    for model in (pareft.load(folder, plan), pareft.load(folder), cut(whole, plan)):
        assert type(model) is type(whole)
        assert_same_tensors(model, whole)
        torch.testing.assert_close(logits(model, make_inputs(whole)), logits(whole, make_inputs(whole)), rtol=0, atol=1e-6)


def test_load_equals_cut_bit_for_bit(folder, whole, plan):
    loaded, pruned = pareft.load(folder, plan), cut(whole, plan)
    assert type(loaded) is type(pruned) is type(whole)
    assert_same_tensors(loaded, pruned)
    torch.testing.assert_close(logits(loaded, make_inputs(whole)), logits(pruned, make_inputs(whole)), rtol=0, atol=1e-6)


def test_every_layer_is_the_one_the_plan_names(whole, plan):
    """The trap of `from_pretrained(key_mapping=…)`: dropped layers landing in new ones."""
    family, pruned = find_family(whole.config), cut(whole, plan)
    carried = tuple(tail for stack in family.stacks for tail in stack.carried)
    checked = 0
    for name, tensor in pruned.state_dict().items():
        place = family.locate(name)
        if place and place.tail not in carried:
            base = plan.layers[place.stack.name][place.layer]
            assert torch.equal(tensor, whole.state_dict()[f"{place.prefix}{base}.{place.tail}"]), name
            checked += 1
    assert checked > 5 * sum(map(len, plan.layers.values()))


def test_pruned_model_skips_the_dropped_layers(whole, plan):
    """The function itself, in the unpruned model: every dropped layer hands on what it was given."""
    family = find_family(whole.config)
    pruned = logits(cut(whole, plan), make_inputs(whole))
    if any(stack.carried for stack in family.stacks) or whole.config.model_type == "deberta-v2":
        pytest.skip("the first layer does more than its own work in this family")
    for stack in family.stacks:
        root = getattr(whole, stack.part).base_model if stack.part else whole.base_model
        for index, layer in enumerate(root.get_submodule(stack.path)):
            if index not in plan.layers[stack.name]:
                tuples = type(layer).__name__.startswith(("LED", "TrOCR"))
                layer.forward = lambda hidden_states, *_, t=tuples, **__: (hidden_states, None, None) if t else hidden_states
    torch.testing.assert_close(logits(whole, make_inputs(whole)), pruned, rtol=0, atol=1e-5)


def test_pruned_model_is_a_stock_checkpoint(folder, plan, tmp_path):
    model = pareft.load(folder, plan)
    model.save_pretrained(tmp_path)
    stock, report = type(model).from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report.values())
    assert_same_tensors(stock, model)
    inputs = make_inputs(model)
    torch.testing.assert_close(logits(stock, inputs), logits(model, inputs), rtol=0, atol=1e-6)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["architectures"] == [type(model).__name__]
    assert config["pareft_plan"] == plan.fingerprint
    if model.can_generate():
        settings = {"max_new_tokens": 6, "num_beams": 4, "do_sample": False}
        cached = stock.generate(**encoder_inputs(inputs), use_cache=True, **settings)
        assert torch.equal(cached, model.generate(**encoder_inputs(inputs), use_cache=False, **settings))


def test_tied_embeddings_stay_tied(whole, plan):
    def tied(model):
        parameters = [parameter.data_ptr() for _, parameter in model.named_parameters(remove_duplicate=False)]
        return len(parameters) - len(set(parameters))

    assert tied(cut(whole, plan)) == tied(whole)


def test_config_and_generation_settings_survive(folder, whole, plan):
    pruned = pareft.load(folder, plan)
    stacks = find_family(whole.config).stacks
    fields = [field for stack in stacks for field in (stack.depth_field, *stack.lists)]
    changed = {"pareft_plan", "pareft_layers", "_name_or_path", "encoder", "decoder", "num_hidden_layers", *fields}
    there, here = type(whole).from_pretrained(folder).config.to_dict(), pruned.config.to_dict()
    assert {key for key in {*there, *here} if there.get(key) != here.get(key)} <= changed
    for stack in stacks:
        assert stack.depth(pruned.config) == len(plan.layers[stack.name])
        for field in stack.lists:
            entries = getattr(stack.config_of(whole.config), field)
            assert list(getattr(stack.config_of(pruned.config), field)) == [entries[layer] for layer in plan.layers[stack.name]]
    if whole.can_generate():
        stock = type(whole).from_pretrained(folder).generation_config.to_dict()
        assert {k: v for k, v in pruned.generation_config.to_dict().items() if k != "alignment_heads"} == {
            k: v for k, v in stock.items() if k != "alignment_heads"
        }


def test_half_precision_equals_stock(folder, whole):
    """A cast while reading is the cast of transformers."""
    for dtype in (torch.bfloat16, torch.float16):
        assert_same_tensors(pareft.load(folder, dtype=dtype), type(whole).from_pretrained(folder, dtype=dtype))


STOCK_PROCESS = """
import sys, torch, transformers
assert not any(name.split(".")[0] == "pareft" for name in sys.modules)
for folder in sys.argv[1:]:
    inputs = torch.load(f"{folder}/inputs.pt", weights_only=True)
    expected, written = inputs.pop("expected"), inputs.pop("written", None)
    name = transformers.AutoConfig.from_pretrained(folder).architectures[0]
    model = getattr(transformers, name).from_pretrained(folder).eval()
    with torch.no_grad():
        torch.testing.assert_close(model(**inputs).logits, expected, rtol=0, atol=1e-5)
    if written is not None:
        start = {name: value for name, value in inputs.items() if not name.startswith("decoder")}
        assert torch.equal(model.generate(**start, num_beams=4, max_new_tokens=6, do_sample=False), written)
    print("same", name)
"""


def test_a_process_without_pareft_reads_every_family(folders, tmp_path):
    for name in MAKERS:
        whole, place = make_model(name), tmp_path / name
        model = cut(whole, pareft.plan(folders(name), layers=drop_first(whole)))
        model.save_pretrained(place)
        inputs = make_inputs(model)
        case = inputs | {"expected": logits(model, inputs)}
        if model.can_generate():
            case["written"] = model.generate(**encoder_inputs(inputs), num_beams=4, max_new_tokens=6, do_sample=False)
        torch.save(case, place / "inputs.pt")
    places = [str(tmp_path / name) for name in MAKERS]
    done = subprocess.run([sys.executable, "-c", STOCK_PROCESS, *places], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("same") == len(MAKERS)


@pytest.mark.parametrize("name", ["t5", "t5-gated", "mt5", "longt5-local", "longt5-global"], indirect=True)
def test_position_bias_moves_to_the_new_first_layer(whole, plan):
    pruned, family = cut(whole, plan), find_family(whole.config)
    moved = 0
    for name, tensor in pruned.state_dict().items():
        place = family.locate(name)
        if place and place.tail in place.stack.carried:
            assert place.layer == 0
            assert plan.layers[place.stack.name][0] == 1
            assert torch.equal(tensor, whole.state_dict()[f"{place.prefix}0.{place.tail}"])
            moved += 1
    assert moved == (3 if any("global" in name for name in pruned.state_dict()) else 2)


@pytest.mark.parametrize("name", ["t5", "mt5", "longt5-local"], indirect=True)
def test_a_decoder_its_cache_is_too_short_for_is_refused(folder):
    with pytest.raises(PlanError, match="Keep at least as many encoder layers"):
        pareft.plan(folder, layers={"encoder": [0, 1]})


@pytest.mark.parametrize(
    "name", ["bart", "mbart", "pegasus", "marian", "blenderbot-small", "led", "whisper", "trocr", "bert2bert"], indirect=True
)
def test_a_decoder_may_be_deeper_than_its_encoder(folder):
    model = pareft.load(folder, pareft.plan(folder, layers={"encoder": [3]}))
    inputs, settings = encoder_inputs(make_inputs(model)), {"max_new_tokens": 6, "num_beams": 4}
    assert torch.equal(model.generate(**inputs, use_cache=True, **settings), model.generate(**inputs, use_cache=False, **settings))


@pytest.mark.parametrize("name", ["whisper"], indirect=True)
def test_alignment_heads_follow_their_layers(folder):
    plan = pareft.plan(folder, layers={"decoder": [0, 3]})
    assert pareft.load(folder, plan).generation_config.alignment_heads == [[0, 1], [1, 1]]


@pytest.mark.parametrize("name", ["whisper"], indirect=True)
def test_alignment_heads_follow_once(folder, tmp_path):
    plan = pareft.plan(folder, layers={"decoder": [2, 3]}, neurons={"decoder": {3: [0, 1]}})
    pareft.save(pareft.load(folder, plan), tmp_path / "saved")
    assert pareft.load(tmp_path / "saved").generation_config.alignment_heads == [[0, 0], [1, 1]]


@pytest.mark.parametrize("name", ["trocr", "bert2bert", "bart"], indirect=True)
def test_a_model_that_stock_loads_can_be_cut_by_the_folders_plan(folder, whole, plan, tmp_path):
    stock = type(whole).from_pretrained(folder)
    stock.save_pretrained(tmp_path / "again")
    assert_same_tensors(cut(stock, plan), cut(whole, plan))
    assert_same_tensors(pareft.load(tmp_path / "again", plan), cut(whole, plan))


@pytest.mark.parametrize("name", ["pegasus", "marian"], indirect=True)
def test_positions_that_are_a_formula_need_not_be_stored(folder, whole, plan):
    state = load_file(folder / "model.safetensors")
    kept = {name: tensor for name, tensor in state.items() if "embed_positions" not in name}
    place = shutil.copytree(folder, folder.parent / f"{folder.name}-formulas")
    save_file(kept, place / "model.safetensors", {"format": "pt"})
    again = pareft.plan(place, layers=dict(plan.layers))
    assert_same_tensors(pareft.load(place, again), cut(type(whole).from_pretrained(place), again))


@pytest.mark.parametrize("name", ["whisper"], indirect=True)
def test_positions_that_are_learned_must_be_stored(folder):
    state = load_file(folder / "model.safetensors")
    place = shutil.copytree(folder, folder.parent / f"{folder.name}-lost")
    kept = {name: tensor for name, tensor in state.items() if "decoder.embed_positions" not in name}
    save_file(kept, place / "model.safetensors", {"format": "pt"})
    with pytest.raises(
        ModelError, match=r"lacks 1 tensors of a WhisperForConditionalGeneration, model.decoder.embed_positions.weight"
    ):
        pareft.load(place)


@pytest.mark.parametrize("name", ["modernbert"], indirect=True)
def test_a_first_layer_that_differs_must_stay(folder):
    with pytest.raises(PlanError, match="layer 0 of a modernbert must stay: it alone has no norm"):
        pareft.plan(folder, layers=[1, 2, 3])


@pytest.mark.parametrize("name", ["gpt2"], indirect=True)
def test_one_stack_takes_a_list(folder):
    assert pareft.plan(folder, layers=[0, 2, 5]).layers == {"decoder": (0, 2, 5)}


@pytest.mark.parametrize("name", ["bart"], indirect=True)
def test_two_stacks_do_not_take_a_list(folder):
    with pytest.raises(PlanError, match="this base has encoder and decoder"):
        pareft.plan(folder, layers=[0, 2])


@pytest.mark.parametrize(("model_type", "reason"), REFUSED.items())
def test_families_that_cannot_be_pruned_say_why(tmp_path, model_type, reason):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type}))
    with pytest.raises(ModelError, match=reason):
        pareft.plan(tmp_path)


def test_an_unknown_family_names_the_folder_to_extend(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "rwkv"}))
    with pytest.raises(ModelError, match=r"no family 'rwkv'.*src/pareft/models/families/"):
        pareft.plan(tmp_path)


def test_a_base_whose_layers_know_their_number_is_refused(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2", "scale_attn_by_inverse_layer_idx": True}))
    with pytest.raises(ModelError, match="what a layer computes depends on its number"):
        pareft.plan(tmp_path)


@pytest.mark.parametrize("name", ["bert"], indirect=True)
def test_another_head_starts_fresh_and_the_rest_is_the_bases(folder, whole):
    plan = pareft.plan(folder, layers=[0, 2, 4])
    model = pareft.load(folder, plan, head=transformers.AutoModelForSequenceClassification)
    assert type(model) is transformers.BertForSequenceClassification
    there, here = model.bert.state_dict(), cut(whole, plan).bert.state_dict()
    assert all(torch.equal(there[name], here[name]) for name in here)
    with pytest.raises(ModelError, match="no AutoModelForSeq2SeqLM for family 'bert'"):
        pareft.load(folder, head=transformers.AutoModelForSeq2SeqLM)
