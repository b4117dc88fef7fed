"""Gates on layers: at 1 nothing changes, at 0 a layer is as good as cut, afterwards they leave no trace."""

import pytest
import torch
from tiny import MAKERS, drop_first, logits, make_inputs, make_model

from pareft.models.surgery import cut
from pareft.pruning import plan
from pareft.pruning.gates import gate


@pytest.mark.parametrize("name", MAKERS)
def test_masked_is_cut(name, tmp_path):
    model = make_model(name)
    inputs, kept = make_inputs(model), drop_first(model)
    if name == "deberta-v2-xxlarge":
        kept = {"encoder": [0, 2, 4]}  # a convolution stands behind its first layer, whichever that is once it is cut
    model.config.save_pretrained(tmp_path)
    before = logits(model, inputs)
    with gate(model) as gates:
        assert torch.equal(logits(model, inputs), before)
        for stack, layers in kept.items():
            gone = [layer for layer in range(len(gates[stack])) if layer not in layers]
            gates[stack][gone] = 0.0
        masked = logits(model, inputs)
    assert torch.equal(logits(model, inputs), before)
    assert not any(module._forward_hooks for module in model.modules())
    smaller = cut(model, plan(str(tmp_path), layers=kept, weights=False))
    torch.testing.assert_close(masked, logits(smaller, inputs), rtol=1e-5, atol=1e-5)
    assert not torch.allclose(masked, before, atol=1e-3)


def test_gates_have_gradients_in_proportion_to_what_a_layer_adds():
    model = make_model("bart").requires_grad_(False)
    inputs = make_inputs(model)
    with gate(model) as gates:
        gates["encoder"].requires_grad_()
        model(**inputs).logits.square().mean().backward()
        found = gates["encoder"].grad
        step = 1e-3
        with torch.no_grad():
            gates["encoder"][2] += step
            more = model(**inputs).logits.square().mean()
            gates["encoder"][2] -= 2 * step
            less = model(**inputs).logits.square().mean()
    assert float(found[2]) == pytest.approx(float((more - less) / (2 * step)), rel=0.02)
