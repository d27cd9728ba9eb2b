"""TransformerXLBackbone equals transformers' Transformer-XL: outputs, memories, losses, gradients.

What transformers 4.35.2 computed lies in tests/fixtures/txl_*.npz, on random weights so large that
the top attention averages .5. A batch of 3, three segments, from a memory of zeros and from none.

XLA takes seconds for each case, and JAX without it too: so on TensorFlow every case runs without
jit and one with it, on JAX every case with jit and one without it.
"""

import functools
import json
import pathlib
import re

import keras
import numpy as np
import pytest
from keras import ops

from keras_plm.backbones import TransformerXLBackbone
from keras_plm.generation.sampling import log_likelihood

JAX = keras.backend.backend() == "jax"
FIXTURES = ("plain", "div1", "div2", "div4_untied", "div1_projected")
CASES = [(name, start) for name in FIXTURES for start in ("zero", "empty")]
SEGMENTS = 3


def in_heads(kernel):
    """(H K, D), as torch has it, to (D, H, K)."""
    return kernel.T.reshape(kernel.shape[1], 4, -1)


def third(number):
    """Of the kernel of queries, keys and values."""
    return lambda kernel: in_heads(np.split(kernel, 3)[number])


LAYER = r"transformer.layers.\1."
# (the end of our weight's path, transformers' name, from theirs to ours)
NAMES = [
    (r"token_embedding/embeddings", "transformer.word_emb.emb_layers.0.weight", np.asarray),
    (r"token_embedding/table_(\d)/.*", r"transformer.word_emb.emb_layers.\1.weight", np.asarray),
    (r"token_embedding/projection_(\d)/.*", r"transformer.word_emb.emb_projs.\1", np.transpose),
    (r"tokens/bias", "crit.out_layers.0.bias", np.asarray),
    (r"tokens/bias_(\d)", r"crit.out_layers.\1.bias", np.asarray),
    (r"tokens/table_(\d)", r"crit.out_layers.\1.weight", np.asarray),
    (r"tokens/projection_(\d)", r"crit.out_projs.\1", np.transpose),
    (r"tokens/cluster_kernel", "crit.cluster_weight", np.asarray),
    (r"tokens/cluster_bias", "crit.cluster_bias", np.asarray),
    (r"block_(\d+)/attention/query/kernel", LAYER + "dec_attn.qkv_net.weight", third(0)),
    (r"block_(\d+)/attention/key/kernel", LAYER + "dec_attn.qkv_net.weight", third(1)),
    (r"block_(\d+)/attention/value/kernel", LAYER + "dec_attn.qkv_net.weight", third(2)),
    (r"block_(\d+)/attention/position/kernel", LAYER + "dec_attn.r_net.weight", in_heads),
    (
        r"block_(\d+)/attention/attention_output/kernel",
        LAYER + "dec_attn.o_net.weight",
        lambda kernel: kernel.reshape(len(kernel), 4, -1),
    ),
    (r"attention_biases/content_bias", "transformer.layers.0.dec_attn.r_w_bias", np.asarray),
    (r"attention_biases/position_bias", "transformer.layers.0.dec_attn.r_r_bias", np.asarray),
    (r"block_(\d+)/.*/content_bias", LAYER + "dec_attn.r_w_bias", np.asarray),
    (r"block_(\d+)/.*/position_bias", LAYER + "dec_attn.r_r_bias", np.asarray),
    (r"block_(\d+)/attention_norm/gamma", LAYER + "dec_attn.layer_norm.weight", np.asarray),
    (r"block_(\d+)/attention_norm/beta", LAYER + "dec_attn.layer_norm.bias", np.asarray),
    (r"block_(\d+)/intermediate/kernel", LAYER + "pos_ff.CoreNet.0.weight", np.transpose),
    (r"block_(\d+)/intermediate/bias", LAYER + "pos_ff.CoreNet.0.bias", np.asarray),
    (r"block_(\d+)/feedforward_output/kernel", LAYER + "pos_ff.CoreNet.3.weight", np.transpose),
    (r"block_(\d+)/feedforward_output/bias", LAYER + "pos_ff.CoreNet.3.bias", np.asarray),
    (r"block_(\d+)/feedforward_norm/gamma", LAYER + "pos_ff.layer_norm.weight", np.asarray),
    (r"block_(\d+)/feedforward_norm/beta", LAYER + "pos_ff.layer_norm.bias", np.asarray),
]


@functools.cache
def reference(name):
    """The arrays of a fixture, and its configuration."""
    arrays = dict(np.load(pathlib.Path(__file__).parents[1] / "fixtures" / f"txl_{name}.npz"))
    return arrays, json.loads(str(arrays.pop("meta")))


def theirs(path, arrays, prefix):
    """The reference's array for one of our weights, in our shape."""
    for ours, name, transform in NAMES:
        found = re.search(f"(?:^|/){ours}$", path)
        if found:
            return transform(arrays[prefix + found.expand(name)])
    raise AssertionError(f"no name in the reference for the weight {path}")


@functools.cache
def made(name, start):
    """The backbone of a case, its head, and its compiled `encode`."""
    arrays, meta = reference(name)
    backbone = TransformerXLBackbone(
        meta["vocab_size"],
        meta["n_layer"],
        meta["n_head"],
        meta["d_model"],
        meta["d_inner"],
        head_dim=meta["d_head"],
        cutoffs=meta["cutoffs"],
        div_val=meta["div_val"],
        embedding_dim=meta["d_embed"],
        tie_weights=meta["tie_word_embeddings"],
        tie_projections="all_but_first" if meta["tie_word_embeddings"] else "none",
        normalize_first=meta["pre_lnorm"],
        tied_biases=not meta["untie_r"],
        memory_length=meta["mem_len"],
        start_from_zeros=start == "zero",
        same_length=meta["same_length"],
        same_length_with_itself=meta["same_length"],
        clamp_length=meta["clamp_len"] if meta["clamp_len"] > 0 else None,
        layer_norm_epsilon=meta["layer_norm_epsilon"],
    )
    head = backbone.lm_head()
    head.build((None, None, meta["d_model"]))
    for weight in all_weights(backbone, head):
        weight.assign(theirs(weight.path, arrays, "w/"))
    return backbone, head, compiled(backbone.encode)


def all_weights(backbone, head):
    """Every weight once: they share some."""
    return list({id(weight): weight for weight in (*backbone.weights, *head.weights)}.values())


def compiled(function):
    """A function of tensors compiled by the backend."""
    if JAX:
        import jax

        return jax.jit(function)
    import tensorflow as tf

    return tf.function(function, jit_compile=True)


def assert_equal(ours, theirs, what):
    """The tolerance of the house: 1e-5, relative to the largest reference value above 1."""
    ours = ops.convert_to_numpy(ours)
    assert ours.shape == theirs.shape, what
    error = np.abs(ours - theirs).max()
    assert error <= 1e-5 * max(1.0, np.abs(theirs).max()), f"{what}: off by {error}"


def runs(cases, both_ways):
    """Each case as the backend runs it fastest; one the other way as well."""
    both = [
        pytest.param(*case, jit, marks=() if jit == JAX else pytest.mark.slow)
        for case in cases
        for jit in ([False, True] if case == both_ways else [JAX])
    ]
    return pytest.mark.parametrize(("name", "start", "jit"), both)


@runs(CASES, ("plain", "empty"))
def test_three_segments(name, start, jit):
    arrays, meta = reference(name)
    backbone, head, encode = made(name, start)
    state = {}
    for segment in range(SEGMENTS):
        features = {"token_ids": ops.convert_to_tensor(arrays[f"token_ids_{segment}"], "int32")}
        encoded = (encode if jit else backbone.encode)({**features, **state})
        for layer, hidden in enumerate(encoded["hidden_states"]):
            what = f"hidden_{segment}_{layer}"
            assert_equal(hidden, arrays[f"{start}/{what}"], what)
        for layer in range(meta["n_layer"]):
            expected = arrays[f"{start}/mems_{segment}_{layer}"]
            memory = encoded["state"]["memory"][:, layer]
            # Theirs is shorter at first, if it begins empty; ours has what is not seen in front.
            missing = meta["mem_len"] - expected.shape[1]
            assert_equal(memory[:, missing:], expected, f"memory {layer} after {segment}")
            if start == "empty":
                real = ops.convert_to_numpy(encoded["state"]["real"])
                np.testing.assert_array_equal(real, np.arange(meta["mem_len"]) >= [[missing]] * 3)
        state = {"state": encoded["state"]}
        logits = head.logits(encoded["sequence_output"])
        expected = arrays[f"{start}/log_probs_{segment}"]
        assert_equal(ops.log_softmax(logits), expected, f"log_probs_{segment}")
        targets = ops.convert_to_tensor(arrays[f"targets_{segment}"], "int32")
        assert_equal(-log_likelihood(logits, targets), arrays[f"{start}/nll_{segment}"], "nll")


@pytest.mark.parametrize("jit", [JAX, pytest.param(not JAX, marks=pytest.mark.slow)])
def test_loss_and_gradients_behind_a_memory(jit, value_and_gradients):
    arrays, _ = reference("div2")
    backbone, head, _ = made("div2", "zero")
    first, then, targets = (
        ops.convert_to_tensor(arrays[name], "int32")
        for name in ("token_ids_0", "token_ids_1", "targets_1")
    )

    def loss_of():
        state = backbone.encode({"token_ids": first})["state"]
        rows = backbone.encode({"token_ids": then, "state": state})["sequence_output"]
        return ops.mean(head.losses_of(head(rows), targets))

    loss, gradients = value_and_gradients(loss_of, all_weights(backbone, head), jit)
    assert_equal(loss, arrays["grad_loss"], "loss")
    assert len(gradients) == len(all_weights(backbone, head))
    for path, gradient in gradients.items():
        assert_equal(gradient, theirs(path, arrays, "grad/"), f"gradient of {path}")
