"""Models that write choose among options: by how likely they would write each."""

import json

import polars as pl
import pytest
import torch
from conftest import TEXTS, learn_briefly, make_tokenizer, save_base, save_tiny

import pareft
from pareft.artefact import load_writer
from pareft.budgets import share_out
from pareft.errors import PareftError
from pareft.evaluation.generation import Batch
from pareft.evaluation.likelihood import choose_by_likelihood
from pareft.recipe import override, resolve
from pareft.settings import PAIRED, FastSettings, MeasureSettings
from pareft.token_ids import IGNORED, continue_sources

LENGTHS = {"max_source_tokens": 40, "max_target_tokens": 16}


@pytest.fixture(scope="session")
def writers(tmp_path_factory):
    """Tiny bases that write, by family, and a Llama."""
    folders = {family: save_base(family, tmp_path_factory.mktemp(family)) for family in ("bart", "t5")}
    folders["llama"] = save_tiny("llama", tmp_path_factory.mktemp("llama"))
    return folders


@pytest.fixture
def task(writers, tmp_path):
    rows = []
    for number in range(48):
        options = [TEXTS[(number + step) % 8][: 12 + 6 * step] for step in range(3)]
        rows.append({"asked": TEXTS[number % 8], "options": options, "right": str(number % 8 % 3)})
    rows[0]["options"] = rows[0]["options"][:2]  # one has fewer
    pl.DataFrame(rows).write_parquet(tmp_path / "table.parquet")
    return {
        "base": str(writers["llama"]),
        "data": {"path": str(tmp_path / "table.parquet"), "source": "asked", "options": "options", "target": "right", **LENGTHS},
        **learn_briefly("exact_match"),
        "prune": {"by": "even", "keep": 0.5},
        "evaluate": {"metrics": ["exact_match"]},
    }


@pytest.mark.parametrize("family", ["llama", "bart", "t5"])
def test_a_run_chooses_and_is_read_back(task, writers, tmp_path, family):
    record = pareft.run(resolve(task | {"base": str(writers[family])}), out=tmp_path / "run")
    rows = [json.loads(line) for line in (tmp_path / "run" / "predictions.jsonl").read_text().splitlines()]
    texts = {text[:length] for text in TEXTS for length in (12, 18, 24)}
    assert {row["prediction"] for row in rows} <= texts
    share = 100 * sum(row["prediction"] == row["reference"] for row in rows) / len(rows)
    assert record.scores == {"exact_match": pytest.approx(share, abs=1e-3)}
    assert json.loads((tmp_path / "run" / "labels.json").read_text()) == "likelihood"
    again = pareft.evaluate(tmp_path / "run")
    assert again.scores["exact_match"].value == pytest.approx(record.scores["exact_match"], abs=0.01)


@pytest.mark.parametrize("family", ["llama", "bart", "t5"])
def test_the_likeliest_option_is_the_one_whose_tokens_are(writers, family):
    """Each option by itself, without padding, token by token."""
    model, tokenizer = load_writer(writers[family]), make_tokenizer()
    sources = [TEXTS[number][: 20 + 9 * number] for number in range(5)]
    options = [[TEXTS[(number + step) % 8][: 8 + 7 * step] for step in range(3)] for number in range(5)]
    texts = tuple(PAIRED.join([source, *found, ""]) for source, found in zip(sources, options, strict=True))
    batch = Batch(tuple(range(5)), tuple(range(5)), (), texts=texts)
    chosen = choose_by_likelihood(model, tokenizer, batch, **LENGTHS, batch_tokens=10_000)
    assert chosen == choose_by_likelihood(model, tokenizer, batch, **LENGTHS, batch_tokens=1)
    for source, found, text in zip(sources, options, chosen, strict=True):
        assert text == max(found, key=lambda option: measure_option(model, tokenizer, source, option))


@torch.no_grad()
def measure_option(model, tokenizer, source, option):
    if model.config.is_encoder_decoder:
        ids = torch.tensor([tokenizer(source, truncation=True, max_length=40)["input_ids"]])
        labels = torch.tensor([tokenizer(text_target=option, truncation=True, max_length=16)["input_ids"]])
        return -float(model(input_ids=ids, labels=labels).loss) * labels.numel()
    own = tokenizer(source, add_special_tokens=False)["input_ids"]
    after = [*tokenizer(f"{source} {option}", add_special_tokens=False)["input_ids"][len(own) :][:15], tokenizer.eos_token_id]
    assert len(own) <= 39
    before = [tokenizer.bos_token_id, *own]
    chances = model(input_ids=torch.tensor([before + after])).logits.log_softmax(-1)[0]
    return sum(float(chances[len(before) + place - 1, token]) for place, token in enumerate(after))


def test_a_target_goes_on_from_its_source():
    tokenizer = make_tokenizer()
    rows = continue_sources(
        [TEXTS[0], "", TEXTS[1]], ["yes", TEXTS[2], TEXTS[3]], tokenizer, max_source_tokens=8, max_target_tokens=5
    )
    for ids, mask, labels in zip(rows["input_ids"], rows["attention_mask"], rows["labels"], strict=True):
        learnt = [label for label in labels if label != IGNORED]
        assert len(ids) == len(mask) == len(labels)
        assert ids[0] == tokenizer.bos_token_id  # something comes before the first token that is foretold
        assert labels[0] == IGNORED
        assert ids[-len(learnt) :] == learnt
        assert learnt[-1] == tokenizer.eos_token_id
        assert len(learnt) <= 5
        assert len(ids) - len(learnt) <= 8
    own = tokenizer(TEXTS[0], add_special_tokens=False)["input_ids"]
    assert rows["input_ids"][0][1:8] == own[:3] + own[-4:]  # a question is at the start, or at the end
    assert tokenizer.decode(rows["labels"][0][8:-1]) == " yes"


@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt_neox", "opt"])
def test_the_quick_ways_of_training_are_the_plain_ones(task, tmp_path, family):
    """Parts of a batch, deferred logits and the rest: the same numbers for decoders, whose labels are their own tokens."""
    task = task | {"base": str(save_tiny(family, tmp_path / "base")), "prune": None}
    plain = {name: False for name in FastSettings.model_fields if name != "part_tokens"}
    found = {}
    for name, fast in (("quick", {"part_tokens": 64}), ("plain", plain)):
        pareft.run(resolve(override(task, {"train.fast": fast})), out=tmp_path / name)
        found[name] = pareft.load(tmp_path / name).state_dict()
    for key, value in found["plain"].items():
        torch.testing.assert_close(found["quick"][key], value, atol=2e-4, rtol=1e-3, msg=key)


def test_what_is_right_is_learnt(task, tmp_path):
    """All weights of a tiny model, the same few questions again and again: it chooses right where chance is a third."""
    changes = {
        "adapt": None,
        "prune": None,
        "train.max_steps": 120,
        "train.batch_size": 16,
        "train.evaluate_every": 100,
        "train.learning_rate": 1e-2,
    }
    same = {f"data.{split}": "table.parquet" for split in ("train", "validation", "test")} | {"data.path": str(tmp_path)}
    limits = {"data.limit": {"train": 24, "validation": 24, "test": 24}}
    record = pareft.run(resolve(override(task, changes | same | limits)), out=tmp_path / "run")
    assert record.scores["exact_match"] > 70


def test_early_pruning_and_arms_beside_each_other(task, tmp_path):
    light = {"steps": 4, "heads": 0.5, "neurons": 0.5, "modules": 0.5, "ranks": 0.5}
    arms = {"full": {"adapt": None, "prune": None}, "light": {"light": light}}
    recipe = resolve(override(task, {"arms": arms, "evaluate.untouched": True}))
    measured = recipe.model_copy(update={"measure": MeasureSettings(steps=1, warmup_steps=0, inference=1)})
    compared = pareft.compare(measured, out=tmp_path / "runs")
    assert {row.arm for row in compared.rows} >= {"full", "light"}
    assert compared.headlines == ["exact_match"]
    record = json.loads((tmp_path / "runs" / "light" / "record.json").read_text())
    assert 0.4 < record["light"]["removed_ratio"] < 0.6


def test_equal_operations_count_a_decoders_own_tokens(task):
    arms = {"full": {"adapt": None, "prune": None}, "half": {"adapt": None}}
    shared = share_out(resolve(override(task, {"arms": arms})), "flops", None)
    assert shared.steps["full"] < shared.steps["half"] < 2.5 * shared.steps["full"]


@pytest.mark.parametrize("form", ["merged", "adapter"])
@pytest.mark.slow
def test_what_chooses_is_exported(task, tmp_path, form):
    pareft.run(resolve(task), out=tmp_path / "run")
    assert pareft.export(tmp_path / "run", tmp_path / "out", form).by_stock


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data.options": None, "data.target": "asked"}, "decoders that choose among options"),
        ({"data.max_source_tokens": 60}, r"max_source_tokens \+ data.max_target_tokens is 76; the base has 64 positions"),
        ({"evaluate.metrics": ["rouge"]}, r"let evaluate.metrics be \[exact_match\]"),
        ({"distill": {}}, "data.task is choice"),
        ({"data.task": "classification"}, "decoders that choose among options"),
        ({"prune": {"by": "influence", "keep": 3}}, "magnitude and rules do not"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(task, tmp_path, changes, message):
    with pytest.raises(PareftError, match=message):
        pareft.run(resolve(override(task, changes)), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
