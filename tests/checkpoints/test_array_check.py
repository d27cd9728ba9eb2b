import re

import pytest

from keras_plm.checkpoints.conversion import check_arrays


def test_equal_arrays_are_fine():
    check_arrays("file", {"a": (2, 3), "b": ()}, {"a": (2, 3), "b": ()})
    check_arrays("file", {"a": [2]}, {"a": (2,)}, optional=["b"], known=["c"])
    check_arrays("file", {"a": (2,), "b": (1,)}, {"a": (2,), "c": (9,)}, ["b"], ["c"])


def test_all_problems_are_in_one_message():
    expected = {"a": (2, 3), "b": (4,), "c": (5,)}
    message = (
        "the/file does not hold the weights of this model: 1 missing: b; 2 unexpected: d, e; "
        "1 of another shape: a (expected (2, 3), received (2, 4)). Use the configuration that the "
        "weights were saved with."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        check_arrays("the/file", expected, {"a": (2, 4), "c": (5,), "d": (1,), "e": ()})


def test_long_lists_are_cut():
    with pytest.raises(ValueError, match=r"30 unexpected: n0, .*n26, \.\.\.\. Use"):
        check_arrays("file", {}, {f"n{number}": (1,) for number in range(30)})
