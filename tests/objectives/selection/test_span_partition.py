"""SpanPartition: the literal example, T5's numbers, all ways alike, bad input."""

from collections import Counter

import numpy as np
import pytest

from keras_plm.objectives import SpanPartition


def plain_rows(num_rows, length, special=0):
    functional = np.zeros((num_rows, length + special), bool)
    functional[:, length:] = True
    return {"padding_mask": np.ones_like(functional), "functional": functional}


def sample(select, batch, seed=0):
    shape = batch["functional"].shape
    uniform = np.random.default_rng(seed).random((shape[0], select.draws(shape[1])))
    return select(batch, uniform, select.predictions(shape[1]))


def runs(row):
    """Lengths of the parts that are kept and hidden by turns."""
    edges = np.flatnonzero(np.diff(row > 0)) + 1
    return tuple(np.diff([0, *edges, len(row)]).tolist())


def test_literal_example():
    """The example of the module's docstring is one of those that come."""
    units = sample(SpanPartition(0.3, 3), plain_rows(5_000, 20))
    assert ((units > 0).sum(axis=1) == 6).all() and (units.max(axis=1) == 2).all()
    found = Counter(map(runs, units))
    assert (5, 2, 9, 4) in found
    # 13 ways to cut what is kept, 5 ways to cut what is hidden, all with the same chance
    assert len(found) == 13 * 5 and all(len(one) == 4 for one in found)
    expected = 5_000 / 65
    chi_square = sum((count - expected) ** 2 / expected for count in found.values())
    assert chi_square < 64 + 4.5 * np.sqrt(2 * 64)


@pytest.mark.parametrize(
    "raw, source, target", [(141, 128, 29), (568, 512, 114), (1137, 1024, 229)]
)
def test_the_lengths_of_t5(raw, source, target):
    """What fills 128, 512 and 1024 tokens with </s>: 15 %, spans of 3."""
    hidden, spans = SpanPartition().sizes(np.array([raw]), raw)
    assert raw - hidden[0] + spans[0] + 1 == source
    assert hidden[0] + spans[0] + 1 == target


def test_rows_of_other_lengths():
    rng = np.random.default_rng(0)
    select = SpanPartition(0.5, 2)
    real = rng.integers(0, 30, 2_000)[:, None]
    padding_mask = np.arange(31) <= real
    functional = ~padding_mask | (np.arange(31) == real) | (rng.random((2_000, 31)) < 0.1)
    batch = {"padding_mask": padding_mask, "functional": functional}
    units = sample(select, batch)
    maskable = padding_mask & ~functional
    counts = maskable.sum(axis=1)
    hidden = np.minimum(np.clip(np.rint(counts * 0.5), 1, None), np.maximum(counts - 1, 0))
    np.testing.assert_array_equal((units > 0).sum(axis=1), hidden)
    assert not units[~maskable].any()
    for row in range(2_000):
        ordinary = units[row][maskable[row]] > 0
        if counts[row] > 1:
            assert not ordinary[0] and ordinary[-1]  # kept first, hidden last
        numbers = units[row]
        begins = (numbers > 0) & (np.append(0, numbers[:-1]) == 0)
        assert (numbers[begins] == np.arange(1, begins.sum() + 1)).all()
    part = select({k: v[900:] for k, v in batch.items()},
        np.random.default_rng(0).random((2_000, 62))[900:], select.predictions(31))  # fmt: skip
    np.testing.assert_array_equal(part, units[900:])


def test_everything_but_one():
    units = sample(SpanPartition(1.0, 3), plain_rows(10, 8, special=1))
    assert ((units > 0).sum(axis=1) == 7).all() and (units.max(axis=1) == 1).all()


@pytest.mark.parametrize("mean", [0, -1, True, "3", float("inf"), float("nan")])
def test_bad_mean(mean):
    with pytest.raises(ValueError, match="`mean_length` must be a number above 0. Received"):
        SpanPartition(mean_length=mean)
    with pytest.raises(ValueError, match="rate"):
        SpanPartition(0)
