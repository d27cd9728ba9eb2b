import keras
import numpy as np
import pytest
from keras import ops

from keras_plm.layers import ProjectedAttention

CONTENT = np.random.default_rng(0).normal(size=(2, 5, 8)).astype("float32")
VISIBLE = np.random.default_rng(1).random((2, 5, 5)) < 0.6
VISIBLE[:, np.arange(5), np.arange(5)] = True


def made(**options):
    large = keras.initializers.RandomNormal(stddev=0.5)
    layer = ProjectedAttention(2, 3, kernel_initializer=large, **options)
    layer.build(CONTENT.shape)
    rng = np.random.default_rng(2)
    for weight in layer.weights:  # biases that matter
        if weight.name == "bias":
            weight.assign(rng.normal(size=weight.shape))
    return layer


def test_equals_keras_multi_head_attention():
    layer = made()
    oracle = keras.layers.MultiHeadAttention(2, 3)
    oracle.build(CONTENT.shape, CONTENT.shape)
    oracle.set_weights([ops.convert_to_numpy(weight) for weight in layer.weights])
    for options, theirs in (
        ({}, {}),
        ({"visible": VISIBLE}, {"attention_mask": VISIBLE}),
        ({"causal": True}, {"use_causal_mask": True}),
    ):
        found, expected = layer(CONTENT, **options), oracle(CONTENT, CONTENT, **theirs)
        np.testing.assert_allclose(
            ops.convert_to_numpy(found), ops.convert_to_numpy(expected), atol=1e-5
        )


def test_the_fused_path_equals_the_explicit_one():
    layer = made()
    projection = layer.project(CONTENT)
    bias = np.random.default_rng(3).normal(size=(1, 2, 5, 5)).astype("float32")
    for options in ({"visible": VISIBLE}, {"causal": True}, {"bias": bias}):
        fused = layer.read(CONTENT, projection, **options)
        explicit, weights = layer.read(CONTENT, projection, **options, weights=True)
        np.testing.assert_allclose(
            ops.convert_to_numpy(fused), ops.convert_to_numpy(explicit), atol=1e-5
        )
        np.testing.assert_allclose(ops.convert_to_numpy(weights).sum(-1), 1, atol=1e-5)


def test_a_read_of_some_rows_is_a_part_of_the_whole():
    layer = made()
    rows = layer.read(CONTENT[:, 1:3], layer.project(CONTENT), VISIBLE[:, 1:3])
    whole = layer(CONTENT, VISIBLE)
    np.testing.assert_allclose(
        ops.convert_to_numpy(rows), ops.convert_to_numpy(whole)[:, 1:3], atol=1e-6
    )


def test_dropout_is_drawn_in_training_only():
    layer = made(dropout=0.5)
    first, second = (ops.convert_to_numpy(layer(CONTENT, training=True)) for _ in range(2))
    assert np.abs(first - second).max() > 0.01
    same = [ops.convert_to_numpy(layer(CONTENT)) for _ in range(2)]
    np.testing.assert_array_equal(*same)


def test_beams_read_the_projection_of_their_text():
    layer = ProjectedAttention(2, 4)
    content = np.random.default_rng(0).normal(size=(2, 5, 8)).astype("float32")
    layer.build(content.shape)
    rows = np.random.default_rng(1).normal(size=(6, 3, 8)).astype("float32")
    visible = np.arange(5) < np.array([5, 3])[:, None, None]  # (B, 1, S)
    key, value = layer.project(content)
    found = layer.read(ops.convert_to_tensor(rows), (key, value), visible)
    repeated = [ops.repeat(one, 3, axis=0) for one in (key, value, ops.convert_to_tensor(visible))]
    expected = layer.read(ops.convert_to_tensor(rows), repeated[:2], repeated[2])
    np.testing.assert_allclose(*map(ops.convert_to_numpy, (found, expected)), atol=1e-6)
    for wrong, options in ((rows[:5], {}), (rows, {"weights": True}), (rows, {"causal": True})):
        with pytest.raises(ValueError, match="as many beams of each"):
            layer.read(ops.convert_to_tensor(wrong), (key, value), **options)
