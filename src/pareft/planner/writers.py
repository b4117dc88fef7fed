"""Texts that a model of few layers with random weights writes here, so that forecasts of writing know this machine."""

from collections.abc import Callable

import torch

from pareft.errors import MeasurementError
from pareft.evaluation.generation import Batch, write_batch
from pareft.forecast.writing import count_rows, trace_writing
from pareft.forking import open_apart
from pareft.models.checkpoint import load_tokenizer
from pareft.models.structure import count_parameters, count_vocabulary
from pareft.planner.arms import Arm
from pareft.runtime import choose_device, choose_writing_precision, free_memory, peak_memory_bytes, reset_peak_memory

Write = Callable[[int], None]  # for so many sources; each text is as long as it may be


def choose_writing_dtype(arm: Arm) -> torch.dtype:
    """What an arm's model is stored and computed in when it writes."""
    return torch.bfloat16 if choose_writing_precision(arm.recipe.evaluate.precision) == "bf16" else torch.float32


def open_writer(arm: Arm) -> tuple[Write, int]:
    """How an arm writes, with random weights, for sources as long as may be; and the bytes of its weights."""
    recipe, tokenizer, high = arm.recipe, load_tokenizer(arm.base), count_vocabulary(arm.base.config)
    model = arm.build_plain(choose_device()).to(choose_writing_dtype(arm)).eval()
    weight_bytes = count_parameters(model).total * next(model.parameters()).element_size()

    model.generation_config.min_new_tokens = recipe.evaluate.max_new_tokens  # no text ends early

    def write(rows: int) -> None:
        numbers = tuple(range(rows))
        sources = tuple(torch.randint(high // 2, high, (recipe.data.max_source_tokens,)).tolist() for _ in numbers)
        write_batch(model, tokenizer, Batch(numbers, numbers, sources), recipe.evaluate)

    return write, weight_bytes


def trace_arm_writing(arm: Arm) -> int:
    """The peak of an arm's tensors while it writes, as `pareft evaluate` does: adapters merged."""
    model, source_tokens = arm.build_plain(torch.device("meta")), arm.recipe.data.max_source_tokens
    return trace_writing(model, arm.recipe.evaluate, source_tokens=source_tokens, dtype=choose_writing_dtype(arm)).peak_bytes


def measure_writing(arm: Arm) -> int:
    """The peak of writing a batch: weights, and how far memory rises above them."""
    write, weight_bytes = open_writer(arm)
    free_memory()
    before = reset_peak_memory()
    write(count_rows(arm.recipe.evaluate, arm.recipe.data.max_source_tokens))
    return weight_bytes + peak_memory_bytes() - before


def measure_beside(arm: Arm) -> int:
    """By how much the peak of writing is more than that of its tensors, in a process of its own.

    Raises:
        MeasurementError: it failed there.
    """
    try:
        with open_apart(__name__) as pool:
            return max(0, pool.submit(measure_writing, arm).result() - trace_arm_writing(arm))
    except Exception as error:
        raise MeasurementError(f"the writing of {arm.name} with few layers could not be measured: {error}") from error
