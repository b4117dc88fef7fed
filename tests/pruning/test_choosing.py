"""How many layers stay and which: limits, ties, plans that are parts of each other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pareft.errors import PlanError
from pareft.plan_verbs import parse_keep
from pareft.pruning.choosing import choose, read_limits

DEPTHS = {"encoder": 6, "decoder": 4}
SCORES = {"encoder": (5.0, 1.0, 3.0, 3.0, 2.0, 9.0), "decoder": (0.5, 4.0, 0.1, 7.0)}


@pytest.mark.parametrize(
    ("keep", "kept"),
    [
        (3, {"encoder": (0, 2, 5), "decoder": (0, 1, 3)}),  # of the equal ones the later goes
        (0.5, {"encoder": (0, 2, 5), "decoder": (1, 3)}),
        ({"encoder": 2}, {"encoder": (0, 5), "decoder": (0, 1, 2, 3)}),
        ({"encoder": 0.5, "decoder": 1}, {"encoder": (0, 2, 5), "decoder": (3,)}),
        ({"total": 6}, {"encoder": (0, 2, 3, 5), "decoder": (1, 3)}),
    ],
)
def test_the_least_needed_go(keep, kept):
    assert choose(SCORES, read_limits(DEPTHS, keep)) == kept


def test_what_must_stay_stays():
    limits = read_limits(DEPTHS, {"encoder": 3, "decoder": 2}, never_drop={"encoder": [1, -2], "decoder": [2]})
    assert choose(SCORES, limits) == {"encoder": (1, 4, 5), "decoder": (2, 3)}


def test_a_total_leaves_every_stack_its_least_and_can_be_shared_out_evenly():
    poor = {"encoder": SCORES["encoder"], "decoder": (0.0, 0.0, 0.0, 0.0)}
    assert {stack: len(kept) for stack, kept in choose(poor, read_limits(DEPTHS, {"total": 6}, least=2)).items()} == {
        "encoder": 4,
        "decoder": 2,
    }
    assert choose(poor, read_limits(DEPTHS, {"total": 6})) == {"encoder": (0, 2, 3, 4, 5), "decoder": (0,)}
    even = choose(SCORES, read_limits(DEPTHS, {"total": 6}, symmetric=True))
    assert {stack: len(kept) for stack, kept in even.items()} == {"encoder": 3, "decoder": 3}


def test_an_encoder_that_must_lead_leads():
    poor = {"encoder": (0.0,) * 6, "decoder": (1.0,) * 4}
    kept = choose(poor, read_limits(DEPTHS, {"total": 7}, encoder_leads=True))
    assert {stack: len(layers) for stack, layers in kept.items()} == {"encoder": 4, "decoder": 3}
    with pytest.raises(PlanError, match="cannot generate"):
        read_limits(DEPTHS, {"encoder": 3}, encoder_leads=True)
    with pytest.raises(PlanError, match="fewer than the 6"):
        read_limits(DEPTHS, {"total": 5}, never_drop={"decoder": [0, 1, 2]}, encoder_leads=True)


@given(st.lists(st.integers(0, 3), min_size=2, max_size=8), st.data())
def test_plans_for_fewer_layers_are_parts_of_those_for_more(scores, data):
    depths = {"encoder": len(scores)}
    more = data.draw(st.integers(2, len(scores)))
    fewer = data.draw(st.integers(1, more - 1))
    kept = [choose({"encoder": scores}, read_limits(depths, count))["encoder"] for count in (more, fewer)]
    assert (len(kept[0]), len(kept[1])) == (more, fewer)
    assert set(kept[1]) < set(kept[0])


@pytest.mark.parametrize(
    ("keep", "more", "said"),
    [
        (7, {}, "7 of 6 encoder layers; give 1 to 6"),
        (0, {}, "0 of 6 encoder"),
        (2.5, {}, "2.5 of 6"),
        (0.0, {}, "0.0 of 6"),
        (True, {}, "is no number"),
        ({"encodr": 3}, {}, "no stack 'encodr'"),
        ({"total": 11}, {}, "11 of 10 layers"),
        ({"total": 6, "encoder": 2}, {}, "all stacks together"),
        ({"total": 3}, {"least": 2}, "fewer than the 4"),
        ({"total": 6}, {"least": 5}, "least 5 is not possible of 4 decoder"),
        ({"total": 7}, {"symmetric": True}, "cannot be shared out evenly"),
        ({"total": 10}, {"symmetric": True}, "1 to 4 decoder layers"),
        (3, {"symmetric": True}, "keep={'total': n}"),
        (1, {"never_drop": {"encoder": [0, 1]}}, "names 2 encoder layers, and 1 are to stay"),
        (3, {"never_drop": {"encoder": [6]}}, "no encoder layer 6"),
        (3, {"never_drop": {"layers": [0]}}, "no stack 'layers'"),
    ],
)
def test_limits_that_cannot_be_are_refused(keep, more, said):
    with pytest.raises(PlanError, match=said):
        read_limits(DEPTHS, keep, **more)


def test_a_part_is_of_all_layers_up_to_the_whole():
    keep = parse_keep("encoder=100%,decoder=50%")
    assert read_limits(DEPTHS, keep).counts == {"encoder": DEPTHS["encoder"], "decoder": DEPTHS["decoder"] // 2}
    assert read_limits(DEPTHS, 1.0).counts == read_limits(DEPTHS, parse_keep("1.0")).counts == DEPTHS
    assert read_limits(DEPTHS, parse_keep("1")).counts == dict.fromkeys(DEPTHS, 1)
    for text in ("200%", "0%", "-5%"):
        with pytest.raises(PlanError, match="is no part of the layers; give up to 100%"):
            parse_keep(text)
