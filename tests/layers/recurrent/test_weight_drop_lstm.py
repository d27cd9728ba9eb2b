"""WeightDropLSTM equals Keras's LSTM; one mask serves all steps of a call in training."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_plm.layers import WeightDropLSTM

TEXT = np.random.default_rng(0).normal(size=(3, 6, 4)).astype("float32")
REAL = np.array([[1] * 6, [0, 0, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]], bool)


def made(**options):
    layer = WeightDropLSTM(5, **options)
    layer.build((None, None, 4))
    random = np.random.default_rng(1)
    for weight in layer.weights:
        weight.assign(random.normal(size=weight.shape))
    return layer


@pytest.mark.parametrize("mask", [None, REAL], ids=["all", "padded"])
def test_equals_keras(mask):
    layer = made()
    other = keras.layers.LSTM(
        5, return_sequences=True, return_state=True, zero_output_for_mask=True, use_cudnn=False
    )
    other.build((None, None, 4))
    weights = layer.gates.kernel, layer.recurrent_kernel, layer.gates.bias
    other.set_weights([ops.convert_to_numpy(weight) for weight in weights])
    state = [np.full((3, 5), value, "float32") for value in (0.5, -0.7)]
    found = layer(TEXT, state, mask)
    for one, expected in zip(found, other(TEXT, initial_state=state, mask=mask), strict=True):
        np.testing.assert_allclose(
            ops.convert_to_numpy(one), ops.convert_to_numpy(expected), atol=1e-6
        )


def test_one_mask_for_all_steps():
    """The outputs of training are those of some recurrent matrix of which half is left out."""
    layer = made(weight_dropout=0.5)
    drawn, kept = [], layer.weight_dropout.call
    layer.weight_dropout.call = lambda *args, **kwargs: (
        drawn.append(kept(*args, **kwargs)) or (drawn[-1])
    )
    trained = [ops.convert_to_numpy(layer(TEXT, training=True)[0]) for _ in range(2)]
    assert np.abs(trained[0] - trained[1]).max() > 0.1  # another mask for each call
    assert len(drawn) == 2  # and one for all steps
    matrix = ops.convert_to_numpy(layer.recurrent_kernel)
    for mask, outputs in zip(drawn, trained):
        mask = ops.convert_to_numpy(mask)
        assert ((mask == 0) | np.isclose(mask, 2 * matrix)).all() and 20 < (mask == 0).sum() < 80
        plain = made()
        plain.recurrent_kernel.assign(mask)
        np.testing.assert_allclose(ops.convert_to_numpy(plain(TEXT)[0]), outputs, atol=1e-6)
    for one, expected in zip(layer(TEXT), made()(TEXT)):
        np.testing.assert_array_equal(ops.convert_to_numpy(one), ops.convert_to_numpy(expected))


@pytest.mark.parametrize(
    "state",
    [
        np.zeros((3, 5)),
        (np.zeros((3, 5)), np.zeros((3, 4))),
        (np.zeros((2, 5)),) * 2,
        (None, None),
    ],
)
def test_a_state_of_another_form_is_refused(state):
    with pytest.raises(ValueError, match=r"`state` must be a hidden state \(B, 5\) and a cell"):
        made()(TEXT, state)


def test_a_text_without_a_token_is_refused():
    with pytest.raises(ValueError, match=r"a token at least. Received: shape \(3, 0, 4\)"):
        made()(TEXT[:, :0])


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_throughout(dtype):
    """An orthogonal matrix is drawn in float32: no backend decomposes any other."""
    layer = WeightDropLSTM(5, dtype=dtype)
    outputs, *_ = layer(TEXT)
    used = {
        keras.backend.standardize_dtype(one.dtype) for one in (*layer.trainable_weights, outputs)
    }
    assert used == {dtype}
    kernel = ops.convert_to_numpy(ops.cast(layer.recurrent_kernel, "float32"))
    np.testing.assert_allclose(kernel @ kernel.T, np.eye(5), atol=0.02)


def test_a_graph_that_does_not_know_the_sizes():
    """Neither of batch nor text; gradients are taken in it too."""
    if keras.backend.backend() != "tensorflow":
        pytest.skip("other backends compile for sizes that are known")
    import tensorflow as tf

    layer = made()

    @tf.function(input_signature=[tf.TensorSpec((None, None, 4)), tf.TensorSpec((None, None))])
    def traced(text, real):
        with tf.GradientTape() as tape:
            outputs = layer(text, None, real)[0]
        return outputs, tape.gradient(outputs, layer.recurrent_kernel.value)

    for length in (6, 4):
        text, real = TEXT[:, :length], REAL[:, :length].astype("float32")
        outputs, gradient = traced(text, real)
        np.testing.assert_allclose(outputs, layer(text, None, real)[0], atol=1e-6)
        with tf.GradientTape() as tape:
            expected = layer(text, None, real)[0]
        expected = tape.gradient(expected, layer.recurrent_kernel.value)
        np.testing.assert_allclose(gradient, expected, atol=1e-5)
