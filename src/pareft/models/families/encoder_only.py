"""Encoder-only families, a row each."""

from pareft.models.families.schema import Attention, Family, FeedForward, Stack, Width

_BERT = Stack(
    "encoder",
    "encoder.layer",
    "num_hidden_layers",
    width=Width(
        (
            Attention(
                "self",
                "attention.self.query",
                "attention.self.key",
                "attention.self.value",
                "attention.output.dense",
                counted=("num_attention_heads",),
            ),
        ),
        FeedForward(("intermediate.dense",), "output.dense"),
        heads_field="num_attention_heads",
        neurons_field="intermediate_size",
    ),
)


def _like_bert(model_type: str) -> Family:
    return Family(
        model_type,
        "encoder",
        stacks=(_BERT,),
        query_value=("query", "value"),
        attention=("query", "key", "value", "attention.output.dense"),
        feed_forward=("intermediate.dense", "output.dense"),
    )


ROWS = (
    *(_like_bert(model_type) for model_type in ("bert", "roberta", "xlm-roberta", "electra")),
    Family(
        "distilbert",
        "encoder",
        stacks=(Stack("encoder", "transformer.layer", "n_layers"),),
        query_value=("q_lin", "v_lin"),
        attention=("q_lin", "k_lin", "v_lin", "out_lin"),
        feed_forward=("lin1", "lin2"),
    ),
    Family(
        "deberta-v2",  # v3 is stored as v2
        "encoder",
        stacks=(Stack("encoder", "encoder.layer", "num_hidden_layers"),),
        query_value=("query_proj", "value_proj"),
        attention=("query_proj", "key_proj", "value_proj", "attention.output.dense"),
        feed_forward=("intermediate.dense", "output.dense"),
    ),
    Family(
        "modernbert",
        "encoder",
        stacks=(
            Stack(
                "encoder",
                "layers",
                "num_hidden_layers",
                lists=("layer_types",),
                first_stays="it alone has no norm before its attention",
            ),
        ),
        query_value=(),
        attention=("attn.Wqkv", "attn.Wo"),
        feed_forward=("mlp.Wi", "mlp.Wo"),
    ),
    Family(
        "vit",
        "encoder",
        stacks=(
            Stack(
                "encoder",
                "layers",
                "num_hidden_layers",
                stored="encoder.layer",
                renamed={
                    "attention.attention.query": "attention.q_proj",
                    "attention.attention.key": "attention.k_proj",
                    "attention.attention.value": "attention.v_proj",
                    "attention.output.dense": "attention.o_proj",
                    "intermediate.dense": "mlp.fc1",
                    "output.dense": "mlp.fc2",
                },
            ),
        ),
        query_value=("q_proj", "v_proj"),
        attention=("q_proj", "k_proj", "v_proj", "o_proj"),
        feed_forward=("fc1", "fc2"),
    ),
)
