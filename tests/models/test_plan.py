"""The plan as an artefact: JSON and back, fingerprints, refusals."""

import json
import shutil

import pytest

import pareft
from pareft.errors import PlanError


def test_plan_to_json_to_plan(base):
    plan = pareft.plan(base)
    assert pareft.PruningPlan.from_json(plan.to_json()) == plan
    assert json.loads(plan.to_json())["fingerprint"] == plan.fingerprint


def test_fingerprint_is_of_what_is_kept_and_not_of_how_or_where(base, tmp_path):
    plan = pareft.plan(base)
    elsewhere = shutil.copytree(base, tmp_path / "copy")
    assert pareft.plan(elsewhere, layers=dict(plan.layers)).fingerprint == plan.fingerprint
    assert pareft.plan(base, by="everything").fingerprint != plan.fingerprint


def test_same_plan_for_the_same_base(base):
    assert pareft.plan(base).to_json() == pareft.plan(base).to_json()


@pytest.mark.parametrize("units", [{"heads": {"encoder.self": {0: 2}}}, {"neurons": {"encoder": {0: 256}}}])
def test_how_many_units_stay_is_not_which(base, units):
    with pytest.raises(PlanError):
        pareft.plan(base, **units)


def test_a_changed_plan_is_refused(base):
    values = json.loads(pareft.plan(base).to_json())
    values["layers"]["encoder"] = [0, 1]
    with pytest.raises(PlanError, match="changed after it was written"):
        pareft.PruningPlan.from_json(json.dumps(values))
    for text in ("", "[]", "{}", '{"base": 3}'):
        with pytest.raises(PlanError, match="no pruning plan"):
            pareft.PruningPlan.from_json(text)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ({"encoder": [0, 8]}, "encoder has no layer 8: it has 8, numbered 0 to 7"),
        ({"encoder": [-1]}, "encoder has no layer -1"),
        ({"decoder": []}, "decoder would keep 0 of 6 layers"),
        ({"encoder": [1, 0]}, "ascending"),
        ({"encoder": [0, 0]}, "each named once"),
        ({"middle": [0]}, "it has encoder and decoder"),
        ({"encoder": ["a"]}, "list of integers"),
        ({"encoder": [True]}, "list of integers"),
    ],
)
def test_impossible_layers_are_refused(base, layers, message):
    with pytest.raises(PlanError, match=message):
        pareft.plan(base, layers=layers)


def test_ratio_is_over_all_stacks(base):
    assert pareft.plan(base, layers={"encoder": [0, 1, 2, 3], "decoder": [0, 1, 2]}).ratio == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"layers": {"encoder": [0, -1], "decoder": [0]}}, "encoder has no layer -1"),
        ({"layers": {"encoder": [0, 0], "decoder": [0]}}, "each named once"),
        ({"layers": {"encoder": [2, 1], "decoder": [0]}}, "must be ascending"),
        ({"layers": {"encoder": "all", "decoder": [0]}}, "list of integers"),
        ({"layers": {"encoder": [0]}}, "the stacks are encoder, decoder"),
        ({"layers": [0, 1]}, "no pruning plan"),
        ({"depths": {"encoder": "many", "decoder": 6}}, "no pruning plan"),
        ({"depths": {"encoder": 99, "decoder": 6}, "layers": {"encoder": [98], "decoder": [0]}}, "this base has layers"),
        ({"heads": {"encoder.self": {"0": [0, 1, 2]}}}, "encoder.self layer 0 has no head 2: it has 2"),
        ({"heads": {"encoder.self": {"0": [-1]}}}, "has no head -1"),
        ({"heads": {"encoder.self": {"first": [0]}}}, "layer first is not kept"),
        ({"heads": {"encoder.self": [0]}}, "heads must say, by stack.attention and layer"),
        ({"heads": {"everywhere": {"0": [0]}}}, "no 'everywhere' whose heads can be pruned"),
        ({"neurons": {"encoder": {"0": [0, 24]}}}, "encoder layer 0 has no neuron 24"),
        ({"neurons": 3}, "neurons must say"),
        ({"widths": {"encoder.self": 99}, "heads": {"encoder.self": {"0": [98]}}}, "this base has"),
        ({"widths": "wide"}, "no pruning plan"),
        ({"family": "t5"}, "the plan is of family 't5'"),
        ({"base_digest": "0" * 16}, "was made for"),
        ({"weights_digest": "0" * 16}, "made for other weights"),
        ({"more": 1}, "no pruning plan"),
    ],
)
def test_a_plan_edited_by_hand_is_refused_where_it_is_wrong(bases, changed, message):
    values = json.loads(pareft.plan(bases["bart"], by="everything").to_json())
    del values["fingerprint"]
    with pytest.raises(PlanError, match=message) as raised:
        pareft.load(bases["bart"], pareft.PruningPlan.from_json(json.dumps(values | changed)))
    assert "\n" not in str(raised.value)


def test_a_plan_is_read_from_a_file_or_the_file_is_named(bases, tmp_path):
    plan = pareft.plan(bases["bart"])
    (tmp_path / "plan.json").write_text(plan.to_json())
    assert pareft.PruningPlan.read(tmp_path / "plan.json") == plan
    with pytest.raises(PlanError, match=r"cannot read a plan from .*none.json"):
        pareft.PruningPlan.read(tmp_path / "none.json")
    (tmp_path / "plan.json").write_text("{")
    with pytest.raises(PlanError, match=r"plan.json: this is no pruning plan"):
        pareft.PruningPlan.read(tmp_path / "plan.json")
