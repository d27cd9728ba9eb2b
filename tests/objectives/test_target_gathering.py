"""Masks of targets become P slots per row."""

import numpy as np

from keras_plm.objectives.objective import gather_targets


def test_literal_example():
    token_ids = np.array([[5, 6, 7, 8], [9, 10, 11, 12]], "int32")
    targets = np.array([[0, 1, 0, 1], [1, 0, 0, 0]], bool)
    positions, tokens, weights = gather_targets(token_ids, targets, 3)
    assert positions.tolist() == [[1, 3, 0], [0, 0, 0]]
    assert tokens.tolist() == [[6, 8, 0], [9, 0, 0]]
    assert weights.tolist() == [[1, 1, 0], [1, 0, 0]]
    assert positions.dtype == tokens.dtype == np.int32 and weights.dtype == np.float32
