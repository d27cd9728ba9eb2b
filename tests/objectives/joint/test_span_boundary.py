"""The tokens beside each span: the literal example, the rule written out, edges."""

import numpy as np
import pytest

from keras_plm.objectives import Hidden
from keras_plm.objectives.joint.span_boundary import SpanBoundary, span_boundaries


def test_literal_example():
    """The example of the module's docstring."""
    functional = np.array([[1, 0, 0, 0, 0, 0, 1]], bool)
    positions, weights = np.array([[2, 3, 5]], "int32"), np.ones((1, 3), "float32")
    left, right, offsets, counts = span_boundaries(positions, weights, functional, 20)
    assert left.tolist() == [[1, 1, 0]] and right.tolist() == [[4, 4, 0]]
    assert offsets.tolist() == [[0, 1, 0]] and counts.tolist() == [[1, 1, 0]]
    assert left.dtype == right.dtype == offsets.dtype == np.int32 and counts.dtype == np.float32


@pytest.mark.parametrize(
    "positions, triples",
    [
        ([0, 1, 3], [None, None, (2, 4, 0)]),  # the row's first token has nothing before it
        ([6, 7], [None, None]),  # nor the last one anything behind it
        ([2, 3, 4, 5], [None] * 4),  # longer than 3
        ([1, 2, 3], [(0, 4, 0), (0, 4, 1), (0, 4, 2)]),
        ([1, 3], [(0, 2, 0), (2, 4, 0)]),  # two spans share a boundary
    ],
)
def test_edges_and_long_spans(positions, triples):
    slots = np.zeros((1, 8), "int32")
    weights = np.zeros((1, 8), "float32")
    slots[0, : len(positions)], weights[0, : len(positions)] = positions, 1
    *pairs, counts = span_boundaries(slots, weights, np.zeros((1, 8), bool), 3)
    made = [tuple(int(array[0, i]) for array in pairs) for i in range(len(positions))]
    assert [one if count else None for one, count in zip(made, counts[0])] == triples
    assert not counts[0, len(positions) :].any()
    assert all((array[counts == 0] == 0).all() for array in pairs)


def test_the_rule_over_random_rows():
    rng = np.random.default_rng(0)
    counted = 0
    for longest in (1, 4, 20):
        functional = rng.random((300, 30)) < 0.1
        targets = (rng.random((300, 30)) < 0.5) & ~functional
        positions, weights = np.zeros((300, 30), "int32"), np.zeros((300, 30), "float32")
        for row in range(300):
            found = np.flatnonzero(targets[row])
            positions[row, : len(found)], weights[row, : len(found)] = found, 1
        left, right, offsets, counts = span_boundaries(positions, weights, functional, longest)
        for row, slot in np.argwhere(weights > 0):
            t = s = e = positions[row, slot]
            while s > 0 and targets[row, s - 1]:
                s -= 1
            while e < 29 and targets[row, e + 1]:
                e += 1
            good = s > 0 and e < 29 and e - s + 1 <= longest
            good = good and not functional[row, s - 1] and not functional[row, e + 1]
            expected = (s - 1, e + 1, t - s, 1) if good else (0, 0, 0, 0)
            values = (left, right, offsets, counts)
            assert tuple(array[row, slot] for array in values) == expected
            counted += good
        assert not counts[weights == 0].any()
    assert counted > 1_000


def test_the_plug_in():
    """Its features are those of the literal example, its targets are what was hidden."""
    functional = np.array([[1, 0, 0, 0, 0, 0, 1]], bool)
    positions, tokens = np.array([[2, 3, 5]], "int32"), np.array([[20, 21, 22]], "int32")
    hidden = Hidden(positions, tokens, np.ones((1, 3), "float32"), positions, functional)
    x, y, weight = SpanBoundary(20)({"functional": functional}, None, hidden)
    assert {name: array.tolist() for name, array in x.items()} == {
        "left_positions": [[1, 1, 0]],
        "right_positions": [[4, 4, 0]],
        "span_offsets": [[0, 1, 0]],
    }
    assert (y["span_boundary"] == tokens).all() and weight["span_boundary"].tolist() == [[1, 1, 0]]


@pytest.mark.parametrize("longest", [0, -1, True, 2.0, None])
def test_bad_length(longest):
    with pytest.raises(ValueError, match="must be an integer of at least 1. Received: max_len"):
        SpanBoundary(longest)
