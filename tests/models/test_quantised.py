"""4-bit and 8-bit bases through transformers' quantisation config, on a processor: what stock makes of the pruned checkpoint."""

from contextlib import nullcontext

import pytest
import torch
import transformers as hf
from tiny import encoder_inputs, logits, make_inputs

import pareft
from pareft.adapter_settings import LoraSettings
from pareft.errors import ModelError, PlanError

pytest.importorskip("bitsandbytes")
WIDTH = {"vocab_size": 64, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
MAKERS = {
    "bart": lambda: hf.BartForConditionalGeneration(
        hf.BartConfig(
            d_model=128,
            encoder_layers=4,
            decoder_layers=4,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            encoder_ffn_dim=256,
            decoder_ffn_dim=256,
            max_position_embeddings=64,
            **WIDTH,
        )
    ),
    "t5": lambda: hf.T5ForConditionalGeneration(
        hf.T5Config(d_model=128, d_kv=64, d_ff=256, num_layers=4, num_heads=2, decoder_start_token_id=0, **WIDTH)
    ),
    "llama": lambda: hf.LlamaForCausalLM(
        hf.LlamaConfig(
            hidden_size=128,
            head_dim=64,
            num_hidden_layers=4,
            num_attention_heads=4,
            num_key_value_heads=2,
            intermediate_size=256,
            **WIDTH,
        )
    ),
}
CONFIGS = {
    "8-bit": {"load_in_8bit": True},
    "4-bit": {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": torch.float32},
}
KIND = {"8-bit": "Linear8bitLt", "4-bit": "Linear4bit"}


@pytest.fixture(params=MAKERS)
def folder(request, tmp_path):
    torch.manual_seed(0)
    MAKERS[request.param]().save_pretrained(tmp_path / "base")
    return tmp_path / "base"


def keep(folder):
    return {stack: [0, 2, 3] for stack in pareft.plan(folder, by="everything").depths}


@pytest.mark.parametrize("bits", CONFIGS)
def test_a_quantised_pruned_base_is_what_stock_makes_of_the_pruned_checkpoint(folder, bits, tmp_path):
    plan = pareft.plan(folder, layers=keep(folder))
    config = hf.BitsAndBytesConfig(**CONFIGS[bits])
    model, plain = pareft.load(folder, plan, quantization_config=config), pareft.load(folder, plan)
    assert KIND[bits] in {type(module).__name__ for module in model.modules()}
    pareft.save(plain, tmp_path / "pruned")
    stock = type(plain).from_pretrained(tmp_path / "pruned", quantization_config=config).eval()
    inputs = make_inputs(plain)
    assert torch.equal(logits(model, inputs), logits(stock, inputs))
    difference = (logits(model, inputs) - logits(plain, inputs)).abs().max()
    assert 0 < difference < 0.5 * logits(plain, inputs).abs().max()
    assert model.get_memory_footprint() < 0.5 * plain.get_memory_footprint()
    settings = {"num_beams": 4, "max_new_tokens": 5, "do_sample": False}
    assert torch.equal(model.generate(**encoder_inputs(inputs), **settings), stock.generate(**encoder_inputs(inputs), **settings))


@pytest.mark.parametrize("bits", CONFIGS)
def test_an_adapter_trains_on_a_quantised_base_and_fits_the_plain_one(folder, bits, tmp_path):
    plan = pareft.plan(folder, layers=keep(folder))
    config = hf.BitsAndBytesConfig(**CONFIGS[bits])
    settings = LoraSettings(rank=4, alpha=8, dropout=0.0, bias="none")
    wrapped = pareft.attach(pareft.load(folder, plan, quantization_config=config), settings)
    inputs = make_inputs(wrapped.get_base_model())
    labels = inputs.get("decoder_input_ids", inputs["input_ids"])
    optimizer, losses = torch.optim.Adam([p for p in wrapped.train().parameters() if p.requires_grad], lr=1e-2), []
    for _ in range(4):
        loss = wrapped(input_ids=inputs["input_ids"], labels=labels).loss
        losses.append(float(loss))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert losses[-1] < losses[0]
    before = logits(wrapped.eval(), inputs)
    pareft.save(wrapped, tmp_path / "adapter")
    torch.testing.assert_close(logits(wrapped, inputs), before)
    again = pareft.attach(pareft.load(folder, plan, quantization_config=config), tmp_path / "adapter")
    torch.testing.assert_close(logits(again, inputs), logits(wrapped, inputs), rtol=1e-4, atol=1e-4)
    plain = pareft.attach(pareft.load(folder, plan), tmp_path / "adapter")
    assert (logits(plain, inputs) - logits(wrapped, inputs)).abs().max() < 0.5 * logits(plain, inputs).abs().max()


def test_a_4_bit_base_that_a_processor_has_packed_is_not_saved_wrongly(folder, tmp_path):
    """bitsandbytes (0.50) packs the weights where the processor has AVX512-bf16, and loses their scales in unpacking them."""
    model = pareft.load(folder, quantization_config=hf.BitsAndBytesConfig(**CONFIGS["4-bit"]))
    inputs = make_inputs(model)
    expected = logits(model, inputs)
    packed = any(getattr(getattr(w, "quant_state", None), "packing_format_for_cpu", False) for w in model.parameters())
    with pytest.raises(ModelError, match="load it anew and save it before it computes") if packed else nullcontext():
        pareft.save(model, tmp_path / "saved")
    if packed:
        assert not (tmp_path / "saved").exists()
        pareft.save(pareft.load(folder, quantization_config=hf.BitsAndBytesConfig(**CONFIGS["4-bit"])), tmp_path / "saved")
    torch.testing.assert_close(logits(pareft.load(tmp_path / "saved"), inputs), expected)
    torch.testing.assert_close(logits(model, inputs), expected)


@pytest.mark.parametrize("bits", CONFIGS)
def test_narrow_layers_are_quantised_where_their_widths_are_multiples_of_the_block(folder, bits):
    depths = pareft.plan(folder, by="everything").depths
    neurons = {stack: {layer: range(64 * (1 + layer % 3)) for layer in range(depth)} for stack, depth in depths.items()}
    heads = {"decoder.self": {0: [0], 1: [0, 1]}}
    plan = pareft.plan(folder, neurons=neurons, heads=heads)
    model = pareft.load(folder, plan, quantization_config=hf.BitsAndBytesConfig(**CONFIGS[bits]))
    plain = pareft.load(folder, plan)
    inputs = make_inputs(plain)
    difference = (logits(model, inputs) - logits(plain, inputs)).abs().max()
    assert 0 < difference < 0.5 * logits(plain, inputs).abs().max()


@pytest.mark.parametrize("bits", CONFIGS)
def test_a_base_that_is_stored_quantised_loses_layers_and_nothing_else(folder, bits, tmp_path):
    config = hf.BitsAndBytesConfig(**CONFIGS[bits])
    pareft.load(folder, quantization_config=config).save_pretrained(tmp_path / "stored")
    plan = pareft.plan(tmp_path / "stored", layers=keep(folder))
    model = pareft.load(tmp_path / "stored", plan)
    assert KIND[bits] in {type(module).__name__ for module in model.modules()}
    inputs = make_inputs(model)
    expected = pareft.load(folder, pareft.plan(folder, layers=keep(folder)), quantization_config=config)
    torch.testing.assert_close(logits(model, inputs), logits(expected, inputs))
    with pytest.raises(PlanError, match="is stored quantised: its heads and neurons cannot be taken apart"):
        pareft.plan(tmp_path / "stored", neurons={"decoder": {0: range(64)}})
    with pytest.raises(PlanError, match="a quantised model cannot be cut in memory"):
        pareft.cut(model, plan)


@pytest.mark.parametrize("asked", ["auto", torch.bfloat16])
@pytest.mark.parametrize(
    "how",
    [
        {"load_in_8bit": True},
        {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"},
        {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True},
    ],
    ids=["8-bit", "4-bit", "4-bit twice"],
)
def test_a_base_that_is_stored_quantised_in_bf16_is_what_stock_loads(tmp_path, how, asked):
    """Its scales are float32, and are read as that by their bytes: cast, they would be anything."""
    torch.manual_seed(0)
    MAKERS["llama"]().to(torch.bfloat16).save_pretrained(tmp_path / "base")
    kind = hf.LlamaForCausalLM
    kind.from_pretrained(tmp_path / "base", dtype=torch.bfloat16, quantization_config=hf.BitsAndBytesConfig(**how)).save_pretrained(
        tmp_path / "stored"
    )
    stock = kind.from_pretrained(tmp_path / "stored", dtype=torch.bfloat16).eval()
    model = pareft.load(tmp_path / "stored", dtype=asked)
    inputs = make_inputs(stock)
    found, expected = logits(model, inputs), logits(stock, inputs)
    assert expected.isfinite().all()
    torch.testing.assert_close(found, expected)


def test_a_device_map_is_honoured(folder):
    plan = pareft.plan(folder, layers=keep(folder))
    for device in ("cpu", "meta"):
        assert {p.device.type for p in pareft.load(folder, plan, device_map={"": device}).parameters()} == {device}


def test_without_bitsandbytes_the_extra_is_named(folder, monkeypatch):
    from transformers.quantizers import quantizer_bnb_4bit

    monkeypatch.setattr(quantizer_bnb_4bit.Bnb4BitHfQuantizer, "validate_environment", _not_installed)
    with pytest.raises(ModelError, match=r"pip install 'pareft\[quant\]'"):
        pareft.load(folder, quantization_config=hf.BitsAndBytesConfig(load_in_4bit=True))


def _not_installed(*_, **__):
    raise ImportError("Using `bitsandbytes` 4-bit quantization requires bitsandbytes")
