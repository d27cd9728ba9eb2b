"""Attention over the rows of a text, against its formulas in numpy."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_plm.layers import AttentionPooling

RANDOM = np.random.default_rng(0)
ROWS = 2 * RANDOM.normal(size=(4, 6, 3)).astype("float32")
REAL = np.array([[1] * 6, [0, 0, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0], [0, 1, 0, 1, 1, 0]], bool)


def large(layer, seed=1):
    """A layer with large weights."""
    layer(ROWS, REAL)
    random = np.random.default_rng(seed)
    for weight in layer.weights:
        weight.assign(random.normal(size=weight.shape))
    return layer


def attention(rows, kernel, bias):
    """Of the rows (T, D) of one text."""
    shares = np.exp(np.tanh(rows @ kernel[:, 0] + bias[0]))
    return (shares / shares.sum()) @ rows


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm(rows, kernel, bias, recurrent):
    """The outputs (T, C) of one text."""
    units = len(recurrent)
    hidden, cell, outputs = np.zeros(units), np.zeros(units), []
    for row in rows:
        gates = np.split(row @ kernel + bias + hidden @ recurrent, 4)
        cell = sigmoid(gates[1]) * cell + sigmoid(gates[0]) * np.tanh(gates[2])
        hidden = sigmoid(gates[3]) * np.tanh(cell)
        outputs.append(hidden)
    return np.array(outputs)


@pytest.mark.parametrize("units", [None, 5])
def test_formulas(units):
    """Padding on whatever side does not count; each text is as if it were alone."""
    layer = large(AttentionPooling(units))
    found = ops.convert_to_numpy(layer(ROWS, REAL))
    energy = [ops.convert_to_numpy(one).astype("float64") for one in layer.energy.weights]
    for row, real, pooled in zip(ROWS.astype("float64"), REAL, found):
        own = row[real]
        if units:
            gates = [ops.convert_to_numpy(one) for one in layer.lstm.gates.weights]
            own = lstm(own, *gates, ops.convert_to_numpy(layer.lstm.recurrent_kernel))
        np.testing.assert_allclose(pooled, attention(own, *energy), rtol=1e-5, atol=1e-6)
    whole = ops.convert_to_numpy(layer(ROWS[:1]))
    np.testing.assert_allclose(whole, found[:1], rtol=1e-5, atol=1e-6)
    assert found.shape == layer.compute_output_spec(keras.KerasTensor((4, 6, 3))).shape


@pytest.mark.parametrize("units", [None, 5])
def test_nothing_real_is_zero_and_has_finite_gradients(units, gradient):
    layer = large(AttentionPooling(units))
    assert not ops.convert_to_numpy(layer(ROWS, np.zeros_like(REAL))).any()
    found = gradient(lambda rows: ops.sum(layer(rows, np.zeros_like(REAL))), ROWS)
    assert np.isfinite(found).all() and not found.any()


@pytest.mark.parametrize("units", [None, 5])
def test_what_is_padding_may_be_anything(units):
    layer = large(AttentionPooling(units))
    rows = np.where(REAL[..., None], ROWS, np.float32(1e4))
    found = ops.convert_to_numpy(layer(rows, REAL))
    np.testing.assert_array_equal(found, ops.convert_to_numpy(layer(ROWS, REAL)))


def test_dropout_in_training_alone():
    layer = large(AttentionPooling(5, dropout=0.5, attention_dropout=0.5))
    one, two = (ops.convert_to_numpy(layer(ROWS, REAL)) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    dropped = ops.convert_to_numpy(layer(ROWS, REAL, training=True))
    # One mask of the LSTM's outputs for all tokens: a unit that is dropped gives 0.
    assert 0 < (dropped == 0).sum() < dropped.size
    only_energies = large(AttentionPooling(5, attention_dropout=0.5))
    dropped = ops.convert_to_numpy(only_energies(ROWS, REAL, training=True))
    assert (dropped != 0).all() and np.abs(dropped - one).max() > 1e-3


def test_what_it_cannot_take():
    with pytest.raises(ValueError, match="`units` must be an integer of at least 1"):
        AttentionPooling(0)
    with pytest.raises(ValueError, match="`attention_dropout`"):
        AttentionPooling(2, attention_dropout=1.5)
