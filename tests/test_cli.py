"""The command line: it answers fast, and the user's mistakes are one line and exit code 2."""

import subprocess
import sys

import pytest
import yaml

from pareft import cli
from pareft.demo import write_notes


def call(monkeypatch, capsys, *arguments):
    """Run `pareft …`; returns exit code, standard output, standard error."""
    monkeypatch.setattr(sys, "argv", ["pareft", *map(str, arguments)])
    monkeypatch.setattr(cli, "_quiet", lambda: None)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr()
    return ended.value.code, said.out, said.err


@pytest.mark.parametrize("arguments", [["--help"], ["compare", "--help"], ["demo", "--help"]])
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
        (["data.source=dialogue"], "has no column 'dialogue'; its columns are source, target"),
        (["prune.layers={encoder: [0, 12]}"], "encoder has no layer 12: it has 8, numbered 0 to 7"),
        (["prune.layers={decoder: []}"], "decoder would keep 0 of 6 layers"),
        (["adapt.rank=0"], "adapt.rank"),
        (["adapt.rank=-1"], "adapt.rank"),
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
    code, _, err = call(monkeypatch, capsys, "plan", bases["t5"], "--encoder", "0-4")
    assert code == 2
    assert "commas" in err


def test_prepare_then_run_on_what_was_prepared(values, tmp_path, monkeypatch, capsys):
    notes = tmp_path / "radiology.csv"
    notes.write_text(write_notes(40, seed=9))
    code, out, _ = call(monkeypatch, capsys, "prepare", "mimic-radiology", "--notes", tmp_path, "--out", tmp_path / "data")
    assert code == 0
    assert '"split_by": "patient"' in out
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(values))
    changes = [f"data.path={tmp_path / 'data'}", "train.max_steps=1"]
    code, out, _ = call(monkeypatch, capsys, "run", recipe, *changes, "--arm", "lora+l-prun", "--out", tmp_path / "out")
    assert code == 0
    assert "rouge1" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mimic-surgery"], "no builder 'mimic-surgery'"),
        (["mimic-radiology", "--rules", "strict"], "choose paper or clean"),
        (["mimic-radiology", "--split-by", "day"], "choose report or patient"),
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
