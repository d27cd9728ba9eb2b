"""Span sampling against the rule written out for one row, and its invariants."""

import numpy as np
import pytest

from keras_plm.objectives import sample_spans

LENGTH, GOAL = 256, 43


def one_row(starts, goal, rng, max_ngram=5, alpha=6, beta=1, span_unit="piece"):
    """The rule for one row, token by token, with a generator of its own."""
    length = len(starts)
    selected, position, done = [False] * length, 0, 0
    probabilities = [1 / n for n in range(1, max_ngram + 1)]
    probabilities = [p / sum(probabilities) for p in probabilities]
    while position < length and done < goal:
        n = min(int(rng.choice(max_ngram, p=probabilities)) + 1, goal - done)
        context = n * alpha // beta
        left = int(rng.integers(context))
        begin = position + left
        while begin < length and not starts[begin]:
            begin += 1
        if begin >= length:
            break
        end = begin + n
        if span_unit == "word":
            stops = [i for i in range(begin + 1, length) if starts[i]]
            end = stops[n - 1] if n <= len(stops) else length
            if end - begin > goal - done:  # only the words that fit
                end = max([i for i in stops if i <= begin + goal - done], default=begin)
        if end >= length or end == begin:
            break
        selected[begin:end] = [True] * (end - begin)
        done += end - begin
        position = end + context - left
    while done < goal:
        i = int(rng.integers(length))
        if not selected[i]:
            selected[i] = True
            done += 1
    return selected


def sample(word_starts, goal, rng, **settings):
    uniform = rng.random((len(word_starts), 2 * goal + word_starts.shape[1]))
    return sample_spans(word_starts, goal, uniform, **settings)


def run_lengths(selected):
    """Share of the runs of selected positions that are 1, 2, ... 9 and more long."""
    padded = np.pad(selected, ((0, 0), (1, 1))).astype("int8")
    changes = np.diff(padded, axis=1)
    lengths = np.nonzero(changes.ravel() == -1)[0] - np.nonzero(changes.ravel() == 1)[0]
    return np.bincount(np.minimum(lengths, 9), minlength=10)[1:] / len(lengths)


@pytest.mark.parametrize("span_unit", ["piece", "word"])
def test_distribution_is_that_of_the_rule(span_unit):
    rng = np.random.default_rng(0)
    starts = rng.random((10_000, LENGTH)) < 0.61
    ours = sample(starts, GOAL, rng, span_unit=span_unit)
    reference = np.array(
        [one_row(row, GOAL, rng, span_unit=span_unit) for row in starts[:2_500].tolist()]
    )
    assert (ours.sum(axis=1) == GOAL).all() and (reference.sum(axis=1) == GOAL).all()
    # 2,500 rows have about 62,000 runs: a share of 0.5 has a standard error of 0.002
    np.testing.assert_allclose(run_lengths(ours), run_lengths(reference), atol=0.01)
    # 16 neighbouring positions of 2,500 rows: about 0.003 (neighbours go together)
    blocks = [x.reshape(-1, 16, 16).mean(axis=(0, 2)) for x in (ours, reference)]
    np.testing.assert_allclose(*blocks, atol=0.012)
    assert abs(ours[:, 0].mean() - reference[:, 0].mean()) < 0.03


def test_selection_is_flat_over_the_row():
    rng = np.random.default_rng(1)
    by_position = sample(rng.random((10_000, LENGTH)) < 0.61, GOAL, rng).mean(axis=0)
    blocks = by_position.reshape(-1, 16).mean(axis=1)
    assert abs(by_position.mean() - GOAL / LENGTH) < 1e-12
    assert (abs(blocks[:-1] - GOAL / LENGTH) < 0.008).all()
    assert blocks[-1] < GOAL / LENGTH  # a span that would reach the last position is dropped


@pytest.mark.parametrize("span_unit", ["piece", "word"])
@pytest.mark.parametrize("share", [0.0, 0.05, 0.6, 1.0])
@pytest.mark.parametrize("goal", [0, 1, 7, 31, 32])
def test_exactly_goal_positions(span_unit, share, goal):
    rng = np.random.default_rng(2)
    selected = sample(rng.random((500, 32)) < share, goal, rng, span_unit=span_unit)
    assert selected.dtype == bool and (selected.sum(axis=1) == goal).all()


def test_without_starts_everything_is_filled_at_random():
    rng = np.random.default_rng(3)
    selected = sample(np.zeros((20_000, 16), bool), 4, rng)
    np.testing.assert_allclose(selected.mean(axis=0), 0.25, atol=0.02)


def test_word_spans_are_whole_words():
    rng = np.random.default_rng(4)
    starts = np.tile(np.arange(64) % 4 == 0, (200, 1))  # words of 4 pieces
    selected = sample(starts, 8, rng, span_unit="word")
    words = selected.reshape(200, 16, 4).sum(axis=2)
    assert (words == 4).sum() / (words > 0).sum() > 0.9  # the rest: random fill near the end


def test_literal_draws():
    """One row by hand: length 2 of (1, 2), the whole context of 4 behind, then 1 of fill."""
    starts = np.array([[False, True, False, True, False, True, False, False]])
    uniform = np.array([[0.9, 0.9, 0.9, 0.0, 0.9, 0.0, *[0.5] * 7, 0.1]])
    selected = sample_spans(starts, 3, uniform, max_ngram=2, alpha=2)
    # begins at the start 1, ends before 3; position is 3 + 4 = 7; no start follows: the walk ends
    assert np.flatnonzero(selected[0]).tolist() == [1, 2, 7]


def test_one_row_does_not_depend_on_the_others():
    rng = np.random.default_rng(5)
    starts, uniform = rng.random((64, 32)) < 0.6, rng.random((64, 2 * 6 + 32))
    whole = sample_spans(starts, 6, uniform)
    parts = [sample_spans(starts[i : i + 1], 6, uniform[i : i + 1]) for i in range(64)]
    assert (whole == np.concatenate(parts)).all()


@pytest.mark.parametrize(
    "goal, shape, message", [(9, (2, 26), "goal must lie in 0 to 8"), (3, (2, 8), "uniform must")]
)
def test_bad_input(goal, shape, message):
    with pytest.raises(ValueError, match=message):
        sample_spans(np.ones((2, 8), bool), goal, np.zeros(shape))


@pytest.mark.parametrize("settings", [dict(alpha=1, beta=2), dict(span_unit="sentence")])
def test_bad_settings(settings):
    with pytest.raises(ValueError, match="alpha must be at least beta"):
        sample_spans(np.ones((2, 8), bool), 2, np.zeros((2, 12)), **settings)
