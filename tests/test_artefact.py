"""What a run leaves is loaded by its folder, exported for stock libraries, and refused when it is damaged."""

import json
import shutil
import subprocess
import sys

import polars as pl
import pytest
import torch
from conftest import TEXTS, save_base
from peft import PeftModel
from test_cli import call
from tiny import encoder_inputs
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

import pareft
from pareft.errors import AdapterError, ModelError, PlanError, RunError
from pareft.exporting.checking import compute_logits, make_inputs
from pareft.run_folder import is_run

ARMS = ("lora", "full", "narrow", "narrow-full", "t5")


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """Finished runs: LoRA on a pruned BART, all weights of one, both on uneven widths, LoRA on a T5."""
    place = tmp_path_factory.mktemp("runs")
    bases = {family: save_base(family, place / "bases" / family) for family in ("bart", "t5")}
    rows = [{"source": f"case {i}: {TEXTS[i % 8]}", "target": TEXTS[i % 8].split(" is ")[0]} for i in range(20)]
    pl.DataFrame(rows).write_csv(place / "table.csv")
    plan = pareft.plan(
        bases["bart"],
        layers={"encoder": [0, 1, 5], "decoder": [2, 3]},
        heads={"encoder.self": {1: [0]}},
        neurons={"decoder": {2: [0, 5, 9]}},
    )
    (place / "narrow.json").write_text(plan.to_json())
    common = {
        "base": str(bases["bart"]),
        "data": {"path": str(place / "table.csv"), "max_source_tokens": 32, "max_target_tokens": 16},
        "prune": {"layers": "alternating"},
        "adapt": {"rank": 2, "alpha": 4, "dropout": 0.0},
        "train": {"max_steps": 3, "batch_size": 4, "warmup_steps": 1, "learning_rate": 1e-2},
        "evaluate": {"num_beams": 2, "max_new_tokens": 8, "batch_size": 2},
    }
    narrow = {"prune": {"plan": str(place / "narrow.json")}}
    changes = {
        "lora": {},
        "full": {"adapt": None},
        "narrow": narrow,
        "narrow-full": narrow | {"adapt": None},
        "t5": {"base": str(bases["t5"])},
    }
    for arm, changed in changes.items():
        pareft.run(pareft.Recipe.model_validate(common | changed), out=place / arm)
    return place


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.slow if name in ("narrow-full", "t5") else ()) for name in ARMS])
def run(request, runs):
    return runs / request.param


def read_predictions(run):
    return [json.loads(line) for line in (run / "predictions.jsonl").read_text().splitlines()]


def test_a_run_is_loaded_by_its_folder(run):
    """The loaded model writes what the run's evaluation wrote."""
    model = pareft.load(run, dtype=torch.float32)
    assert isinstance(model, PeftModel) == (run / "adapter").is_dir()
    plan = pareft.PruningPlan.read(run / "plan.json")
    tokenizer = AutoTokenizer.from_pretrained(plan.base)
    table = pl.read_csv(run.parent / "table.csv")
    for row in read_predictions(run)[:2]:
        source = table["source"][int(row["id"])]
        inputs = tokenizer(source, return_tensors="pt")
        written = model.generate(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            num_beams=2,
            max_new_tokens=8,
            no_repeat_ngram_size=3,
        )
        assert tokenizer.decode(written[0], skip_special_tokens=True).strip() == row["prediction"].strip()


def test_a_run_has_its_own_plan(runs):
    with pytest.raises(PlanError, match="is a run and has its own plan"):
        pareft.load(runs / "lora", runs / "narrow.json")


def test_a_plan_is_taken_as_a_file(runs):
    model = pareft.load(runs / "bases" / "bart", runs / "narrow.json")
    assert model.pareft_plan == pareft.PruningPlan.read(runs / "narrow.json")


def test_a_narrow_run_is_as_wide_as_its_plan(runs):
    for arm in ("narrow", "narrow-full"):
        model = pareft.load(runs / arm)
        base = model.get_base_model() if isinstance(model, PeftModel) else model
        assert base.model.encoder.layers[1].self_attn.k_proj.weight.shape == (8, 16)
        assert base.model.decoder.layers[0].fc1.out_features == 3


def test_merged_is_a_stock_checkpoint(run, tmp_path):
    done = pareft.export(run, tmp_path / "out")
    folder = tmp_path / "out"
    stock, report = AutoModelForSeq2SeqLM.from_pretrained(folder, output_loading_info=True)
    assert not any(report.values())
    own = pareft.load(run, dtype=torch.float32)
    inputs = make_inputs(stock)
    expected = compute_logits(own, inputs)
    assert (compute_logits(stock.eval(), inputs) - expected).abs().max() <= max(done.difference, 1e-5)
    assert done.largest == pytest.approx(float(expected.abs().max()), rel=1e-4)
    settings = {"num_beams": 4, "max_new_tokens": 6}
    assert torch.equal(stock.generate(**encoder_inputs(inputs), **settings), own.generate(**encoder_inputs(inputs), **settings))
    assert AutoTokenizer.from_pretrained(folder).pad_token == "<pad>"
    card = (folder / "README.md").read_text()
    score = json.loads((run / "record.json").read_text())["scores"]["rouge1"]
    assert f"| rouge1 | {score:.2f} |" in card
    assert "max_source_tokens: 32" in card
    assert ("padded with zeros" in card) == run.name.startswith("narrow")
    assert {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "recipe.yaml", "record.json"} <= {
        path.name for path in folder.iterdir()
    }
    assert not hasattr(stock.config, "pareft_plan")
    assert stock.generation_config.decoder_start_token_id == own.generation_config.decoder_start_token_id


@pytest.mark.parametrize("run", ["lora", "narrow", pytest.param("t5", marks=pytest.mark.slow)], indirect=True)
def test_an_exported_adapter_is_a_peft_folder_with_its_plan(run, tmp_path):
    pareft.export(run, tmp_path / "out", "adapter")
    plan = pareft.PruningPlan.read(tmp_path / "out" / "plan.json")
    model = pareft.attach(pareft.load(plan.base, plan, dtype=torch.float32), tmp_path / "out")
    own = pareft.load(run, dtype=torch.float32)
    inputs = make_inputs(own.get_base_model())
    torch.testing.assert_close(compute_logits(model, inputs), compute_logits(own, inputs), rtol=0, atol=1e-5)
    assert "rouge1" in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.parametrize("run", ["lora", "narrow", "t5"], indirect=True)
def test_an_exported_base_takes_the_adapter(run, tmp_path):
    pareft.export(run, tmp_path / "base", "base")
    model = pareft.attach(pareft.load(tmp_path / "base", dtype=torch.float32), run / "adapter")
    own = pareft.load(run, dtype=torch.float32)
    inputs = make_inputs(own.get_base_model())
    torch.testing.assert_close(compute_logits(model, inputs), compute_logits(own, inputs), rtol=0, atol=1e-5)


ONNX = """
import sys, numpy, onnxruntime, torch
sys.modules["pareft"] = None
session = onnxruntime.InferenceSession(sys.argv[1])
case = torch.load(sys.argv[2], weights_only=True)
for inputs in case:
    expected = inputs.pop("expected")
    found = session.run(["logits"], {name: value.numpy() for name, value in inputs.items()})[0]
    assert found.shape == tuple(expected.shape)
    assert numpy.abs(found - expected.numpy()).max() < 1e-4, numpy.abs(found - expected.numpy()).max()
"""


@pytest.mark.parametrize("run", ["lora", pytest.param("t5", marks=pytest.mark.slow)], indirect=True)
def test_onnx_computes_the_same_at_other_sizes(run, tmp_path):
    pytest.importorskip("onnxscript")
    done = pareft.export(run, tmp_path / "out", "onnx")
    assert "torch.onnx" in done.notes[1]
    model = pareft.load(run, dtype=torch.float32)
    cases = []
    for batch, source, target in ((1, 5, 3), (3, 17, 11), (4, 30, 1)):
        inputs = {
            "input_ids": torch.randint(4, 300, (batch, source)),
            "attention_mask": torch.ones(batch, source, dtype=torch.long),
            "decoder_input_ids": torch.randint(4, 300, (batch, target)),
        }
        cases.append(inputs | {"expected": compute_logits(model, inputs)})
    torch.save(cases, tmp_path / "cases.pt")
    command = [sys.executable, "-c", ONNX, str(tmp_path / "out" / "model.onnx"), str(tmp_path / "cases.pt")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert str(tmp_path).encode() not in (tmp_path / "out" / "model.onnx").read_bytes()


class TestRefused:
    def test_all_weights_are_no_adapter(self, runs, tmp_path):
        with pytest.raises(RunError, match="trained no adapter but all weights"):
            pareft.export(runs / "full", tmp_path / "out", "adapter")

    def test_a_folder_that_is_there(self, runs, tmp_path):
        with pytest.raises(RunError, match="is there already"):
            pareft.export(runs / "full", tmp_path)

    def test_an_unfinished_run(self, runs, tmp_path):
        shutil.copytree(runs / "lora", tmp_path / "run")
        (tmp_path / "run" / "record.json").unlink()
        with pytest.raises(RunError, match="is not finished; the command that started it goes on"):
            pareft.export(tmp_path / "run", tmp_path / "out")

    def test_no_run(self, tmp_path):
        with pytest.raises(RunError, match=r"is no run folder: it has no recipe.yaml"):
            pareft.export(tmp_path, tmp_path / "out")

    @pytest.mark.parametrize("form", ["merged", "adapter"])
    def test_damaged_weights(self, runs, tmp_path, form):
        shutil.copytree(runs / "lora", tmp_path / "run")
        path = tmp_path / "run" / "adapter" / "adapter_model.safetensors"
        path.write_bytes(path.read_bytes()[:-9])
        with pytest.raises(AdapterError, match="damaged or truncated"):
            pareft.export(tmp_path / "run", tmp_path / "out", form)
        assert sorted(item.name for item in tmp_path.iterdir()) == ["run"]

    def test_a_base_that_changed(self, runs, tmp_path):
        shutil.copytree(runs / "lora", tmp_path / "run")
        plan = json.loads((runs / "lora" / "plan.json").read_text())
        save_base("bart", tmp_path / "other")
        from safetensors.torch import load_file, save_file

        state = load_file(tmp_path / "other" / "model.safetensors")
        path = tmp_path / "other" / "model.safetensors"
        save_file({name: tensor + 1 for name, tensor in state.items()}, path, {"format": "pt"})
        plan["base"] = str(tmp_path / "other")
        (tmp_path / "run" / "plan.json").write_text(json.dumps(plan))
        with pytest.raises(PlanError, match="the plan was made for other weights"):
            pareft.export(tmp_path / "run", tmp_path / "out")

    def test_an_export_that_computes_something_else_is_not_left(self, runs, tmp_path, monkeypatch):
        from pareft.exporting import forms

        monkeypatch.setattr(forms, "compute_logits", lambda *args: compute_logits(*args) + 1)
        with pytest.raises(RunError, match="read back, its logits differ by"):
            pareft.export(runs / "lora", tmp_path / "out")
        assert not list(tmp_path.iterdir())

    def test_an_export_that_stock_libraries_cannot_load_is_not_left(self, runs, tmp_path, monkeypatch):
        from pareft.exporting import forms

        monkeypatch.setattr(forms, "is_stock", lambda *_: True)  # the narrow model as it is
        with pytest.raises(RunError, match="stock libraries cannot load it"):
            pareft.export(runs / "narrow", tmp_path / "out")
        assert not list(tmp_path.iterdir())

    def test_a_moved_base_says_so(self, runs, tmp_path):
        shutil.copytree(runs / "lora", tmp_path / "run")
        values = json.loads((runs / "lora" / "plan.json").read_text())
        values["base"] = str(tmp_path / "gone")
        (tmp_path / "run" / "plan.json").write_text(json.dumps(values))
        with pytest.raises(ModelError, match="no model folder"):
            pareft.load(tmp_path / "run")


def test_a_run_of_another_plan_is_not_gone_on_with(runs, tmp_path):
    shutil.copytree(runs / "narrow", tmp_path / "run")
    (tmp_path / "run" / "record.json").unlink()
    recipe = pareft.Recipe.model_validate(__import__("yaml").safe_load((tmp_path / "run" / "recipe.yaml").read_text()))
    shutil.copyfile(runs / "narrow.json", tmp_path / "kept.json")
    other = pareft.plan(runs / "bases" / "bart", layers={"encoder": [0], "decoder": [0]})
    try:
        (runs / "narrow.json").write_text(other.to_json())
        with pytest.raises(RunError, match=f"holds a run of plan .*the recipe now gives {other.fingerprint}"):
            pareft.run(recipe, out=tmp_path / "run")
    finally:
        shutil.copyfile(tmp_path / "kept.json", runs / "narrow.json")


def test_the_verbs(runs, tmp_path, monkeypatch, capsys):
    code, out, _ = call(monkeypatch, capsys, "export", runs / "lora", tmp_path / "merged", "--merged")
    assert code == 0
    assert "verified without pareft: logits differ by" in out
    code, _, err = call(monkeypatch, capsys, "export", runs / "lora", tmp_path / "both", "--merged", "--adapter")
    assert code == 2
    assert "give one of --merged, --adapter" in err
    code, out, _ = call(monkeypatch, capsys, "adapter", "remap", runs / "lora" / "adapter", "--out", tmp_path / "moved")
    assert code == 0
    assert "moved: encoder 0, 1, 2, 4, 6, 7; decoder" in out
    assert "without LoRA now: encoder 3, 5" in out
    pareft.attach(pareft.load(runs / "bases" / "bart"), tmp_path / "moved")
    plan = tmp_path / "plan.json"
    plan.write_text(pareft.plan(runs / "bases" / "bart", layers={"encoder": [0, 2], "decoder": [5]}).to_json())
    code, out, _ = call(monkeypatch, capsys, "adapter", "remap", tmp_path / "moved", "--to", plan, "--out", tmp_path / "again")
    assert code == 0
    assert "moved: encoder 0, 2; decoder 5" in out
    code, _, err = call(monkeypatch, capsys, "adapter", "remap", tmp_path, "--out", tmp_path / "x")
    assert (code, "no adapter in" in err) == (2, True)
    (tmp_path / "moved" / "plan.json").unlink()
    code, _, err = call(monkeypatch, capsys, "adapter", "remap", tmp_path / "moved", "--to", plan, "--out", tmp_path / "y")
    assert (code, "name that with --base" in err) == (2, True)
    arguments = ("adapter", "remap", tmp_path / "moved", "--to", plan, "--out", tmp_path / "y", "--base", runs / "bases" / "bart")
    code, out, _ = call(monkeypatch, capsys, *arguments)
    assert code == 0
    assert "moved: encoder 0, 2; decoder 5" in out
    code, out, _ = call(monkeypatch, capsys, "families")
    assert code == 0
    assert "gemma3_text" in out


def test_what_is_no_model_says_what_it_is(runs, tmp_path, monkeypatch, capsys):
    with pytest.raises(ModelError, match=r"is an adapter: load its base through its plan, then pareft.attach"):
        pareft.load(runs / "lora" / "adapter")
    with pytest.raises(ModelError, match=r"holds runs and is none itself; load one of full, lora, narrow"):
        pareft.load(runs)
    (tmp_path / "begun").mkdir()
    shutil.copy(runs / "lora" / "recipe.yaml", tmp_path / "begun")
    with pytest.raises(ModelError, match="is a run that is not finished"):
        pareft.load(tmp_path / "begun")
    for place, message in ((runs / "lora", "is a run, and no base; its own plan is"), (runs / "lora" / "adapter", "is an adapter")):
        code, _, err = call(monkeypatch, capsys, "plan", place)
        assert (code, message in err) == (2, True)
    with pytest.raises(PlanError, match="not dict"):
        pareft.load(runs / "bases" / "bart", {"layers": []})
    pareft.export(runs / "lora", tmp_path / "merged")
    assert not isinstance(pareft.load(tmp_path / "merged"), PeftModel)


def test_a_run_is_loaded_in_what_it_was_trained_in(runs, tmp_path):
    shutil.copytree(runs / "lora", tmp_path / "run")
    for precision, dtype in (("bf16", torch.bfloat16), ("fp32", torch.float32)):
        record = json.loads((tmp_path / "run" / "record.json").read_text()) | {"precision": precision}
        (tmp_path / "run" / "record.json").write_text(json.dumps(record))
        assert pareft.load(tmp_path / "run").get_base_model().dtype == dtype
    assert pareft.load(tmp_path / "run", dtype=torch.float16).get_base_model().dtype == torch.float16


def test_one_of_several_adapters_is_saved_by_its_name(runs, tmp_path):
    plan = pareft.PruningPlan.read(runs / "lora" / "plan.json")
    model = pareft.attach(pareft.load(plan.base, plan), runs / "lora" / "adapter", name="one")
    model = pareft.attach(model, runs / "lora" / "adapter", name="two")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".two." in name:
                parameter.mul_(2)
    pareft.save(model, tmp_path / "two", name="two")
    inputs = make_inputs(model.get_base_model())
    model.set_adapter("two")
    again = pareft.attach(pareft.load(plan.base, plan), tmp_path / "two")
    torch.testing.assert_close(compute_logits(again, inputs), compute_logits(model, inputs), rtol=0, atol=1e-6)
    with pytest.raises(AdapterError, match="no adapter 'three': the model has one, two"):
        pareft.save(model, tmp_path / "three", name="three")
    with pytest.raises(AdapterError, match="this model has none"):
        pareft.save(pareft.load(plan.base, plan), tmp_path / "three", name="one")
    assert not (tmp_path / "three").exists()


def test_a_saved_base_takes_its_tokenizer_along(runs, tmp_path):
    base = runs / "bases" / "bart"
    pareft.save(pareft.load(base, pareft.plan(base)), tmp_path / "pruned", tokenizer=AutoTokenizer.from_pretrained(base))
    assert AutoTokenizer.from_pretrained(tmp_path / "pruned").pad_token == "<pad>"


def test_a_changed_model_is_saved_as_one_that_was_trained(runs, tmp_path):
    base = runs / "bases" / "bart"
    plan = pareft.plan(base)
    for chosen in (plan, pareft.PruningPlan.read(runs / "narrow.json")):
        model = pareft.load(base, chosen)
        with torch.no_grad():
            model.get_decoder().layers[0].fc1.weight.add_(1)
        expected = compute_logits(model, make_inputs(model))
        pareft.save(model, tmp_path / "changed")
        again = pareft.load(tmp_path / "changed")
        assert torch.equal(compute_logits(again, make_inputs(model)), expected)
        assert "pareft_plan" not in json.loads((tmp_path / "changed" / "config.json").read_text())


def test_who_verified_an_export_is_said(runs, tmp_path, monkeypatch, capsys):
    for run, form, stock in (("lora", "adapter", True), ("narrow", "adapter", False), ("narrow", "base", False)):
        assert pareft.export(runs / run, tmp_path / f"{run}-{form}", form).by_stock is stock
    _, out, _ = call(monkeypatch, capsys, "export", runs / "narrow", tmp_path / "again", "--adapter")
    assert "verified by pareft, as no stock library can read it" in out
    assert "`pareft.load` reads it" in (tmp_path / "narrow-base" / "README.md").read_text()
    assert "folder above" not in (tmp_path / "lora-adapter" / "README.md").read_text()
    with pytest.raises(RunError, match="no form 'onnxx' of export; there is merged, adapter, base, onnx"):
        pareft.export(runs / "lora", tmp_path / "x", "onnxx")


def test_the_card_of_an_adapter_of_the_whole_base_does_not_say_pruned(runs, tmp_path):
    moved = pareft.remap(runs / "lora" / "adapter", tmp_path / "moved")
    card = (tmp_path / "moved" / "README.md").read_text()
    assert moved.plan.keeps_everything
    assert ", pruned" not in card
    assert "On a pruned" in card


def test_what_is_a_run(runs, tmp_path):
    assert is_run(runs / "lora")
    assert not is_run(runs / "bases" / "bart")
    assert not is_run(tmp_path)
