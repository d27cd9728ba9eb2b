"""Arrangements: the literal examples, 20,000 draws, what never moves, bad input."""

from collections import Counter
from itertools import permutations

import numpy as np
import pytest

from keras_plm.objectives import LocalShuffle, SentencePermutation
from keras_plm.objectives.noising.arrangement import inner_tokens, rotation

DRAWS, STOP = 20_000, 9
# <s> a b . c . d e </s>
ROW = np.array([[1, 11, 12, STOP, 13, STOP, 14, 15, 2]])
INNER = np.array([[0, 1, 1, 1, 1, 1, 1, 1, 0]], bool)


def arranged(arrange, row=ROW, inner=INNER, uniform=None, draws=1, seed=0):
    rows, inner = np.repeat(row, draws, axis=0), np.repeat(inner, draws, axis=0)
    if uniform is None:
        uniform = np.random.default_rng(seed).random((draws, arrange.draws(row.shape[1])))
    order = arrange(rows, inner, uniform)
    assert (np.sort(order, axis=1) == np.arange(row.shape[1])).all()  # a permutation
    outside = ~inner
    assert (order == np.arange(row.shape[1]))[outside].all()
    return np.take_along_axis(rows, order, axis=1)


def check_frequencies(found, expected, draws=DRAWS):
    """Each outcome as often as its chance says, within 4.5 standard deviations; no other comes."""
    assert set(found) <= set(expected)
    for outcome, chance in expected.items():
        deviation = np.sqrt(chance * (1 - chance) / draws)
        assert abs(found[outcome] / draws - chance) <= 4.5 * deviation, outcome


def test_literal_examples():
    """Those of the module's docstring."""
    a, b, c, d, e = range(11, 16)
    uniform = np.zeros((1, 18))
    uniform[0, 9:12] = 0.5, 0.9, 0.1  # the sentences by these: 2 0 1
    made = arranged(SentencePermutation((STOP,)), uniform=uniform)
    assert made.tolist() == [[1, d, e, a, b, STOP, c, STOP, 2]]
    uniform = np.array([[0, 0.9, 0.1, 0.2, 0.9, 0.1, 0.5, 0.5, 0]])
    made = arranged(LocalShuffle(1), uniform=uniform)
    assert made.tolist() == [[1, b, a, STOP, STOP, c, d, e, 2]]
    order = rotation(INNER, 0.5, np.array([[0.4, 3.5 / 8]]))
    assert ROW[0, order[0]].tolist() == [1, c, STOP, d, e, a, b, STOP, 2]
    assert rotation(INNER, 0.5, np.array([[0.5, 3.5 / 8]])).tolist() == [list(range(9))]


def test_the_sentences_of_bart():
    """The example: "The cat sat . It ran ." in the order 1, 0, or turned by an offset of 5."""
    row = np.array([[1, 10, 11, 12, STOP, 13, 14, STOP, 2]])
    uniform = np.zeros((1, 18))
    uniform[0, 9:11] = 0.9, 0.1
    made = arranged(SentencePermutation((STOP,)), row, uniform=uniform)
    assert made.tolist() == [[1, 13, 14, STOP, 10, 11, 12, STOP, 2]]
    order = rotation(INNER, 1.0, np.array([[0.0, 4.5 / 8]]))
    assert row[0, order[0]].tolist() == [1, 13, 14, STOP, 10, 11, 12, STOP, 2]


def test_what_ends_a_sentence():
    """A stop behind a stop is no end; what stands behind the last end stays there."""
    row = np.array([[10, STOP, STOP, 11, STOP, STOP]])
    inner = np.ones((1, 6), bool)
    orders = {tuple(one) for one in arranged(SentencePermutation((STOP,)), row, inner, None, 50)}
    # "10 .", ". 11 .", and the last stop, which is no end
    assert orders == {(10, STOP, STOP, 11, STOP, STOP), (STOP, 11, STOP, 10, STOP, STOP)}


@pytest.mark.parametrize("share", [1.0, 0.5, 0.01, 0.0])
def test_which_sentences_are_permuted(share):
    """Of 4 sentences 4, 2, 1 and 0 change places, all ways alike."""
    row = np.array([[10, STOP, 11, STOP, 12, STOP, 13, STOP]])
    made = arranged(SentencePermutation((STOP,), share), row, np.ones((1, 8), bool), None, DRAWS)
    found = Counter(map(tuple, (made[:, ::2] - 10).tolist()))
    everything = list(permutations(range(4)))
    if share == 1:
        expected = dict.fromkeys(everything, 1 / 24)
    elif share == 0.5:  # a pair of 6, in 2 orders
        swaps = [one for one in everything if sum(n != i for i, n in enumerate(one)) == 2]
        expected = {(0, 1, 2, 3): 1 / 2, **dict.fromkeys(swaps, 1 / 12)}
    else:
        expected = {(0, 1, 2, 3): 1.0}
    check_frequencies(found, expected)


@pytest.mark.parametrize("distance", [0, 1, 3])
def test_no_token_moves_more_than_the_distance(distance):
    length = 40
    row, inner = np.arange(length)[None], np.ones((1, length), bool)
    made = arranged(LocalShuffle(distance), row, inner, None, DRAWS)
    moves = made - np.arange(length)
    assert abs(moves).max() == distance
    if distance == 1:  # neighbours i and i + 1 change places if 2 u > 1 + 2 u': 1 / 8
        swapped = np.mean(made[:, 0] == 1)
        assert abs(swapped - 1 / 8) < 4.5 * np.sqrt(1 / 8 * 7 / 8 / DRAWS)
    if distance == 0:
        assert not moves.any()


def test_rotations_are_alike():
    """7 inner tokens have 8 offsets, of which two turn nothing; half of the rows are turned."""
    inner = np.repeat(INNER, DRAWS, axis=0)
    uniform = np.random.default_rng(1).random((DRAWS, 2))
    order = rotation(inner, 0.5, uniform)
    found = Counter(order[:, 1].tolist())
    expected = {1: 0.5 + 0.5 * 2 / 8, **dict.fromkeys(range(2, 8), 0.5 / 8)}
    check_frequencies(found, expected)
    assert (order[:, [0, 8]] == [0, 8]).all()
    assert ((np.diff(order[:, 1:8], axis=1) - 1) % 7 == 0).all()


def test_rows_without_text():
    nothing = np.zeros((1, 9), bool)
    for arrange in (SentencePermutation((STOP,)), LocalShuffle(3)):
        assert arranged(arrange, ROW, nothing).tolist() == ROW.tolist()
    assert rotation(nothing, 1.0, np.full((1, 2), 0.5)).tolist() == [list(range(9))]


def test_what_may_move():
    """From the first to the last token of text: separators between them move, padding never."""
    real = np.array([[0, 1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 0, 0], [1, 1, 0, 0, 0, 0, 0]], bool)
    functional = np.array(
        [[1, 1, 0, 1, 0, 0, 1], [1, 1, 0, 0, 1, 1, 1], [1, 1, 1, 1, 1, 1, 1]], bool
    )
    expected = [[0, 0, 1, 1, 1, 1, 0], [0, 0, 1, 1, 0, 0, 0], [0] * 7]
    assert inner_tokens(real, functional).tolist() == expected


def test_rows_do_not_depend_on_their_mates():
    rng = np.random.default_rng(2)
    rows = rng.integers(5, 12, (50, 30))
    inner = np.arange(30) < rng.integers(1, 30, (50, 1))
    for arrange in (SentencePermutation((9, 10), 0.7), LocalShuffle(2)):
        uniform = rng.random((50, arrange.draws(30)))
        whole = arrange(rows, inner, uniform)
        np.testing.assert_array_equal(whole[20:], arrange(rows[20:], inner[20:], uniform[20:]))


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: SentencePermutation(()), "the id of a full stop"),
        (lambda: SentencePermutation((-1,)), "`end_token_ids` must be a tuple of integers"),
        (lambda: SentencePermutation((3,), 1.5), "`share` must be a number from 0 to 1"),
        (lambda: LocalShuffle(-1), "`distance` must be an integer of at least 0"),
    ],
)
def test_bad_settings(make, message):
    with pytest.raises(ValueError, match=message) as error:
        make()
    assert "Received: " in str(error.value)
