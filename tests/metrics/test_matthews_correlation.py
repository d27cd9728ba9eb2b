import numpy as np
import pytest
from sklearn.metrics import matthews_corrcoef

from keras_plm.metrics import MatthewsCorrelation


def random_batches(num_classes, seed, sizes=(40, 40, 20)):
    random = np.random.default_rng(seed)
    batches = []
    for size in sizes:
        labels = random.integers(0, num_classes, size).astype("int32")
        noise = random.normal(size=(size, num_classes)).astype("float32")
        weights = random.integers(0, 3, size).astype("float32")
        batches.append((labels, noise + np.eye(num_classes, dtype="float32")[labels], weights))
    return batches


@pytest.mark.parametrize("num_classes", [2, 5])
@pytest.mark.parametrize("weighted", [False, True])
def test_equals_scikit_learn(num_classes, weighted, streamed):
    batches = random_batches(num_classes, num_classes)
    labels, scores, weights = (np.concatenate(parts) for parts in zip(*batches))
    expected = matthews_corrcoef(
        labels, scores.argmax(1), sample_weight=weights if weighted else None
    )
    assert 0.1 < expected < 0.9
    batches = batches if weighted else [batch[:2] for batch in batches]
    got = streamed(MatthewsCorrelation(num_classes), batches)
    np.testing.assert_allclose(got, expected, atol=2e-6)
    ids = [(labels[:, None], scores.argmax(1), *rest) for labels, scores, *rest in batches]
    got = streamed(MatthewsCorrelation(num_classes, from_logits=False), ids)
    np.testing.assert_allclose(got, expected, atol=2e-6)


@pytest.mark.parametrize(
    "labels, predictions",
    [
        ([0, 1, 2, 1], [0, 1, 2, 1]),
        ([0, 1, 0, 1], [1, 0, 1, 0]),
        ([0, 1, 2], [1, 1, 1]),
        ([0] * 40 + [1], [0] * 40 + [1]),
        ([0] * 9999 + [1], [0] * 9998 + [1, 0]),
    ],
)
def test_limits(labels, predictions):
    metric = MatthewsCorrelation(3, from_logits=False)
    metric.update_state(np.array(labels), np.array(predictions))
    expected = matthews_corrcoef(labels, predictions)
    np.testing.assert_allclose(float(metric.result()), expected, atol=1e-6)


def test_nothing_and_reset():
    metric = MatthewsCorrelation(2, from_logits=False)
    assert float(metric.result()) == 0.0
    metric.update_state([1] * 31, [1] * 31)
    assert float(metric.result()) == 0.0
    metric.reset_state()
    metric.update_state([0, 1], [1, 0])
    assert float(metric.result()) == pytest.approx(-1)
    metric.reset_state()
    metric.update_state([0, 1], [0, 1])
    assert float(metric.result()) == pytest.approx(1)


@pytest.mark.parametrize("num_classes", [1, 2.0, None])
def test_bad_number_of_classes(num_classes):
    with pytest.raises(ValueError, match="num_classes.*Received"):
        MatthewsCorrelation(num_classes)
