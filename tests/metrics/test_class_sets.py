"""Strict accuracy and loose F1 against scikit-learn, and against their definitions by sets."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from keras_plm.metrics import LooseF1, StrictAccuracy


def random_batches(seed, sizes=(40, 40, 20), classes=3):
    """Labels, logits and weights; some examples have no class, or none that is predicted."""
    random = np.random.default_rng(seed)
    found = []
    for size in sizes:
        labels = (random.random((size, classes)) < 0.4).astype("int32")
        logits = (2 * labels - 1 + 1.5 * random.normal(size=(size, classes))).astype("float32")
        found.append((labels, logits, random.integers(0, 3, size).astype("float32")))
    return found


def whole(batches):
    labels, logits, weights = (np.concatenate(parts) for parts in zip(*batches))
    assert (labels.sum(axis=1) == 0).any() and ((logits > 0).sum(axis=1) == 0).any()
    return labels, (logits > 0).astype("int32"), weights


@pytest.mark.parametrize("weighted", [False, True])
def test_equals_scikit_learn(weighted, streamed):
    batches = random_batches(0)
    labels, predicted, weights = whole(batches)
    given = batches if weighted else [batch[:2] for batch in batches]
    options = dict(sample_weight=weights) if weighted else {}
    expected = accuracy_score(labels, predicted, **options)
    assert 0.1 < expected < 0.9
    np.testing.assert_allclose(streamed(StrictAccuracy(), given), expected, atol=2e-6)
    expected = f1_score(labels, predicted, average="micro", **options)
    np.testing.assert_allclose(streamed(LooseF1("micro"), given), expected, atol=2e-6)


def test_macro_is_the_mean_of_the_examples(streamed):
    """Sets, as Ling and Weld write them."""
    batches = random_batches(1)
    labels, predicted, _ = whole(batches)
    precision = recall = 0.0
    for true, own in zip(labels, predicted):
        true, own = set(np.flatnonzero(true)), set(np.flatnonzero(own))
        precision += len(true & own) / len(own) / len(labels) if own else 0
        recall += len(true & own) / len(true) / len(labels) if true else 0
    expected = 2 * precision * recall / (precision + recall)
    found = streamed(LooseF1(), [batch[:2] for batch in batches])
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_a_threshold_and_nothing():
    for metric in (StrictAccuracy(0.5), LooseF1("macro", 0.5), LooseF1("micro", 0.5)):
        assert float(metric.result()) == 0.0
        metric.update_state([[1, 0]], [[0.4, 0.1]])
        assert float(metric.result()) == 0.0
        metric.reset_state()
        metric.update_state(np.array([[True, False], [False, True]]), [[0.6, 0.1], [0.2, 0.9]])
        assert float(metric.result()) == 1.0


def test_bad_arguments():
    with pytest.raises(ValueError, match="average.*'mean'"):
        LooseF1("mean")
    for metric in (StrictAccuracy(), LooseF1()):
        for labels, scores in (([1, 0], [[0.1, 0.2]]), ([[1, 0]], [[0.1, 0.2, 0.3]])):
            with pytest.raises(ValueError, match=r"shape \(B, C\).*Received: y_true"):
                metric.update_state(labels, scores)
