"""Which heads and neurons stay: the counts, the release's quantile, at least one, and two plans as one."""

import pytest
import torch
from tiny import make_model

import pareft
from pareft.errors import PlanError
from pareft.models.surgery import cut
from pareft.pruning.keeping import count_kept, keep_units, narrow_plan
from pareft.pruning.masks import mask


@pytest.mark.parametrize(
    ("size", "ratio", "kept"),
    [(16, 1 / 3, 11), (3, 1 / 3, 3), (3, 0.34, 2), (16, 0.5, 8), (100, 0.29, 71), (4, 0, 4), (10, 0.99, 1)],
)
def test_counts_go_by_the_ratio_as_it_is_written(size, ratio, kept):
    assert count_kept(size, ratio) == kept


@pytest.mark.parametrize("ratio", [0, 0.2, 1 / 3, 0.5, 0.9])
@pytest.mark.parametrize("scope", ["layer", "global"])
def test_the_highest_stay_and_one_of_each_layer(ratio, scope):
    scores = torch.rand(5, 12, generator=torch.Generator().manual_seed(0))
    scores[2] -= 1
    kept = keep_units(scores, ratio, scope=scope)
    assert all(units and list(units) == sorted(units) for units in kept)
    if scope == "layer":
        assert [len(units) for units in kept] == [count_kept(12, ratio)] * 5
        assert all(set(units) == set(row.topk(len(units)).indices.tolist()) for row, units in zip(scores, kept, strict=True))
    else:
        assert sum(map(len, kept)) == max(5, count_kept(60, ratio))
    assert all(scores[layer].argmax() in units for layer, units in enumerate(kept))


def test_of_equals_the_first_stay():
    assert keep_units(torch.ones(2, 4), 0.5) == [(0, 1), (0, 1)]


@pytest.mark.parametrize(("ratio", "kept"), [(1 / 3, 10), (0.333333333, 11), (0.5, 8)])
def test_the_release_keeps_what_is_above_the_quantile(ratio, kept):
    scores = torch.arange(16.0)[None]
    assert len(keep_units(scores, ratio, rules="release")[0]) == kept
    assert keep_units(torch.ones(1, 4), 0.5, rules="release") == [(0,)]  # all of them equal: the release would keep none


@pytest.mark.parametrize("ratio", [1, 1.5, -0.1])
def test_a_ratio_of_all_is_refused(ratio):
    with pytest.raises(PlanError, match="cannot go"):
        keep_units(torch.ones(1, 4), ratio)


def test_scores_that_are_no_numbers_are_refused():
    with pytest.raises(PlanError, match="no finite numbers"):
        keep_units(torch.tensor([[1.0, float("nan")]]), 0.5)


@pytest.mark.parametrize("name", ["bart", "t5", "llama"])
def test_two_plans_are_one(name, tmp_path):
    model = make_model(name)
    model.save_pretrained(tmp_path / "base")
    stacks = pareft.plan(tmp_path / "base", by="everything").layers
    depth = pareft.plan(tmp_path / "base", layers={stack: layers[::2] for stack, layers in stacks.items()})
    shallow = cut(model, depth)
    shallow.save_pretrained(tmp_path / "shallow")
    whole = pareft.plan(tmp_path / "shallow", by="everything")
    with mask(shallow) as masks:
        kept = {key: keep_units(torch.rand(values.shape), 0.5) for key, values in masks.items()}
    width = narrow_plan(whole, kept, by="early-masks")
    both = depth.then(width)
    assert both.layers == depth.layers
    assert both == narrow_plan(depth, kept, by=both.by)
    twice, once = cut(shallow, width).state_dict(), pareft.load(tmp_path / "base", both).state_dict()
    assert twice.keys() == once.keys()
    assert all(torch.equal(twice[key], once[key]) for key in once)
    assert depth.then(whole).fingerprint == depth.fingerprint
    with pytest.raises(PlanError, match="the first leaves"):
        width.then(depth)


def test_a_family_without_widths_is_refused():
    with pytest.raises(PlanError, match="has no width"), mask(make_model("gpt2")):
        pass


def test_a_narrow_model_is_refused(tmp_path):
    make_model("bart").save_pretrained(tmp_path)
    narrow = pareft.load(tmp_path, pareft.plan(tmp_path, neurons={"encoder": {1: [0, 2, 3]}}))
    with pytest.raises(PlanError, match="narrower"), mask(narrow):
        pass
