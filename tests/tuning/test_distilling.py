"""Learning from a teacher: soft targets, states, and what is kept of them."""

import json

import pytest
import torch
from datasets import Dataset
from tiny import VOCABULARY, make_model
from transformers import DataCollatorForSeq2Seq

import pareft
from pareft.adapter_settings import DistillSettings, LoraSettings
from pareft.errors import PareftWarning, RunError
from pareft.models.checkpoint import open_base
from pareft.models.digests import digest_state
from pareft.settings import FastSettings
from pareft.stepping import learn
from pareft.tuning.distilling import Distiller, _count_bytes, soft_store
from pareft.tuning.distilling.soft import SoftTargets, choose_rows, find_likeliest
from pareft.tuning.distilling.soft_store import SoftStore
from pareft.tuning.fast import loss as fast_loss
from pareft.tuning.fast import quicken
from pareft.tuning.fast.batches import IGNORED, split
from pareft.tuning.fast.loss import Logits, mean_loss
from pareft.tuning.teacher import open_whole

KEPT = {"encoder": [0, 1, 4], "decoder": [0, 2]}
OFF = FastSettings(lora=False, dropout=False, loss=False, attention=False, memory=False, batches=False)
KEY = {"teacher": "t", "tokenizer": "v", "temperature": 2.0, "precision": "fp32"}


def make_soft(count, *, size=11, seed=0):
    generator = torch.Generator().manual_seed(seed)
    teacher, student = (3 * torch.randn(5, size, generator=generator) for _ in range(2))
    if count is None:
        return SoftTargets(2.0, 0.7, logits=teacher), student, teacher
    return SoftTargets(2.0, 0.7, *find_likeliest(teacher, count, 2.0)), student, teacher


@pytest.mark.parametrize("count", [1, 4, 10, None])
def test_the_gradient_by_hand_is_autograds(count):
    soft, student, _ = make_soft(count)
    leaf = student.clone().requires_grad_()
    expected = soft.measure(leaf, slice(0, 5))
    expected.backward()
    found, gradient = soft.grade(student, slice(0, 5))
    assert found == pytest.approx(float(expected), rel=1e-5)
    torch.testing.assert_close(gradient, leaf.grad, rtol=1e-5, atol=1e-6)


def test_all_tokens_give_the_divergence_of_the_paper():
    soft, student, teacher = make_soft(None)
    divergence = torch.nn.functional.kl_div(
        torch.log_softmax(student / 2, -1), torch.log_softmax(teacher / 2, -1), log_target=True, reduction="sum"
    )
    assert float(soft.measure(student, slice(0, 5))) == pytest.approx(0.7 * 4 * float(divergence), rel=1e-5)


def test_more_of_the_likeliest_tokens_come_nearer_to_the_divergence_from_below():
    measured = [float(make_soft(count)[0].measure(make_soft(count)[1], slice(0, 5))) for count in (1, 3, 6, 10, None)]
    assert measured[:-1] == sorted(measured[:-1])  # the last two are one number, but for rounding
    assert measured[0] > 0
    assert measured[-2] == pytest.approx(measured[-1], rel=1e-5)  # of eleven tokens ten are all
    soft, _, teacher = make_soft(4)
    assert float(soft.measure(teacher, slice(0, 5))) == pytest.approx(0, abs=1e-5)


def test_likeliest_tokens_are_found_some_rows_at_a_time(monkeypatch):
    _, _, teacher = make_soft(4)
    whole = find_likeliest(teacher, 4, 2.0)
    monkeypatch.setattr("pareft.tuning.distilling.soft.AT_A_TIME", 22)
    for one, other in zip(whole, find_likeliest(teacher, 4, 2.0), strict=True):
        assert torch.equal(one, other)


@pytest.fixture(params=["bart", "t5", "pegasus"])
def base(request, tmp_path):
    make_model(request.param).save_pretrained(tmp_path / "base")
    return tmp_path / "base"


@pytest.fixture
def plan(base):
    return pareft.plan(base, layers=KEPT)


class Padder:
    """A tokenizer of which a collator wants no more than padding."""

    padding_side = "right"

    def __init__(self, pad):
        self.pad_token_id = pad

    def pad(self, features, **_):
        longest = max(len(feature["input_ids"]) for feature in features)
        rows = {name: [] for name in features[0]}
        for feature in features:
            for name, values in feature.items():
                filler = self.pad_token_id if name == "input_ids" else 0 if name == "attention_mask" else IGNORED
                room = longest - len(values) if name != "labels" else 0
                rows[name].append(list(values) + [filler] * room)
        return {name: torch.tensor(values) for name, values in rows.items()}


def make_examples(count=8):
    generator = torch.Generator().manual_seed(4)

    def draw(length):
        return torch.randint(4, VOCABULARY, (length,), generator=generator).tolist()

    rows = [{"input_ids": draw(4 + number % 5), "labels": draw(3 + number % 4)} for number in range(count)]
    return Dataset.from_list([row | {"attention_mask": [1] * len(row["input_ids"])} for row in rows])


def make_batch(model, rows):
    return DataCollatorForSeq2Seq(Padder(model.config.pad_token_id), model, pad_to_multiple_of=8)(
        [{name: list(values) for name, values in row.items()} for row in rows]
    )


def make_student(base, plan, *, dtype=torch.float32):
    """A student that differs from its teacher, without dropout."""
    model = pareft.attach(pareft.load(base, plan, dtype=dtype), LoraSettings(rank=2, dropout=0.0))
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return model.train()


def make_distiller(model, base, plan, store=None, **settings):
    asked = DistillSettings(**settings)
    return Distiller(model, asked, plan, lambda: open_whole(model, open_base(str(base)), plan), store)


def find_gradients(model, batch, distiller, *, fast=OFF, precision="fp32"):
    model.zero_grad()
    with quicken(model, fast):
        learn(model, batch, precision, fast if fast.batches else None, distiller)
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.grad is not None}


def assert_equal(found, expected, *, within=1e-5):
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        assert float((found[name] - gradient).norm()) <= within * float(gradient.norm()) + 1e-7, name


def test_weight_zero_is_no_distillation(base, plan):
    model = make_student(base, plan)
    batch = make_batch(model, make_examples())
    distiller = make_distiller(model, base, plan, logits=0.0, labels=1.0)
    loss, _ = distiller.compute(model, batch)
    assert float(loss) == pytest.approx(float(model(**batch).loss), rel=1e-6)
    assert_equal(find_gradients(model, batch, distiller), find_gradients(model, batch, None))
    assert distiller._teacher is None  # nobody was asked


def test_the_loss_is_that_of_the_formula(base, plan):
    model = make_student(base, plan)
    batch = make_batch(model, make_examples())
    teacher = pareft.load(base)
    loss, _ = make_distiller(model, base, plan, labels=0.5, logits=2.0, temperature=3.0, top=None).compute(model, batch)
    there = batch["labels"] != IGNORED
    with torch.no_grad():
        expected = torch.log_softmax(teacher(**batch).logits[there] / 3, -1)
    output = model(**batch)
    divergence = torch.nn.functional.kl_div(
        torch.log_softmax(output.logits[there] / 3, -1), expected, log_target=True, reduction="sum"
    )
    assert float(loss) == pytest.approx(float(0.5 * output.loss + 2.0 * 9 * divergence / there.sum()), rel=1e-4)


@pytest.mark.parametrize("settings", [{"top": 8}, {"top": None}, {"logits": 0.0, "hidden": 1.0}, {"labels": 0.0, "hidden": 0.5}])
def test_fast_ways_and_batches_in_parts_give_the_same_gradients(base, plan, settings, monkeypatch):
    monkeypatch.setattr(fast_loss, "AT_A_TIME", 5 * VOCABULARY)
    model = make_student(base, plan)
    batch = make_batch(model, make_examples())
    distiller = make_distiller(model, base, plan, **settings)
    plain = find_gradients(model, batch, distiller)
    assert_equal(find_gradients(model, batch, distiller, fast=OFF.model_copy(update={"loss": True})), plain)
    model.zero_grad()
    tokens = (batch["labels"] != IGNORED).sum()
    parts = split(batch, tokens=40, pass_tokens=0)
    assert len(parts) > 1
    for part in parts:
        (distiller.compute(model, part)[0] * (part["labels"] != IGNORED).sum() / tokens).backward()
    assert_equal({name: value.grad for name, value in model.named_parameters() if value.grad is not None}, plain)


def test_states_are_those_before_the_next_layer_that_is_kept(base, plan):
    """What the unpruned model hands to the layers that the student has, too."""
    model = make_student(base, plan)
    batch = make_batch(model, make_examples())
    distiller, states = make_distiller(model, base, plan, logits=0.0, hidden=1.0), {}
    given = {name: value for name, value in batch.items() if name != "labels"}
    distiller._teach(given, batch["labels"], states)
    alone = pareft.load(base)
    seen = {}

    def watch(stack, number):
        part = alone.get_encoder() if stack == "encoder" else alone.get_decoder()
        layer = (part.block if hasattr(part, "block") else part.layers)[number]

        def take(_, given, made):
            seen[stack, number] = made[0] if isinstance(made, tuple) else made

        layer.register_forward_hook(take)

    for stack, numbers in {"encoder": (0, 3, 4), "decoder": (1, 3)}.items():
        for number in numbers:
            watch(stack, number)
    with torch.no_grad():
        alone(**batch)
    expected = [("encoder", 0), ("encoder", 3), ("encoder", 4), ("decoder", 1), ("decoder", 3)]
    assert list(states) == [("encoder", 0), ("encoder", 1), ("encoder", 2), ("decoder", 0), ("decoder", 1)]
    for found, place in zip(states.values(), expected, strict=True):
        torch.testing.assert_close(found, seen[place])


def test_a_model_that_lacks_nothing_is_at_no_distance_from_itself(base):
    plan = pareft.plan(base, by="everything")
    model = pareft.load(base)
    distiller = make_distiller(model, base, plan, labels=0.0, logits=1.0, hidden=1.0, top=8)
    loss, _ = distiller.compute(model.train(), make_batch(model, make_examples()))
    assert float(loss) == pytest.approx(0, abs=1e-5)


def test_steps_toward_the_teacher_come_nearer_to_it(base, plan):
    model = make_student(base, plan)
    batch = make_batch(model, make_examples())
    for settings in ({"labels": 0.0, "top": 8}, {"labels": 0.0, "logits": 0.0, "hidden": 1.0}):
        distiller = make_distiller(model, base, plan, **settings)
        optimizer = torch.optim.AdamW([value for value in model.parameters() if value.requires_grad], lr=5e-3)
        losses = []
        for _ in range(12):
            optimizer.zero_grad()
            loss, _ = distiller.compute(model, batch)
            loss.backward()
            optimizer.step()
            losses.append(float(loss))
        assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_shared_weights_are_never_written_and_only_what_was_dropped_is_added(base, plan, dtype):
    model = make_student(base, plan, dtype=dtype)
    distiller = make_distiller(model, base, plan, hidden=1.0)
    before = digest_state(distiller.teacher)
    optimizer = torch.optim.AdamW([value for value in model.parameters() if value.requires_grad], lr=1e-2)
    batch = make_batch(model, make_examples())
    for _ in range(3):
        learn(model, batch, "bf16" if dtype == torch.bfloat16 else "fp32", None, distiller)
        optimizer.step()
    assert digest_state(distiller.teacher) == before
    alone = pareft.load(base, dtype=dtype)
    whole = sum(parameter.nbytes for parameter in alone.parameters())
    own = model.get_base_model().named_parameters()
    frozen = sum(parameter.nbytes for name, parameter in own if not parameter.requires_grad)
    added, shared = _count_bytes(distiller.teacher, model)
    assert (added, shared) == (whole - frozen, frozen)
    assert added < whole / 2


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_cached_is_live_and_every_example_is_asked_for_once(base, plan, tmp_path, precision):
    model = make_student(base, plan, dtype=torch.bfloat16 if precision == "bf16" else torch.float32)
    examples = make_examples()
    batches = [make_batch(model, [examples[place] for place in places]) for places in ((0, 1, 2, 3), (4, 5, 6, 7))]
    live = make_distiller(model, base, plan, top=8)
    plain = [find_gradients(model, batch, live, precision=precision) for batch in batches]
    store = SoftStore(examples, 8, tmp_path / "cache", KEY)
    cached = make_distiller(model, base, plan, store, top=8, cache=True)
    asked = []
    teach = cached._teach
    cached._teach = lambda given, *more: asked.append(len(given["input_ids"])) or teach(given, *more)
    within = 2e-3 if precision == "fp32" else 5e-2

    def assert_near(found, expected):
        """As a whole: in bf16, single gradients that are nearly zero are rounding alone."""
        apart, size = (
            torch.cat([value.flatten() for value in each]).norm()
            for each in ([found[name] - value for name, value in expected.items()], expected.values())
        )
        assert apart <= within * size

    for batch, expected in zip(batches, plain, strict=True):
        assert_near(find_gradients(model, batch, cached, precision=precision), expected)
    assert asked == [4, 4]
    assert store.whole
    assert cached._teacher is None  # its memory is free again
    mixed = make_batch(model, [examples[place] for place in (7, 0, 5, 2)])
    expected = find_gradients(model, mixed, live, precision=precision)
    assert_near(find_gradients(model, mixed, cached, precision=precision), expected)
    assert asked == [4, 4]
    store.close()
    again = SoftStore(examples, 8, tmp_path / "cache", KEY)
    unasked = Distiller(model, DistillSettings(top=8, cache=True), plan, lambda: pytest.fail("the teacher was opened"), again)
    assert_near(find_gradients(model, mixed, unasked, precision=precision), expected)
    assert {(path.stat().st_mode & 0o077) for path in (tmp_path / "cache").rglob("*.bin")} == {0}


def test_a_cache_that_was_killed_goes_on(base, plan, tmp_path):
    model, examples = make_student(base, plan), make_examples()
    for rows, expected in (((0, 1, 2), [3]), ((0, 1, 2, 3), [1])):
        store = SoftStore(examples, 8, tmp_path / "cache", KEY)
        distiller, asked = make_distiller(model, base, plan, store, top=8, cache=True), []
        teach = distiller._teach
        distiller._teach = lambda given, *more, asked=asked, teach=teach: (
            asked.append(len(given["input_ids"])) or teach(given, *more)
        )
        distiller.compute(model, make_batch(model, [examples[place] for place in rows]))
        assert asked == expected
        assert not store.whole
        store.close()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"teacher": "another"}, "another teacher"),
        ({"tokenizer": "another"}, "another tokenizer"),
        ({"temperature": 1.0}, "another temperature"),
        ({"precision": "bf16"}, "another precision"),
        ({"top": 4}, "another number of likeliest tokens"),
        ({"count": 5}, "other examples"),
    ],
)
def test_a_cache_of_something_else_is_refused_and_stays(tmp_path, changed, said):
    folder = tmp_path / "cache"
    SoftStore(make_examples(), 8, folder, KEY).close()
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    top, count = changed.pop("top", 8), changed.pop("count", 8)
    with pytest.raises(RunError, match=said):
        SoftStore(make_examples(count), top, folder, KEY | changed)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_a_folder_that_is_no_cache_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match=r"holds notes\.txt, and no cache"):
        SoftStore(make_examples(), 8, tmp_path, KEY)
    (tmp_path / "notes.txt").unlink()
    (tmp_path / "soft.json").write_text("{")
    with pytest.raises(RunError, match="another teacher"):
        SoftStore(make_examples(), 8, tmp_path, KEY)


def test_what_the_disk_has_no_room_for_is_asked_for_again(base, plan, tmp_path, monkeypatch):
    monkeypatch.setattr(soft_store, "SHARE", 1e-12)
    model, examples = make_student(base, plan), make_examples()
    with pytest.warns(PareftWarning, match=r"distill\.cache: 0%"):
        store = SoftStore(examples, 8, tmp_path / "cache", KEY)
    distiller = make_distiller(model, base, plan, store, top=8, cache=True)
    live = make_distiller(model, base, plan, top=8)
    batch = make_batch(model, examples)
    for _ in range(2):
        assert float(distiller.compute(model, batch)[0]) == pytest.approx(float(live.compute(model, batch)[0]), rel=1e-3)
    assert not store.whole


def test_the_key_is_readable_json(tmp_path):
    SoftStore(make_examples(), 8, tmp_path / "cache", KEY).close()
    assert json.loads((tmp_path / "cache" / "soft.json").read_text())["teacher"] == "t"


def test_of_a_promise_no_other_rows_are_computed(monkeypatch):
    """One product for a part of the rows, and none of all of them for each part."""
    promise, rows = Logits(torch.randn(6, 4), torch.randn(11, 4), None), []
    plain = torch.nn.functional.linear

    def count(given, *more):
        rows.append(len(given))
        return plain(given, *more)

    monkeypatch.setattr(torch.nn.functional, "linear", count)
    monkeypatch.setattr("pareft.tuning.distilling.soft.AT_A_TIME", 22)
    find_likeliest(promise, 3, 1.0)
    SoftTargets(1.0, 1.0, logits=promise).grade(torch.randn(2, 11), slice(2, 4))
    assert rows == [2, 2, 2, 2]


def test_where_the_student_leaves_the_others_nothing_gradients_are_numbers():
    teacher, student = torch.zeros(1, 5), torch.tensor([[800.0, 800.0, 0.0, 0.0, -100.0]])
    soft = SoftTargets(1.0, 1.0, *find_likeliest(teacher + torch.tensor([[1.0, 1.0, 0, 0, 0]]), 2, 1.0))
    leaf = student.clone().requires_grad_()
    soft.measure(leaf, slice(0, 1)).backward()
    _, gradient = soft.grade(student, slice(0, 1))
    assert torch.isfinite(gradient).all()
    torch.testing.assert_close(gradient, leaf.grad)


def test_logits_for_the_targets_alone_are_a_promise_still():
    hidden, weight = torch.randn(2, 3, 4), torch.randn(5, 4)
    there = torch.tensor([[True, True, False], [True, False, False]])
    chosen = choose_rows(Logits(hidden, weight, None), there)
    assert isinstance(chosen, Logits)
    torch.testing.assert_close(chosen.redeem(), (hidden @ weight.T)[there])
    assert torch.equal(choose_rows(hidden, there), hidden[there])


def test_a_mean_over_no_other_loss_is_the_cross_entropy():
    logits, labels = torch.randn(2, 3, 5), torch.tensor([[1, 2, IGNORED], [3, IGNORED, IGNORED]])
    expected = torch.nn.functional.cross_entropy(logits.view(-1, 5), labels.view(-1))
    assert float(mean_loss(logits, labels, weight=1.0, also=None)) == pytest.approx(float(expected), rel=1e-6)
