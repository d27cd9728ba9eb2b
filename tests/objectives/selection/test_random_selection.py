"""Single units against the published rules, written out for one row, and their statistics."""

import random

import numpy as np
import pytest

from keras_plm.objectives import RandomSelection

ROWS = 10_000


def one_row(row, units, shuffled, select, numbers, most):
    """The published rules for one row, with lists: which positions are selected."""
    n, rate = int(row["padding_mask"].sum()), select.rate
    if select.count == "bernoulli":
        chosen = sorted((numbers[unit[0]], i) for i, unit in enumerate(units))
        chosen = [units[i] for number, i in chosen if number < rate]
        while sum(map(len, chosen)) > most:
            chosen.pop()
        return {i for unit in chosen for i in unit}
    selected = set()
    if select.count == "rounded":
        goal = int(rate * (n if select.unit == "token" else len(units)) + numbers[0])
        for i in shuffled[:goal]:
            if len(selected) + len(units[i]) <= most:
                selected.update(units[i])
        return selected
    goal = min(most, max(1, int(round(n * rate))))
    for i in shuffled:
        if len(selected) >= goal:
            break
        if len(selected) + len(units[i]) > goal:
            continue
        selected.update(units[i])
    return selected


def plain_rows(num_rows, length, starts=None):
    """Rows of `length` tokens between CLS and SEP."""
    shape = (num_rows, length + 2)
    functional = np.zeros(shape, bool)
    functional[:, [0, -1]] = True
    starts = np.ones(shape, bool) if starts is None else np.broadcast_to(starts, shape)
    return {
        "padding_mask": np.ones(shape, bool),
        "functional": functional,
        "word_starts": starts | functional,
    }


def sample(select, batch, seed, most=1_000):
    num_rows, length = batch["functional"].shape
    return select(batch, np.random.default_rng(seed).random((num_rows, select.draws(length))), most)


def largest_z(counts, chance, trials):
    """The largest distance from `chance * trials`, in binomial standard deviations."""
    return abs((counts - chance * trials) / np.sqrt(trials * chance * (1 - chance))).max()


def test_literal_example():
    batch = {
        "padding_mask": np.array([[1, 1, 1, 1, 1, 1, 1, 0]], bool),
        "functional": np.array([[1, 0, 0, 0, 0, 0, 1, 1]], bool),
        "word_starts": np.array([[1, 1, 0, 1, 1, 0, 1, 1]], bool),
    }
    uniform = np.array([[0.9, 0.9, 0.0, 0.5, 0.5, 0.5, 0.5, 0.5]])  # words 2, 0, 1
    units = RandomSelection(unit="word", rate=0.4)(batch, uniform, 8)
    assert units.tolist() == [[0, 0, 0, 1, 2, 2, 0, 0]]


@pytest.mark.parametrize("count", ["exact", "rounded", "bernoulli"])
@pytest.mark.parametrize("unit", ["token", "word", "span"])
@pytest.mark.parametrize("most", [7, 100])
def test_equal_to_the_published_rule(unit, count, most, make_rows, list_units, random_list):
    rng = np.random.default_rng(0)
    batch = make_rows(rng, 400, 60, given_spans=True)
    select = RandomSelection(unit, 0.3, count)
    uniform = rng.random((400, select.draws(60)))
    units = select(batch, uniform, most)
    for i, numbers in enumerate(uniform):
        row = {name: values[i] for name, values in batch.items()}
        listed = list_units(row, unit)
        shuffled = random_list(len(listed), numbers[count == "rounded" :])
        expected = one_row(row, listed, shuffled, select, numbers, most)
        assert set(np.flatnonzero(units[i]).tolist()) == expected
        for one in listed:  # all or none, and one number for all
            assert len(set(units[i, one].tolist())) == 1


@pytest.mark.parametrize("length", [1, 8, 9, 28, 126, 510])
def test_exact_tokens(length):
    batch = plain_rows(200, length)
    units = sample(RandomSelection(), batch, 1)
    assert ((units > 0).sum(axis=1) == max(1, round(0.15 * (length + 2)))).all()
    assert ((sample(RandomSelection(), batch, 1, most=5) > 0).sum(axis=1) <= 5).all()


def test_exact_tokens_are_uniform():
    selected = sample(RandomSelection(), plain_rows(ROWS, 62), 2)[:, 1:-1] > 0
    assert (selected.sum(axis=1) == 10).all()  # round(0.15 * 64)
    assert largest_z(selected.sum(axis=0), 10 / 62, ROWS) < 4.5
    # two given positions together: 10 * 9 / (62 * 61)
    together = (selected[:, :-1] & selected[:, 1:]).sum(axis=0)
    assert largest_z(together, 90 / (62 * 61), ROWS) < 4.5


def test_words_of_one_piece_are_masked_as_tokens():
    words = sample(RandomSelection("word"), plain_rows(ROWS, 62), 3)[:, 1:-1] > 0
    assert (words.sum(axis=1) == 10).all()
    assert largest_z(words.sum(axis=0), 10 / 62, ROWS) < 4.5


def test_whole_words_are_those_of_the_published_loop():
    """Its own shuffles: how often each word is selected, and how many tokens there are."""
    sizes = [1, 3, 2, 1, 4, 1, 2, 2, 1, 3, 6, 2]  # 28 tokens; round(0.15 * 30) = 4
    starts = np.zeros(30, bool)
    starts[np.cumsum([1, *sizes[:-1]])] = True
    batch = plain_rows(ROWS, 28, starts)
    units = sample(RandomSelection("word"), batch, 4)
    listed = np.split(np.arange(1, 29), np.cumsum(sizes)[:-1])
    row = {"padding_mask": np.ones(30, bool)}
    shuffle = random.Random(5).shuffle
    reference = np.zeros((ROWS, 30), bool)
    for one in reference:
        order = list(range(len(sizes)))
        shuffle(order)
        one[list(one_row(row, listed, order, RandomSelection("word"), None, 100))] = True
    ours, theirs = (units > 0).mean(axis=0), reference.mean(axis=0)
    assert (abs(ours - theirs) <= 4.5 * np.sqrt(theirs * (1 - theirs) * 2 / ROWS)).all()
    assert not units[:, listed[10]].any()  # a word of 6 pieces never fits into 4


def test_rounded_counts_are_right_on_average():
    counts = (sample(RandomSelection(count="rounded"), plain_rows(ROWS, 28), 6) > 0).sum(axis=1)
    assert set(counts.tolist()) == {4, 5}  # 0.15 * 30 = 4.5
    assert largest_z((counts == 5).sum(), 0.5, ROWS) < 4
    few = (sample(RandomSelection(count="rounded"), plain_rows(ROWS, 2), 7) > 0).sum(axis=1)
    assert set(few.tolist()) == {0, 1} and largest_z(few.sum(), 0.6, ROWS) < 4  # 0.15 * 4


def test_rounded_counts_of_words_are_counts_of_words():
    starts = np.arange(32) % 3 == 1  # 10 words of 3 pieces
    units = sample(RandomSelection("word", count="rounded"), plain_rows(ROWS, 30, starts), 8)
    assert set((units > 0).sum(axis=1).tolist()) == {3, 6}
    assert largest_z((units.max(axis=1) == 2).sum(), 0.5, ROWS) < 4
    per_word = (units[:, 1:-1:3] > 0).sum(axis=0)
    assert largest_z(per_word, 0.15, ROWS) < 4.5


@pytest.mark.parametrize("unit", ["token", "word"])
def test_bernoulli_units_are_chosen_by_themselves(unit):
    starts = np.arange(32) % 3 == 1
    units = sample(RandomSelection(unit, count="bernoulli"), plain_rows(ROWS, 30, starts), 9)
    chosen = units[:, 1:-1:3] > 0
    assert largest_z(chosen.sum(axis=0), 0.15, ROWS) < 4.5
    assert largest_z((chosen[:, 1:] & chosen[:, :-1]).sum(axis=0), 0.0225, ROWS) < 4.5
    # the number of chosen ones is binomial: variance 10 * 0.15 * 0.85, its estimate within 1.6 %
    assert abs(chosen.sum(axis=1).var() / 1.275 - 1) < 0.08


def test_what_is_too_much_is_dropped_evenly():
    units = sample(RandomSelection(rate=0.5, count="bernoulli"), plain_rows(ROWS, 30), 10, most=5)
    selected = units[:, 1:-1] > 0
    assert selected.sum(axis=1).max() == 5 and selected.sum(axis=1).mean() > 4.99
    assert largest_z(selected.sum(axis=0), selected.mean(), ROWS) < 4.5


@pytest.mark.parametrize("settings", [dict(unit="piece"), dict(count="some"), dict(count=0.15)])
def test_bad_settings(settings):
    with pytest.raises(ValueError, match="must be one of"):
        RandomSelection(**settings)
