"""KerasHub's BERT, RoBERTa and GPT-2 as a `TransformerBackbone`: arguments and weights."""

from dataclasses import dataclass

from keras_plm import files
from keras_plm.checkpoints import tokenizer_format
from keras_plm.checks import did_you_mean
from keras_plm.families import BERT, GPT2, OTHERS, REQUIRED, ROBERTA

FLOATS = ("float16", "bfloat16", "float32", "mixed_float16", "mixed_bfloat16")
# What may be changed when a preset is loaded: none of it belongs to a weight.
FREE = (*OTHERS, "pooler")


@dataclass(frozen=True)
class _Row:
    """One weight.

    Args:
        ours: the path of our variable; `{layer}` is the number of the block.
        variable: the path of KerasHub's variable.
        stored: the name of the array in its `model.weights.h5`, which goes by the classes of
            the layers and counts them: "transformer_encoder", "transformer_encoder_1", ...
        shape: one letter for each axis.
    """

    ours: str
    variable: str
    stored: str
    shape: str


def _layer(ours, variable, stored, *weights):
    """The rows of one layer's weights; `weights` are pairs of a name and a shape."""
    return tuple(
        _Row(f"{ours}/{name}", f"{variable}/{name}", f"{stored}/vars/{index}", shape)
        for index, (name, shape) in enumerate(weights)
    )


def _norm(ours, variable, stored):
    return _layer(ours, variable, stored, ("gamma", "D"), ("beta", "D"))


def _blocks(attention, block):
    """The rows of the blocks: `attention` and `block` are KerasHub's names."""
    ours, variable = "block_{layer}", "transformer_layer_{layer}"
    stored = f"layers/{block}{{number}}"
    rows = ()
    for name in ("query", "key", "value"):
        rows += _layer(
            f"{ours}/attention/{name}",
            f"{variable}/{attention}/{name}",
            f"{stored}/_self_attention_layer/{name}_dense",
            ("kernel", "DHK"),
            ("bias", "HK"),
        )
    return (
        *rows,
        *_layer(
            f"{ours}/attention/attention_output",
            f"{variable}/{attention}/attention_output",
            f"{stored}/_self_attention_layer/output_dense",
            ("kernel", "HKD"),
            ("bias", "D"),
        ),
        *_norm(
            f"{ours}/attention_norm",
            f"{variable}/self_attention_layer_norm",
            f"{stored}/_self_attention_layer_norm",
        ),
        *_layer(
            f"{ours}/intermediate",
            f"{variable}/feedforward_intermediate_dense",
            f"{stored}/_feedforward_intermediate_dense",
            ("kernel", "DF"),
            ("bias", "F"),
        ),
        *_layer(
            f"{ours}/feedforward_output",
            f"{variable}/feedforward_output_dense",
            f"{stored}/_feedforward_output_dense",
            ("kernel", "FD"),
            ("bias", "D"),
        ),
        *_norm(
            f"{ours}/feedforward_norm",
            f"{variable}/feedforward_layer_norm",
            f"{stored}/_feedforward_layer_norm",
        ),
    )


def _embedding(name, variable, stored, letter):
    return _layer(name, variable, stored, ("embeddings", letter + "D"))


_TOKENS = _embedding("token_embedding", "token_embedding", "layers/reversible_embedding", "V")
_POSITIONS = _embedding(
    "position_embedding", "position_embedding", "layers/position_embedding", "N"
)
_EMBEDDING_NORM = _norm("embedding_norm", "embeddings_layer_norm", "layers/layer_normalization")
_BOTH = "layers/token_and_position_embedding"


@dataclass(frozen=True)
class HubModel:
    """What a backbone class of KerasHub is.

    Args:
        rows: its weights.
        arguments: dict. The arguments of `TransformerBackbone` that its config does not say.
        tokenizer: the class of its tokenizer, and how that is read.
        vocabulary: the file of the vocabulary in `assets/tokenizer`.
    """

    rows: tuple
    arguments: dict
    tokenizer: tuple
    vocabulary: str


# KerasHub's RoBERTa counts positions from the left edge of the row and has no segments.
HUB_MODELS = {
    "BertBackbone": HubModel(
        rows=(
            *_TOKENS,
            *_POSITIONS,
            *_embedding("segment_embedding", "segment_embedding", "layers/embedding", "S"),
            *_EMBEDDING_NORM,
            *_blocks("self_attention_layer", "transformer_encoder"),
            *_layer("pooler", "pooled_dense", "layers/dense", ("kernel", "DD"), ("bias", "D")),
        ),
        arguments={**BERT["flags"], "activation": "gelu_tanh", "layer_norm_epsilon": 1e-12},
        tokenizer=("BertTokenizer", tokenizer_format.BERT),
        vocabulary="vocabulary.txt",
    ),
    "RobertaBackbone": HubModel(
        rows=(
            *_embedding(
                "token_embedding", "embeddings/token_embedding", f"{_BOTH}/token_embedding", "V"
            ),
            *_embedding(
                "position_embedding",
                "embeddings/position_embedding",
                f"{_BOTH}/position_embedding",
                "N",
            ),
            *_EMBEDDING_NORM,
            *_blocks("self_attention_layer", "transformer_encoder"),
        ),
        arguments={
            "activation": "gelu",
            "layer_norm_epsilon": ROBERTA["flags"]["layer_norm_epsilon"],
            "num_segments": 0,
        },
        tokenizer=("RobertaTokenizer", tokenizer_format.ROBERTA),
        vocabulary="vocabulary.json",
    ),
    "GPT2Backbone": HubModel(
        rows=(
            *_TOKENS,
            *_POSITIONS,
            *_blocks("self_attention", "transformer_decoder"),
            *_norm("final_norm", "layer_norm", "layers/layer_normalization"),
        ),
        arguments=GPT2["flags"],
        tokenizer=("GPT2Tokenizer", tokenizer_format.GPT2),
        vocabulary="vocabulary.json",
    ),
}


def hub_arguments(name, config):
    """The arguments of a `TransformerBackbone` that computes what a KerasHub backbone does.

    Args:
        name: str. The class of the backbone.
        config: dict. Its constructor arguments.

    Returns:
        dict.

    Raises:
        ValueError: if it is of another class, or has unknown or missing arguments.
    """
    if name not in HUB_MODELS:
        raise ValueError(
            f"A KerasHub model must be one of {sorted(HUB_MODELS)}. Received: {name!r:.100}."
        )
    config = {key: value for key, value in config.items() if key not in ("name", "trainable")}
    dtype = config.pop("dtype", None)
    own = ("dropout", *REQUIRED, *(("num_segments",) if name == "BertBackbone" else ()))
    wrong = sorted(set(config) ^ set(own))
    if wrong:
        raise ValueError(f"A {name} has the arguments {sorted(own)}. {wrong} differ.")
    files.check_config(config)
    arguments = {**HUB_MODELS[name].arguments, **config, "attention_dropout": config["dropout"]}
    return arguments if dtype is None else {**arguments, "dtype": _float_policy(dtype)}


def hub_weights(name, arguments):
    """Where each weight is.

    Args:
        name: str. The class of the KerasHub backbone.
        arguments: dict, as `hub_arguments` returns it.

    Returns:
        dict of our path to a triple: the path of KerasHub's variable, the name of the array in a
        file, and the shape.
    """
    heads, width = arguments["num_heads"], arguments["hidden_dim"]
    sizes = {
        "V": arguments["vocabulary_size"],
        "N": arguments["max_sequence_length"],
        "S": arguments.get("num_segments"),
        "D": width,
        "H": heads,
        "K": width // heads,
        "F": arguments["intermediate_dim"],
    }
    found = {}
    for row in HUB_MODELS[name].rows:
        shape = tuple(sizes[letter] for letter in row.shape)
        for layer in range(arguments["num_layers"] if "{layer}" in row.ours else 1):
            places = dict(layer=layer, number=f"_{layer}" if layer else "")
            found[row.ours.format(**places)] = (
                row.variable.format(**places),
                row.stored.format(**places),
                shape,
            )
    return found


def check_overrides(arguments, changed):
    """Refuse other arguments than those of a KerasHub model, where they belong to its weights.

    Args:
        arguments: dict, as `hub_arguments` returns it.
        changed: dict of the arguments that a `TransformerBackbone` is to be built with.

    Raises:
        ValueError: naming the arguments that cannot be changed.
    """
    wrong = {
        name: changed.get(name)
        for name in sorted({*arguments, *changed} - {*FREE})
        if changed.get(name) != arguments.get(name)
    }
    if wrong:
        raise ValueError(
            "What belongs to the weights of a KerasHub model cannot be changed. "
            f"Received: {wrong}. Change only {sorted(FREE)}.{did_you_mean([*wrong], FREE)}"
        )


def _float_policy(dtype):
    """The name of a dtype policy of floats."""
    if isinstance(dtype, dict) and dtype.get("class_name") == "DTypePolicy":
        dtype = dtype.get("config", {}).get("name")
    if dtype not in FLOATS:
        raise ValueError(
            f"Only KerasHub models of one of {FLOATS} can be read, none that are quantized. "
            f"Received: dtype={dtype!r:.200}."
        )
    return dtype
