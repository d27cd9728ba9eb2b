"""Initial weights that numpy draws: their distribution, seeds, types, and copies."""

import math

import keras
import numpy as np
import pytest

from keras_plm.layers.initializer import Normal, TruncatedNormal

SHAPE = (300, 700)
FIRST = [
    1.5219693183898926,
    -1.1441057920455933,
    1.150161623954773,
    -1.7846531867980957,
]  # of the seed 7
DRAWN = [Normal, TruncatedNormal]


def draw(initializer, shape=SHAPE, **kwargs):
    return keras.ops.convert_to_numpy(initializer(shape, **kwargs))


def probability(kind, x):
    """That a number is at most x, in deviations."""
    normal = 0.5 * (1 + math.erf(x / math.sqrt(2)))
    if kind is Normal:
        return normal
    beyond = 0.5 * (1 - math.erf(math.sqrt(2)))  # on each side
    return min(max((normal - beyond) / (1 - 2 * beyond), 0), 1)


@pytest.mark.parametrize("kind", DRAWN)
def test_distribution(kind):
    numbers = draw(kind(mean=0.5, stddev=0.02, seed=3)).astype("float64").reshape(-1)
    for x in np.linspace(-2.5, 2.5, 21):
        expected = probability(kind, x)
        deviation = math.sqrt(max(expected * (1 - expected), 1e-12) / numbers.size)
        assert abs((numbers <= 0.5 + 0.02 * x).mean() - expected) < 5 * deviation


@pytest.mark.parametrize("kind", DRAWN)
def test_it_is_what_keras_draws(kind):
    """The same law: moments as those of Keras's own, whose numbers are others."""
    keras_kind = getattr(keras.initializers, f"Random{kind.__name__}", None)
    keras_kind = keras_kind or keras.initializers.TruncatedNormal
    assert issubclass(kind, keras_kind)
    ours, theirs = (draw(each(stddev=0.1, seed=1)) for each in (kind, keras_kind))
    assert ours.dtype == theirs.dtype
    assert abs(ours.std() / theirs.std() - 1) < 0.01
    assert abs(abs(ours).max() / abs(theirs).max() - 1) < 0.2


def test_a_seed_gives_the_same_on_every_backend():
    np.testing.assert_allclose(
        draw(Normal(seed=1), (3,)), 0.05 * np.random.default_rng(1).standard_normal(3, "float32")
    )
    first = [float(number) for number in draw(TruncatedNormal(stddev=1.0, seed=7), (4,))]
    assert first == pytest.approx(FIRST, rel=1e-6)


@pytest.mark.parametrize("kind", DRAWN)
def test_seeds_and_copies(kind):
    drawn = kind(seed=1)
    np.testing.assert_array_equal(draw(drawn), draw(drawn))
    assert (draw(kind(seed=2)) != draw(drawn)).mean() > 0.9
    keras.utils.set_random_seed(5)
    new = kind()
    assert (draw(new.clone()) != draw(new)).mean() > 0.9  # layers copy what they are given
    keras.utils.set_random_seed(5)
    np.testing.assert_array_equal(draw(kind()), draw(new))
    again = keras.initializers.get(keras.initializers.serialize(drawn))
    assert type(again) is kind
    np.testing.assert_array_equal(draw(again), draw(drawn))


@pytest.mark.parametrize("kind", DRAWN)
@pytest.mark.parametrize("shape", [(), (1,), (0, 3), (2, 3, 4)])
def test_shapes_and_types(kind, shape):
    for dtype in ("float32", "float16", "bfloat16", None):
        numbers = kind()(shape, dtype=dtype)
        assert tuple(numbers.shape) == shape
        assert keras.backend.standardize_dtype(numbers.dtype) == (dtype or "float32")


@pytest.mark.parametrize("kind", DRAWN)
def test_a_seed_generator_moves_on_as_in_keras(kind):
    drawn = kind(seed=keras.random.SeedGenerator(1))
    assert (draw(drawn) != draw(drawn)).mean() > 0.9


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="of JAX alone")
@pytest.mark.parametrize("kind", DRAWN)
def test_a_distributed_model_begins_with_the_same_weights(kind):
    with keras.distribution.DataParallel(auto_shard_dataset=False).scope():
        here = keras.layers.Dense(7, kernel_initializer=kind(seed=1))
        here.build((None, 5))
    np.testing.assert_array_equal(np.asarray(here.kernel.value), draw(kind(seed=1), (5, 7)))
