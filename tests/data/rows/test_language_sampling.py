"""language_sampling.py: the shares of languages, and that passes have them."""

import numpy as np
import pytest

from keras_plm.data.rows.language_rows import language_shares, sample_rows


def test_the_example():
    np.testing.assert_allclose(language_shares([8, 2], 0.5), [2 / 3, 1 / 3])
    languages = np.array([5] * 8 + [9] * 2)
    seen = set()
    for seed in range(50):
        rows = sample_rows(languages, 0.5, np.random.default_rng(seed))
        times = np.bincount(rows, minlength=10)
        assert len(rows) == 10 and times[:8].max() == 1 and set(times[8:]) <= {1, 2}
        seen.add((times[:8].sum(), times[8:].sum()))
    assert seen == {(6, 4), (7, 3)}


@pytest.mark.parametrize("exponent", [0, 0.3, 0.5, 0.7, 1])
def test_statistics_of_10_000_passes(exponent):
    """On average a pass has q_i of each language, and all rows of a language are alike."""
    languages = np.array([0] * 11 + [3] * 4 + [7] * 2)
    expected = np.array([11, 4, 2], float) ** exponent
    expected = 17 * expected / expected.sum()
    rng = np.random.default_rng(1)
    times = [
        np.bincount(sample_rows(languages, exponent, rng), minlength=17) for _ in range(10_000)
    ]
    times = np.array(times)
    assert (times.sum(axis=1) == 17).all()
    counts = np.stack([times[:, languages == one].sum(axis=1) for one in (0, 3, 7)], axis=1)
    assert (counts >= np.floor(expected) - 1e-9).all() and (counts < expected + 1).all()
    for mean, share, deviation in zip(counts.mean(axis=0), expected, counts.std(axis=0)):
        assert abs(mean - share) <= 4.5 * max(deviation, 1e-9) / 100 + 1e-9
    per_row = expected[[0] * 11 + [1] * 4 + [2] * 2] / np.array([11] * 11 + [4] * 4 + [2] * 2)
    deviation = np.maximum(times.std(axis=0), 1e-9) / 100
    assert (abs(times.mean(axis=0) - per_row) < 4.5 * deviation + 1e-9).all()
    if exponent == 1:
        assert (times == 1).all()


def test_pairs_of_languages_count_together():
    pairs = np.array([[0, 1]] * 8 + [[0, 2]] * 2)
    times = np.bincount(sample_rows(pairs, 0.0, np.random.default_rng(0)), minlength=10)
    assert times[:8].sum() == times[8:].sum() == 5
