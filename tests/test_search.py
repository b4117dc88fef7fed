"""`pareft tune`: the recipe as it is first, trials on the validation split, taken up where it stopped, its result a recipe."""

import sys

import pytest
from conftest import call

import pareft
from pareft import search as searching
from pareft.adapter_settings import DistillSettings
from pareft.errors import PareftError, RunError
from pareft.listing import list_runs
from pareft.readying import prepare
from pareft.recipe import resolve, select_arm
from pareft.recipe_file import read_recipe
from pareft.records import SearchRecord
from pareft.search import find_best, list_space, search
from pareft.settings import PruneSettings


@pytest.fixture
def recipe(values):
    values["train"] |= {"max_steps": 2, "evaluate_max_new_tokens": 4}
    return select_arm(resolve(values), "lora+l-prun")


@pytest.fixture
def trained(monkeypatch):
    """The recipes that were trained."""
    recipes = []
    plain = searching.fit

    def count(recipe, out, **more):
        recipes.append(recipe)
        return plain(recipe, out, **more)

    monkeypatch.setattr(searching, "fit", count)
    return recipes


def test_a_search_begins_with_the_recipe_and_ends_with_a_recipe(recipe, trained, tmp_path, monkeypatch):
    monkeypatch.setattr("pareft.pipeline.evaluate_split", lambda *_, **__: pytest.fail("the test split was written for"))
    out = tmp_path / "search"
    found = search(recipe, out, metric="rouge2", trials=4, space=list_space(recipe))
    first = found.trials[0].changes
    assert first["train.learning_rate"] == recipe.train.learning_rate
    assert (first["adapt.rank"], first["adapt.alpha"], first["adapt.target"]) == (2, 4, "ffn")
    assert first["train.max_steps"] == 2
    assert len(trained) == len({str(trial.changes) for trial in found.trials})  # nothing is trained twice
    by_changes = {str(trial.changes): trial for trial in found.trials}
    assert len(by_changes) == 4
    for trial, arm in zip(found.trials, trained, strict=True):
        assert arm.train.best_metric == "rouge2"
        assert arm.adapt.alpha / arm.adapt.rank == recipe.adapt.alpha / recipe.adapt.rank
        assert arm.adapt.rank in (1, 2, 4, 8)
        assert arm.train.max_steps in (1, 2, 4)
        assert recipe.train.learning_rate / 10.01 <= arm.train.learning_rate <= recipe.train.learning_rate * 10.01
        assert trial.changes["adapt.rank"] == arm.adapt.rank
    best = max(found.trials, key=lambda trial: trial.score)
    assert found.best == best.number
    written = read_recipe(out / "best.yaml")
    assert written == trained[found.trials.index(best)]
    assert SearchRecord.from_json((out / "search.json").read_text()) == found
    (kept,) = [path for path in out.iterdir() if path.is_dir()]  # the best one's
    assert read_recipe(kept / "recipe.yaml") == written
    assert {path.name for path in (kept / "checkpoints").iterdir()} == {"trained.json", "data.json"}
    monkeypatch.undo()
    record = pareft.run(written, out=kept)  # goes on to the test
    assert record.steps == written.train.max_steps


def test_a_search_is_taken_up_and_takes_more(recipe, trained, tmp_path):
    out = tmp_path / "search"
    one = search(recipe, out, metric="rouge1", trials=2, space=["learning_rate"])
    more = search(recipe, out, metric="rouge1", trials=3, space=["learning_rate"])
    assert more.trials[:2] == one.trials
    assert len(trained) == 3
    assert search(recipe, out, metric="rouge1", trials=3, space=["learning_rate"]).trials == more.trials
    assert len(trained) == 3


def test_an_interrupted_trial_is_taken_again_in_its_folder(recipe, tmp_path, monkeypatch):
    out, plain, calls = tmp_path / "search", searching.fit, []

    def interrupt(recipe, folder, **more):
        calls.append(folder)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return plain(recipe, folder, **more)

    monkeypatch.setattr(searching, "fit", interrupt)
    with pytest.raises(KeyboardInterrupt):
        search(recipe, out, metric="rouge1", trials=3, space=["learning_rate", "rank"])
    found = search(recipe, out, metric="rouge1", trials=3, space=["learning_rate", "rank"])
    assert len(found.trials) == 3
    assert calls[1] == calls[2]


def test_a_trial_that_does_not_go_is_not_taken_again(recipe, tmp_path, monkeypatch):
    out, plain, calls = tmp_path / "search", searching.fit, []

    def refuse(recipe, folder, **more):
        calls.append(folder)
        if len(calls) == 2:
            raise RunError("does not fit into memory")
        return plain(recipe, folder, **more)

    monkeypatch.setattr(searching, "fit", refuse)
    with pytest.raises(RunError, match="does not fit into memory"):
        search(recipe, out, metric="rouge1", trials=3, space=["learning_rate"])
    assert len(search(recipe, out, metric="rouge1", trials=3, space=["learning_rate"]).trials) == 3
    assert calls.count(calls[1]) == 1


def test_what_cannot_be_looked_for_is_refused(recipe, values, tmp_path):
    for space, metric, message in [
        (["rnk"], "rouge1", "no 'rnk' to look for. Did you mean rank"),
        (["rank"], "rouge9", "no 'rouge9'. Did you mean rouge"),
        ([], "rouge1", "name at least one of learning_rate, rank, target, epochs"),
    ]:
        with pytest.raises(RunError, match=message):
            search(recipe, tmp_path / "search", metric=metric, trials=1, space=space)
    full = select_arm(resolve(values), "full")
    assert list_space(full) == ["learning_rate", "epochs"]
    with pytest.raises(RunError, match="this arm has no 'rank' to look for"):
        search(full, tmp_path / "search", metric="rouge1", trials=1, space=["rank"])
    with pytest.raises(RunError, match="say which one with --arm: full, lora"):
        search(resolve(values), tmp_path / "search", metric="rouge1", trials=1, space=["rank"])
    assert not (tmp_path / "search").exists()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "text").write_text("mine")
    with pytest.raises(RunError, match="holds something else"):
        search(recipe, tmp_path / "other", metric="rouge1", trials=1, space=["rank"])


def test_a_folder_of_another_search_is_refused(recipe, tmp_path):
    search(recipe, tmp_path / "search", metric="rouge1", trials=1, space=["rank"])
    for metric, space in (("rouge2", ["rank"]), ("rouge1", ["learning_rate"])):
        with pytest.raises(RunError, match="the search of another recipe, metric or space"):
            search(recipe, tmp_path / "search", metric=metric, trials=1, space=space)


def test_a_search_on_data_that_have_changed_is_refused(recipe, table, trained, tmp_path):
    """Its old trials would stand beside new ones of other data."""
    out = tmp_path / "search"
    search(recipe, out, metric="rouge1", trials=1, space=["learning_rate"])
    table.write_text(table.read_text().replace("case", "patient"))
    with pytest.raises(RunError, match="holds a search on other examples"):
        search(recipe, out, metric="rouge1", trials=2, space=["learning_rate"])


def test_two_processes_do_not_search_in_one_folder(recipe, tmp_path, monkeypatch):
    """One would take the other's trial for a killed one."""
    asked = []

    def train(trial, folder, **_):
        asked.append(folder)
        with pytest.raises(RunError, match="another process is searching"):
            search(recipe, tmp_path / "search", metric="rouge1", trials=1, space=["learning_rate"])
        raise KeyboardInterrupt

    monkeypatch.setattr(searching, "fit", train)
    with pytest.raises(KeyboardInterrupt):
        search(recipe, tmp_path / "search", metric="rouge1", trials=1, space=["learning_rate"])
    assert asked


def test_a_search_that_ended_before_it_began_goes_on(recipe, trained, tmp_path):
    """Layers that a criterion has chosen stay for the recipe that is right."""
    wrong = recipe.model_copy(update={"distill": DistillSettings(teacher="nobody"), "prune": PruneSettings(by="magnitude", keep=4)})
    with pytest.raises(PareftError):
        search(wrong, tmp_path / "search", metric="rouge1", trials=1, space=["learning_rate"])
    assert (tmp_path / "search").is_dir()
    search(wrong.model_copy(update={"distill": None}), tmp_path / "search", metric="rouge1", trials=1, space=["learning_rate"])


def test_targets_that_the_base_or_the_start_does_not_bear_are_not_tried(values, bases):
    gap = values | {"adapt": values["adapt"] | {"start": "gap"}}
    assert list_targets(gap) == ['"ffn"', '"outputs"', '"all"']
    light = values | {"adapt": {"method": "bottleneck", "rank": 2}, "light": {"steps": 2}, "prune": None}
    assert list_targets(light) == ['"outputs"']
    assert '"attention"' in list_targets(light | {"light": {"steps": 2, "heads": 0, "neurons": 0}})


def list_targets(values):
    return searching._list_targets(prepare(select_arm(resolve(values | {"arms": {"a": {}}}), "a")))


def test_without_optuna_the_extra_is_named(recipe, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(RunError, match=r"pip install 'pareft\[tune\]'"):
        search(recipe, tmp_path / "search", metric="rouge1", trials=1, space=["rank"])


def test_the_best_score_is_that_of_the_checkpoint_that_is_kept(recipe, tmp_path):
    record = searching.fit(recipe, tmp_path / "run")
    scores = [entry["eval_rouge1"] for entry in record.history if "eval_rouge1" in entry]
    assert find_best(record, "rouge1") == max(scores)


def test_the_verb_prints_every_trial(values, tmp_path, monkeypatch, capsys):
    from pareft.recipe_file import write_yaml

    values["train"] |= {"max_steps": 2, "evaluate_max_new_tokens": 4}
    (tmp_path / "small.yaml").write_text(write_yaml(resolve(values)))
    out = tmp_path / "out"
    options = ("--arm", "lora+l-prun", "--trials", 2, "--space", "rank", "--out", out)
    code, said, _ = call(monkeypatch, capsys, "tune", tmp_path / "small.yaml", *options)
    assert code == 0
    assert "rouge1 on the validation split" in said
    assert "best.yaml" in said
    code, said, _ = call(monkeypatch, capsys, "show", out)
    assert (code, "searched 2 trials" in said, "on the validation split" in said) == (0, True, True)
    (out / "search.json").unlink()
    assert [run.state for run in list_runs(tmp_path)] == ["searching"]
    code, _, said = call(monkeypatch, capsys, "tune", tmp_path / "small.yaml", "--trials", 2)
    assert code == 2
    assert "--arm: full, lora+l-prun" in " ".join(said.split())
