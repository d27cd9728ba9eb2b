import numpy as np
import pytest
from keras import ops
from scipy import stats

from keras_plm.metrics import SpearmanCorrelation
from keras_plm.metrics.spearman_correlation import average_ranks


def random_batches(seed=0, levels=None, sizes=(40, 40, 20)):
    random = np.random.default_rng(seed)
    for size in sizes:
        numbers = random.normal(size=size)
        predictions = numbers + random.normal(size=size)
        if levels:
            numbers, predictions = (np.round(one * levels) for one in (numbers, predictions))
        weights = random.random(size) < 0.7
        yield tuple(one.astype("float32") for one in (numbers, predictions[:, None], weights))


def joined(batches):
    return (np.concatenate([one.ravel() for one in part]) for part in zip(*batches))


@pytest.mark.parametrize("levels, weighted", [(None, False), (1, True), (3, True)])
def test_equals_scipy(levels, weighted, streamed):
    batches = list(random_batches(1, levels))
    true, predicted, weight = joined(batches)
    keep = weight > 0 if weighted else slice(None)
    expected = stats.spearmanr(true[keep], predicted[keep])[0]
    got = streamed(SpearmanCorrelation(128), [b if weighted else b[:2] for b in batches])
    np.testing.assert_allclose(got, expected, atol=1e-6)


@pytest.mark.parametrize("capacity", [5, 64])
def test_the_latest_count(capacity, streamed):
    batches = list(random_batches(2, 2))
    true, predicted, weight = joined(batches)
    true, predicted = (one[weight > 0][-capacity:] for one in (true, predicted))
    got = streamed(SpearmanCorrelation(capacity), batches)
    np.testing.assert_allclose(got, stats.spearmanr(true, predicted)[0], atol=1e-6)


def test_ranks_equal_scipy(jitted):
    random = np.random.default_rng(0)
    numbers = random.integers(0, 9, 50).astype("float32")
    count = (random.random(50) < 0.8).astype("float32")
    ranks = ops.convert_to_numpy(jitted(average_ranks)(numbers, count))
    keep = count > 0
    np.testing.assert_array_equal(ranks[keep], stats.rankdata(numbers[keep]))


def test_nothing_constant_and_reset():
    metric = SpearmanCorrelation(8)
    assert float(metric.result()) == 0.0
    metric.update_state([1.0, 2.0, 3.0], [2.0, 2.0, 2.0])
    assert float(metric.result()) == 0.0
    metric.reset_state()
    metric.update_state([1.0, 2.0, 9.0], [4.0, 3.0, -1.0])
    assert float(metric.result()) == pytest.approx(-1)


def test_many_numbers():
    random = np.random.default_rng(0)
    true = random.normal(size=5000).astype("float32")
    predicted = (true + random.normal(size=5000)).astype("float32")
    metric = SpearmanCorrelation()
    metric.update_state(true, predicted)
    expected = stats.spearmanr(true, predicted)[0]
    np.testing.assert_allclose(float(metric.result()), expected, atol=2e-6)


@pytest.mark.parametrize("capacity", [1, 8.0, None, 2**24])
def test_bad_capacity(capacity):
    with pytest.raises(ValueError, match="capacity.*Received"):
        SpearmanCorrelation(capacity)


@pytest.mark.parametrize("shapes", [((4,), (5,)), ((4,), (4, 4)), ((4, 2), (4, 2))])
def test_never_broadcasts(shapes):
    with pytest.raises(ValueError, match="Received"):
        SpearmanCorrelation(8).update_state(*(np.ones(shape, "float32") for shape in shapes))
