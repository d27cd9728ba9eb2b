"""T5's checkpoints, of 1.0 and of 1.1.

Source: transformers' `T5Model` and `T5ForConditionalGeneration`.
"""

import functools

import numpy as np

from keras_plm import families
from keras_plm.checkpoints import tokenizer_format
from keras_plm.checkpoints.config_values import (
    ACTIVATIONS,
    read_choice,
    read_flag,
    read_number,
    read_sizes,
    write_choice,
)
from keras_plm.checkpoints.conversion import System
from keras_plm.checkpoints.families.seq2seq_config import read_head_settings, write_head_config
from keras_plm.checkpoints.head_config import other_head
from keras_plm.checkpoints.weight_names.seq2seq_weights import check_flags, seq2seq_rows, sizes

SIZES = {
    "vocabulary_size": "vocab_size",
    "num_layers": "num_layers",
    "num_heads": "num_heads",
    "hidden_dim": "d_model",
    "intermediate_dim": "d_ff",
    "head_dim": "d_kv",
    "relative_position_buckets": "relative_attention_num_buckets",
}
BUCKETS, FARTHEST = 32, 128
RATES = ("dropout", "attention_dropout", "activation_dropout", "output_dropout")
GATED = "gated-"
# Of gated networks "gelu" is the approximation.
FEED_FORWARD = {
    **ACTIVATIONS,
    **{GATED + name: ours for name, ours in ACTIVATIONS.items()},
    "gated-gelu": "gelu_tanh",
}
SHARED, OUTPUT = "shared.weight", "lm_head.weight"
EMBEDDINGS = {
    name: SHARED for name in ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
}
# Which of a block's layers, as transformers numbers them, has a part; the last: of each side.
PARTS = {
    "attention": "layer.0.SelfAttention",
    "cross_attention": "layer.1.EncDecAttention",
    "query": "q",
    "key": "k",
    "value": "v",
    "attention_output": "o",
    "attention_norm": "layer.0.layer_norm",
    "cross_attention_norm": "layer.1.layer_norm",
}
LAST = {"encoder": "layer.1.", "decoder": "layer.2."}
FEED_FORWARD_PARTS = {
    "multiplier": "DenseReluDense.wi_1",
    "feedforward_output": "DenseReluDense.wo",
    "feedforward_norm": "layer_norm",
}
OUTSIDE = {
    "relative_position_bias": "block.0.layer.0.SelfAttention.relative_attention_bias",
    "final_norm": "final_layer_norm",
}


def rows(arguments):
    """The table of a backbone.

    Args:
        arguments: dict of constructor arguments.

    Returns:
        tuple of `Row`.
    """
    first = "DenseReluDense.wi_0" if arguments.get("gated") else "DenseReluDense.wi"

    def name(side, part, layer):
        if side is None:
            return "lm_head" if part == "reverse_embeddings" else "shared"
        if layer is None:
            return f"{side}.{OUTSIDE[part]}"
        if part in {"intermediate", *FEED_FORWARD_PARTS}:
            found = LAST[side] + {"intermediate": first, **FEED_FORWARD_PARTS}[part]
        else:
            found = ".".join(PARTS[one] for one in part.split("/"))
        return f"{side}.block.{layer}.{found}"

    return seq2seq_rows(name)(arguments)


def copies(arguments):
    """Which tensors are copies of others: the output matrix, if it is the embedding.

    Args:
        arguments: dict of constructor arguments.

    Returns:
        dict of the name of a tensor to that of which it is a copy.
    """
    tied = {OUTPUT: SHARED} if arguments.get("tie_weights", True) else {}
    return {**tied, **EMBEDDINGS}


def read_hugging_face(config, arrays):
    """Translate a `config.json`.

    Args:
        config: dict.
        arrays: function that opens the weights: since transformers 5 they alone say whether the
            output matrix is the embedding. Where there are none, the config is believed.

    Returns:
        dict of constructor arguments, and a list of str: what was dropped.

    Raises:
        ValueError: if a value is missing, or is none that T5 has.
    """
    farthest = read_number(config, "relative_attention_max_distance", FARTHEST, int)
    if farthest != FARTHEST:
        raise ValueError(
            f"'relative_attention_max_distance' must be {FARTHEST}. Received: {farthest}."
        )
    arguments = read_sizes({"relative_attention_num_buckets": BUCKETS, **config}, SIZES)
    decoder = {"num_decoder_layers": config.get("num_decoder_layers") or arguments["num_layers"]}
    arguments |= read_sizes(decoder, {"num_decoder_layers": "num_decoder_layers"})
    arguments |= dict.fromkeys(RATES, read_number(config, "dropout_rate", 0.1))
    arguments["layer_norm_epsilon"] = read_number(config, "layer_norm_epsilon", 1e-6)
    arguments["activation"] = read_choice(config, "feed_forward_proj", FEED_FORWARD, "relu")
    gated = config.get("feed_forward_proj", "relu").startswith(GATED)
    said = read_flag(config, "tie_word_embeddings", True)
    scaled = read_flag(config, "scale_decoder_outputs", said)
    family = families.T5_1_1 if gated else families.T5
    own = {"gated": gated, "tie_weights": _is_tied(arrays, said), "scale_logits": scaled}
    return {**family["flags"], **family["initial_weights"], **arguments, **own}, []


def _is_tied(arrays, said):
    """Whether the output matrix is the embedding."""
    try:
        opened = arrays()
    except FileNotFoundError:
        return said
    if not {OUTPUT, SHARED} <= opened.shapes.keys():
        return True
    return np.array_equal(opened.read(OUTPUT), opened.read(SHARED))


def write_hugging_face(arguments):
    """Translate a backbone's configuration into a `config.json`.

    Args:
        arguments: dict, the backbone's `get_config()`.

    Returns:
        dict, and a list of str: what it cannot say.

    Raises:
        ValueError: if transformers has no such model.
    """
    free = ("gated", "tie_weights", "scale_logits", "layer_norm_epsilon", "activation", "head_dim")
    check_flags(arguments, families.T5["flags"], (*free, "output_dropout"))
    longest = arguments["max_sequence_length"]
    notes = []
    if longest is not None:
        notes.append(f"transformers' takes texts of any length, not of {longest} tokens alone")
    if len({arguments[name] for name in RATES}) > 1:
        notes.append(f"transformers' has one dropout rate, here {arguments['dropout']}")
    gated = arguments["gated"]
    known = {
        theirs: ours
        for theirs, ours in FEED_FORWARD.items()
        if theirs.startswith(GATED) == gated and not (gated and theirs == "gated-gelu_new")
    }
    config = {theirs: arguments[ours] for ours, theirs in SIZES.items()}
    width = arguments["hidden_dim"] // arguments["num_heads"]
    return {
        "model_type": "t5",
        **config,
        "d_kv": arguments["head_dim"] or width,
        "num_decoder_layers": arguments["num_decoder_layers"] or arguments["num_layers"],
        "relative_attention_max_distance": FARTHEST,
        "dropout_rate": arguments["dropout"],
        "layer_norm_epsilon": arguments["layer_norm_epsilon"],
        "feed_forward_proj": write_choice(arguments, "activation", known),
        "tie_word_embeddings": arguments["tie_weights"],
        "scale_decoder_outputs": arguments["scale_logits"],
        "is_encoder_decoder": True,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "decoder_start_token_id": 0,
        "dtype": "float32",
    }, notes


ARCHITECTURES = {("tokens",): "ForConditionalGeneration"}

T5 = System(
    name="T5",
    class_name="Seq2SeqBackbone",
    model_type="t5",
    prefix="",
    rows=rows,
    sizes=sizes,
    heads={"tokens": ((),)},  # the head has a matrix of the backbone's, and nothing else
    tied={"tokens": copies},
    read_hugging_face=read_hugging_face,
    write_hugging_face=write_hugging_face,
    read_head_settings=read_head_settings,
    other_head=functools.partial(other_head, ARCHITECTURES),
    write_head_config=write_head_config,
    architectures=ARCHITECTURES,
    tokenizer=tokenizer_format.T5,
    # In the files of 1.0, and never read.
    ignored=r"decoder\.block\.0\.layer\.1\.EncDecAttention\.relative_attention_bias\.weight",
)
