"""Decoder-only families, a row each."""

from pareft.models.families.schema import Attention, Family, FeedForward, Stack, Width

_PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj")
_OPT_PROJECTIONS = ("q_proj", "k_proj", "v_proj", "out_proj")
_LLAMA_WIDTH = Width(
    (Attention.below("self", "self_attn", _PROJECTIONS),),
    FeedForward(("mlp.gate_proj", "mlp.up_proj"), "mlp.down_proj"),
    heads_field="num_attention_heads",
    neurons_field="intermediate_size",
    groups_field="num_key_value_heads",
    head_dim_field="head_dim",
)


def _like_llama(model_type: str, *lists: str) -> Family:
    return Family(
        model_type,
        "decoder",
        stacks=(Stack("decoder", "layers", "num_hidden_layers", lists=lists, width=_LLAMA_WIDTH),),
        query_value=("q_proj", "v_proj"),
        attention=_PROJECTIONS,
        feed_forward=("gate_proj", "up_proj", "down_proj"),
    )


ROWS = (
    Family(
        "trocr",  # the decoder of a VisionEncoderDecoder
        "decoder",
        stacks=(Stack("decoder", "decoder.layers", "decoder_layers"),),
        query_value=("q_proj", "v_proj"),
        attention=_OPT_PROJECTIONS,
        feed_forward=("fc1", "fc2"),
    ),
    Family(
        "gpt2",
        "decoder",
        stacks=(Stack("decoder", "h", "n_layer"),),
        query_value=(),
        attention=("attn.c_attn", "attn.c_proj"),
        feed_forward=("mlp.c_fc", "mlp.c_proj"),
        fixed=(("scale_attn_by_inverse_layer_idx", False),),
    ),
    Family(
        "gpt_neox",
        "decoder",
        stacks=(Stack("decoder", "layers", "num_hidden_layers"),),
        query_value=(),
        attention=("query_key_value", "attention.dense"),
        feed_forward=("dense_h_to_4h", "dense_4h_to_h"),
    ),
    Family(
        "opt",
        "decoder",
        stacks=(
            Stack(
                "decoder",
                "decoder.layers",
                "num_hidden_layers",
                width=Width(
                    (Attention.below("self", "self_attn", _OPT_PROJECTIONS, counted=("num_heads",)),),
                    FeedForward(("fc1",), "fc2"),
                    heads_field="num_attention_heads",
                    neurons_field="ffn_dim",
                ),
            ),
        ),
        query_value=("q_proj", "v_proj"),
        attention=_OPT_PROJECTIONS,
        feed_forward=("fc1", "fc2"),
    ),
    _like_llama("llama"),
    _like_llama("mistral"),
    *(_like_llama(model_type, "layer_types") for model_type in ("qwen2", "qwen3", "gemma2", "gemma3_text")),
    _like_llama("smollm3", "layer_types", "no_rope_layers"),
    Family(
        "phi3",
        "decoder",
        stacks=(Stack("decoder", "layers", "num_hidden_layers"),),
        query_value=(),
        attention=("qkv_proj", "o_proj"),
        feed_forward=("gate_up_proj", "down_proj"),
    ),
)
