"""A tiny model of every family, from a config: stacks of different depths, values that show a mix-up."""

from typing import Any

import torch
import transformers as hf

from pareft.models.families import find_family

VOCABULARY = 64
_BART = dict(
    d_model=16,
    encoder_layers=5,
    decoder_layers=4,
    encoder_attention_heads=4,
    decoder_attention_heads=2,
    encoder_ffn_dim=24,
    decoder_ffn_dim=20,
    vocab_size=VOCABULARY,
    max_position_embeddings=64,
    dropout=0.0,
    init_std=0.2,
    pad_token_id=1,
    bos_token_id=0,
    eos_token_id=2,
    decoder_start_token_id=2,
    forced_eos_token_id=2,
)
_T5 = dict(
    d_model=16,
    d_kv=4,
    d_ff=24,
    num_layers=5,
    num_decoder_layers=4,
    num_heads=4,
    vocab_size=VOCABULARY,
    dropout_rate=0.0,
    pad_token_id=0,
    eos_token_id=1,
    decoder_start_token_id=0,
    initializer_factor=0.5,
)
_BERT = dict(
    hidden_size=16,
    num_hidden_layers=5,
    num_attention_heads=4,
    intermediate_size=24,
    vocab_size=VOCABULARY,
    max_position_embeddings=64,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
    initializer_range=0.2,
    pad_token_id=0,
)
_LLAMA = dict(
    hidden_size=16,
    num_hidden_layers=6,
    num_attention_heads=8,
    num_key_value_heads=4,
    intermediate_size=24,
    vocab_size=VOCABULARY,
    max_position_embeddings=64,
    initializer_range=0.2,
    pad_token_id=0,
    bos_token_id=1,
    eos_token_id=2,
)
_VIT = dict(
    hidden_size=16,
    num_hidden_layers=5,
    num_attention_heads=4,
    intermediate_size=24,
    image_size=16,
    patch_size=8,
    initializer_range=0.2,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
)
_GATED = dict(feed_forward_proj="gated-gelu", tie_word_embeddings=False)


def _trocr() -> Any:
    decoder = {key: value for key, value in _BART.items() if not key.startswith("encoder")}
    return hf.TrOCRConfig(**decoder, cross_attention_hidden_size=16)


def _composite(kind: Any, encoder: Any, decoder: Any) -> Any:
    config = kind.from_encoder_decoder_configs(encoder, decoder)
    config.decoder_start_token_id, config.pad_token_id, config.eos_token_id = 2, 1, 2
    return config


SLIDING, FULL = "sliding_attention", "full_attention"
MAKERS = {
    "bart": lambda: hf.BartForConditionalGeneration(hf.BartConfig(**_BART)),
    "mbart": lambda: hf.MBartForConditionalGeneration(hf.MBartConfig(**_BART)),
    "pegasus": lambda: hf.PegasusForConditionalGeneration(hf.PegasusConfig(**_BART)),
    "marian": lambda: hf.MarianMTModel(hf.MarianConfig(**_BART)),
    "blenderbot-small": lambda: hf.BlenderbotSmallForConditionalGeneration(hf.BlenderbotSmallConfig(**_BART)),
    "led": lambda: hf.LEDForConditionalGeneration(
        hf.LEDConfig(
            **_BART, attention_window=[4, 8, 4, 8, 8], max_encoder_position_embeddings=64, max_decoder_position_embeddings=64
        )
    ),
    "t5": lambda: hf.T5ForConditionalGeneration(hf.T5Config(**_T5)),
    "t5-gated": lambda: hf.T5ForConditionalGeneration(hf.T5Config(**_T5, **_GATED)),
    "mt5": lambda: hf.MT5ForConditionalGeneration(hf.MT5Config(**_T5, **_GATED)),
    "longt5-local": lambda: hf.LongT5ForConditionalGeneration(hf.LongT5Config(**_T5, local_radius=3)),
    "longt5-global": lambda: hf.LongT5ForConditionalGeneration(
        hf.LongT5Config(**_T5, encoder_attention_type="transient-global", local_radius=3, global_block_size=2)
    ),
    "whisper": lambda: hf.WhisperForConditionalGeneration(
        hf.WhisperConfig(
            **_BART,
            num_mel_bins=8,
            max_source_positions=16,
            max_target_positions=32,
            suppress_tokens=None,
            begin_suppress_tokens=None,
        )
    ),
    "trocr": lambda: hf.VisionEncoderDecoderModel(_composite(hf.VisionEncoderDecoderConfig, hf.ViTConfig(**_VIT), _trocr())),
    "bert2bert": lambda: hf.EncoderDecoderModel(
        _composite(hf.EncoderDecoderConfig, hf.BertConfig(**_BERT), hf.BertConfig(**_BERT | {"num_hidden_layers": 4}))
    ),
    "bert": lambda: hf.BertForMaskedLM(hf.BertConfig(**_BERT)),
    "roberta": lambda: hf.RobertaForSequenceClassification(hf.RobertaConfig(**_BERT)),
    "xlm-roberta": lambda: hf.XLMRobertaForMaskedLM(hf.XLMRobertaConfig(**_BERT)),
    "electra": lambda: hf.ElectraForPreTraining(hf.ElectraConfig(**_BERT, embedding_size=8)),
    "distilbert": lambda: hf.DistilBertForMaskedLM(
        hf.DistilBertConfig(vocab_size=VOCABULARY, dim=16, n_layers=5, n_heads=4, hidden_dim=24, dropout=0.0, attention_dropout=0.0)
    ),
    "deberta-v2": lambda: hf.DebertaV2ForMaskedLM(
        hf.DebertaV2Config(
            **_BERT, relative_attention=True, pos_att_type=["p2c", "c2p"], position_buckets=8, norm_rel_ebd="layer_norm"
        )
    ),
    "deberta-v2-xxlarge": lambda: hf.DebertaV2ForMaskedLM(
        hf.DebertaV2Config(**_BERT, relative_attention=True, pos_att_type=["p2c", "c2p"], position_buckets=8, conv_kernel_size=3)
    ),
    "modernbert": lambda: hf.ModernBertForMaskedLM(
        hf.ModernBertConfig(
            hidden_size=16,
            num_hidden_layers=6,
            num_attention_heads=4,
            intermediate_size=24,
            vocab_size=VOCABULARY,
            local_attention=4,
            max_position_embeddings=64,
            initializer_range=0.2,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
            cls_token_id=1,
            sep_token_id=2,
        )
    ),
    "vit": lambda: hf.ViTForImageClassification(hf.ViTConfig(**_VIT)),
    "gpt2": lambda: hf.GPT2LMHeadModel(
        hf.GPT2Config(
            vocab_size=VOCABULARY, n_embd=16, n_layer=6, n_head=4, n_positions=64, bos_token_id=1, eos_token_id=2, pad_token_id=0
        )
    ),
    "gpt_neox": lambda: hf.GPTNeoXForCausalLM(hf.GPTNeoXConfig(**_BERT | {"num_hidden_layers": 6}, bos_token_id=1, eos_token_id=2)),
    "opt": lambda: hf.OPTForCausalLM(
        hf.OPTConfig(
            vocab_size=VOCABULARY,
            hidden_size=16,
            num_hidden_layers=6,
            num_attention_heads=4,
            ffn_dim=24,
            word_embed_proj_dim=16,
            max_position_embeddings=64,
            dropout=0.0,
            init_std=0.2,
        )
    ),
    "llama": lambda: hf.LlamaForCausalLM(hf.LlamaConfig(**_LLAMA)),
    "mistral": lambda: hf.MistralForCausalLM(hf.MistralConfig(**_LLAMA, sliding_window=4)),
    "qwen2": lambda: hf.Qwen2ForCausalLM(hf.Qwen2Config(**_LLAMA, use_sliding_window=True, max_window_layers=3, sliding_window=4)),
    "qwen3": lambda: hf.Qwen3ForCausalLM(hf.Qwen3Config(**_LLAMA, head_dim=8)),
    "gemma2": lambda: hf.Gemma2ForCausalLM(hf.Gemma2Config(**_LLAMA, head_dim=4, sliding_window=4, query_pre_attn_scalar=4)),
    "gemma3_text": lambda: hf.Gemma3ForCausalLM(
        hf.Gemma3TextConfig(
            **_LLAMA, head_dim=4, sliding_window=4, layer_types=[SLIDING, SLIDING, FULL] * 2, query_pre_attn_scalar=4
        )
    ),
    "smollm3": lambda: hf.SmolLM3ForCausalLM(hf.SmolLM3Config(**_LLAMA, no_rope_layers=[1, 0, 1, 1, 0, 1])),
    "phi3": lambda: hf.Phi3ForCausalLM(hf.Phi3Config(**_LLAMA)),
}
_DEPTH_ONLY = {"led", "longt5-local", "longt5-global", "trocr", "bert2bert", "distilbert", "deberta-v2", "deberta-v2-xxlarge"}
WIDE = tuple(name for name in MAKERS if name not in _DEPTH_ONLY | {"modernbert", "vit", "gpt2", "gpt_neox", "phi3"})
ROW = {
    "t5-gated": "t5",
    "longt5-local": "longt5",
    "longt5-global": "longt5",
    "deberta-v2-xxlarge": "deberta-v2",
}


def make_model(name: str) -> Any:
    """The tiny model of a family, in eval mode; biases and norms are not 0 and 1, so that a lost one shows."""
    torch.manual_seed(0)
    model = MAKERS[name]()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:  # Marian's positions are a formula's
                parameter.add_(0.05 * torch.randn_like(parameter))
    if name == "whisper":
        model.generation_config._from_model_config = False  # else what is not generate's own is not read back
        model.generation_config.alignment_heads = [[0, 1], [2, 0], [3, 1]]
    return model.eval()


def make_inputs(model: Any) -> dict[str, torch.Tensor]:
    """A batch of two that the model takes."""
    generator = torch.Generator().manual_seed(1)
    config = model.config
    tokens = torch.randint(4, VOCABULARY, (2, 9), generator=generator)
    if model.main_input_name == "input_features":
        inputs = {"input_features": torch.randn(2, 8, 32, generator=generator).to(model.dtype)}
    elif model.main_input_name == "pixel_values":
        inputs = {"pixel_values": torch.randn(2, 3, 16, 16, generator=generator).to(model.dtype)}
    else:
        inputs = {"input_ids": tokens, "attention_mask": torch.ones_like(tokens)}
    if config.is_encoder_decoder:
        inputs["decoder_input_ids"] = torch.randint(4, VOCABULARY, (2, 7), generator=generator)
    return inputs


def drop_first(model: Any) -> dict[str, list[int]]:
    """Layers to keep: not the first, where it can go, nor the third; the last stays."""
    family = find_family(model.config)
    return {stack.name: [*([0] if stack.first_stays else []), 1, *range(3, stack.depth(model.config))] for stack in family.stacks}


def encoder_inputs(inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """What `generate` takes."""
    return {name: value for name, value in inputs.items() if not name.startswith("decoder")}


def logits(model: Any, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    with torch.no_grad():
        return model(**inputs).logits
