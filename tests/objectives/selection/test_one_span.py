"""OneSpan: the literal example, where spans lie over 20,000 draws, blocks, any rows, bad input."""

from math import floor

import numpy as np
import pytest

from keras_plm.objectives import OneSpan

DRAWS = 20_000


def rows_of(lengths, length, padded_left=False):
    """Rows of so many tokens, the first and the last special."""
    lengths = np.asarray(lengths)[:, None]
    place = np.arange(length)
    real = place >= length - lengths if padded_left else place < lengths
    number = np.cumsum(real, axis=1)
    return {"padding_mask": real, "functional": ~real | (number == 1) | (number == lengths)}


def sample(select, batch, seed=0, most=None):
    shape = batch["functional"].shape
    uniform = np.random.default_rng(seed).random((shape[0], select.draws(shape[1])))
    return select(batch, uniform, select.predictions(shape[1]) if most is None else most)


def close(share, chance, draws=DRAWS):
    """Within 4.5 standard deviations."""
    return abs(share - chance) < 4.5 * np.sqrt(chance * (1 - chance) / draws) + 1e-12


def test_literal_example():
    """The examples of the module's docstring."""
    batch = rows_of([8], 8)
    # u below .2: at the start, from .8 on: at the end; else 1 + 5 places alike
    for where, share, begin in ((0.5, 0.5, 3), (0.19, 0.9, 1), (0.8, 0.0, 4), (0.79, 0.0, 1)):
        units = OneSpan(0.5)(batch, np.array([[where, share]]), 8)
        assert np.flatnonzero(units[0]).tolist() == list(range(begin, begin + 4))
        assert units.max() == 1
    blocks = OneSpan(0.5, 0.0, 0.0, block_length=3)
    uniform = np.array([[0.5, 0.4, 0.5, 0.0, 0.5, 0.9]])
    assert blocks.draws(8) == 6 and blocks.predictions(8) == 2
    assert blocks(batch, uniform, 8).tolist() == [[0, 0, 1, 0, 2, 0, 0, 0]]


def test_where_spans_lie():
    """A fifth begins behind the first token, a fifth ends with the last, the rest anywhere."""
    n, m = 12, 6
    units = sample(OneSpan(0.5), rows_of([n] * DRAWS, 15))
    assert not units[:, 0].any() and not units[:, n:].any()
    assert ((units > 0).sum(axis=1) == m).all()
    begin = np.argmax(units > 0, axis=1)
    assert (np.diff((units > 0).astype(int), axis=1) == 1).sum() == DRAWS  # one run in each row
    places = n - m  # 1 to n - m
    for place in range(1, n - m + 1):
        chance = 0.6 / places + 0.2 * (place in (1, n - m))
        assert close(np.mean(begin == place), chance), place
    assert begin.min() == 1 and begin.max() == n - m


@pytest.mark.parametrize("share", [1e-9, 0.2, 0.5, 0.77, 1.0])
@pytest.mark.parametrize("padded_left", [False, True])
def test_how_many_are_taken(share, padded_left):
    lengths = np.random.default_rng(1).integers(1, 21, 3_000)
    batch = rows_of(lengths, 20, padded_left)
    units = sample(OneSpan(share), batch)
    expected = [min(n - 1, max(1, round(share * n))) for n in lengths.tolist()]
    assert (units > 0).sum(axis=1).tolist() == expected
    assert not units[~batch["padding_mask"]].any()
    first = np.argmax(batch["padding_mask"], axis=1)
    assert not units[np.arange(3_000), first].any() and units.max() == 1
    assert OneSpan(share).predictions(20) == max(expected[i] for i in np.flatnonzero(lengths == 20))


def test_blocks():
    """One run in each block of 7, anywhere, of the whole part of half of it; the last is short."""
    lengths = np.random.default_rng(2).integers(1, 31, DRAWS)
    batch = rows_of(lengths, 30)
    select = OneSpan(0.5, 0.0, 0.0, block_length=7)
    units = sample(select, batch)
    for start in range(1, 30, 7):
        part = units[:, start : start + 7]
        size = np.clip(lengths - start, 0, 7)
        np.testing.assert_array_equal((part > 0).sum(axis=1), size // 2)
        inside = part > 0
        assert ((inside[:, 1:] & ~inside[:, :-1]).sum(axis=1) + inside[:, 0] == (size > 1)).all()
        begin = np.argmax(inside[size == 7], axis=1)
        for place in range(5 if len(begin) else 0):  # 0 to 7 - 3
            assert close(np.mean(begin == place), 1 / 5, len(begin))
    # units are numbered from left to right, one for each run even where two of them touch
    runs = np.clip(lengths[:, None] - np.arange(1, 30, 7), 0, 7) > 1
    np.testing.assert_array_equal(units.max(axis=1), runs.sum(axis=1))
    assert select.predictions(30) == 4 * 3


def test_released_length_of_a_block():
    """Blocks of 64 with a share of .15 lose int(9.6) = 9 tokens; of .5, 32."""
    for share, expected in ((0.15, 9), (0.5, 32)):
        units = sample(OneSpan(share, 0.0, 0.0, 64), rows_of([129], 129))
        counts = [(units[0, start : start + 64] > 0).sum() for start in (1, 65)]
        assert counts == [expected] * 2 == [floor(share * 64)] * 2


def test_rows_do_not_depend_on_their_mates_and_never_pass_the_most():
    batch = rows_of(np.random.default_rng(3).integers(1, 21, 600), 20)
    for select in (OneSpan(), OneSpan(0.5, 0, 0, 6)):
        uniform = np.random.default_rng(4).random((600, select.draws(20)))
        whole = select(batch, uniform, 20)
        part = select({k: v[250:] for k, v in batch.items()}, uniform[250:], 20)
        np.testing.assert_array_equal(whole[250:], part)
        for most in (0, 1, 4):
            assert (select(batch, uniform, most) > 0).sum(axis=1).max() == most


@pytest.mark.parametrize(
    "settings, message",
    [
        (dict(share=0), "`share` must be a number above 0, at most 1"),
        (dict(share=1.01), "`share` must be a number above 0, at most 1"),
        (dict(share=float("nan")), "`share` must be"),
        (dict(at_start=-0.1), "`at_start` must be a number from 0 to 1"),
        (dict(at_start=0.6, at_end=0.5), "together at most 1"),
        (dict(block_length=0), "`block_length` must be an integer of at least 1, or None"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message) as error:
        OneSpan(**settings)
    assert "Received: " in str(error.value)
