"""What does not fit an objective is named."""

import numpy as np
import pytest

from keras_plm.checks import check_arrays, check_vocabulary

SHAPES = {"token_ids": (4,), "sentence_pair": ()}


def test_what_fits():
    check_arrays("X", {"token_ids": np.zeros((2, 4)), "sentence_pair": np.zeros(2)}, SHAPES)
    check_vocabulary("token_ids", np.array([[0, 9]]), 10)


@pytest.mark.parametrize(
    "batch, message",
    [
        ({}, r"X needs token_ids of the shape \('B', 4\). Received: no such array"),
        ({"token_ids": np.zeros((2, 4))}, r"sentence_pair of the shape \(2,\). Received: no such"),
        ({"token_ids": np.zeros((2, 5))}, r"token_ids of the shape \(2, 4\). Received: \(2, 5\)"),
        ({"token_ids": np.zeros(4)}, r"token_ids of the shape \(4, 4\). Received: \(4,\)"),
        (
            {"token_ids": np.zeros((2, 4)), "sentence_pair": np.zeros(3)},
            r"sentence_pair of the shape \(2,\). Received: \(3,\)",
        ),
    ],
)
def test_what_does_not(batch, message):
    with pytest.raises(ValueError, match=message):
        check_arrays("X", batch, SHAPES)


@pytest.mark.parametrize("ids", [[[0, 10]], [[-1, 3]]])
def test_ids_outside_the_vocabulary(ids):
    with pytest.raises(ValueError, match=r"ids must lie in the vocabulary, \[0, 10\). Received"):
        check_vocabulary("ids", np.array(ids), 10)
