import numpy as np
import pytest

from keras_plm.tasks.training.label_checks import check_positions

MASK = np.array([[False, True, True, False, True]] * 3)
NAMES = {"start", "end", "impossible"}
GOOD = {
    "start": np.array([1, 4, 1]),
    "end": np.array([2, 4, 1], "int32"),
    "impossible": np.array([0.0, 1.0, 0.0]),
}


def test_good_positions():
    check_positions(GOOD, NAMES, MASK)
    check_positions({name: GOOD[name] for name in ("start", "end")}, {"start", "end"}, MASK)
    check_positions({name: list(value) for name, value in GOOD.items()}, NAMES, MASK)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"start": np.array([1, 3, 1])}, "No answer may be at the label 'start' of row 1, 3"),
        ({"end": np.array([5, 4, 1])}, r"Labels 'end' must be integers in \[0, 5\).*5"),
        ({"end": np.array([-1, 4, 1])}, r"Labels 'end' must be integers in \[0, 5\).*-1"),
        ({"start": np.array([1.0, 4.0, 1.0])}, "Labels 'start' must be integers.*float64"),
        ({"end": np.array([2, 4])}, r"Labels 'end' must have the shape \(3,\). Received: \(2,\)"),
        ({"end": np.array([2, 1, 1])}, "row 1 ends before it starts. Received: start 4, end 1"),
        ({"impossible": np.array([0, 1, 0.5])}, "'impossible' must be 0 or 1. Received: .*0.5"),
        ({"other": np.array([0, 1, 0])}, "must be a dict of .'end', 'impossible', 'start'"),
    ],
)
def test_bad_positions(changes, message):
    with pytest.raises(ValueError, match=message):
        check_positions({**GOOD, **changes}, NAMES, MASK)


@pytest.mark.parametrize("y", [np.zeros(3), {"start": np.zeros(3, int)}, None])
def test_no_dict_of_labels(y):
    with pytest.raises(ValueError, match="labels of features must be a dict of.*Received"):
        check_positions(y, NAMES, MASK)
