"""The tables run with tiny bases and data: what is finished is read, what is missing is said before anything is run."""

import json
import re

import polars as pl
import pytest
from conftest import TEXTS, call
from test_budgets import make_measured

from pareft import pipeline
from pareft.errors import MeasurementError, ModelError, RecipeError, RunError
from pareft.recipe import select_arm
from pareft.reproduction import Request, foresee, list_experiments, reproduce
from pareft.reproduction.experiments import list_tables, read_experiment
from pareft.reproduction.paper import EXAMPLES, SCORES, TABLES

TINY = {
    "train.max_steps": 2, "train.batch_size": 4, "train.warmup_steps": 0, "train.evaluate_examples": 2, "train.accumulation": 1,
    "data.max_source_tokens": 16, "data.max_target_tokens": 8, "evaluate.max_new_tokens": 6, "evaluate.num_beams": 2,
    "evaluate.metrics": ["rouge"], "measure": {"steps": 1, "warmup_steps": 0},
}  # fmt: skip


def write_data(folder, kind="discharge"):
    (folder / kind).mkdir(parents=True)
    for split, count in (("train", 24), ("validation", 4), ("test", 12)):
        rows = [{"id": str(i), "source": f"case {i}: {TEXTS[i % 8]}", "target": TEXTS[i % 8]} for i in range(count)]
        pl.DataFrame(rows).write_parquet(folder / kind / f"{split}.parquet")


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory, request):
    """Table 4a, both halves, once."""
    bases = request.getfixturevalue("bases")
    folder = tmp_path_factory.mktemp("reproduced")
    write_data(folder / "data")
    asked = Request(
        "table4a", folder / "out", bases={"bart": str(bases["bart"]), "t5": str(bases["t5"])}, data=folder / "data", changes=TINY
    )
    lines = []
    done = list(reproduce(asked, on_line=lambda filled, said: lines.append((filled, said))))
    return asked, done, lines


def test_every_arm_is_beside_the_papers(reproduced):
    _, (done,), _ = reproduced
    assert done.filled.finished
    assert [(line.paper.recipe, line.paper.arm) for line in done.filled.lines] == [
        (row.recipe, row.arm) for row in TABLES["table4a"].rows
    ]
    for line in done.filled.lines:
        assert {*line.scores} == {"R-1", "R-2", "R-L"}, "what was not scored is not made up"
        assert line.memory_gigabytes > 0
        assert line.trained > 0
    assert done.filled.lines[0].speed_percent == done.filled.lines[4].speed_percent == 100, "each base has its own full"
    assert done.filled.lines[3].trained < done.filled.lines[2].trained < done.filled.lines[0].trained
    assert list(done.reports) == ["discharge-bart", "discharge-t5"]


def test_the_papers_r_l_is_rouge_lsum(reproduced):
    _, (done,), _ = reproduced
    for line in done.filled.lines:
        row = done.reports[line.paper.recipe].comparison.row(line.paper.arm)
        assert line.scores["R-L"].value == pytest.approx(row.scores["rougeLsum"], abs=1e-3)
    assert SCORES["R-L"] == "rougeLsum"


def test_the_table_fills_as_arms_finish(reproduced):
    _, _, lines = reproduced
    finished = [sum(line.finished for line in filled.lines) for filled, _ in lines]
    assert finished == sorted(finished)
    assert (finished[0], finished[-1]) == (1, 8)
    assert lines[0][1] == "discharge-bart full"
    assert lines[0][0].lines[0].speed_percent is None, "steps are measured when all arms are there"


def test_again_it_is_only_read(reproduced, monkeypatch):
    asked, (done,), _ = reproduced
    monkeypatch.setattr("pareft.pipeline.build_model", lambda *_: pytest.fail("trained again"))
    monkeypatch.setattr("pareft.arms.measure", lambda *_, **__: pytest.fail("measured again"))
    asked.data.rename(asked.data.with_name("elsewhere"))
    try:
        (again,) = reproduce(asked)
    finally:
        asked.data.with_name("elsewhere").rename(asked.data)
    assert again == done


def test_the_command_line_writes_the_table_and_its_page(reproduced, monkeypatch, capsys):
    asked, _, _ = reproduced
    lines = [f"{key}={json.dumps(value)}" for key, value in TINY.items()]
    places = ["--out", asked.out, "--data", asked.data, "--bart", asked.bases["bart"], "--t5", asked.bases["t5"]]
    code, printed, err = call(monkeypatch, capsys, "reproduce", "table4a", *places, *lines)
    assert code == 0, err
    assert "discharge-t5" in printed
    written = {suffix: (asked.out / f"table4a.{suffix}").read_text() for suffix in ("md", "csv", "tex", "json", "html")}
    assert "43.46" in written["md"]
    assert "paper kept %" in written["md"]
    assert "Recipes changed by: train.max_steps=2; " in written["md"]
    assert written["tex"].count("midrule") == len(TABLES["table4a"].rows)
    assert "Beside the paper" in written["html"]
    assert len(written["csv"].splitlines()) == 1 + 2 * len(TABLES["table4a"].rows)
    for wrong in (
        ["table9"],
        ["table4a", "--small", "--data", "x"],
        ["table4a", "--teraflops", "1"],
        ["table4a", "--dry-run", "--show-text"],
    ):
        code, _, err = call(monkeypatch, capsys, "reproduce", *wrong)
        assert (code, err.count("\n")) == (2, 1), err


def test_tables_share_their_arms(reproduced, monkeypatch):
    """What Table 3 has in common with Table 4a is not run twice, and the other way round."""
    asked, (done,), _ = reproduced
    trained = []
    real = pipeline.build_model
    monkeypatch.setattr("pareft.pipeline.build_model", lambda prepared: trained.append(prepared.recipe) or real(prepared))
    (third,) = reproduce(Request("table3", asked.out, bases=asked.bases, data=asked.data, changes=asked.changes))
    assert [recipe.adapt.target for recipe in trained] == ["qv", "qv"]
    shared = {line.paper.arm: line.scores["R-1"] for line in done.filled.lines[:4]}
    assert {line.paper.arm: line.scores["R-1"] for line in third.filled.lines if line.paper.arm in shared} == shared
    monkeypatch.setattr("pareft.arms.measure", lambda *_, **__: pytest.fail("measured again"))
    assert list(reproduce(asked)) == [done], "each table has its own measurement"
    assert list(reproduce(Request("table3", asked.out, bases=asked.bases, data=asked.data, changes=asked.changes))) == [third]


def test_what_cannot_be_measured_is_said_and_the_rest_stands(reproduced, monkeypatch, tmp_path):
    asked, _, _ = reproduced

    def fail(*_, **__):
        raise MeasurementError("measuring arm 'full' failed: no memory")

    monkeypatch.setattr("pareft.arms.measure", fail)
    monkeypatch.setattr("pareft.measurement.measure", fail)
    said = []
    changes = asked.changes | {"measure": {"steps": 2}}
    (done,) = reproduce(
        Request("table4a", asked.out, bases=asked.bases, data=asked.data, changes=changes),
        on_line=lambda _, text: said.append(text),
    )
    assert "discharge-bart: not measured (measuring arm 'full' failed: no memory)" in said
    assert done.filled.finished
    assert done.filled.lines[0].speed_percent is None


def test_what_does_not_fit_together_is_measured_apart(reproduced, monkeypatch, bases):
    asked, _, _ = reproduced

    def fail(*_, **__):
        raise MeasurementError("measuring arm 'full' failed: no memory")

    def measure_alone(arms, settings, **options):
        assert len(arms) == 1
        return make_measured({name: (arm, 0.5) for name, arm in arms.items()})

    monkeypatch.setattr("pareft.arms.measure", fail)
    monkeypatch.setattr("pareft.measurement.measure", measure_alone)
    changes = asked.changes | {"measure": {"steps": 3}}
    (done,) = reproduce(Request("table4a", asked.out, bases=asked.bases, data=asked.data, changes=changes))
    for report in done.reports.values():
        assert report.comparison.efficiency.method.startswith("one arm after the other")
        assert report.comparison.rows[0].speed_percent == 100
        assert len(report.comparison.efficiency.arms) == 4


def test_a_folder_of_another_recipe_is_found_before_anything_is_run(reproduced, monkeypatch, tmp_path):
    asked, _, _ = reproduced
    monkeypatch.setattr("pareft.pipeline.build_model", lambda *_: pytest.fail("trained"))
    (tmp_path / "discharge-t5" / "lora").mkdir(parents=True)
    (tmp_path / "discharge-t5" / "lora" / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match=r"discharge-t5/lora is not empty and is no run folder"):
        list(reproduce(Request("table4a", tmp_path, bases=asked.bases, data=asked.data, changes=asked.changes)))


def test_of_several_tables_every_arm_is_checked(bases, monkeypatch, tmp_path):
    """Table 6, the last, has no l-prun, and shares its recipe with two that have: all that is in the way is said at once."""
    for kind in EXAMPLES:
        write_data(tmp_path / "data", kind)
    for place in ("discharge-bart/l-prun", "icliniq-t5/lora"):
        (tmp_path / "out" / place).mkdir(parents=True)
        (tmp_path / "out" / place / "notes.txt").write_text("mine")
    asked = Request(
        "all", tmp_path / "out", bases={side: str(bases[side]) for side in ("bart", "t5")}, data=tmp_path / "data", changes=TINY
    )
    with pytest.raises(RunError, match=r"discharge-bart/l-prun is not empty .*icliniq-t5/lora is not empty"):
        list(reproduce(asked))


def test_fp16_for_t5_is_found_before_anything_is_run(reproduced, monkeypatch, tmp_path):
    asked, _, _ = reproduced
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    changes = asked.changes | {"train.precision": "fp16"}
    with pytest.raises(RunError, match="fp16 overflows in T5"):
        list(reproduce(Request("table4a", tmp_path, bases=asked.bases, data=asked.data, changes=changes)))


@pytest.mark.parametrize("table", TABLES)
def test_small_recipes_are_whole(table, tmp_path, bases):
    given = {"t5": str(bases["t5"])}
    for recipe in list_experiments(Request(table, tmp_path, small=True, bases=given), table).values():
        for arm in recipe.arms:
            chosen = select_arm(recipe, arm)
            assert chosen.train.learning_rate == (4e-3 if chosen.adapt else 1e-3)
            assert "bertscore" not in chosen.evaluate.metrics, "its encoder would be a download"


def test_bases_are_looked_for_before_data_are_made(tmp_path):
    request = Request("table3", tmp_path / "out", small=True, bases={"bart": str(tmp_path / "none")})
    with pytest.raises(ModelError):
        list(reproduce(request))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("table", "kind"), [("table5b", "icliniq"), ("table4b", "radiology")])
def test_a_small_table_makes_its_own_data_once(table, kind, tmp_path, bases, monkeypatch):
    monkeypatch.setattr("pareft.reproduction.small.COUNT", 80)
    asked = Request(
        table, tmp_path, small=True, bases={side: str(bases[side]) for side in ("bart", "t5")}, changes=TINY | {"measure": None}
    )
    (done,) = reproduce(asked)
    assert done.filled.finished
    assert done.filled.small
    assert (tmp_path / "data" / kind / "train.parquet").is_file()
    for name in ("write_synthetic", "prepare_notes", "prepare_table"):
        monkeypatch.setattr(f"pareft.reproduction.small.{name}", lambda *_, **__: pytest.fail("made again"))
    assert list(reproduce(asked)) == [done]


def test_tables_of_bart_alone_need_no_t5(tmp_path, monkeypatch):
    monkeypatch.setattr("pareft.reproduction.small.SIBLING", "none")
    assert list(list_experiments(Request("table3", tmp_path, small=True), "table3")) == ["discharge-bart"]
    with pytest.raises(RunError, match="work in a clone, or name another T5 with --t5"):
        list_experiments(Request("table4a", tmp_path, small=True), "table4a")


def test_everything_missing_is_said_at_once_before_anything_is_run(bases, tmp_path):
    asked = Request("table5b", tmp_path / "out", bases={"bart": str(bases["bart"]), "t5": "./none"}, data=tmp_path / "data")
    with pytest.raises(RunError) as raised:
        list(reproduce(asked))
    said = str(raised.value)
    assert "icliniq has no train.parquet (make it: pareft prepare dialogue icliniq-15k.json" in said
    assert "no model folder ./none" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("key", ["base", "revision", "data", "data.path", "data.train", "arms"])
def test_what_is_another_for_every_recipe_cannot_be_changed_for_all(key, tmp_path):
    with pytest.raises(RecipeError, match="--bart, --t5 and --data name bases and data"):
        list_experiments(Request("table4a", tmp_path, changes={key: {}}), "table4a")


def test_a_change_that_arms_would_undo_is_refused(tmp_path):
    with pytest.raises(RecipeError, match=r"train\.learning_rate is set by arm 'full' itself"):
        list_experiments(Request("table4a", tmp_path, changes={"train.learning_rate": 1e-3}), "table4a")


def test_all_are_all_tables():
    assert list_tables("all") == ["table3", "table4a", "table4b", "table5a", "table5b", "table6"]
    with pytest.raises(RecipeError, match="no table 'table7'"):
        list_tables("table7")


@pytest.mark.parametrize("table", TABLES)
def test_recipes_are_the_papers(table, tmp_path):
    """Section 4.2 and the release's settings, of which docs/reproduction.md says which is followed where they differ."""
    for name in TABLES[table].recipes:
        recipe = read_experiment(name, TABLES[table].arms_of(name), {}, data=tmp_path, bases={})
        kind, side = name.split("-")
        summary = kind in ("discharge", "radiology")
        data, train, evaluate = recipe.data, recipe.train, recipe.evaluate
        long = summary and name != "radiology-t5"
        assert (data.max_source_tokens, data.max_target_tokens) == (1024 if long else 512, 128)
        assert data.prefix == ("summarize: " if summary else "")
        assert (train.batch_size, train.accumulation) == ((4, 2) if name == "discharge-t5" else (8, 1))
        assert (train.epochs, train.evaluate_every, train.warmup_steps, train.weight_decay) == (10, 0.3, 1000, 0.01)
        assert (train.patience, train.best_metric, train.evaluate_max_new_tokens) == (20, "rouge1", 50)
        assert train.evaluate_examples == {
            "discharge-bart": 0.5, "discharge-t5": 0.3, "radiology-bart": 0.1, "radiology-t5": 0.1, "healthcaremagic-bart": 0.5,
            "healthcaremagic-t5": 0.5, "icliniq-bart": None, "icliniq-t5": None,
        }[name]  # fmt: skip
        assert (evaluate.num_beams, evaluate.max_new_tokens, evaluate.no_repeat_ngram_size) == (6, 128, 3)
        assert evaluate.metrics == (["rouge", "bertscore", "summac"] if summary else ["rouge", "bleu_precisions"])
        assert recipe.base == {"bart": "facebook/bart-large", "t5": "google-t5/t5-large"}[side]
        for arm in recipe.arms:
            chosen = select_arm(recipe, arm)
            assert chosen.train.learning_rate == (1e-4 if chosen.adapt else 5e-5)
            assert (chosen.prune is not None) == ("l-prun" in arm)
            assert chosen.train.evaluate_share is None
            assert chosen.adapt is None or (chosen.adapt.alpha, chosen.adapt.dropout, chosen.adapt.bias) == (32, 0.1, "wrapped")


def test_a_forecast_reads_and_writes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code, printed, _ = call(monkeypatch, capsys, "reproduce", "table3", "--dry-run", "--teraflops", "100", "train.precision=bf16")
    assert code == 0
    assert re.search(r"1\.6 +1\.2 +≠", printed)
    assert "Hours" in printed
    assert max(len(line) for line in printed.splitlines() if "8+8" in line) <= 80
    assert "nothing in the release gives 1.2 M" in printed
    assert not list(tmp_path.iterdir())


def test_a_forecast_counts_the_prepared_examples_or_the_papers(tmp_path):
    def find_steps(**more):
        asked = Request("table5b", tmp_path / "out", data=tmp_path, **more)
        ((_, rows),) = foresee(asked, 1e12)
        return next(rows).steps

    assert find_steps() == 10 * EXAMPLES["icliniq"] / 8
    (tmp_path / "icliniq").mkdir()
    (tmp_path / "icliniq" / "dataset.json").write_text(json.dumps({"examples": {"train": 801}}))
    assert find_steps() == 10 * 101
    assert find_steps(changes={"train.max_steps": 7}) == 7
