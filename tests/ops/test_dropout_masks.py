"""Dropout on both backends: its rate, expectation and independence, gradients, and seeds."""

import keras
import numpy as np
import pytest

from keras_plm.layers import ReplayableDropout
from keras_plm.ops import dropout

SIZE = 400_000
BACKEND = keras.backend.backend()


@pytest.fixture(params=["as it is", "XLA"] if BACKEND == "tensorflow" else ["as it is"])
def drop(request):
    """`dropout`; on TensorFlow also compiled by XLA, where other bits decide."""
    if request.param == "as it is":
        return dropout

    import tensorflow as tf

    def compiled(inputs, rate, generator):
        signature = [tf.TensorSpec([None] * len(inputs.shape), inputs.dtype)]  # lengths are free
        return tf.function(lambda x: dropout(x, rate, generator), signature, jit_compile=True)(
            inputs
        )

    return compiled


@pytest.fixture
def draw(drop):
    def draw(rate, shape=(SIZE,), seed=0):
        dropped = drop(keras.ops.ones(shape), rate, keras.random.SeedGenerator(seed))
        return keras.ops.convert_to_numpy(dropped).astype("float64")

    return draw


@pytest.mark.parametrize("rate", [0.001, 0.1, 0.5, 0.9])
def test_rate_and_expectation(rate, draw):
    values = draw(rate)
    deviation = np.sqrt(rate * (1 - rate) / SIZE)
    assert abs((values == 0).mean() - rate) < 5 * deviation
    np.testing.assert_allclose(values[values > 0], 1 / (1 - rate), rtol=1e-4)
    assert abs(values.mean() - 1) < 5 * deviation / (1 - rate)


def test_entries_are_independent(draw):
    """Neighbours as well: where 16 bits decide, two of them share a random word."""
    kept = draw(0.5, (2_000, 200)) > 0
    for other in (kept[:, 1:] ^ kept[:, :-1], kept[1:] ^ kept[:-1], kept[:, 100:] ^ kept[:, :100]):
        assert abs(other.mean() - 0.5) < 5 * 0.5 / np.sqrt(other.size)


def test_seeds(draw, drop):
    """The same seed drops the same, another and the next one of a generator do not."""
    np.testing.assert_array_equal(draw(0.5, seed=1), draw(0.5, seed=1))
    for other in (2, 2**31 + 1, 2**32 - 1):
        assert (draw(0.5, seed=1) != draw(0.5, seed=other)).mean() > 0.4
    generator, ones = keras.random.SeedGenerator(1), keras.ops.ones((100,))
    first, second = (np.asarray(drop(ones, 0.5, generator)) for _ in range(2))
    assert (first != second).any()


@pytest.mark.parametrize("rate, value", [(0.0, 1.0), (1.0, 0.0), (1e-9, 1.0)])
def test_rates_that_leave_nothing_to_draw(rate, value, draw):
    assert (draw(rate, (3, 5)) == value).all()


@pytest.mark.parametrize("shape", [(), (1,), (3, 5, 7), (0, 4)])
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_shapes_and_dtypes(shape, dtype, drop):
    values = drop(keras.ops.ones(shape, dtype), 0.25, keras.random.SeedGenerator(0))
    assert tuple(values.shape) == shape
    assert keras.backend.standardize_dtype(values.dtype) == dtype


def test_infinite_entries_that_are_dropped_are_zero(drop):
    infinite = keras.ops.full((1_000,), np.inf)
    values = np.asarray(drop(infinite, 0.5, keras.random.SeedGenerator(0)))
    assert set(np.unique(values)) == {0.0, np.inf}


@pytest.mark.skipif(BACKEND != "tensorflow", reason="of TensorFlow alone")
def test_xla_of_tensorflow_compiles_threefry_and_not_philox():
    """For which its compiler for CPUs needs a second where a training step takes one."""
    import tensorflow as tf

    generator = keras.random.SeedGenerator(0)

    def drop(inputs):
        return dropout(inputs, 0.1, generator)

    def algorithms(function):
        graph = function.get_concrete_function(tf.ones((8, 16))).graph
        operations = [each for each in graph.get_operations() if "Stateless" in each.type]
        assert operations
        return {each.type for each in operations}

    plain, compiled = (algorithms(tf.function(drop, jit_compile=jit)) for jit in (False, True))
    assert "StatelessRandomUniformV2" in plain
    assert "StatelessRandomUniformFullIntV2" in compiled
    assert "StatelessRandomUniformV2" not in compiled


@pytest.mark.skipif(BACKEND != "jax", reason="of JAX alone")
def test_a_distributed_model_has_the_dropout_of_keras(draw):
    """Keras's is computed for the shard of a device alone; ours would be for all of it."""
    with keras.distribution.DataParallel(auto_shard_dataset=False).scope():
        here = draw(0.3, seed=4)
    ones, generator = keras.ops.ones((SIZE,)), keras.random.SeedGenerator(4)
    expected = keras.ops.convert_to_numpy(keras.random.dropout(ones, 0.3, seed=generator))
    np.testing.assert_allclose(here, expected, rtol=1e-6)
    assert (draw(0.3, seed=4) != expected).any()


@pytest.mark.skipif(BACKEND != "jax", reason="of JAX alone")
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
