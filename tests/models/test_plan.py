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
        ({"middle": [0]}, "the stacks are encoder, decoder"),
        ({"encoder": ["a"]}, "list of integers"),
        ({"encoder": [True]}, "list of integers"),
    ],
)
def test_impossible_layers_are_refused(base, layers, message):
    with pytest.raises(PlanError, match=message):
        pareft.plan(base, layers=layers)


def test_ratio_is_over_all_stacks(base):
    assert pareft.plan(base, layers={"encoder": [0, 1, 2, 3], "decoder": [0, 1, 2]}).ratio == pytest.approx(0.5)
