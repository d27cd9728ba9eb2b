"""Learning rates against the figures of their papers."""

import keras
import numpy as np
import pytest

from keras_plm.transfer import (
    InverseSquareRootDecay,
    SlantedTriangular,
    WarmupCosineDecay,
    noam,
)


@pytest.mark.parametrize(
    ("step", "rate"),
    [(0, 0.0003125), (50, 0.00515625), (100, 0.01), (550, 0.00515625), (999, 0.000323264)],
)
def test_slanted_triangular_of_a_thousand_steps(step, rate):
    np.testing.assert_allclose(float(SlantedTriangular(0.01, 1000)(step)), rate, rtol=1e-5)


def test_slanted_triangular_is_the_papers_where_its_cut_is_an_integer():
    total, fraction, ratio = 40, 0.25, 8
    cut = total * fraction
    for t in range(total):
        p = t / cut if t < cut else 1 - (t - cut) / (cut * (1 / fraction - 1))
        expected = 0.3 * (1 + p * (ratio - 1)) / ratio
        found = float(SlantedTriangular(0.3, total, fraction, ratio)(t))
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_slanted_triangular_is_never_negative():
    for total in (*range(1, 31), 99, 100, 101, 300):
        rates = np.array(SlantedTriangular(0.01, total)(np.arange(total + 5)))
        assert (rates > 0).all() and rates.max() <= 0.01 * (1 + 1e-6)
        assert np.argmax(rates) == max(1, total // 10)  # the peak


@pytest.mark.parametrize(
    ("step", "rate"), [(0, 1.7469e-7), (1999, 3.4939e-4), (3999, 6.9877e-4), (15999, 3.4939e-4)]
)
def test_noam_of_the_base_model(step, rate):
    np.testing.assert_allclose(float(noam(512)(step)), rate, rtol=1e-4)


def test_inverse_square_root_reaches_its_peak():
    rates = np.array(InverseSquareRootDecay(5e-4, 10)(np.arange(200)))
    assert np.argmax(rates) == 9 and np.isfinite(rates).all()
    np.testing.assert_allclose(rates[[9, 39, 159]], [5e-4, 2.5e-4, 1.25e-4], rtol=1e-5)


def test_cosine_with_warm_up():
    """Behind the warm-up it is Keras's own."""
    ours = WarmupCosineDecay(1e-3, 10, 110, 1e-4)
    keras_own = keras.optimizers.schedules.CosineDecay(1e-3, 100, alpha=0.1)
    np.testing.assert_allclose([float(ours(n)) for n in (0, 5, 10)], [0, 5e-4, 1e-3], atol=1e-9)
    for step in (10, 35, 60, 110, 500):
        np.testing.assert_allclose(float(ours(step)), float(keras_own(step - 10)), rtol=1e-5)


@pytest.mark.parametrize(
    "schedule",
    [
        SlantedTriangular(0.01, 17),
        InverseSquareRootDecay(0.01, 17),
        WarmupCosineDecay(0.01, 3, 17, 0.001),
    ],
    ids=lambda one: type(one).__name__,
)
def test_schedules_are_saved(schedule):
    config = keras.optimizers.schedules.serialize(schedule)
    other = keras.optimizers.schedules.deserialize(config)
    assert float(other(5)) == float(schedule(5))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SlantedTriangular(0, 10), "`learning_rate`"),
        (lambda: SlantedTriangular(0.1, 0), "`total_steps`"),
        (lambda: SlantedTriangular(0.1, 10, 0.0), "`cut_fraction`"),
        (lambda: SlantedTriangular(0.1, 10, 0.1, 0.5), "`ratio`"),
        (lambda: InverseSquareRootDecay(0.1, 0), "`warmup_steps`"),
        (lambda: noam(0), "`hidden_dim`"),
        (lambda: WarmupCosineDecay(0.1, 10, 10), "`total_steps`"),
        (lambda: WarmupCosineDecay(0.1, 10, 20, 0.2), "`end_learning_rate`"),
    ],
)
def test_bad_schedules(make, message):
    with pytest.raises(ValueError, match=message):
        make()
