import numpy as np
import pytest

from keras_plm.generation.canvas import (
    BLANK,
    checked_ids,
    lay_out,
    lay_out_batches,
    permutations,
)


def test_the_example_of_the_docstring():
    rows = [[7, 11, 12, BLANK, 13, BLANK, 14], [7, 11, BLANK]]
    canvas = lay_out(rows, [[5, 3], [2]])
    features = canvas.features
    assert canvas.start == 6
    assert features["token_ids"].shape == (2, 32) and features["used"].shape == (2, 8)
    assert features["token_ids"][0, 25:].tolist() == [7, 11, 12, 0, 13, 0, 14]
    assert features["order"][0, 25:].tolist() == [0, 0, 0, 8, 0, 7, 0]
    assert features["padding_mask"].sum(axis=1).tolist() == [7, 3]
    assert features["target_positions"][:, 6:].tolist() == [[30, 28], [0, 31]]
    assert features["used"][:, 6:].tolist() == [[True, True], [False, True]]
    assert not features["used"][:, :6].any()
    assert features["order"][1].tolist() == [0] * 31 + [8]


def test_batches_are_of_one_size():
    rows, targets = [[5, BLANK]] * 2 + [[6, BLANK]], [[1]] * 3
    (first, count), (last, rest) = lay_out_batches(rows, targets, batch_size=2)
    assert (count, rest) == (2, 1)
    assert last.features["token_ids"][:, -2].tolist() == [6, 6]
    ((only, count),) = lay_out_batches(rows, targets, batch_size=8)
    assert count == len(only.features["token_ids"]) == 3
    with pytest.raises(
        ValueError, match="`batch_size` must be an integer of at least 1. Received: batch_size=0"
    ):
        next(lay_out_batches(rows, targets, batch_size=0))


@pytest.mark.parametrize(
    "row, targets, causal",
    [([BLANK], [0], False), ([3, 4], [0, 1], False), ([BLANK, 3], [0], True)],
)
def test_nothing_is_predicted_from_nothing(row, targets, causal):
    with pytest.raises(ValueError, match="must have a known token"):
        lay_out([row], [targets], causal)


def test_named_orders():
    assert permutations("left_to_right", [3, 1]) == [[0, 1, 2], [0]]
    assert permutations("right_to_left", [3, 1]) == [[2, 1, 0], [0]]
    drawn = permutations("random", [20, 20], seed=0)
    assert [sorted(places) for places in drawn] == [list(range(20))] * 2
    assert drawn[0] != drawn[1] and drawn == permutations("random", [20, 20], seed=0)
    assert permutations(np.array([[1, 0], [0, 1]]), [2, 2]) == [[1, 0], [0, 1]]


@pytest.mark.parametrize(
    "order, message",
    [
        ("backwards", "must be one of"),
        (3, "a list with a permutation for each text"),
        ([0, 1], "a list with a permutation for each text"),
        ([[0.0, 1.0]], "a list with a permutation for each text"),
        ([[0, 1], [0]], "Received: 2 permutations for 1 texts"),
        ([[0]], r"as long as its number of tokens to predict, 2. Received: 1 places, \[0\]"),
        ([[0, 0]], r"must name each of 0 to 1 once. Received: \[0, 0\]"),
        ([[1, 2]], r"must name each of 0 to 1 once. Received: \[1, 2\]"),
    ],
)
def test_wrong_orders(order, message):
    with pytest.raises(ValueError, match=message):
        permutations(order, [2])


def test_ids_are_checked():
    assert checked_ids(np.array([[1, 2]]), 5) == [[1, 2]]
    assert checked_ids([[1, BLANK]], 5, blanks=True) == [[1, BLANK]]
    for wrong in ([[1, BLANK]], [[5]]):
        with pytest.raises(ValueError, match=r"must lie in \[0, 5\)"):
            checked_ids(wrong, 5)
    for wrong in ([[0.5]], [3], [["a"]], [[True]]):
        with pytest.raises(TypeError, match="lists of ids"):
            checked_ids(wrong, 5)
