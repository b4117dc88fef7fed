"""A model's forward pass as ONNX, by PyTorch's own exporter."""

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import torch
from transformers import PreTrainedModel

from pareft.errors import RunError
from pareft.exporting.checking import find_logits

ONNX_FILE = "model.onnx"
ONNX_NOTE = (
    "written by torch.onnx: optimum's exporter (optimum-onnx 0.1) wants transformers < 4.58 and cannot be installed beside pareft"
)


class _Logits(torch.nn.Module):
    """Tensors in by position, logits out: no cache, which is no tensor, and no named outputs."""

    def __init__(self, model: PreTrainedModel, names: list[str]) -> None:
        super().__init__()
        self.model, self.names = model, names

    def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
        return find_logits(self.model(**dict(zip(self.names, tensors, strict=True)), use_cache=False))


def write_onnx(model: PreTrainedModel, inputs: Mapping[str, torch.Tensor], folder: Path) -> Path:
    """Write `model.onnx` and its weights, `model.onnx.data`; batch size, source and target length stay free.

    Args:
        model: in float32 and in eval mode, on the processor.
        inputs: an example of two rows or more and two tokens or more, (B, T) each, or of options (B, N, T).
        folder: where to; made if need be.

    Raises:
        RunError: `pareft[export]` is not installed, or PyTorch cannot export this model.
    """
    if missing := [name for name in ("onnx", "onnxscript", "onnxruntime") if find_spec(name) is None]:
        raise RunError(f"--onnx needs {', '.join(missing)}: pip install 'pareft[export]'")
    folder.mkdir(parents=True, exist_ok=True)
    axes = tuple(_name_axes(name, tensor.dim()) for name, tensor in inputs.items())
    with _quiet(), torch.no_grad():
        try:
            program = torch.onnx.export(
                _Logits(model, list(inputs)).eval(),
                tuple(inputs.values()),
                dynamo=True,
                verbose=False,
                input_names=list(inputs),
                output_names=["logits"],
                dynamic_shapes=(axes,),
            )
        except torch.onnx.errors.OnnxExporterError as error:
            raise RunError(f"PyTorch cannot export a {model.config.model_type} to ONNX: {str(error).splitlines()[0]}") from error
    assert program is not None
    for node in program.model.graph.all_nodes():
        node.metadata_props.clear()  # stack traces with paths of this machine, most of the file
    program.save(folder / ONNX_FILE, external_data=True)
    return folder / ONNX_FILE


def _name_axes(name: str, dimensions: int) -> dict[int, str]:
    length = "target_length" if name.startswith("decoder_") else "length"
    return {0: "batch", 1: length} if dimensions == 2 else {0: "batch", 1: "options", 2: length}


@contextmanager
def _quiet() -> Iterator[None]:
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)
