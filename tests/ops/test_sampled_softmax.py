"""The sampled softmax against its formulas, and what is drawn against its probabilities."""

import numpy as np
import pytest
from keras import ops

from keras_plm.ops import (
    draw_candidates,
    log_expected_counts,
    log_uniform_probabilities,
    sampled_softmax_losses,
)

VOCABULARY, WIDTH, DRAWS = 40, 5, 20_000


def draw(number, seed=0):
    uniform = np.random.default_rng(seed).random((DRAWS, VOCABULARY)).astype("float32")
    return [ops.convert_to_numpy(one) for one in draw_candidates(uniform, number)]


def probabilities(size=VOCABULARY):
    ids = np.arange(size)
    return np.log((ids + 2) / (ids + 1)) / np.log(size + 1)


def expected_counts(horizon):
    return 1 - np.exp(-probabilities() * np.expand_dims(horizon, -1))


def test_probabilities():
    assert abs(probabilities().sum() - 1) < 1e-12
    ids = np.arange(VOCABULARY)
    found = ops.convert_to_numpy(log_uniform_probabilities(ids, VOCABULARY))
    np.testing.assert_allclose(found, probabilities(), rtol=1e-5)
    found = ops.convert_to_numpy(log_expected_counts(ids, 3.0, VOCABULARY))
    np.testing.assert_allclose(np.exp(found), expected_counts(3.0), rtol=1e-4)


def test_the_first_that_is_drawn():
    """20,000 draws: each count is within five deviations, and all of them by chi-squared."""
    share, (tokens, _) = probabilities(), draw(1)
    counts = np.bincount(tokens[:, 0], minlength=VOCABULARY)
    assert counts.shape == (VOCABULARY,)
    assert (np.abs(counts - DRAWS * share) < 5 * np.sqrt(DRAWS * share * (1 - share))).all()
    statistic = ((counts - DRAWS * share) ** 2 / (DRAWS * share)).sum()
    assert statistic < 80  # 39 degrees of freedom: 1e-4 beyond


def test_how_often_each_is_expected():
    """Different tokens; each counted by the inverse of what is expected comes once on average."""
    tokens, horizon = draw(12)
    assert all(len({*row}) == 12 for row in tokens[:500].tolist())
    there = np.zeros((DRAWS, VOCABULARY))
    np.put_along_axis(there, tokens, 1, axis=1)
    counted = there / expected_counts(horizon.astype("float64"))
    error = counted.std(axis=0) / np.sqrt(DRAWS)
    assert (np.abs(counted.mean(axis=0) - 1) < 5 * error).all() and error.max() < 0.03


def test_another_order_of_draws():
    """Drawn with replacement until three are different, by numpy: the same sets, as often."""
    random, share = np.random.default_rng(3), probabilities()
    drawn = random.choice(VOCABULARY, size=(DRAWS, 60), p=share)
    there = np.zeros((2, VOCABULARY))
    for row in drawn:
        there[0, list(dict.fromkeys(row.tolist()))[:3]] += 1 / DRAWS
    np.add.at(there[1], draw(3, seed=4)[0].ravel(), 1 / DRAWS)
    deviation = np.sqrt(2 * there[0] * (1 - there[0]) / DRAWS)
    assert (np.abs(there[1] - there[0]) < 5 * deviation + 1e-4).all()


def by_the_formulas(rows, table, bias, targets, candidates, horizon):
    """Each row by itself, in float64; candidates that hit its target are left out."""
    losses = []
    log_expected = np.log(expected_counts(horizon))
    for row, target in zip(rows.astype("float64"), targets):
        kept = [one for one in candidates if one != target]
        logits = [table[one] @ row + bias[one] - log_expected[one] for one in [target, *kept]]
        losses.append(np.log(np.exp(logits).sum()) - logits[0])
    return np.array(losses)


@pytest.fixture(scope="module")
def arrays():
    random = np.random.default_rng(1)
    return (
        random.normal(size=(6, WIDTH)).astype("float32"),
        random.normal(size=(VOCABULARY, WIDTH)).astype("float32"),
        random.normal(size=VOCABULARY).astype("float32"),
    )


def test_the_loss_is_that_of_the_formulas(arrays):
    candidates, targets = np.array([0, 3, 7, 39, 1]), np.array([7, 2, 0, 39, 5, 3])
    found = sampled_softmax_losses(*arrays, targets, candidates, 6.5)
    expected = by_the_formulas(*arrays, targets, candidates, 6.5)
    np.testing.assert_allclose(ops.convert_to_numpy(found), expected, rtol=1e-5, atol=1e-5)
    hit = np.full(6, 7)  # nothing but the target: nothing to tell it from
    found = sampled_softmax_losses(*arrays, hit, np.array([7]), 6.5)
    np.testing.assert_allclose(ops.convert_to_numpy(found), 0, atol=1e-6)


def test_all_candidates_are_the_whole_softmax(arrays):
    rows, table, bias = arrays
    targets = np.array([30, 2, 0, 39, 5, 3])
    logits = rows.astype("float64") @ table.T + bias
    own = np.take_along_axis(logits, targets[:, None], 1)[:, 0]
    expected = np.log(np.exp(logits).sum(1)) - own
    found = sampled_softmax_losses(*arrays, targets, np.arange(VOCABULARY), 1e6)
    np.testing.assert_allclose(ops.convert_to_numpy(found), expected, rtol=1e-5, atol=1e-5)
