import numpy as np
import pytest
from keras import ops

from keras_plm.metrics.class_ids import predicted_class_ids


def shapes(*arguments):
    return [tuple(one.shape) for one in predicted_class_ids(*arguments)]


def test_scores_and_class_numbers():
    scores = np.array([[0.1, 0.9, 0.3], [2.0, -1.0, 1.0]])
    for labels in (np.array([1, 2]), np.array([[1], [2]])):
        true, predicted = predicted_class_ids(labels, scores, 3, True)
        assert ops.convert_to_numpy(true).tolist() == [1, 2]
        assert ops.convert_to_numpy(predicted).tolist() == [1, 0]
    assert shapes(np.zeros((2, 5)), np.zeros((2, 5, 3)), 3, True) == [(2, 5)] * 2
    assert shapes(np.zeros((2, 3)), np.zeros((2, 3)), 3, False) == [(2, 3)] * 2


@pytest.mark.parametrize(
    "labels, predictions, from_logits, message",
    [
        ((4,), (4, 2), True, "last axis of 3 scores.*from_logits=False.*(4, 2)"),
        ((4,), (4,), True, "last axis of 3 scores"),
        ((4,), (5, 3), True, r"one prediction per label.*\(4,\).*\(5, 3\)"),
        ((4, 3), (4, 3), True, "one prediction per label"),
        ((4,), (4, 3), False, "one prediction per label"),
        ((4,), (1,), False, "one prediction per label"),
    ],
)
def test_shapes_that_do_not_fit(labels, predictions, from_logits, message):
    with pytest.raises(ValueError, match=message):
        predicted_class_ids(np.zeros(labels), np.zeros(predictions), 3, from_logits)
