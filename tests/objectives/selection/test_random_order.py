"""Random orders against lists, and all orders equally often."""

import numpy as np

from keras_plm.objectives.selection.random_order import STEPS_AT_ONCE, random_order


def all_draws(counts, uniform):
    """(steps, B), the drawn numbers of all steps; each step must come once."""
    steps, drawn = zip(*random_order(np.asarray(counts), uniform))
    assert [i for some in steps for i in range(some.start, some.stop)] == list(
        range(sum(map(len, drawn)))
    )
    return np.concatenate(drawn)


def test_literal_draws():
    uniform = np.array([[0.5, 0.0, 0.9, 0.0], [0.9, 0.0, 0.3, 0.8]])
    assert all_draws([4, 2], uniform).T.tolist() == [[2, 1, 3, 0], [1, 0, -1, -1]]


def test_equal_to_lists(random_list):
    rng = np.random.default_rng(0)
    counts = np.array([0, 1, 2, 3 * STEPS_AT_ONCE, 2 * STEPS_AT_ONCE, 5])
    uniform = rng.random((len(counts), 3 * STEPS_AT_ONCE))
    for count, numbers, drawn in zip(counts, uniform, all_draws(counts, uniform).T):
        assert drawn[:count].tolist() == random_list(count, numbers)
        assert (drawn[count:] == -1).all()


def test_all_orders_are_equally_likely():
    drawn = all_draws(np.full(48_000, 4), np.random.default_rng(1).random((48_000, 4)))
    _, counts = np.unique(4 ** np.arange(4) @ drawn, return_counts=True)
    assert len(counts) == 24
    # chi-square with 23 degrees of freedom: mean 23, deviation 6.8; 5 deviations
    assert ((counts - 2_000) ** 2 / 2_000).sum() < 57


def test_it_ends_with_the_columns_or_the_numbers():
    assert len(all_draws([9, 9], np.zeros((2, 3)))) == 3
    assert len(all_draws([2, 1], np.zeros((2, 50)))) == 2
    assert list(random_order(np.zeros(2, int), np.zeros((2, 5)))) == []
    assert list(random_order(np.array([3]), np.zeros((1, 0)))) == []


def test_the_largest_numbers_stay_in_range():
    drawn = all_draws(np.arange(40), np.full((40, 40), np.nextafter(1, 0)))
    for count, numbers in enumerate(drawn.T):
        assert sorted(numbers[:count].tolist()) == list(range(count))
