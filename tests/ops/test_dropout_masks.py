"""Dropout on both backends: its rate, expectation and independence, gradients, and seeds."""

import keras
import numpy as np
import pytest

from keras_plm.layers import ReplayableDropout
from keras_plm.ops import dropout

SIZE = 400_000
IS_JAX = keras.backend.backend() == "jax"


def draw(rate, shape=(SIZE,), seed=0, dtype="float32"):
    generator = keras.random.SeedGenerator(seed)
    ones = keras.ops.ones(shape, dtype)
    dropped = keras.ops.cast(dropout(ones, rate, generator), "float32")
    return keras.ops.convert_to_numpy(dropped).astype("float64")


@pytest.mark.parametrize("rate", [0.001, 0.1, 0.5, 0.9])
def test_rate_and_expectation(rate):
    values = draw(rate)
    deviation = np.sqrt(rate * (1 - rate) / SIZE)
    assert abs((values == 0).mean() - rate) < 5 * deviation
    np.testing.assert_allclose(values[values > 0], 1 / (1 - rate), rtol=1e-4)
    assert abs(values.mean() - 1) < 5 * deviation / (1 - rate)


def test_entries_are_independent():
    """Neighbours as well: on JAX two of them share a random word."""
    kept = draw(0.5, (2_000, 200)) > 0
    for other in (kept[:, 1:] ^ kept[:, :-1], kept[1:] ^ kept[:-1], kept[:, 100:] ^ kept[:, :100]):
        assert abs(other.mean() - 0.5) < 5 * 0.5 / np.sqrt(other.size)


def test_seeds():
    """The same seed drops the same, another and the next one of a generator do not."""
    np.testing.assert_array_equal(draw(0.5, seed=1), draw(0.5, seed=1))
    assert (draw(0.5, seed=1) != draw(0.5, seed=2)).mean() > 0.4
    generator, ones = keras.random.SeedGenerator(1), keras.ops.ones((100,))
    first, second = (np.asarray(dropout(ones, 0.5, generator)) for _ in range(2))
    assert (first != second).any()


@pytest.mark.parametrize("rate, value", [(0.0, 1.0), (1.0, 0.0), (1e-9, 1.0)])
def test_rates_that_leave_nothing_to_draw(rate, value):
    assert (draw(rate, (3, 5)) == value).all()


@pytest.mark.parametrize("shape", [(), (1,), (3, 5, 7), (0, 4)])
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_shapes_and_dtypes(shape, dtype):
    generator = keras.random.SeedGenerator(0)
    values = dropout(keras.ops.ones(shape, dtype), 0.25, generator)
    assert tuple(values.shape) == shape
    assert keras.backend.standardize_dtype(values.dtype) == dtype


def test_infinite_entries_that_are_dropped_are_zero():
    infinite = keras.ops.full((1_000,), np.inf)
    values = np.asarray(dropout(infinite, 0.5, keras.random.SeedGenerator(0)))
    assert set(np.unique(values)) == {0.0, np.inf}


@pytest.mark.skipif(not IS_JAX, reason="of JAX alone")
def test_a_distributed_model_has_the_dropout_of_keras():
    """Keras's is computed for the shard of a device alone; ours would be for all of it."""
    with keras.distribution.DataParallel(auto_shard_dataset=False).scope():
        here = draw(0.3, seed=4)
    ones, generator = keras.ops.ones((SIZE,)), keras.random.SeedGenerator(4)
    expected = keras.ops.convert_to_numpy(keras.random.dropout(ones, 0.3, seed=generator))
    np.testing.assert_allclose(here, expected, rtol=1e-6)
    assert (draw(0.3, seed=4) != expected).any()


@pytest.mark.skipif(not IS_JAX, reason="of JAX alone")
def test_it_is_the_same_under_jit():
    import jax

    layer, x = ReplayableDropout(0.5), np.ones((7, 9), "float32")
    layer.seed_generator.state.assign([3, 0])
    outside = np.asarray(layer(x, training=True))
    start = [variable.value * 0 + np.array([3, 0], "uint32") for variable in layer.variables]

    @jax.jit
    def inside(x, state):
        return layer.stateless_call([], state, x, training=True)[0]

    np.testing.assert_array_equal(np.asarray(inside(x, start)), outside)
