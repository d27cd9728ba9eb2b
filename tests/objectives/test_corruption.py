"""Corruption: the literal example, exact statistics, what random tokens can be."""

import numpy as np
import pytest

from keras_plm.objectives import ALL_MASK, Corruption
from keras_plm.objectives.corruption import first_slots, ordinary_ids

SIZE, MASK, SPECIAL = 50, 4, (0, 1, 2, 3, 30)


def corrupted(corruption, num_rows=10_000, num_slots=5, units=None, seed=0, **more):
    rng = np.random.default_rng(seed)
    tokens = rng.integers(5, 30, (num_rows, num_slots)).astype("int32")
    if units is None:
        units = np.tile(np.arange(1, num_slots + 1), (num_rows, 1))
    uniform = rng.random((num_rows, 2 * num_slots))
    return tokens, corruption(tokens, units, uniform, SIZE, MASK, SPECIAL, **more)


def chi_squared(counts, expected):
    return float(((counts - expected) ** 2 / expected).sum())


def test_literal_example():
    """The example of the module's docstring."""
    tokens, units = np.array([[5, 6, 7, 8]], "int32"), np.array([[1, 1, 2, 3]])
    uniform = np.array([[0.85, 0.10, 0.30, 0.95, 0.00, 0.99, 0.50, 0.50]])
    corrupt = Corruption(0.8, 0.1, per="span")
    assert corrupt(tokens, units, uniform, 10, 3, (0, 1, 2)).tolist() == [[4, 9, 3, 8]]
    by_token = Corruption(0.8, 0.1)(tokens, units, uniform, 10, 3, (0, 1, 2))
    assert by_token.tolist() == [[4, 3, 3, 8]] and by_token.dtype == np.int32
    assert ALL_MASK(tokens, units, uniform, 10, 3).tolist() == [[3, 3, 3, 3]]


def test_first_slots():
    units = np.array([[4, 4, 2, 2, 2, 7], [1, 2, 2, 0, 0, 0]])
    assert first_slots(units).tolist() == [[0, 0, 2, 2, 2, 5], [0, 1, 1, 3, 3, 3]]


def test_ordinary_ids_are_all_but_the_special_ones():
    special = {0, 1, 2, 4, 9, 30, 49}
    ids = ordinary_ids(np.arange(SIZE - len(special)), special)
    assert ids.tolist() == sorted(set(range(SIZE)) - special)
    assert ordinary_ids(np.arange(3), ()).tolist() == [0, 1, 2]


@pytest.mark.parametrize("mask, random", [(0.8, 0.1), (0.5, 0.5), (0.0, 1.0), (0.6, 0.3)])
def test_fractions(mask, random):
    tokens, becomes = corrupted(Corruption(mask, random))
    masked, kept = becomes == MASK, becomes == tokens
    # a random token is what the token was in 1 of 44 cases: 50 ids without 6 special ones
    expected = np.array([mask, 1 - mask - random + random / 44, random * 43 / 44])
    counts = np.array([masked.sum(), kept.sum(), (~masked & ~kept).sum()])
    spread = np.sqrt(tokens.size * expected * (1 - expected))
    assert (np.abs(counts - tokens.size * expected) <= 4.5 * spread + 1e-6).all()


def test_random_tokens_are_ordinary_and_uniform():
    _, becomes = corrupted(Corruption(0.0, 1.0))
    counts = np.bincount(becomes.ravel(), minlength=SIZE)
    special = [*SPECIAL, MASK]
    assert not counts[special].any() and len(counts) == SIZE
    ordinary = np.delete(counts, special)
    # 43 degrees of freedom: 4.5 standard deviations above the mean
    assert chi_squared(ordinary, becomes.size / 44) < 43 + 4.5 * np.sqrt(2 * 43)


def test_random_tokens_of_the_whole_vocabulary():
    _, becomes = corrupted(Corruption(0.0, 1.0, random_ids="vocabulary"))
    counts = np.bincount(becomes.ravel(), minlength=SIZE)
    assert len(counts) == SIZE
    assert chi_squared(counts, becomes.size / SIZE) < 49 + 4.5 * np.sqrt(2 * 49)


def test_random_tokens_of_the_corpus():
    sampled = np.full((10_000, 7), 33, "int32")
    tokens, becomes = corrupted(Corruption(0.0, 0.5, random_ids="corpus"), sampled_ids=sampled)
    assert set(np.unique(becomes[becomes != tokens])) == {33}
    assert abs((becomes == 33).mean() - 0.5) < 4.5 * 0.5 / np.sqrt(tokens.size)


@pytest.mark.parametrize("random_ids", ["ordinary", "vocabulary"])
def test_once_per_span(random_ids):
    units = np.tile([1, 1, 1, 2, 2], (10_000, 1))
    tokens, becomes = corrupted(Corruption(per="span", random_ids=random_ids), units=units)
    kinds = np.where(becomes == MASK, 0, np.where(becomes == tokens, 1, 2))
    fates = np.stack([kinds[:, :3].min(axis=1), kinds[:, 3:].min(axis=1)])
    masked = kinds == 0
    if random_ids == "ordinary":  # a mask is never drawn as a random token
        assert (masked[:, :3].all(axis=1) == masked[:, :3].any(axis=1)).all()
        assert (masked[:, 3:].all(axis=1) == masked[:, 3:].any(axis=1)).all()
    assert abs(masked.mean() - 0.8) < 4.5 * 0.4 / np.sqrt(20_000) + 0.002
    assert abs(np.corrcoef(fates)[0, 1]) < 4.5 / np.sqrt(10_000)  # spans are independent
    random_rows = becomes[(kinds[:, 0] == 2) & (kinds[:, 1] == 2)]
    assert 0.85 < (random_rows[:, 0] != random_rows[:, 1]).mean()  # one random token for each


def test_the_largest_number_stays_in_the_vocabulary():
    uniform = np.full((1, 2), np.nextafter(1.0, 0.0))
    one = np.ones((1, 1), "int32")
    for size in (8, 30_000, 2**20, 9_999_999):
        last = Corruption(0.0, 1.0)(one, one, uniform, size, 0)
        assert last.tolist() == [[size - 1]]


@pytest.mark.parametrize(
    "settings, message",
    [
        (dict(mask=0.8, random=0.3), "together at most 1"),
        (dict(mask=-0.1), r"`mask` must be a number from 0 to 1"),
        (dict(mask=True), r"`mask` must be a number from 0 to 1"),
        (dict(random="0.1"), r"`random` must be a number from 0 to 1"),
        (dict(random=float("nan")), r"`random` must be a number from 0 to 1"),
        (dict(per="word"), "`per` must be one of"),
        (dict(random_ids="all"), "`random_ids` must be one of"),
        (dict(random_ids=["ordinary"]), "`random_ids` must be one of"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message) as error:
        Corruption(**settings)
    assert "Received: " in str(error.value)
