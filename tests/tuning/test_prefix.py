"""Laws of the frozen prefix: the same losses and gradients, computed once, kept within bounds, and nothing left of it."""

import json

import pytest
import torch
from conftest import make_tokenizer
from datasets import Dataset
from tiny import make_model
from transformers import DataCollatorForSeq2Seq

import pareft
from pareft import pipeline
from pareft.adapter_settings import LoraSettings
from pareft.errors import PareftWarning, RecipeError
from pareft.recipe import resolve
from pareft.tuning.adapters import attach
from pareft.tuning.number_store import NumberStore
from pareft.tuning.prefix.ending import find_prefix
from pareft.tuning.prefix.serving import keep_prefix

SETTINGS = LoraSettings(target="all", rank=2, alpha=4, dropout=0.0)
DECODER, UPPER, BOTH = {"decoder": "all"}, {"encoder": [3, 4], "decoder": "all"}, {"decoder": [2, 3]}
FAMILIES = ("bart", "mbart", "pegasus", "marian", "blenderbot-small", "t5", "t5-gated", "mt5")
WHOLE_ALONE = ("led", "longt5-local", "longt5-global", "bert2bert")


def make_examples(count=6):
    generator = torch.Generator().manual_seed(2)

    def draw(least):
        length = int(torch.randint(least, least + 7, (1,), generator=generator))
        return [*torch.randint(4, 60, (length,), generator=generator).tolist(), 2]

    rows = [{"input_ids": draw(3), "labels": draw(2)} for _ in range(count)]
    return Dataset.from_list([row | {"attention_mask": [1] * len(row["input_ids"])} for row in rows])


def make_batches(model, examples, order=((0, 1, 2), (3, 4, 5), (5, 0, 3), (1, 4, 2), (2, 2, 0))):
    """Three epochs' batches: the later ones of other neighbours, and so of other padding."""
    tokenizer = make_tokenizer()
    tokenizer.pad_token = tokenizer.convert_ids_to_tokens(model.config.pad_token_id)
    collate = DataCollatorForSeq2Seq(tokenizer, model.get_base_model(), pad_to_multiple_of=8)
    return [collate([examples[index] for index in batch]) for batch in order]


def build(name, layers, **changes):
    model = attach(make_model(name), SETTINGS.model_copy(update={"layers": layers, **changes}))
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return model.train()


def list_steps(model, batches):
    """Loss and gradients of every batch."""
    steps = []
    for batch in batches:
        model.zero_grad()
        loss = model(**batch).loss
        loss.backward()
        gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
        steps.append({"loss": loss.detach()} | gradients)
    return steps


def assert_same(steps, plain, tolerance=1e-5):
    for one, other in zip(steps, plain, strict=True):
        assert one.keys() == other.keys()
        least = 0.01 * max(value.abs().max() for value in other.values())  # a key's bias has none but noise
        for name, value in other.items():
            assert (one[name] - value).abs().max() <= tolerance * value.abs().max().clamp(min=least), name


def count_calls(module):
    calls = []
    module.register_forward_hook(lambda *_: calls.append(1))
    return calls


@pytest.mark.parametrize("name", [*FAMILIES, *WHOLE_ALONE])
@pytest.mark.parametrize("layers", [DECODER, UPPER, BOTH], ids=["decoder", "upper", "both"])
def test_same_losses_and_gradients(name, layers, tmp_path):
    if name in WHOLE_ALONE and layers is UPPER:
        pytest.skip("refused, see below")
    examples, model = make_examples(), build(name, layers)
    batches = make_batches(model, examples)
    plain = list_steps(model, batches)
    with keep_prefix(model, examples, True, folder=tmp_path / "prefix", precision="fp32"):
        assert_same(list_steps(model, batches), plain)
        assert_same(list_steps(model, batches), plain)
    with keep_prefix(model, examples, True, folder=None, precision="fp32"):
        assert_same(list_steps(model, batches), plain)


@pytest.mark.parametrize("name", ["bart", "t5"])
@pytest.mark.parametrize("layers", [DECODER, UPPER, BOTH], ids=["decoder", "upper", "both"])
def test_bf16_is_no_farther_from_fp32_than_twice_the_plain_way(name, layers, tmp_path):
    examples, model = make_examples(), build(name, layers)
    batches = make_batches(model, examples)
    exact = list_steps(model, batches)
    for parameter in model.parameters():
        if not parameter.requires_grad:
            parameter.data = parameter.data.bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        plain = list_steps(model, batches)
        with keep_prefix(model, examples, True, folder=tmp_path, precision="bf16"):
            list_steps(model, batches)
            kept = list_steps(model, batches)
    for name_of in exact[0]:
        far = [
            sum((step[name_of] - right[name_of]).norm() for step, right in zip(steps, exact, strict=True))
            for steps in (kept, plain)
        ]
        assert far[0] <= 2 * far[1] + 1e-6, name_of


@pytest.mark.parametrize("name", ["bart", "t5"])
def test_the_second_epoch_computes_nothing_of_the_prefix(name, tmp_path):
    examples = make_examples()
    for layers, stacks in ((DECODER, {"encoder": 5}), (UPPER, {"encoder": 3}), (BOTH, {"encoder": 5, "decoder": 2})):
        model = build(name, layers)
        batches = make_batches(model, examples)
        prefix = find_prefix(model)
        assert prefix.describe() == stacks
        entries = {"encoder": prefix.encoder, "decoder": prefix.decoder}
        left_out = [layer for stack, count in stacks.items() for layer in entries[stack].layers[:count]]
        with keep_prefix(model, examples, True, folder=tmp_path / str(stacks), precision="fp32"):
            list_steps(model, batches[:2])
            calls = [count_calls(next(layer.children())) for layer in left_out]
            list_steps(model, batches[2:])
            assert not any(calls)


def count_projections(model):
    """How often each frozen projection of keys and values is computed."""
    projections, calls = find_prefix(model).projections, []
    for number, module in enumerate(projections):
        plain = module.forward
        module.forward = lambda states, number=number, plain=plain: [calls.append(number), plain(states)][1]
    return projections, calls


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize(("target", "each"), [("ffn", 2), ("qv", 1)])
@pytest.mark.parametrize("layers", [DECODER, BOTH], ids=["decoder", "both"])
def test_keys_and_values_of_the_encoder_are_computed_once(name, target, each, layers, tmp_path):
    examples, model = make_examples(), build(name, layers, target=target)
    batches = make_batches(model, examples)
    plain = list_steps(model, batches)
    projections, calls = count_projections(model)
    left, trained = range(find_prefix(model).describe().get("decoder", 0), 4), (2, 3) if layers is BOTH else range(4)
    assert len(projections) == sum(each if layer in trained else 2 for layer in left)
    for _ in range(2):  # anew, and as it was left
        with keep_prefix(model, examples, True, folder=tmp_path, precision="fp32"):
            del calls[1 if calls else 0 :]
            assert_same(list_steps(model, batches), plain)
            assert_same(list_steps(model, batches), plain)
    assert len(calls) <= 1  # the probe's
    calls.clear()
    with keep_prefix(model, examples, True, cross=False, folder=tmp_path, precision="fp32"):
        assert_same(list_steps(model, batches[:1]), plain[:1])
    assert len(set(calls)) == len(projections)


@pytest.mark.parametrize("name", ["bart", "t5"])
def test_layers_that_are_computed_again_read_again_what_is_kept(name, tmp_path):
    examples, model = make_examples(), build(name, DECODER, target="ffn")
    batches = make_batches(model, examples)
    plain = list_steps(model, batches)
    model.gradient_checkpointing_enable({"use_reentrant": False})
    with keep_prefix(model, examples, True, cross=True, folder=tmp_path, precision="fp32"):
        list_steps(model, batches)
        assert_same(list_steps(model, batches), plain)


def test_keys_and_values_of_another_source_are_computed(tmp_path):
    examples, model = make_examples(), build("bart", DECODER, target="ffn")
    batch, *_ = make_batches(model, examples)
    with keep_prefix(model, examples, True, cross=True, folder=tmp_path, precision="fp32"):
        model(**batch)
        states = torch.randn(3, batch["input_ids"].shape[1], model.config.d_model)
        given = {"encoder_outputs": (states,), "decoder_input_ids": batch["labels"].clamp(min=0)}
        inside = model(**given).logits
    assert torch.equal(inside, model(**given).logits)


def test_keys_are_not_taken_for_values(tmp_path, monkeypatch):
    examples = make_examples()
    monkeypatch.setattr("pareft.tuning.prefix.serving.read_fingerprint", lambda _: "one base")
    for adapted in (["k_proj"], ["v_proj"]):
        model = build("bart", DECODER, target=adapted)
        batches = make_batches(model, examples)
        plain = list_steps(model, batches)
        with keep_prefix(model, examples, True, cross=True, folder=tmp_path, precision="fp32"):
            assert_same(list_steps(model, batches), plain)


def test_keys_and_values_are_kept_where_there_is_room(tmp_path, monkeypatch):
    examples, model = make_examples(), build("bart", DECODER, target="ffn")
    batches = make_batches(model, examples)
    plain = list_steps(model, batches)

    def train(size, cross):
        with keep_prefix(model, examples, size, cross=cross, folder=tmp_path / f"{size}-{cross}", precision="fp32"):
            list_steps(model, batches)
            assert_same(list_steps(model, batches), plain)
        kept = {path.parent.name: path.stat().st_size for path in (tmp_path / f"{size}-{cross}").rglob("rows.bin")}
        return kept.get("encoder", 0), kept.get("cross", 0)

    states, cross = train(True, "auto")
    assert cross == 2 * 4 * states
    assert train(f"{3 * states / 1e3}KB", "auto") == (states, 0)
    with pytest.warns(PareftWarning, match=r"train.cache_cross_attention: 25% of the prefix's .* computed in every epoch"):
        _, some = train(f"{3 * states / 1e3}KB", True)
    assert 0 < some <= 2 * states
    monkeypatch.setattr("pareft.tuning.prefix.serving.MEMORY_SHARE", 0)
    assert train("1GB", "auto") == (states, 0)


def test_dropout_is_off_in_the_prefix_alone_and_the_first_epoch_is_as_the_others(tmp_path):
    examples, model = make_examples(), build("bart", UPPER, dropout=0.3)
    for module in model.modules():
        if hasattr(module, "dropout") and isinstance(module.dropout, float):
            module.dropout = 0.3
    batches = make_batches(model, examples)[:2]

    def step():
        torch.manual_seed(5)
        return list_steps(model, batches)

    with keep_prefix(model, examples, True, folder=tmp_path, precision="fp32"):
        first, second = step(), step()
        assert_same(second, first)
        torch.manual_seed(6)
        other = list_steps(model, batches)
    assert all(one["loss"] != another["loss"] for one, another in zip(other, first, strict=True))
    assert any(one["loss"] != another["loss"] for one, another in zip(step(), first, strict=True))  # it is on in a plain prefix


@pytest.mark.parametrize("name", ["bart", "t5"])
def test_evaluation_is_the_models_own_and_nothing_is_left(name, tmp_path):
    examples, model = make_examples(), build(name, BOTH)
    batch = make_batches(model, examples)[0]
    inside = {key: batch[key] for key in ("input_ids", "attention_mask")}
    before = model.eval().generate(**inside, max_new_tokens=4)
    calls = count_calls(find_prefix(model).encoder.layers[0])

    def look():
        return [(module, set(vars(module)), [*module._forward_hooks, *module._forward_pre_hooks]) for module in model.modules()]

    def train_and_stop():
        with keep_prefix(model, examples, True, folder=tmp_path, precision="fp32"):
            list_steps(model.train(), [batch, batch])
            assert all(module.training for module in model.modules())
            assert len(calls) == 2  # the probe, and what the first step computed
            assert torch.equal(model.eval().generate(**inside, max_new_tokens=4), before)
            assert len(calls) == 3
            raise KeyboardInterrupt

    clean = look()
    with pytest.raises(KeyboardInterrupt):
        train_and_stop()
    assert look() == clean


def test_what_does_not_fit_is_computed_and_said(tmp_path):
    examples, model = make_examples(), build("bart", DECODER)
    batches = make_batches(model, examples)
    plain = list_steps(model, batches)
    calls = count_calls(find_prefix(model).encoder.layers[0])

    def train():
        with keep_prefix(model, examples, "1.5KB", folder=tmp_path, precision="fp32"):
            assert_same(list_steps(model, batches), plain)
            done = len(calls)
            assert_same(list_steps(model, batches), plain)
            assert len(calls) > done

    with pytest.warns(PareftWarning, match=r"of the prefix's .* fit into"):
        train()
    written = sum(path.stat().st_size for path in tmp_path.rglob("rows.bin"))
    assert 0 < written <= 1500


def test_what_is_kept_is_the_owners_and_is_used_again_by_its_like_alone(tmp_path):
    examples, folder = make_examples(), tmp_path / "prefix"

    def count_computed(examples, layers=DECODER, name="bart"):
        model = build(name, layers)
        with keep_prefix(model, examples, True, folder=folder, precision="fp32"):
            calls = count_calls(next(find_prefix(model).encoder.layers[0].children()))
            list_steps(model, make_batches(model, examples)[:2])
            return len(calls)

    assert count_computed(examples) == 2
    assert count_computed(examples) == 0
    assert {path.stat().st_mode & 0o077 for path in folder.rglob("*.bin")} == {0}
    assert count_computed(make_examples().select([1, 0, 2, 3, 4, 5])) == 2  # other data
    assert count_computed(make_examples().select([1, 0, 2, 3, 4, 5])) == 0
    assert count_computed(examples, UPPER) == 2  # another prefix
    assert count_computed(examples, name="mbart") == 2  # another base


def test_rows_that_were_cut_short_are_not_read(tmp_path):
    rows, more = torch.arange(12.0).view(3, 4), {"dtype": torch.float32, "limit_bytes": 10**6}
    store = NumberStore(tmp_path, {"of": 1}, [8, 12], **more)
    assert store.read(1) is None
    store.write(1, rows)
    assert torch.equal(store.read(1), rows.flatten())
    store.close()
    again = NumberStore(tmp_path, {"of": 1}, [8, 12], **more)
    other = NumberStore(tmp_path, {"of": 1}, [8, 12], **more)  # another process
    assert torch.equal(again.read(1), rows.flatten())
    again.write(0, rows[:2])
    assert torch.equal(other.read(0), rows[:2].flatten())
    with (tmp_path / "rows.bin").open("r+b") as file:
        file.seek(5 * 4 * 4 - 4)
        file.write(b"\1\1\1\1")
    assert NumberStore(tmp_path, {"of": 1}, [8, 12], **more).read(1) is None
    assert NumberStore(tmp_path, {"of": 2}, [8, 12], **more).read(0) is None


@pytest.mark.parametrize("layers", [None, {"encoder": [0], "decoder": "all"}])
def test_where_nothing_is_frozen_first_it_is_said(layers):
    with pytest.raises(RecipeError, match=r"cache_frozen_prefix: the first layer of the encoder .*adapt\.layers: \{decoder: all\}"):
        find_prefix(build("bart", layers))


def test_full_fine_tuning_and_layers_that_cannot_be_entered_are_refused():
    with pytest.raises(RecipeError, match=r"model.shared.weight is trained, so that nothing before it is frozen"):
        find_prefix(make_model("bart"))
    with pytest.raises(RecipeError, match=r"trained from layer 3 on, .* nothing says what the layers of a led pass on"):
        find_prefix(build("led", UPPER))
    model = build("bart", UPPER)
    model.get_base_model().get_encoder().layerdrop = 0.1
    with pytest.raises(RecipeError, match=r"left out at random \(layerdrop 0.1\)"):
        find_prefix(model)


def test_the_switch_is_checked():
    for good in (True, False, "20GB", "1.5 mb"):
        resolve({"base": "x", "data": {}, "train": {"cache_frozen_prefix": good}})
    for bad in (1, "20", "many", "0GB", None):
        with pytest.raises(RecipeError, match="give true, false, or how much of the disk it may take, such as 20GB"):
            resolve({"base": "x", "data": {}, "train": {"cache_frozen_prefix": bad}})


def losses(record):
    return [entry["loss"] for entry in record.history if "loss" in entry]


@pytest.fixture(params=["bart", "t5-gated"])
def recipe(request, values, bases):
    train = values["train"] | {"max_steps": 12, "precision": "fp32"}
    adapt = values["adapt"] | {"layers": {"decoder": [3, 4]}}
    return resolve(values | {"base": str(bases[request.param]), "train": train, "adapt": adapt, "arms": {}})


def test_a_run_with_it_is_the_run_without(recipe, tmp_path):
    plain = pareft.run(recipe, out=tmp_path / "plain")
    kept = pareft.run(recipe, {"train.cache_frozen_prefix": True}, out=tmp_path / "kept")
    assert losses(kept) == pytest.approx(losses(plain), rel=1e-5)
    assert kept.scores == plain.scores
    assert not (tmp_path / "kept/checkpoints").exists()
    with pytest.raises(RecipeError, match="is trained, so that nothing before it is frozen"):
        pareft.run(recipe, {"train.cache_frozen_prefix": True, "adapt": None}, out=tmp_path / "full")
    assert not (tmp_path / "full").exists()


def test_killed_and_resumed_is_never_killed(recipe, tmp_path, monkeypatch):
    changes = {"train.cache_frozen_prefix": True}
    whole = pareft.run(recipe, changes, out=tmp_path / "whole")
    plain, calls = pipeline.score_validation, []

    def kill(*arguments):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return plain(*arguments)

    monkeypatch.setattr(pipeline, "score_validation", kill)
    with pytest.raises(KeyboardInterrupt):
        pareft.run(recipe, changes, out=tmp_path / "run")
    kept = tmp_path / "run/checkpoints/prefix"
    assert json.loads((kept / "encoder/key.json").read_text())["left_out"] == {"encoder": 6, "decoder": 3}
    before = (kept / "encoder/rows.bin").read_bytes()
    resumed = pareft.run(recipe, changes, out=tmp_path / "run")
    assert any(before)
    assert losses(resumed) == pytest.approx(losses(whole), rel=1e-5)
    assert resumed.scores == whole.scores
