"""The arms of a recipe as one table."""

import csv
import io
import json
import shutil

import pytest
from test_cli import call

import pareft
from pareft import arms as comparing
from pareft import measurement
from pareft.arms import compare, compare_runs
from pareft.comparison import Comparison, tabulate
from pareft.errors import RunError
from pareft.progress import SILENT
from pareft.recipe import resolve, select_arm
from pareft.records import RunRecord
from pareft.report.figure import draw_png
from pareft.report.table import COLUMNS, INFERENCE, format_intervals, list_columns, list_intervals, write_csv, write_markdown
from pareft.run_folder import read_record


@pytest.fixture(scope="module")
def compared(tmp_path_factory, request):
    """One comparison, run for real with its measurement; its folder and its recipe."""
    bases = request.getfixturevalue("bases")
    folder = tmp_path_factory.mktemp("compared")
    rows = "source,target\n" + "".join(f"case {i} is here,result {i % 4}\n" for i in range(120))
    (folder / "table.csv").write_text(rows)
    recipe = resolve(
        {
            "base": str(bases["bart"]),
            "data": {"path": str(folder / "table.csv"), "max_source_tokens": 32, "max_target_tokens": 16},
            "prune": {},
            "adapt": {"rank": 2, "dropout": 0.0},
            "train": {"max_steps": 2, "batch_size": 4, "warmup_steps": 0},
            "evaluate": {"num_beams": 2, "max_new_tokens": 6, "untouched": True},
            "measure": {"steps": 3, "warmup_steps": 1, "inference": 2},
            "arms": {"full": {"prune": None, "adapt": None}, "lora+l-prun": {}},
        }
    )
    return folder / "out", recipe, compare(recipe, out=folder / "out", title="tiny")


def test_the_first_arm_is_100_percent(compared):
    _, _, result = compared
    assert [row.arm for row in result.rows] == ["untouched", "full", "lora+l-prun"]
    full, pruned = result.row("full"), result.row("lora+l-prun")
    assert (full.speed_percent, full.memory_percent, full.trainable_percent, full.layers_dropped_ratio) == (100, 100, 100, 0)
    assert pruned.layers_dropped_ratio == pytest.approx(3 / 14)
    assert pruned.trainable < full.trainable
    assert result.row("untouched").speed_percent is None


def test_an_arm_of_smaller_batches_is_as_fast_as_its_examples(compared):
    out, _, result = compared
    records = {name: read_record(out / name) for name in ("full", "lora+l-prun")}
    assert {arm.batch_size for arm in result.efficiency.arms.values()} == {4}
    smaller = result.efficiency.arms["lora+l-prun"].model_copy(update={"batch_size": 2})
    efficiency = result.efficiency.model_copy(update={"arms": result.efficiency.arms | {"lora+l-prun": smaller}})
    found = tabulate(records, efficiency, title="tiny").row("lora+l-prun")
    assert found.speed_percent == pytest.approx(result.row("lora+l-prun").speed_percent / 2)


def test_steps_are_measured_by_a_process_per_arm(compared):
    out, recipe, result = compared
    record = result.efficiency
    assert list(record.arms) == ["full", "lora+l-prun"]
    for name, arm in record.arms.items():
        assert len(arm.step_seconds) == recipe.measure.steps
        assert len(arm.inference_seconds) == recipe.measure.inference == 2
        assert arm.peak_bytes > 0
        assert arm.trainable == result.row(name).trainable
    assert "1 rounds uncounted, then 3 counted" in record.method
    assert "inference: 2 passes of each arm in turn" in record.method
    assert result.row("full").inference_percent == 100
    assert (out / "efficiency.json").is_file()


def test_everything_finished_is_read_again(compared, monkeypatch):
    out, recipe, result = compared
    monkeypatch.setattr(comparing, "measure", lambda *_, **__: pytest.fail("measured again"))
    monkeypatch.setattr("pareft.pipeline.build_model", lambda *_: pytest.fail("trained again"))
    monkeypatch.setattr(comparing, "evaluate_split", lambda *_, **__: pytest.fail("evaluated again"))
    assert compare(recipe, out=out, title="tiny") == result
    assert Comparison.model_validate_json((out / "comparison.json").read_text()) == result


def test_a_longer_measurement_is_taken_without_training_again(compared, monkeypatch):
    out, recipe, result = compared
    asked = []

    def measure(arms, settings, **_):
        asked.append(settings.steps)
        return result.efficiency

    monkeypatch.setattr(comparing, "measure", measure)
    monkeypatch.setattr("pareft.pipeline.build_model", lambda *_: pytest.fail("trained again"))
    compare(recipe.model_copy(update={"measure": recipe.measure.model_copy(update={"steps": 5})}), out=out, title="tiny")
    assert asked == [5]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"evaluate.num_beams": 6}, "'full' cannot be compared: their protocols differ in num_beams"),
        ({"seed": 1}, "protocols differ in .*seed"),
        ({"base": "BASE"}, "have different bases"),
    ],
)
def test_arms_that_are_not_comparable_are_refused_before_any_is_run(compared, bases, changes, message, tmp_path):
    _, recipe, _ = compared
    changes = {key: str(bases["t5"]) if value == "BASE" else value for key, value in changes.items()}
    arms = recipe.arms | {"full": recipe.arms["full"] | changes}
    with pytest.raises(RunError, match=message):
        compare(recipe.model_copy(update={"arms": arms}), out=tmp_path / "out", title="none")
    assert not (tmp_path / "out").exists()


def test_a_damaged_record_is_one_line(compared, tmp_path):
    out, recipe, _ = compared
    shutil.copytree(out, tmp_path / "out")
    (tmp_path / "out" / "full" / "record.json").write_text("{")
    with pytest.raises(RunError, match="this is no RunRecord"):
        compare(recipe, out=tmp_path / "out", title="tiny")


def test_a_measurement_of_other_arms_or_a_damaged_one_is_taken_again(compared, monkeypatch, tmp_path):
    out, recipe, result = compared
    monkeypatch.setattr(comparing, "measure", lambda *_, **__: result.efficiency.model_copy(update={"batch_size": 77}))
    (tmp_path / "efficiency.json").write_text((out / "efficiency.json").read_text())
    arms = {name: select_arm(recipe, name) for name in recipe.arms}
    assert comparing._measure_once(arms, recipe, tmp_path, tmp_path, SILENT).batch_size == 4
    other = arms | {"full": arms["full"].model_copy(update={"seed": 7})}
    assert comparing._measure_once(other, recipe, tmp_path, tmp_path, SILENT).batch_size == 77
    (tmp_path / "efficiency.json").write_text("{")
    assert comparing._measure_once(arms, recipe, tmp_path, tmp_path, SILENT).batch_size == 77


def test_the_reports_hold_the_same_numbers(compared):
    _, _, result = compared
    table = list(csv.reader(io.StringIO(write_csv(result))))
    assert table[0] == list_columns(result) == [*COLUMNS, INFERENCE, "R-1", "R-2", "R-L", "Quality kept %"]
    assert [row[0] for row in table[1:]] == ["untouched", "full", "lora+l-prun"]
    markdown = write_markdown(result)
    for row in result.rows:
        assert f"{row.scores['rouge1']:.2f}" in markdown
    assert f"{result.row('full').trainable:,}" in markdown
    assert result.efficiency.method in markdown
    assert draw_png(result).startswith(b"\x89PNG")


def test_without_a_measurement_the_columns_are_empty(compared):
    out, _, _ = compared
    records = {arm: RunRecord.from_json((out / arm / "record.json").read_text()) for arm in ("full", "lora+l-prun")}
    result = tabulate(records, None, title="tiny")
    assert [row.speed_percent for row in result.rows] == [None, None]
    assert "| full | – |" in write_markdown(result)
    assert draw_png(result).startswith(b"\x89PNG")


def test_no_arms_is_an_error(compared, tmp_path):
    _, recipe, _ = compared
    with pytest.raises(RunError, match="no arms to compare"):
        compare(recipe.model_copy(update={"arms": {}}), out=tmp_path, title="none")


def test_a_worker_that_fails_says_why(compared):
    _, recipe, _ = compared
    broken = select_arm(recipe, "full").model_copy(update={"base": "/no/such/folder"})
    with pytest.raises(RunError, match=r"measuring arm 'full' failed: .*no model folder /no/such/folder.* measure=null"):
        measurement.measure({"full": broken}, recipe.measure)


def test_predictions_are_beside_every_arm(compared):
    out, _, _ = compared
    for arm in ("untouched", "full", "lora+l-prun"):
        rows = [json.loads(line) for line in (out / arm / "predictions.jsonl").read_text().splitlines()]
        assert [set(row) >= {"id", "prediction", "reference", "rouge1"} for row in rows] == [True] * 12


def test_scores_have_intervals_and_differences_from_the_first_arm(compared):
    _, _, result = compared
    first, *others = [row for row in result.rows if row.arm != "untouched"]
    assert not first.differences
    assert not any(map(first.resembles, result.headlines))
    for row in result.rows:
        for name, score in row.intervals.items():
            assert score.value == pytest.approx(row.scores[name], abs=1e-3)
            assert score.low - 1e-6 <= score.value <= score.high + 1e-6
    for row in others:
        for name, apart in row.differences.items():
            assert apart.value == pytest.approx(row.scores[name] - first.scores[name], abs=1e-3)
            assert row.resembles(name) == (not apart.low > 0 and not apart.high < 0)
    text = write_markdown(result)
    assert "| Arm | Metric | Score | 95 % | Less the first arm's | 95 % |" in text
    assert text.count("| rouge1 |") == len(result.rows)
    assert list_intervals(result) == [["rouge1", "rouge2", "rougeL"]]
    cells = format_intervals(others[0], result.headlines)
    assert len(cells) == 4
    assert cells[1].startswith(f"{others[0].scores['rouge1']:.2f} (")
    assert cells[1].endswith("≈") == others[0].resembles("rouge1")


def test_an_arm_without_its_predictions_says_what_to_do(compared, tmp_path):
    from pareft.arms import read_scores

    with pytest.raises(RunError, match="delete the arm's folder to run it again"):
        read_scores({"full": tmp_path / "predictions.jsonl"}, ["rouge"])


def test_files_of_other_examples_are_not_paired(compared, tmp_path):
    from pareft.arms import read_scores

    lines = (compared[0] / "full" / "predictions.jsonl").read_text().split("\n")[:-1]
    for name, order in (("one", lines), ("turned", lines[::-1])):
        (tmp_path / name).write_text("\n".join(order) + "\n")
    with pytest.raises(RunError, match="are not of the same examples in the same order"):
        read_scores({"one": tmp_path / "one", "turned": tmp_path / "turned"}, ["rouge"])


def test_odd_line_separators_in_texts_end_no_line(tmp_path):
    from pareft.arms import read_scores
    from pareft.evaluation.predictions import write_rows

    texts = ["one\u2028two", "three\x85four", "five\u2029six", "seven\rx"]
    write_rows(tmp_path / "p.jsonl", ({"id": str(i), "prediction": t, "reference": t, "rouge1": 50.0} for i, t in enumerate(texts)))
    scores = read_scores({"full": tmp_path / "p.jsonl"}, ["rouge", "bleu"])["full"]
    assert [len(scores.examples), scores.corpus["rouge1"]] == [4, 50]


def test_other_metrics_are_added_to_finished_arms_without_training_them_again(compared, monkeypatch, tmp_path):
    out, recipe, result = compared
    shutil.copytree(out, tmp_path / "out")
    monkeypatch.setattr("pareft.pipeline.build_model", lambda *_: pytest.fail("trained again"))
    monkeypatch.setattr("pareft.scoring.predict", lambda *_, **__: pytest.fail("written again"))
    again = compare(recipe, {"evaluate.metrics": ["bleu", "surface"]}, out=tmp_path / "out", title="tiny")
    assert (again.quality, again.headlines) == (["bleu"], ["bleu", "words", "copied"])
    for row in again.rows:
        assert {"bleu", "words"} <= set(row.scores)
        assert "rouge1" not in row.scores
    assert list_columns(again) == [*COLUMNS, INFERENCE, "bleu", "Quality kept %"]
    assert "BLEU" not in write_markdown(again)
    assert compare(recipe, out=tmp_path / "out", title="tiny") == result


def test_arms_scored_by_other_models_are_not_compared(compared, tmp_path):
    """The encoder and its layer are part of the protocol."""
    _, recipe, _ = compared
    metrics = {"evaluate.metrics": ["bertscore"], "evaluate.bertscore.model": recipe.base, "evaluate.untouched": False}
    arms = recipe.arms | {"full": recipe.arms["full"] | {"evaluate.bertscore.layer": 2}}
    with pytest.raises(RunError, match="protocols differ in scorers"):
        compare(recipe.model_copy(update={"arms": arms}), metrics, out=tmp_path / "out", title="none")
    assert not (tmp_path / "out").exists()


def test_metrics_that_arms_name_themselves_have_their_own_intervals(compared, tmp_path):
    _, recipe, _ = compared
    arms = {name: lines | {"evaluate.metrics": ["bleu"]} for name, lines in recipe.arms.items()}
    changes = {"measure": None, "evaluate.untouched": False}
    result = compare(recipe.model_copy(update={"arms": arms}), changes, out=tmp_path / "out", title="tiny")
    for row in result.rows:
        assert {name: score.value for name, score in row.intervals.items()} == pytest.approx(row.scores, abs=1e-3)


def test_finished_runs_are_compared_wherever_they_are(compared, bases, tmp_path, monkeypatch, capsys):
    out, recipe, result = compared
    again = compare_runs([out / "full", out / "lora+l-prun"])
    assert [row.arm for row in again.rows] == ["full", "lora+l-prun"]
    for row in again.rows:
        same = result.row(row.arm)
        assert (row.scores, row.intervals, row.differences) == (same.scores, same.intervals, same.differences)
        assert row.speed_percent == same.speed_percent, "the measurement of these very arms lies beside them"
    shutil.copytree(out / "full", tmp_path / "elsewhere")
    assert compare_runs([tmp_path / "elsewhere", out / "lora+l-prun"]).efficiency is None
    pareft.run(recipe, {"evaluate.num_beams": 1}, arm="full", out=tmp_path / "full")
    code, printed, _ = call(monkeypatch, capsys, "compare", out / "full", out / "lora+l-prun", "--out", tmp_path / "table")
    assert (code, "lora+l-prun" in printed) == (0, True)
    assert sorted(path.name for path in (tmp_path / "table").iterdir()) == [f"comparison.{s}" for s in ("csv", "json", "md", "png")]
    for folders, message in (
        ([out / "full"], "at least two different runs"),
        ([out / "full", tmp_path], "is no finished run"),
        ([out / "full", tmp_path / "full"], "protocols differ in num_beams"),
    ):
        code, _, err = call(monkeypatch, capsys, "compare", *folders)
        assert (code, err.count("\n"), message in err) == (2, 1, True), err


def test_several_processes_do_not_compare(compared, monkeypatch, tmp_path):
    from pareft.runtime import Processes

    monkeypatch.setattr(comparing, "find_processes", lambda: Processes(0, 2))
    with pytest.raises(RunError, match="run each arm with pareft run --arm NAME"):
        compare(compared[1], out=tmp_path / "out")
