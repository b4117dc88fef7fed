"""Fast writing is stock writing: the same texts and the same scores, whatever the family, the beams and the padding."""

import pytest
import tiny
import torch
from conftest import TEXTS, write_all
from transformers import AutoTokenizer

import pareft
from pareft.adapter_settings import LoraSettings
from pareft.evaluation.beams import share_sources
from pareft.settings import EvaluateSettings

SHARED = ("bart", "mbart", "pegasus", "marian", "blenderbot-small", "t5", "t5-gated", "mt5")
STOCK = ("led", "longt5-local", "bert2bert")  # whose rows say nothing of attentions


def write(model, inputs, beams, *, fast, **more):
    """What `generate` gives: sequences, and the scores of every step."""
    settings = {"num_beams": beams, "max_new_tokens": 20, "min_length": 0, "do_sample": False, "no_repeat_ngram_size": 3, **more}
    with torch.inference_mode(), share_sources(model, beams if fast else 1) as shared:
        return model.generate(**inputs, **shared, **settings, output_scores=True, return_dict_in_generate=True)


def make_sources(model, *, padded):
    tokens = torch.randint(4, tiny.VOCABULARY, (3, 20), generator=torch.Generator().manual_seed(3))
    mask = torch.ones_like(tokens)
    if padded:
        mask[0, 13:], mask[2, 5:] = 0, 0
        tokens[mask == 0] = model.config.pad_token_id
    return {"input_ids": tokens, "attention_mask": mask}


def check_same(plain, fast):
    assert fast.sequences.equal(plain.sequences)
    assert len(fast.scores) == len(plain.scores)
    for there, here in zip(plain.scores, fast.scores, strict=True):
        torch.testing.assert_close(here, there, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("padded", [False, True], ids=["full", "padded"])
@pytest.mark.parametrize("beams", [1, 3, 6])
@pytest.mark.parametrize("family", SHARED + STOCK)
def test_beams_that_share_their_source_write_as_stock_ones(family, beams, padded):
    model = tiny.make_model(family)
    inputs = make_sources(model, padded=padded)
    check_same(write(model, inputs, beams, fast=False), write(model, inputs, beams, fast=True))


@pytest.mark.parametrize("family", ["bart", "t5"])
def test_a_prompt_of_several_tokens(family):
    model = tiny.make_model(family)
    inputs = make_sources(model, padded=True) | {"decoder_input_ids": torch.tensor([[2, 7, 9], [2, 8, 8], [2, 5, 4]])}
    check_same(write(model, inputs, 4, fast=False), write(model, inputs, 4, fast=True))


@pytest.mark.parametrize("family", ["bart", "t5"])
def test_in_bf16_no_further_from_fp32_than_stock_bf16(family):
    """One step with all beams, and one after they have parted: scores of the same texts."""
    model = tiny.make_model(family)
    inputs = make_sources(model, padded=True)
    exact = write(model, inputs, 3, fast=False, max_new_tokens=1)
    half = model.to(torch.bfloat16)
    stock, fast = (write(half, inputs, 3, fast=fast, max_new_tokens=1) for fast in (False, True))

    def distance(found):
        known = torch.isfinite(exact.scores[0])
        return (found.scores[0] - exact.scores[0])[known].norm()

    assert distance(fast) <= 2 * distance(stock)


@pytest.mark.parametrize("family", SHARED)
def test_nothing_is_left_on_the_model(family):
    model = tiny.make_model(family)
    with share_sources(model, 3) as shared:
        assert shared
        assert any(module._forward_hooks for module in model.modules())
    with pytest.raises(KeyError), share_sources(model, 3):
        raise KeyError
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_a_source_is_kept_once_and_written_tokens_never_move():
    model = tiny.make_model("bart")
    inputs = make_sources(model, padded=True)
    plain, fast = (write(model, inputs, 6, fast=fast).past_key_values for fast in (False, True))
    for there, here in zip(plain.cross_attention_cache.layers, fast.cross_attention_cache.layers, strict=True):
        assert here.keys.numel() * 6 == there.keys.numel()
    kept = fast.self_attention_cache.layers[0]
    before = kept.keys.clone()
    fast.reorder_cache(torch.tensor([0, 0, 0, 3, 3, 3, *range(6, 18)]))
    assert kept.keys.equal(before)


@pytest.mark.parametrize("beams", [1, 3, 6])
def test_a_base_that_says_not_to_cache_is_written_with_all_the_same(base, beams):
    """Training with gradient checkpointing leaves that behind; beams that share a source have their keys in a cache."""
    tokenizer, model = AutoTokenizer.from_pretrained(base), pareft.load(base).double()
    settings = EvaluateSettings(num_beams=beams, max_new_tokens=16, batch_size=4)
    expected = write_all(model, tokenizer, TEXTS, settings, max_source_tokens=32)
    model.generation_config.use_cache = model.config.use_cache = False
    assert write_all(model, tokenizer, TEXTS, settings, max_source_tokens=32) == expected


@pytest.mark.parametrize("beams", [1, 3, 6])
def test_every_switch_gives_the_texts_of_stock_generate(base, beams):
    """With an adapter attached. Untrained models hold beams whose scores tie to seven digits: only fp64 tells these apart."""
    tokenizer = AutoTokenizer.from_pretrained(base)
    model = pareft.attach(pareft.load(base), LoraSettings(rank=2, target="all", dropout=0.0)).double()
    torch.manual_seed(5)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.2)
    sources = [*TEXTS, "x", TEXTS[0] * 2]
    ways = [{"beams": beams_on, "repeats": repeats} for beams_on in (False, True) for repeats in (False, True)]
    settings = [EvaluateSettings(num_beams=beams, max_new_tokens=16, batch_size=4, fast=way) for way in ways]
    written = [write_all(model, tokenizer, sources, one, max_source_tokens=32) for one in settings]
    assert all(texts == written[0] for texts in written[1:])


def test_layers_with_heads_of_their_own(tmp_path, bases):
    """T5's layers then make a position bias each."""
    whole = pareft.plan(bases["t5"])
    heads = {"decoder.self": {0: [0], 1: [1]}}
    plan = pareft.plan(bases["t5"], heads=heads)
    assert plan.fingerprint != whole.fingerprint
    model = pareft.load(bases["t5"], plan)
    inputs = make_sources(model, padded=True)
    check_same(write(model, inputs, 3, fast=False), write(model, inputs, 3, fast=True))
