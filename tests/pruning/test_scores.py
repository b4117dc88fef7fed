"""Criteria: what they find on layers that are known to matter or not, and that batches do not count."""

import pytest
import torch
from tiny import VOCABULARY, make_model

from pareft.models.families import find_family
from pareft.models.structure import find_layers
from pareft.pruning.choosing import read_limits
from pareft.pruning.scores import (
    learn_gates,
    leave_one_out,
    measure_loss,
    score_influence,
    score_magnitude,
    score_taylor,
)
from pareft.pruning.searching import drop_blocks, drop_greedily, measure_blocks

FAMILIES = ("bart", "t5", "led", "longt5-local", "llama", "bert2bert")
SCORES = {
    "influence": score_influence,
    "taylor": score_taylor,
    "leave-one-out": lambda model, batches: leave_one_out(model, lambda: measure_loss(model, batches)),
    "gates": lambda model, batches: learn_gates(model, batches, steps=4),
    "angular": lambda model, batches: measure_blocks(model, batches, {stack.name: 2 for stack in find_family(model.config).stacks}),
}


def make_rows(model, count=6):
    generator = torch.Generator().manual_seed(3)
    rows = []
    for number in range(count):
        source = torch.randint(4, VOCABULARY, (4 + number,), generator=generator)
        target = (
            source.clone()
            if not model.config.is_encoder_decoder
            else torch.randint(4, VOCABULARY, (3 + number % 3,), generator=generator)
        )
        rows.append((source, target))
    return rows


def make_batches(model, rows, size):
    def pad(tensors, value):
        return torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True, padding_value=value)

    for start in range(0, len(rows), size):
        sources, targets = zip(*rows[start : start + size], strict=True)
        mask = pad([torch.ones_like(source) for source in sources], 0)
        yield {"input_ids": pad(sources, model.config.pad_token_id or 0), "attention_mask": mask, "labels": pad(targets, -100)}


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize("family", FAMILIES)
def test_neither_the_size_of_batches_nor_their_order_counts(family, name):
    model = make_model(family)
    rows = make_rows(model)
    found = [
        SCORES[name](model, list(make_batches(model, some, size)))
        for some, size in ((rows, 1), (rows, 4), (list(reversed(rows)), 3))
    ]
    for other in found[1:]:
        for stack, values in found[0].items():
            assert other[stack] == pytest.approx(values, rel=2e-3, abs=2e-5)
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters() if parameter.is_leaf)


@torch.no_grad()
def idle(model, stack, number):
    """Have a layer of a T5 add nothing."""
    layer = find_layers(model, next(found for found in find_family(model.config).stacks if found.name == stack))[number]
    for name, weight in layer.named_parameters():
        if name.endswith(("SelfAttention.o.weight", "EncDecAttention.o.weight", "DenseReluDense.wo.weight")):
            weight.zero_()


@pytest.mark.parametrize("name", ["influence", "taylor", "leave-one-out"])
def test_a_layer_that_does_nothing_is_needed_least(name):
    model = make_model("t5")
    idle(model, "encoder", 3)
    idle(model, "decoder", 1)
    found = SCORES[name](model, list(make_batches(model, make_rows(model), 3)))
    if name != "leave-one-out":  # untrained layers may do harm
        assert (min(range(5), key=lambda n: found["encoder"][n]), min(range(4), key=lambda n: found["decoder"][n])) == (3, 1)
    if name != "taylor":  # wi has weights and no effect, and thus no gradient
        assert found["encoder"][3] == pytest.approx(0, abs=1e-6)


def test_an_idle_block_goes_whole_and_greed_finds_what_costs_nothing():
    model = make_model("t5")
    for number in (2, 3):
        idle(model, "encoder", number)
    batches = list(make_batches(model, make_rows(model), 3))
    kept, distances = drop_blocks(model, batches, read_limits({"encoder": 5, "decoder": 4}, {"encoder": 3}))
    assert kept == {"encoder": (0, 1, 4), "decoder": (0, 1, 2, 3)}
    assert (len(distances["encoder"]), distances["decoder"]) == (4, ())
    limits = read_limits({"encoder": 5, "decoder": 4}, {"encoder": 3}, never_drop={"encoder": [0, 1, 4]})
    kept, path = drop_greedily(model, lambda: measure_loss(model, batches), limits)
    assert kept["encoder"] == (0, 1, 4)
    assert [step.layer for step in path] == [3, 2]  # of equals the later first
    assert path[-1].cost == pytest.approx(measure_loss(model, batches), rel=1e-5)


def test_magnitude_leaves_out_what_is_no_layers_own():
    model = make_model("t5")
    before = score_magnitude(model)
    with torch.no_grad():
        model.encoder.block[0].layer[0].SelfAttention.relative_attention_bias.weight.mul_(100)
        model.encoder.block[1].layer[1].DenseReluDense.wi.weight.mul_(100)
    after = score_magnitude(model)
    assert after["encoder"][0] == before["encoder"][0]
    assert after["encoder"][1] > 10 * before["encoder"][1]


def test_learned_gates_close_what_does_nothing_and_no_weight_moves():
    model = make_model("t5")
    idle(model, "encoder", 3)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = learn_gates(model, list(make_batches(model, make_rows(model), 3)), steps=10)
    assert found["encoder"][3] == pytest.approx(0.5, abs=0.02)  # only the sparsity pulls: Adam's whole step each time
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
