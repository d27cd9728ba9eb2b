"""Seq2SeqBackbone equals transformers' Marian, BART and T5: states, logits, maps, gradients.

What transformers 5.23.0 computed lies in tests/fixtures/seq2seq_reference.npz, on random weights so
large that scores matter, for four texts of which each side has another length.
"""

import functools
import json
import pathlib
import re
import runpy

import keras
import numpy as np
import pytest
from keras import ops

from keras_plm import families
from keras_plm.backbones import Seq2SeqBackbone

FIXTURES = pathlib.Path(__file__).parents[1] / "fixtures"
make_weights = runpy.run_path(str(FIXTURES / "transformer_weights.py"))["make_weights"]

CASES = ("marian", "bart", "bart_scaled", "t5", "t5_1_1")
FLAGS = {
    "marian": {**families.MARIAN["flags"], "zero_token_id": 30},
    "bart": families.BART["flags"],
    # MASS, with the first position where BART has it.
    "bart_scaled": {**families.MASS["flags"], "position_offset": 2},
    "t5": {**families.T5["flags"], "relative_position_buckets": 8},
    "t5_1_1": {**families.T5_1_1["flags"], "relative_position_buckets": 8},
}
# Ours, transformers' of Marian and BART, transformers' of T5; "" has none.
PARTS = {
    "attention": ("self_attn", "layer.0.SelfAttention"),
    "cross_attention": ("encoder_attn", "layer.1.EncDecAttention"),
    "attention_norm": ("self_attn_layer_norm", "layer.0.layer_norm"),
    "cross_attention_norm": ("encoder_attn_layer_norm", "layer.1.layer_norm"),
}
PROJECTIONS = {
    "query": ("q_proj", "q"),
    "key": ("k_proj", "k"),
    "value": ("v_proj", "v"),
    "attention_output": ("out_proj", "o"),
}
KINDS = {"kernel": "weight", "gamma": "weight", "embeddings": "weight"}
KINDS |= {"beta": "bias", "bias": "bias"}
WHOLE = {  # of both families; a table has no transposition
    "token_embedding/embeddings": ("model.shared.weight", "shared.weight"),
    "token_embedding/reverse_embeddings": ("", "lm_head.weight"),
    "tokens/bias": ("final_logits_bias", ""),
}


def their_name(path, t5):
    """The name of one of our weights in transformers."""
    path = re.sub(r"^seq2_seq_backbone/", "", path)
    for ours, names in WHOLE.items():
        if path.endswith(ours):
            return names[t5]
    side, rest = re.search(r"(encoder|decoder)_(.*)", path).groups()
    start, kind = f"{'' if t5 else 'model.'}{side}.", KINDS[rest.split("/")[-1]]
    if not rest.startswith("block_"):
        bias = "block.0.layer.0.SelfAttention.relative_attention_bias"
        found = {
            "position_embedding": "embed_positions",
            "embedding_norm": "layernorm_embedding",
            "relative_position_bias": bias,
            "final_norm": "final_layer_norm",
        }[rest.split("/")[0]]
        return f"{start}{found}.{kind}"
    index, part, *projection = rest.removeprefix("block_").split("/")[:-1]
    layer = f"{start}{'block' if t5 else 'layers'}.{index}."
    if part in PARTS:
        own = [PROJECTIONS[one][t5] for one in projection]
        return ".".join([layer + PARTS[part][t5], *own, kind])
    last = f"layer.{1 if side == 'encoder' else 2}."
    feed_forward = {
        "intermediate": ("fc1", last + "DenseReluDense.wi"),
        "multiplier": ("", last + "DenseReluDense.wi_1"),
        "feedforward_output": ("fc2", last + "DenseReluDense.wo"),
        "feedforward_norm": ("final_layer_norm", last + "layer_norm"),
    }
    return f"{layer}{feed_forward[part][t5]}.{kind}"


def in_our_shape(array, weight):
    """An array of transformers', (out, in), in the shape of one of our weights."""
    if weight.path.endswith("kernel") or "reverse_embeddings" in weight.path:
        array = array.T
    return array.reshape(weight.shape)


@functools.cache
def reference():
    arrays = dict(np.load(FIXTURES / "seq2seq_reference.npz"))
    return arrays, json.loads(str(arrays.pop("cases")))


@functools.cache
def made(case):
    """The backbone of a case, its head, and the name of each weight in transformers."""
    _, cases = reference()
    config, shapes = cases[case]["config"], cases[case]["shapes"]
    t5 = case.startswith("t5")
    if t5:
        sizes = {
            "num_layers": config["num_layers"],
            "num_decoder_layers": config["num_decoder_layers"],
            "num_heads": config["num_heads"],
            "intermediate_dim": config["d_ff"],
            "head_dim": config["d_kv"],
        }
    else:
        sizes = {
            "num_layers": config["encoder_layers"],
            "num_decoder_layers": config["decoder_layers"],
            "num_heads": config["encoder_attention_heads"],
            "intermediate_dim": config["encoder_ffn_dim"],
            "max_sequence_length": config["max_position_embeddings"],
        }
    sizes |= {"vocabulary_size": config["vocab_size"], "hidden_dim": config["d_model"]}
    backbone = Seq2SeqBackbone(**{**sizes, **FLAGS[case]}, dropout=0.0)
    head = backbone.lm_head()
    head.build((None, None, backbone.hidden_dim))
    weights = {id(one): one for one in (*backbone.weights, *head.weights)}.values()
    names = {}
    for weight in weights:
        name = their_name(weight.path, t5)
        name = re.sub(r"\.wi\.", ".wi_0.", name) if case == "t5_1_1" else name
        names[weight.path] = name
        array = make_weights(name, tuple(shapes[name]))
        if case == "marian" and name == "model.shared.weight":
            array[config["pad_token_id"]] = 0
        weight.assign(in_our_shape(array, weight))
    assert sorted(names.values()) == sorted(shapes)
    return backbone, head, names, list(weights)


def features_of(case, arrays, cases):
    features = {name: arrays[name] for name in ("source_token_ids", "source_padding_mask")}
    token_ids = arrays["token_ids"].copy()
    token_ids[:, 0] = cases[case]["config"]["decoder_start_token_id"]
    return {**features, "token_ids": token_ids, "padding_mask": arrays["padding_mask"]}


def assert_equal(ours, theirs, what, near=1e-5):
    """The tolerance of the house, relative to the largest reference value above 1."""
    ours = ops.convert_to_numpy(ours)
    assert ours.shape == theirs.shape, what
    error = np.abs(ours - theirs).max()
    assert error <= near * max(1.0, np.abs(theirs).max()), f"{what}: off by {error}"


def near(case):
    """T5 1.1 multiplies two activations, and its square mean is float32 in transformers."""
    return 5e-5 if case == "t5_1_1" else 1e-5


@pytest.mark.parametrize("case", CASES)
def test_states_logits_and_maps(case):
    arrays, cases = reference()
    backbone, head, _, _ = made(case)
    features = features_of(case, arrays, cases)
    encoded = backbone.encode(features, attention_maps=True)
    real, source = features["padding_mask"], features["source_padding_mask"]
    for name, ours, mask in (
        ("encoder_hidden_states", encoded["encoder_hidden_states"], source),
        ("decoder_hidden_states", encoded["hidden_states"], real),
    ):
        theirs = arrays[f"{case}/{name}"]
        assert len(ours) == len(theirs)
        for layer, states in enumerate(ours):
            states = ops.convert_to_numpy(states)[mask]
            assert_equal(states, theirs[layer][mask], f"{name} {layer}", near(case))
    theirs, largest = arrays[f"{case}/cross_attentions"], 0
    for layer, maps in enumerate(encoded["cross_attention_maps"]):
        maps = np.moveaxis(ops.convert_to_numpy(maps), 1, 2)[real]  # (rows, H, N)
        assert_equal(maps, np.moveaxis(theirs[layer], 1, 2)[real], f"map {layer}", near(case))
        largest = max(largest, maps.max(-1).mean())
    assert largest > 0.25  # else scores would not matter
    logits = ops.convert_to_numpy(head.logits(encoded["sequence_output"]))
    assert_equal(logits[real], arrays[f"{case}/logits"][real], "logits", near(case))


@pytest.mark.parametrize("case", CASES)
def test_without_maps_and_alone(case):
    """The way that attention is fused, for one text without any padding or mask."""
    arrays, cases = reference()
    backbone, head, _, _ = made(case)
    features = features_of(case, arrays, cases)
    features = {name: features[name][:1] for name in ("source_token_ids", "token_ids")}
    features["source_token_ids"] = features["source_token_ids"][:, :-3]
    logits = head.logits(backbone.encode(features)["sequence_output"])
    assert_equal(logits, arrays[f"{case}/words_alone/logits"], "logits", near(case))


@pytest.mark.parametrize("case", ["bart", "t5", "t5_1_1"])
def test_loss_and_gradients(case, value_and_gradients):
    arrays, cases = reference()
    backbone, head, names, weights = made(case)
    features = {
        name: ops.convert_to_tensor(array)
        for name, array in features_of(case, arrays, cases).items()
    }
    real = ops.cast(features["padding_mask"], "float32")

    def loss_of():
        logits = head.logits(backbone.encode(features)["sequence_output"])
        losses = keras.losses.sparse_categorical_crossentropy(
            arrays["labels"], logits, from_logits=True
        )
        return ops.sum(losses * real) / ops.sum(real)

    loss, gradients = value_and_gradients(loss_of, weights, keras.backend.backend() == "jax")
    assert_equal(loss, arrays[f"{case}/loss"], "loss", near(case))
    assert len(gradients) == len(weights)
    # transformers' own gradients of T5 1.1 in float32 are off by 9e-5 of those in float64.
    close = 2e-4 if case == "t5_1_1" else near(case)
    by_path = {weight.path: weight for weight in weights}
    for path, gradient in gradients.items():
        theirs = in_our_shape(arrays[f"{case}/grad/{names[path]}"], by_path[path])
        assert_equal(gradient, theirs, f"gradient of {path}", close)
