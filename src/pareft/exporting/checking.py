"""Whether an export computes what the run does, as a fresh process with stock libraries sees it."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import PreTrainedModel

from pareft.errors import RunError
from pareft.models.structure import chooses

TOLERANCE = 1e-4  # of the largest logit, in float32
_READER = Path(__file__).with_name("stock_reader.py")


@dataclass(frozen=True)
class Checked:
    """The largest difference of the logits, the largest logit, who computed them, and what a user should know."""

    difference: float
    largest: float
    by_stock: bool
    notes: tuple[str, ...] = ()


def make_inputs(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """Two rows of token ids, one of them padded, that a text model takes."""
    generator = torch.Generator().manual_seed(0)
    size = model.config.get_text_config().vocab_size
    tokens = torch.randint(min(4, size - 1), size, (2, 24), generator=generator)
    mask = torch.ones_like(tokens)
    mask[1, 17:] = 0
    inputs = {"input_ids": tokens, "attention_mask": mask}
    if chooses(model):
        inputs = {name: value[:, None].repeat(1, 2, 1) for name, value in inputs.items()}  # two options of each
        inputs["input_ids"][:, 1, 5:9] = inputs["input_ids"][:, 0, 1:5]
    if model.config.is_encoder_decoder:
        inputs["decoder_input_ids"] = torch.randint(min(4, size - 1), size, (2, 9), generator=generator)
    return inputs


@torch.no_grad()
def compute_logits(model: Any, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """The logits of one forward pass, or without a head the states, on the processor."""
    device = next(model.parameters()).device
    outputs = model(**{name: value.to(device) for name, value in inputs.items()})
    return find_logits(outputs).float().cpu().contiguous()


def find_logits(outputs: Any) -> torch.Tensor:
    """A model's logits, of starts and ends both, (..., 2), or without a head the states."""
    if "start_logits" in outputs:
        return torch.stack([outputs.start_logits, outputs.end_logits], -1)
    found: torch.Tensor = outputs.logits if "logits" in outputs else outputs.last_hidden_state
    return found


def verify(
    temporary: Path,
    inputs: dict[str, torch.Tensor],
    expected: torch.Tensor,
    *,
    model: Path,
    adapter: Path | None = None,
    notes: Sequence[str] = (),
) -> Checked:
    """Have a fresh process without pareft compute the logits.

    Raises:
        RunError: that process cannot load the folder, or computes something else.
    """
    case = temporary / "case.safetensors"
    save_file({**inputs, "expected": expected}, case)
    command = [sys.executable, str(_READER), str(model), str(case), *([str(adapter)] if adapter else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise RunError(f"the export was not written: stock libraries cannot load it ({reason})")
    return check(float(json.loads(done.stdout.strip().splitlines()[-1])["difference"]), expected, by_stock=True, notes=notes)


def check(difference: float, expected: torch.Tensor, *, by_stock: bool, notes: Sequence[str]) -> Checked:
    """What was found, or `RunError` where the difference is too large."""
    largest = float(expected.abs().max())
    if not difference <= TOLERANCE * max(largest, 1.0):
        raise RunError(
            f"the export was not written: read back, its logits differ by {difference:.2e} (largest logit {largest:.3g}, allowed "
            f"{TOLERANCE:g} of it)"
        )
    return Checked(difference, largest, by_stock, tuple(notes))
