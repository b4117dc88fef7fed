"""Encoder-decoder families, a row each."""

from pareft.models.families.schema import Attention, Family, FeedForward, Stack, Width

_FC = FeedForward(inputs=("fc1",), output="fc2")
_PROJECTIONS = ("q_proj", "k_proj", "v_proj", "out_proj")


_SELF = Attention.below("self", "self_attn", _PROJECTIONS, counted=("num_heads",))
_CROSS = Attention.below("cross", "encoder_attn", _PROJECTIONS, counted=("num_heads",))
BART_ENCODER = Stack(
    "encoder",
    "encoder.layers",
    "encoder_layers",
    width=Width((_SELF,), _FC, heads_field="encoder_attention_heads", neurons_field="encoder_ffn_dim"),
)
BART_DECODER = Stack(
    "decoder",
    "decoder.layers",
    "decoder_layers",
    width=Width((_SELF, _CROSS), _FC, heads_field="decoder_attention_heads", neurons_field="decoder_ffn_dim"),
)


def _like_bart(model_type: str, head: str = "", computed: tuple[str, ...] = ()) -> Family:
    return Family(
        model_type,
        "encoder-decoder",
        stacks=(BART_ENCODER, BART_DECODER),
        query_value=("q_proj", "v_proj"),
        attention=_PROJECTIONS,
        feed_forward=("fc1", "fc2"),
        head=head,
        computed=computed,
    )


_T5_PROJECTIONS = ("q", "k", "v", "o")
_T5_TABLE = "layer.0.SelfAttention.relative_attention_bias"
_T5_PASSED = {"counted": ("n_heads",), "passed": "position_bias"}
_T5_SELF = Attention.below("self", "layer.0.SelfAttention", _T5_PROJECTIONS, per_head=_T5_TABLE, **_T5_PASSED)
_T5_CROSS = Attention.below("cross", "layer.1.EncDecAttention", _T5_PROJECTIONS, **_T5_PASSED)
_T5_BIAS = f"{_T5_TABLE}.weight"


def _t5_width(attentions: tuple[Attention, ...], dense: str) -> Width:
    """T5 1.0 has one projection in, `wi`; 1.1 and later have two, `wi_0` and `wi_1`."""
    return Width(
        attentions,
        FeedForward(tuple(f"{dense}.{name}" for name in ("wi", "wi_0", "wi_1")), f"{dense}.wo"),
        heads_field="num_heads",
        neurons_field="d_ff",
        head_dim_field="d_kv",
    )


def _like_t5(model_type: str) -> Family:
    return Family(
        model_type,
        "encoder-decoder",
        stacks=(
            Stack(
                "encoder",
                "encoder.block",
                "num_layers",
                carried=(_T5_BIAS,),
                width=_t5_width((_T5_SELF,), "layer.1.DenseReluDense"),
            ),
            Stack(
                "decoder",
                "decoder.block",
                "num_decoder_layers",
                carried=(_T5_BIAS,),
                width=_t5_width((_T5_SELF, _T5_CROSS), "layer.2.DenseReluDense"),
            ),
        ),
        query_value=("q", "v"),
        attention=_T5_PROJECTIONS,
        feed_forward=("wi", "wi_0", "wi_1", "wo"),
        half_precision=False,
        cache_by_encoder=True,
    )


_LED = Family(
    "led",
    "encoder-decoder",
    stacks=(
        Stack("encoder", "encoder.layers", "encoder_layers", lists=("attention_window",)),
        Stack("decoder", "decoder.layers", "decoder_layers"),
    ),
    query_value=("query", "value", "query_global", "value_global", "q_proj", "v_proj"),
    attention=("query", "key", "value", "query_global", "key_global", "value_global", "self_attn.output", *_PROJECTIONS),
    feed_forward=("fc1", "fc2"),
    outputs=("self_attn.output", "out_proj", "fc2"),
)

_LONGT5_SELF = ("LocalSelfAttention", "TransientGlobalSelfAttention")
_LONGT5 = Family(
    "longt5",
    "encoder-decoder",
    stacks=(
        Stack(
            "encoder",
            "encoder.block",
            "num_layers",
            carried=(
                *(f"layer.0.{module}.relative_attention_bias.weight" for module in _LONGT5_SELF),
                "layer.0.TransientGlobalSelfAttention.global_relative_attention_bias.weight",
            ),
        ),
        Stack("decoder", "decoder.block", "num_decoder_layers", carried=(_T5_BIAS,)),
    ),
    query_value=("q", "v"),
    attention=_T5_PROJECTIONS,
    feed_forward=("wi", "wi_0", "wi_1", "wo"),
    half_precision=False,
    cache_by_encoder=True,
)

ROWS = (
    *(_like_bart(model_type) for model_type in ("bart", "mbart", "blenderbot-small")),
    *(_like_bart(model_type, computed=("embed_positions.weight",)) for model_type in ("pegasus", "marian")),
    _like_bart("whisper", "AutoModelForSpeechSeq2Seq", computed=("encoder.embed_positions.weight",)),
    _LED,
    *(_like_t5(model_type) for model_type in ("t5", "mt5")),
    _LONGT5,
)
