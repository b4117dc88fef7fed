"""Laws of the planner: it counts what a run has, is nearer with what a machine tells, and refuses what cannot be."""

import json

import pytest
import torch
from conftest import call, make_config, make_tokenizer
from tiny import make_model
from torch.nn import functional
from transformers import AutoModelForSeq2SeqLM, LlamaConfig

from pareft.forecast.calls import describe_call, time_call
from pareft.forecast.tracing import Watch, trace_step
from pareft.forecast.writing import trace_writing
from pareft.models.structure import build_on_meta, count_parameters, count_positions, count_vocabulary
from pareft.planner import forecast
from pareft.planner.arms import open_arm
from pareft.planner.cards import count_card
from pareft.planner.grid import AXES, read_axes, spread_out
from pareft.planner.record import DryRun
from pareft.planner.reference import choose_reference, trace_arm
from pareft.planner.writers import measure_beside, trace_arm_writing
from pareft.readying import build_model, prepare
from pareft.recipe import override, resolve, select_arm
from pareft.settings import EvaluateSettings


@pytest.fixture
def recipe(values):
    return resolve(values)


def see(recipe, **lines):
    """The forecast of one recipe, on paper."""
    changed = resolve(override(recipe.model_dump() | {"arms": {}}, {key.replace("__", "."): value for key, value in lines.items()}))
    [row] = forecast({"": changed}, measuring=False)
    return row


@pytest.mark.parametrize("arm", ["full", "lora+l-prun"])
def test_parameters_are_those_of_the_run(values, base, arm):
    recipe = select_arm(resolve(values | {"base": str(base)}), arm)
    counted = count_parameters(build_model(prepare(recipe)))
    row = see(recipe)
    assert (row.total, row.trainable) == (counted.total, counted.trainable)


def test_a_head_of_its_own_is_counted_where_the_checkpoint_has_one(bases, tmp_path, values):
    model = AutoModelForSeq2SeqLM.from_pretrained(bases["t5-gated"])
    tied = count_parameters(model).total
    model.get_output_embeddings().weight = torch.nn.Parameter(model.get_output_embeddings().weight + 1)
    model.save_pretrained(tmp_path)
    make_tokenizer().save_pretrained(tmp_path)
    row = see(resolve(values | {"base": str(tmp_path), "prune": None, "adapt": None}))
    assert row.total == tied + model.get_output_embeddings().weight.numel()
    assert row.total == count_parameters(AutoModelForSeq2SeqLM.from_pretrained(tmp_path)).total


def test_only_a_config_is_read(tmp_path, values):
    make_config("bart").save_pretrained(tmp_path)
    row = see(resolve(values | {"base": str(tmp_path), "data": {"path": "nowhere.csv"}}))
    assert row.layers == {"encoder": 6, "decoder": 5}
    assert row.step_seconds is None
    assert row.process_bytes is None


def test_what_is_pruned_adapted_or_computed_again_takes_less(recipe):
    rows = {
        "full": see(recipe, prune=None, adapt=None),
        "l-prun": see(recipe, adapt=None),
        "lora": see(recipe, prune=None),
        "both": see(recipe),
        "again": see(recipe, train__gradient_checkpointing=True),
    }
    peaks = {name: row.peak_bytes for name, row in rows.items()}
    assert peaks["both"] < min(peaks["l-prun"], peaks["lora"]) < peaks["full"]
    assert peaks["again"] < peaks["both"]
    assert rows["again"].activation_bytes < rows["both"].activation_bytes
    assert rows["again"].operations > rows["both"].operations
    assert rows["both"].writing_bytes == rows["l-prun"].writing_bytes < rows["full"].writing_bytes


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("family", ["bart", "t5"])
def test_the_cache_is_as_large_as_the_one_of_a_model_that_writes(bases, family, beams, shared):
    model = AutoModelForSeq2SeqLM.from_pretrained(bases[family])
    settings = EvaluateSettings(num_beams=beams, max_new_tokens=16, batch_size=2, fast={"beams": shared})
    found = trace_writing(build_on_meta(model.config), settings, source_tokens=12, dtype=torch.float32)
    source = torch.randint(4, 300, (2 * (1 if shared else beams), 12))
    heads = 16 * len(model.get_decoder().layers if family == "bart" else model.get_decoder().block) * 2 * 4  # bytes of a token
    assert found.cache_bytes == heads * (source.numel() + 2 * beams * 16)
    buffers = sum(buffer.numel() for buffer in model.buffers())
    assert found.weight_bytes == 4 * (count_parameters(model).total + buffers)
    assert found.peak_bytes > found.weight_bytes + found.cache_bytes


def test_tensors_that_went_are_counted_no_more():
    with Watch() as watch:
        one = torch.zeros(1000)
        assert watch.held == 4000
        one = one + 1
        assert (watch.held, watch.peak) == (4000, 8000)
        view = one[:10]
        del one
        assert watch.held == 4000
        del view
    assert (watch.held, watch.operations) == (0, 0)


def test_a_call_is_done_again_as_it_was():
    with Watch(listing=True) as watch:
        functional.linear(torch.randn(3, 4, 5), torch.randn(6, 5), torch.randn(6)).transpose(0, 1)
    products = [call for call in watch.calls if "addmm" in str(call.function)]
    assert len(products) == 1
    assert [shape.sizes for shape in products[0].args[:3]] == [(6,), (12, 5), (5, 6)]
    assert time_call(products[0], torch.device("cpu")) > 0
    assert describe_call(torch.ops.aten.t.default, [torch.zeros(2, 2)], {}) is None
    assert watch.operations == 2 * 12 * 5 * 6


def test_a_reference_has_few_layers_and_the_calls_of_deeper_ones(recipe):
    arm = open_arm("", select_arm(recipe, "lora+l-prun"))
    small = choose_reference(arm)
    assert {stack: len(kept) for stack, kept in small.plan.layers.items()} == {"encoder": 2, "decoder": 2}
    few, all_of_it = (trace_arm(one, recomputing=False, listing=True).calls for one in (small, arm))
    assert set(all_of_it) == set(few)
    assert sum(all_of_it.values()) > sum(few.values())


@pytest.mark.slow
def test_a_reference_gives_times_and_what_a_process_takes(recipe):
    arms = {name: select_arm(recipe, "lora+l-prun") for name in ("one", "deep")}
    arms["deep"] = resolve(override(arms["deep"].model_dump(), {"prune": None}))
    rows = {row.name: row for row in forecast(arms)}
    assert rows["one"].step_seconds > 0
    assert rows["deep"].step_seconds > rows["one"].step_seconds
    assert 0 <= rows["one"].process_bytes <= rows["deep"].process_bytes
    assert rows["one"].peak_bytes == rows["one"].tensor_bytes + rows["one"].process_bytes
    assert not [note for row in rows.values() for note in row.notes]


@pytest.mark.slow
def test_writing_is_its_tensors_and_what_few_layers_show_beside_them(recipe, monkeypatch):
    arms = {name: resolve(override(select_arm(recipe, "full").model_dump(), lines)) for name, lines in BEAMS.items()}
    seen = []
    monkeypatch.setattr("pareft.planner.measure_beside", lambda small: seen.append(small) or 1000)
    rows = {row.name: row for row in forecast(arms)}
    assert [len(small.plan.layers["decoder"]) for small in seen] == [2, 2]  # one for each way to write
    for name, row in rows.items():
        assert row.writing_bytes == trace_arm_writing(open_arm(name, arms[name])) + 1000
    assert rows["beams"].writing_bytes == rows["again"].writing_bytes > rows["greedy"].writing_bytes
    monkeypatch.undo()
    assert measure_beside(choose_reference(open_arm("", arms["greedy"]))) >= 0


BEAMS = {
    "greedy": {"evaluate.num_beams": 1},
    "beams": {"evaluate.num_beams": 4},
    "again": {"evaluate.num_beams": 4, "train.epochs": 7},
}


def test_what_cannot_be_measured_has_no_time_and_says_why(recipe, monkeypatch):
    monkeypatch.setattr("pareft.planner.available_bytes", lambda: 1000)
    [row] = forecast({"": select_arm(recipe, "full")})
    assert row.step_seconds is None
    assert "more than is free" in row.notes[0]


def test_another_machines_time_follows_from_its_rate(recipe):
    arm = select_arm(recipe, "full")
    slow, fast = (next(forecast({"": arm}, rate=rate)).step_seconds for rate in (1e12, 2e12))
    assert slow == pytest.approx(2 * fast)


def test_cards_share_the_states_and_not_the_activations(recipe):
    arm = open_arm("", select_arm(recipe, "full"))
    step = trace_arm(arm, recomputing=False)
    two, many = (count_card(arm, step, cards) for cards in (2, 1000))
    states = step.weight_bytes + step.gradient_bytes + step.moment_bytes
    assert two - many == -(-states // 2) + -(states // 1000) - 1
    assert many > step.activation_bytes


def test_a_model_of_one_stack_is_forecast_on_paper(tmp_path, values):
    LlamaConfig(
        hidden_size=16, intermediate_size=24, num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2, vocab_size=300
    ).save_pretrained(tmp_path)
    recipe = resolve(values | {"base": str(tmp_path), "prune": {"by": "even", "keep": 2}, "adapt": {"target": "qv"}})
    row, whole = see(recipe), see(recipe, prune=None)
    assert (row.layers, whole.layers) == ({"decoder": 2}, {"decoder": 4})
    assert row.peak_bytes < whole.peak_bytes
    assert row.writing_bytes < whole.writing_bytes


def test_a_grid_is_every_combination_once(recipe):
    arms = {name: select_arm(recipe, name) for name in recipe.arms}
    found = spread_out(arms, read_axes(["layers=4,5+3", "rank=2,4", "batch=2"]))
    assert list(found) == [
        "full, layers 4", "full, layers 5+3",
        *(f"lora+l-prun, layers {layers}, rank {rank}" for layers in ("4", "5+3") for rank in (2, 4)),
    ]  # fmt: skip
    chosen = found["lora+l-prun, layers 5+3, rank 4"]
    assert chosen.prune.keep == {"encoder": 5, "decoder": 3}
    assert (chosen.adapt.rank, chosen.adapt.alpha, chosen.train.batch_size) == (4, 8, 2)
    more = spread_out({"": recipe}, read_axes(["lengths=30/8", "dtype=fp32", "checkpointing=true", "beams=2", "layers=8+6"]))[""]
    assert (more.data.max_source_tokens, more.data.max_target_tokens, more.train.precision) == (30, 8, "fp32")
    assert (more.train.gradient_checkpointing, more.evaluate.num_beams, more.prune) == (True, 2, None)


@pytest.mark.parametrize("prune", [{"keep": 4, "never_drop": {"encoder": [0]}}, {"keep": {"total": 6}, "least": 2}])
def test_a_grid_of_layers_takes_the_place_of_how_they_were_chosen(values, prune):
    recipe = resolve(values | {"prune": {"by": "influence"} | prune, "arms": {}})
    assert [found.prune.keep for found in spread_out({"": recipe}, read_axes(["layers=4,3"])).values()] == [
        {"encoder": count, "decoder": count} for count in (4, 3)
    ]


def test_adapted_layers_that_are_named_are_those_of_a_reference_that_it_has(values):
    recipe = resolve(values | {"adapt": {"rank": 2, "layers": {"decoder": [2, 3], "encoder": "upper"}}, "prune": None, "arms": {}})
    small = choose_reference(open_arm("", recipe))
    assert small.recipe.adapt.layers == {"decoder": [1], "encoder": "upper"}
    assert small.build().peft_config
    assert open_arm("", recipe).keep({"encoder": 8, "decoder": 3}).recipe.adapt.layers["decoder"] == [2]


def test_a_model_of_two_configs_has_the_positions_and_the_vocabulary_of_both():
    config = make_model("bert2bert").config
    assert count_positions(config) == config.encoder.max_position_embeddings
    assert count_vocabulary(config) == config.decoder.vocab_size
    config.decoder.max_position_embeddings = 7
    assert count_positions(config) == 7


@pytest.mark.parametrize(
    ("axis", "said"),
    [("layer=3", "Did you mean layers"), ("rank=", "give rank once"), ("rank=x", "no number"), ("layers=3+3+3", "2 stacks"),
     ("lengths=12", "SOURCE/TARGET"), ("batch=0", "train.batch_size"), ("batch=[4", "no value of"),
     ("dtype=fp8", "train.precision"), ("layers=9", "keep: 9")],
)  # fmt: skip
def test_a_grid_that_cannot_be_is_refused(values, tmp_path, monkeypatch, capsys, axis, said):
    path = tmp_path / "recipe.yaml"
    path.write_text(json.dumps(values))
    code, _, error = call(monkeypatch, capsys, "plan", path, "--dry-run", "--on-paper", "--grid", axis)
    assert code == 2
    assert said in " ".join(error.split())


def test_a_dry_run_prints_a_table_and_writes_its_record(values, tmp_path, monkeypatch, capsys):
    path, out = tmp_path / "recipe.yaml", tmp_path / "dry.json"
    path.write_text(json.dumps(values))
    grid = ["--grid", "rank=2,4", "batch=2"]
    code, output, error = call(
        monkeypatch, capsys, "plan", path, "train.accumulation=2", "--dry-run", "--cards", 4, *grid, "--out", out
    )
    assert code == 0, error
    record = DryRun.from_json(out.read_text())
    assert [row.name for row in record.rows] == ["full", "lora+l-prun, rank 2", "lora+l-prun, rank 4"]
    assert all(row.batch_size == 2 and row.card_bytes for row in record.rows)
    assert "lora+l-prun" in output
    assert "a prediction" in output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["--dry-run", "--by", "even"], "--by makes a plan"), (["--cards", "2"], "add --dry-run"), (["a=b"], "add --dry-run"),
     (["--dry-run"], "no recipe")],
)  # fmt: skip
def test_options_of_one_half_are_refused_with_the_other(monkeypatch, capsys, arguments, said):
    code, _, error = call(monkeypatch, capsys, "plan", "pareft-mini", *arguments)
    assert code == 2
    assert said in error


def test_every_axis_is_in_the_help(monkeypatch, capsys):
    _, output, _ = call(monkeypatch, capsys, "plan", "--help")
    assert all(f"{axis}=" in output for axis in AXES)


def test_recomputing_with_t5_lets_go_of_what_it_computed(values, bases):
    """What counts operations must hold no tensors: a tool that did made T5's memory grow with every layer."""
    deep = resolve(values | {"base": str(bases["t5"]), "prune": None, "train": {"batch_size": 4}})
    arm = open_arm("", deep)
    one, all_of_it = (trace_step(chosen.build(), deep, "fp32", recomputing=True) for chosen in (choose_reference(arm), arm))
    grown = all_of_it.peak_bytes - one.peak_bytes
    kept = all_of_it.weight_bytes - one.weight_bytes + 3 * (all_of_it.gradient_bytes - one.gradient_bytes)
    assert grown < kept + 1.2 * (all_of_it.activation_bytes - one.activation_bytes)


def test_a_rank_of_a_grid_changes_that_of_a_stack_as_much(recipe):
    own = {"adapt": {"rank": 8, "alpha": 16, "encoder": {"rank": 4, "alpha": 12}, "decoder": {"target": "qv"}}}
    [arm] = spread_out({"own": resolve(override(recipe.model_dump(), own))}, read_axes(["rank=16"])).values()
    assert (arm.adapt.rank, arm.adapt.alpha, arm.adapt.encoder.rank, arm.adapt.encoder.alpha) == (16, 32, 8, 24)
    assert arm.adapt.decoder.rank is None
