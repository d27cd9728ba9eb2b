import numpy as np
import pytest
from scipy import stats

from keras_plm.metrics import PearsonCorrelation


def random_batches(seed=0, shift=0.0, sizes=(40, 40, 20)):
    random = np.random.default_rng(seed)
    for size in sizes:
        numbers = random.normal(shift, 1.0, size=(size, 1)).astype("float32")
        predictions = (numbers + random.normal(size=(size, 1))).astype("float32")
        yield numbers, predictions, (random.random(size) < 0.7).astype("float32")


@pytest.mark.parametrize("shift", [0.0, 1000.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_equals_scipy(shift, weighted, streamed):
    batches = list(random_batches(1, shift))
    true, predicted, weight = (np.concatenate([x.ravel() for x in part]) for part in zip(*batches))
    keep = weight > 0 if weighted else slice(None)
    expected = stats.pearsonr(true[keep].astype("float64"), predicted[keep].astype("float64"))[0]
    assert 0.4 < expected < 0.9
    got = streamed(PearsonCorrelation(), [b if weighted else b[:2] for b in batches])
    np.testing.assert_allclose(got, expected, atol=1e-6 if not shift else 1e-5)


def test_weights_count_as_copies(streamed):
    numbers, predictions, _ = next(random_batches(sizes=(20,)))
    times = np.random.default_rng(0).integers(0, 4, 20)
    copies = np.repeat(numbers, times), np.repeat(predictions, times)
    got = streamed(PearsonCorrelation(), [(numbers, predictions, times.astype("float32"))])
    np.testing.assert_allclose(got, stats.pearsonr(*copies)[0], atol=1e-6)


def test_nothing_constant_and_reset():
    metric = PearsonCorrelation()
    assert float(metric.result()) == 0.0
    metric.update_state([1.0, 2.0, 3.0], [2.0, 2.0, 2.0])
    assert float(metric.result()) == 0.0
    metric.update_state([5.0], [5.0], [0.0])
    assert float(metric.result()) == 0.0
    metric.reset_state()
    metric.update_state([1.0, 2.0], [4.0, 3.0])
    assert float(metric.result()) == pytest.approx(-1)


@pytest.mark.parametrize("shapes", [((4,), (5,)), ((4,), (4, 4)), ((4, 2), (4, 2)), ((), (4,))])
def test_never_broadcasts(shapes):
    with pytest.raises(ValueError, match="Received"):
        PearsonCorrelation().update_state(*(np.ones(shape, "float32") for shape in shapes))
