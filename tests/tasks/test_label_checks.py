import numpy as np
import pytest

from keras_plm.tasks.label_checks import (
    check_class_ids,
    check_targets,
    check_weights,
    numbers,
)


def test_what_passes():
    for weight in (None, [1.0, 0.0], np.ones((2, 1)), [1, 2]):
        check_weights(weight, 2)
    for labels in ([0, 2], np.array([[1], [0]]), np.array([0, 1], "uint8")):
        check_class_ids(labels, 2, 3)
    assert numbers(np.array([1, 2])) and not numbers(np.array(["a"]))
    assert not numbers(np.array([np.inf])) and not numbers(np.array([None]))


@pytest.mark.parametrize(
    "weight", [[1.0], [-1.0, 0.0], [np.nan, 1.0], ["a", "b"], 1.0, [np.inf, 1]]
)
def test_bad_weights(weight):
    with pytest.raises(ValueError, match="weight of at least 0 per example.*for 2 examples"):
        check_weights(weight, 2, "example")


@pytest.mark.parametrize("labels", [[0], [0, 3], [-1, 0], [0.0, 1.0], ["a", "b"], [[0, 1], [1, 0]]])
def test_bad_labels(labels):
    with pytest.raises(ValueError, match="abel.*Received"):
        check_class_ids(labels, 2, 3)


def test_targets():
    x, y = {"target_positions": np.zeros((2, 3), "int32")}, np.array([[0, 1, 2], [3, 4, 0]])
    weight = np.ones((2, 3), "float32")

    def check(y, weight):
        check_targets(x, {"tokens": y}, {"tokens": weight}, ["tokens"], 5)

    check(y, weight)
    check_targets(x, None, None, ["tokens"], 5)
    for bad_y, bad_weight, message in (
        (y[:1], weight, r"of shape \(2, 3\)"),
        (y * 1.0, weight, "must be integers"),
        (y, weight * 0, "not all 0"),
        (y, weight * np.nan, "must be finite"),
        (y + 1, weight, r"must lie in \[0, 5\)"),
    ):
        with pytest.raises(ValueError, match=message):
            check(bad_y, bad_weight)
    with pytest.raises(ValueError, match=r"keys \['tokens'\]. Received: \['others'\]"):
        check_targets(x, {"others": y}, {"others": weight}, ["tokens"], 5)
