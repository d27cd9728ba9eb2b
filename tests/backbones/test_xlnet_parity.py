"""XLNetBackbone equals transformers' XLNet: outputs, memories, loss and gradients.

The reference outputs lie in tests/fixtures/xlnet_reference.npz; make_xlnet_reference.py beside it
made them and says how. Batches of 4, and weights so large that the scores matter.

XLA takes seconds for each case, and JAX without it too: so on TensorFlow every case runs without
jit and one with it, on JAX every case with jit and one without it. XLNET_PARITY=full in the
environment runs all of them both ways.
"""

import functools
import json
import os
import pathlib
import re

import keras
import numpy as np
import pytest
from keras import ops

from keras_plm.backbones import XLNetBackbone
from keras_plm.heads import MaskedLMHead

REFERENCE = np.load(pathlib.Path(__file__).parents[1] / "fixtures" / "xlnet_reference.npz")
CASES = json.loads(str(REFERENCE["cases"]))
SIZES = json.loads(str(REFERENCE["sizes"]))
SINGLE = [name for name in CASES if not name.startswith("segments")]
RECURRENT = [name for name in CASES if name.startswith("segments")]
WITH_GRADIENTS = sorted({key.split("/")[0] for key in REFERENCE if "/gradients/" in key})
FEATURES = ("token_ids", "segment_ids", "padding_mask", "order", "target_positions", "backward")
JAX = keras.backend.backend() == "jax"
# The case that runs both ways; the other kind of running is that of all cases.
BOTH_WAYS = {"content" if JAX else "two_streams_uni_permuted_memory"}
if os.environ.get("XLNET_PARITY") == "full":
    BOTH_WAYS = set(CASES)


def with_and_without_jit(cases):
    """Parametrise a test by case and jit."""
    runs = [(case, JAX, ()) for case in cases]
    runs += [(case, not JAX, pytest.mark.slow) for case in cases if case in BOTH_WAYS]
    return pytest.mark.parametrize(
        ("case", "jit"),
        [
            pytest.param(case, jit, marks=marks, id=f"{case}-{'jit' if jit else 'eager'}")
            for case, jit, marks in runs
        ],
    )


# (the end of our weight's path, transformers' name below transformer., from theirs to ours)
NAMES = [
    (r"token_embedding/embeddings", "word_embedding.weight", np.asarray),
    (r"query_vector", "mask_emb", np.ravel),
    (r"block_(\d+)/attention/query/kernel", r"layer.\1.rel_attn.q", np.asarray),
    (r"block_(\d+)/attention/key/kernel", r"layer.\1.rel_attn.k", np.asarray),
    (r"block_(\d+)/attention/value/kernel", r"layer.\1.rel_attn.v", np.asarray),
    (r"block_(\d+)/attention/position/kernel", r"layer.\1.rel_attn.r", np.asarray),
    (r"block_(\d+)/attention/attention_output/kernel", r"layer.\1.rel_attn.o", np.asarray),
    (r"block_(\d+)/.*/content_bias", r"layer.\1.rel_attn.r_w_bias", np.asarray),
    (r"block_(\d+)/.*/position_bias", r"layer.\1.rel_attn.r_r_bias", np.asarray),
    (r"block_(\d+)/.*/segment_bias", r"layer.\1.rel_attn.r_s_bias", np.asarray),
    (r"block_(\d+)/.*/segment_embedding", r"layer.\1.rel_attn.seg_embed", np.asarray),
    (r"block_(\d+)/attention_norm/gamma", r"layer.\1.rel_attn.layer_norm.weight", np.asarray),
    (r"block_(\d+)/attention_norm/beta", r"layer.\1.rel_attn.layer_norm.bias", np.asarray),
    (r"block_(\d+)/intermediate/kernel", r"layer.\1.ff.layer_1.weight", np.transpose),
    (r"block_(\d+)/intermediate/bias", r"layer.\1.ff.layer_1.bias", np.asarray),
    (r"block_(\d+)/feedforward_output/kernel", r"layer.\1.ff.layer_2.weight", np.transpose),
    (r"block_(\d+)/feedforward_output/bias", r"layer.\1.ff.layer_2.bias", np.asarray),
    (r"block_(\d+)/feedforward_norm/gamma", r"layer.\1.ff.layer_norm.weight", np.asarray),
    (r"block_(\d+)/feedforward_norm/beta", r"layer.\1.ff.layer_norm.bias", np.asarray),
]


def reference_of(path, prefix):
    """The reference's array for one of our weights, in our shape."""
    if path.startswith("head/"):
        return REFERENCE[f"{prefix}lm_loss.bias"]
    for ours, theirs, transform in NAMES:
        found = re.search(f"(?:^|/){ours}$", path)
        if found:
            return transform(REFERENCE[f"{prefix}transformer.{found.expand(theirs)}"])
    raise AssertionError(f"no name in the reference for the weight {path}")


def model_of(case):
    """Backbone, head and the compiled `encode` of a case; cases of the same settings share them."""
    return make_model(**CASES[case])


@functools.cache
def make_model(**settings):
    backbone = XLNetBackbone(
        **SIZES,
        dropout=0.0,
        attention_dropout=0.0,
        activation={"gelu": "gelu", "gelu_new": "gelu_tanh"}[settings.get("activation", "gelu")],
        causal=settings.get("attn_type") == "uni",
        clamp_length=settings.get("clamp_len"),
        memory_length=settings.get("mem_len", 0),
        reuse_length=settings.get("reuse_len", 0),
    )
    head = MaskedLMHead(backbone.token_embedding, name="head")
    head.build((None, None, SIZES["hidden_dim"]))
    backbone.train_query_rows(True)
    for weight in all_weights(backbone, head):
        weight.assign(reference_of(weight.path, "weights/"))
    return backbone, head, compiled(backbone.encode)


def all_weights(backbone, head):
    """Every weight once: the head shares the token embedding."""
    return [*backbone.weights, head.bias]


def features_of(prefix):
    """The inputs of a case."""
    names = [name for name in (*FEATURES, "memory") if f"{prefix}/{name}" in REFERENCE]
    return {name: REFERENCE[f"{prefix}/{name}"] for name in names}


def compiled(function):
    """A function of tensors compiled by the backend."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.function(function, jit_compile=True)
    import jax

    return jax.jit(function)


def run(encode, features):
    """`encode` on numpy arrays: numpy arrays."""
    encoded = encode({name: ops.convert_to_tensor(value) for name, value in features.items()})
    return {
        name: np.stack(value) if isinstance(value, list) else ops.convert_to_numpy(value)
        for name, value in encoded.items()
    }


def assert_equal(ours, theirs, what):
    """The tolerance of the house: 1e-5, relative to the largest reference value above 1."""
    assert ours.shape == theirs.shape, what
    assert np.isfinite(ours).all(), what
    error = np.abs(ours - theirs).max()
    assert error <= 1e-5 * max(1.0, np.abs(theirs).max()), f"{what}: off by {error}"


@with_and_without_jit(SINGLE)
def test_one_segment(case, jit):
    backbone, head, encode = model_of(case)
    features = features_of(case)
    encoded = run(encode if jit else backbone.encode, features)
    real = features.get("padding_mask", np.ones_like(features["token_ids"], bool))
    theirs = REFERENCE[f"{case}/reference/hidden_states"]
    assert_equal(encoded["hidden_states"][:, real], theirs[:, real], "hidden_states")
    assert_equal(encoded["sequence_output"][real], theirs[-1][real], "sequence_output")
    if "target_positions" in features:
        used = REFERENCE[f"{case}/target_weights"] > 0
        theirs = REFERENCE[f"{case}/reference/target_output"]
        assert_equal(encoded["target_output"][used], theirs[used], "target_output")
        logits = ops.convert_to_numpy(head(encoded["target_output"]))
        assert_equal(logits[used], REFERENCE[f"{case}/reference/logits"][used], "logits")


@with_and_without_jit(RECURRENT)
def test_three_segments_with_memory(case, jit):
    backbone, _, encode = model_of(case)
    memory = {}
    for index in range(3):
        prefix = f"{case}/{index}"
        features = {**features_of(prefix), **memory}
        encoded = run(encode if jit else backbone.encode, features)
        real = features.get("padding_mask", np.ones_like(features["token_ids"], bool))
        theirs = REFERENCE[f"{prefix}/reference/sequence_output"]
        assert_equal(encoded["sequence_output"][real], theirs[real], f"output of segment {index}")
        theirs = REFERENCE[f"{prefix}/reference/memory"]
        assert_equal(encoded["memory"], theirs, f"memory after segment {index}")
        memory = {"memory": encoded["memory"]}


@with_and_without_jit(WITH_GRADIENTS)
def test_loss_and_gradients(case, jit, value_and_gradients):
    backbone, head, _ = model_of(case)
    features = {k: ops.convert_to_tensor(v) for k, v in features_of(case).items()}
    targets = REFERENCE[f"{case}/targets"]
    weights = REFERENCE[f"{case}/target_weights"]

    def loss_of():
        logits = head(backbone.encode(features)["target_output"])
        loss = ops.sparse_categorical_crossentropy(targets, logits, from_logits=True)
        return ops.sum(loss * weights) / weights.sum()

    loss, gradients = value_and_gradients(loss_of, all_weights(backbone, head), jit)
    assert_equal(loss, REFERENCE[f"{case}/reference/loss"], "loss")
    prefix = f"{case}/reference/gradients/"
    for path, gradient in gradients.items():
        assert_equal(gradient, reference_of(path, prefix), f"gradient of {path}")
    assert len(gradients) == sum(key.startswith(prefix) for key in REFERENCE)
