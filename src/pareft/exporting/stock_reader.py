"""Run by `pareft.export` in a process of its own: read an export with stock libraries alone, print how far its logits are off.

python verify_export.py CHECKPOINT CASE.safetensors [ADAPTER]
python verify_export.py MODEL.onnx CASE.safetensors
"""

import json
import sys

sys.modules["pareft"] = None  # type: ignore[assignment]  # whoever needs it fails
del sys.path[0]  # the folder of this file

import torch  # noqa: E402
from safetensors.torch import load_file  # noqa: E402


def run_checkpoint(folder: str, inputs: dict[str, torch.Tensor], adapter: str | None) -> torch.Tensor:
    """The logits of a stock checkpoint, or of one without a head its states, with an adapter on it if there is one."""
    import transformers

    name = transformers.AutoConfig.from_pretrained(folder).architectures[0]
    model, report = getattr(transformers, name).from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    if any(report.values()):
        raise SystemExit(f"keys that do not fit: {report}")
    if adapter:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, adapter)
    with torch.no_grad():
        outputs = model.eval()(**inputs)
    if "start_logits" in outputs:
        return torch.stack([outputs.start_logits, outputs.end_logits], -1)
    return outputs.logits if "logits" in outputs else outputs.last_hidden_state


def run_onnx(path: str, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """The logits of an ONNX file."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(["logits"], {name: value.numpy() for name, value in inputs.items()})[0])


def main() -> None:
    """Compare the logits; those of padded places are left out."""
    place, case, *adapter = sys.argv[1:]
    inputs = load_file(case)
    expected = inputs.pop("expected")
    found = run_onnx(place, inputs) if place.endswith(".onnx") else run_checkpoint(place, inputs, adapter[0] if adapter else None)
    gap = (found - expected).abs()
    if "decoder_input_ids" not in inputs and gap.dim() == 3:  # of places, and not of whole texts
        gap = gap[inputs["attention_mask"].bool()]
    print(json.dumps({"difference": float(gap.max())}))


if __name__ == "__main__":
    main()
