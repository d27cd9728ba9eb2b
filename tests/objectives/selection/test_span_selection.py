"""Spans against SpanBERT's rule, written out for one row, and their statistics."""

from math import ceil

import numpy as np
import pytest

from keras_plm.objectives import SpanSelection

ROWS = 10_000


def one_row(maskable, starts, draws, goal):
    """The rule for one row: `draws` yields (anchor, words); returns the set of positions."""
    selected = set()
    while len(selected) < goal:
        anchor, num_words = next(draws)
        if anchor in selected:
            continue
        begin = anchor
        while not starts[begin] and begin > 0 and maskable[begin - 1]:
            begin -= 1
        end, words = begin, 0
        while end < len(maskable) and maskable[end]:
            if starts[end] or end == begin:
                words += 1
                if words > num_words:
                    break
            end += 1
        for position in range(begin, end):
            if len(selected) == goal:
                break
            selected.add(position)
    return selected


def merged(selected):
    """The maximal runs of a set of positions, as (first, last)."""
    runs = []
    for position in sorted(selected):
        if runs and runs[-1][1] + 1 == position:
            runs[-1][1] = position
        else:
            runs.append([position, position])
    return runs


def plain_rows(num_rows, length, starts=True):
    """Rows of text between CLS and SEP, as in SpanBERT."""
    shape = (num_rows, length + 2)
    functional = np.zeros(shape, bool)
    functional[:, [0, -1]] = True
    return {
        "padding_mask": np.ones(shape, bool),
        "functional": functional,
        "word_starts": np.broadcast_to(starts, shape) | functional,
    }


def sample(select, batch, seed, most=1_000):
    num_rows, length = batch["functional"].shape
    return select(batch, np.random.default_rng(seed).random((num_rows, select.draws(length))), most)


def test_literal_example():
    batch = plain_rows(1, 7, np.array([1, 1, 1, 1, 1, 1, 0, 1, 1], bool))
    half = SpanSelection(rate=0.6).draws(9) // 2
    # ##der is number 5 of 7; the number 0 of 1 2 3 4 0 6; sat number 2 of 2 3 4 1 6
    anchors = [5.5 / 7, 4.5 / 6, 1 / 10]
    words = [0.3, 0.1, 0.5]  # limits .224, .403, .547: 2, 1 and 3 words
    uniform = np.array([anchors + [0.5] * (half - 3) + words + [0.5] * (half - 3)])
    units = SpanSelection(rate=0.6)(batch, uniform, 9)
    assert units.tolist() == [[0, 1, 0, 2, 0, 3, 3, 3, 0]]


@pytest.mark.parametrize("rate, most", [(0.15, 100), (0.5, 100), (0.5, 6), (1.0, 100)])
def test_equal_to_the_published_rule(rate, most, make_rows, random_list, check_units):
    rng = np.random.default_rng(0)
    batch = make_rows(rng, 300, 50)
    select = SpanSelection(0.3, 5, rate)
    half = select.draws(50) // 2
    uniform = rng.random((300, 2 * half))
    units = select(batch, uniform, most)
    check_units(batch, units, most)
    chances = np.array([0.7**i for i in range(5)])
    limits = np.cumsum(chances / chances.sum())
    for i, numbers in enumerate(uniform):
        maskable = batch["padding_mask"][i] & ~batch["functional"][i]
        places = np.flatnonzero(maskable).tolist()
        goal = min(most, ceil(rate * len(places)))
        anchors = [places[j] for j in random_list(len(places), numbers[:half])]
        words = [1 + int((number >= limits).sum()) for number in numbers[half:]]
        selected = one_row(maskable, batch["word_starts"][i], zip(anchors, words), goal)
        assert len(selected) == goal
        expected = np.zeros(50, int)
        for number, (first, last) in enumerate(merged(selected), start=1):
            expected[first : last + 1] = number
        assert units[i].tolist() == expected.tolist()


def test_distribution_is_that_of_the_published_loop():
    """Its own anchors with replacement and lengths: counts, run lengths, edges."""
    length, num_rows = 60, 4_000
    rng = np.random.default_rng(1)
    starts = rng.random(length + 2) < 0.7
    select = SpanSelection()
    ours = sample(select, plain_rows(num_rows, length, starts), 2)[:, 1:-1] > 0
    chances = 0.8 ** np.arange(10)
    lengths = iter(rng.choice(10, 40 * num_rows, p=chances / chances.sum()) + 1)
    draws = zip(iter(lambda: int(rng.integers(length)), -1), lengths)
    theirs = np.zeros_like(ours)
    for row in theirs:
        row[list(one_row(np.ones(length, bool), starts[1:-1], draws, 9))] = True
    assert (ours.sum(axis=1) == 9).all() and (theirs.sum(axis=1) == 9).all()
    a, b = ours.mean(axis=0), theirs.mean(axis=0)
    assert (abs(a - b) < 4.5 * np.sqrt(2 * b * (1 - b) / num_rows)).all()
    runs = [(x[:, 1:] & ~x[:, :-1]).sum(axis=1) + x[:, 0] for x in (ours, theirs)]
    spread = np.sqrt(2 * runs[1].var() / num_rows)
    assert abs(runs[0].mean() - runs[1].mean()) < 4.5 * spread


def test_exact_counts():
    for length in (1, 2, 20, 100, 126, 510):
        selected = sample(SpanSelection(), plain_rows(100, length), 3) > 0
        assert (selected.sum(axis=1) == ceil(0.15 * length)).all()


def test_lengths_are_geometric():
    """Each row's first span lies in 25 to 112; later anchors are put behind 127 or before 13."""
    select, shape = SpanSelection(rate=0.05), (ROWS, 256)
    batch = {
        "padding_mask": np.ones(shape, bool),
        "functional": np.zeros(shape, bool),
        "word_starts": np.ones(shape, bool),
    }
    half = select.draws(256) // 2
    uniform = np.random.default_rng(4).random((ROWS, 2 * half))
    uniform[:, 0] = 0.1 + 0.3 * uniform[:, 0]
    uniform[:, 1:half] = 0.5 + 0.5 * uniform[:, 1:half]  # 0 to 12 take the places of those drawn
    lengths = (select(batch, uniform, 256)[:, 25:127] > 0).sum(axis=1)
    chances = 0.8 ** np.arange(10)
    chances /= chances.sum()
    mean = (chances * np.arange(1, 11)).sum()
    assert round(mean, 2) == 3.80
    counts = np.bincount(lengths, minlength=11)
    assert counts[0] == 0 and len(counts) == 11
    # chi-square with 9 degrees of freedom: mean 9, deviation 4.2; 5 deviations
    assert ((counts[1:] - ROWS * chances) ** 2 / (ROWS * chances)).sum() < 30
    assert abs(lengths.mean() - mean) < 4 * 2.7 / np.sqrt(ROWS)


def test_anchors_are_uniform():
    """Spans of one word of one piece: the selection is uniform over the row."""
    selected = sample(SpanSelection(p=1.0), plain_rows(ROWS, 60), 5)[:, 1:-1] > 0
    z = (selected.sum(axis=0) - ROWS * 0.15) / np.sqrt(ROWS * 0.15 * 0.85)
    assert abs(z).max() < 4.5


def test_units_are_maximal_runs_of_whole_words():
    """All but the one word that the budget cuts are whole; beside a unit nothing is selected."""
    starts = np.arange(122) % 3 == 1
    units = sample(SpanSelection(), plain_rows(2_000, 120, starts), 6)
    selected = units > 0
    assert (units[:, 1:] == units[:, :-1])[selected[:, 1:] & selected[:, :-1]].all()
    words = selected[:, 1:-1].reshape(2_000, 40, 3).sum(axis=2)
    assert (((words == 1) | (words == 2)).sum(axis=1) <= 1).all()


def test_a_span_does_not_reach_over_a_functional_token():
    batch = plain_rows(500, 20)
    batch["functional"][:, 10] = True
    units = sample(SpanSelection(p=0.01, rate=0.5), batch, 7)
    assert not units[:, 10].any()
    left, right = units[:, 9], units[:, 11]
    assert (left != right)[(left > 0) & (right > 0)].all()


@pytest.mark.parametrize(
    "settings, message",
    [
        (dict(p=0), "`p` must be"),
        (dict(p=1.5), "`p` must be"),
        (dict(p=True), "`p` must be"),
        (dict(p="0.2"), "`p` must be"),
        (dict(max_length=0), "`max_length` must be"),
        (dict(max_length=2.5), "`max_length` must be"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        SpanSelection(**settings)
