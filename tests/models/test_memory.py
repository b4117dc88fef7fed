"""Law 3, second half: loading through a plan costs the pruned model's memory, not the base's."""

import subprocess
import sys

import pytest
from transformers import AutoModelForSeq2SeqLM, BartConfig

SCRIPT = """
import sys, torch, pareft
from pareft.models.loading import load
from pareft.runtime import peak_memory_bytes, reset_peak_memory
base, rule = sys.argv[1:]
plan = pareft.plan(base, layers={"encoder": [0], "decoder": [0]}) if rule == "pruned" else None
before = reset_peak_memory()
model = load(base, plan)
with torch.no_grad():
    model(input_ids=torch.zeros(1, 4, dtype=torch.long), decoder_input_ids=torch.zeros(1, 4, dtype=torch.long))
print(peak_memory_bytes() - before, sum(p.numel() * p.element_size() for p in model.parameters()))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of a process from /proc")
def test_peak_memory_is_the_pruned_models(tmp_path):
    config = BartConfig(
        d_model=512, encoder_layers=12, decoder_layers=12, encoder_ffn_dim=2048, decoder_ffn_dim=2048, vocab_size=300,
        encoder_attention_heads=8, decoder_attention_heads=8,
    )  # fmt: skip
    AutoModelForSeq2SeqLM.from_config(config).save_pretrained(tmp_path)

    def measure(rule):
        done = subprocess.run([sys.executable, "-c", SCRIPT, str(tmp_path), rule], capture_output=True, text=True, check=True)
        return map(int, done.stdout.split())

    whole_peak, whole_size = measure("whole")
    pruned_peak, pruned_size = measure("pruned")
    dropped = whole_size - pruned_size
    assert dropped > 200e6
    assert pruned_peak < pruned_size + 0.3 * dropped  # the activations and the interpreter's noise, not the dropped layers
    assert whole_peak > whole_size
