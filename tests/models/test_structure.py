"""Law 9: exact counts, on `meta` tensors (facts of arXiv 2305.08285's release)."""

import copy

import pytest
from transformers import BartConfig, T5Config

from pareft.adapter_settings import LoraSettings
from pareft.models.checkpoint import Base
from pareft.models.structure import build_on_meta, count_parameters
from pareft.models.surgery import prune_config
from pareft.pruning import plan
from pareft.tuning.adapters import attach

BART_LARGE = BartConfig(d_model=1024)
T5_LARGE = T5Config(d_model=1024, d_ff=4096, num_layers=24, num_heads=16, vocab_size=32_128)


def count(config, *, pruned=False, target=None, bias="wrapped"):
    if pruned:
        config = prune_config(config, plan(Base("large", "large", None, config)))
    model = build_on_meta(copy.deepcopy(config))
    return count_parameters(attach(model, LoraSettings(target=target, rank=16, bias=bias)) if target else model)


@pytest.mark.parametrize(
    ("config", "whole", "pruned"), [(BART_LARGE, 406_291_456, 288_719_872), (T5_LARGE, 737_668_096, 444_015_616)]
)
def test_totals(config, whole, pruned):
    assert count(config).total == count(config).trainable == whole
    assert count(config, pruned=True).total == pruned


@pytest.mark.parametrize(
    ("config", "target", "bias", "whole", "pruned"),
    [
        (BART_LARGE, "ffn", "wrapped", 4_055_040, 2_703_360),
        (BART_LARGE, "ffn", "none", 3_932_160, 2_621_440),
        (BART_LARGE, "qv", "wrapped", 2_433_024, 1_622_016),
        (BART_LARGE, "qv", "none", 2_359_296, 1_572_864),
        (T5_LARGE, "ffn", "wrapped", 7_864_320, 4_587_520),
    ],
)
def test_trained_by_lora(config, target, bias, whole, pruned):
    assert count(config, target=target, bias=bias).trainable == whole
    assert count(config, pruned=True, target=target, bias=bias).trainable == pruned


def test_total_with_lora():
    assert count(BART_LARGE, target="ffn").total == 410_223_616
    assert count(BART_LARGE, pruned=True, target="ffn").total == 291_341_312
    assert count(BART_LARGE, target="qv").total == 408_650_752
