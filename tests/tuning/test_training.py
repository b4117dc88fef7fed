"""The trainer's arguments, and what it gives back."""

import pytest

from pareft.settings import TrainSettings
from pareft.tuning.training import find_checkpoint, make_arguments


def arguments(tmp_path, examples=100, precision="fp32", **settings):
    return make_arguments(TrainSettings(**settings), examples=examples, precision=precision, seed=1, folder=tmp_path)


def test_evaluations_are_counted_in_epochs(tmp_path):
    made = arguments(tmp_path, epochs=10, batch_size=8, evaluate_every=0.3)
    assert made.eval_steps == made.save_steps == 4  # 0.3 of 13 steps
    assert arguments(tmp_path, max_steps=3, evaluate_every=2).eval_steps == 3


@pytest.mark.parametrize(("precision", "bf16", "fp16"), [("bf16", True, False), ("fp16", False, True), ("fp32", False, False)])
def test_precision_reaches_the_trainer(tmp_path, precision, bf16, fp16):
    if precision == "fp16":
        pytest.importorskip("torch").cuda.is_available() or pytest.skip("fp16 needs CUDA")
    made = arguments(tmp_path, precision=precision)
    assert (made.bf16, made.fp16) == (bf16, fp16)


def test_the_papers_optimiser(tmp_path):
    made = arguments(tmp_path, learning_rate=1e-4, warmup_steps=1000, weight_decay=0.01)
    assert made.optim.startswith("adamw")
    assert (made.lr_scheduler_type, made.warmup_steps, made.weight_decay, made.max_grad_norm) == ("linear", 1000, 0.01, 1.0)
    assert (made.adam_beta1, made.adam_beta2) == (0.9, 0.999)
    assert made.metric_for_best_model == "rouge1"


def test_an_incomplete_checkpoint_does_not_count(tmp_path):
    assert find_checkpoint(tmp_path) is None
    for step, complete in ((9, True), (10, True), (11, False)):
        (tmp_path / f"checkpoint-{step}").mkdir()
        if complete:
            (tmp_path / f"checkpoint-{step}" / "trainer_state.json").write_text("{}")
    assert find_checkpoint(tmp_path).endswith("checkpoint-10")
