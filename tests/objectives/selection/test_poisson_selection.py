"""PoissonSelection: the literal example, lengths over 20,000 draws, what it covers, bad input."""

from math import ceil, exp, factorial

import numpy as np
import pytest

from keras_plm.objectives import PoissonSelection

DRAWS = 20_000


def sample(select, batch, seed=0):
    shape = batch["functional"].shape
    uniform = np.random.default_rng(seed).random((shape[0], select.draws(shape[1])))
    units = select(batch, uniform, select.predictions(shape[1]))
    return units, select.empty_spans(batch, uniform), uniform


def one_word_each(num_rows, length):
    """Rows of words of one token between two special ones."""
    functional = np.zeros((num_rows, length), bool)
    functional[:, [0, -1]] = True
    return {
        "padding_mask": np.ones_like(functional),
        "functional": functional,
        "word_starts": np.ones_like(functional),
    }


def chances(mean, most=60):
    return np.array([exp(-mean) * mean**k / factorial(k) for k in range(most)])


def test_literal_example():
    """The example of the module's docstring: lengths 2, 0, 1 of 7 words."""
    select = PoissonSelection(0.3, 3.0)
    batch = one_word_each(1, 9)
    most = select.draws(9) // 3
    uniform = np.zeros((1, 3 * most))
    # lengths that are not 0: P(1) = .1572, P(2) = .2358 of those; one empty span before the second
    uniform[0, :2] = 0.3, 0.1
    uniform[0, most : most + 2] = 0.0, 1 - exp(-3.0) * 1.0001 + 0.0001
    uniform[0, 2 * most : 2 * most + 2] = 1.1 / 7, 4.1 / 6  # "cat"; "ran" of those that are left
    assert select(batch, uniform, 9).tolist() == [[0, 0, 1, 1, 0, 0, 2, 0, 0]]
    assert select.empty_spans(batch, uniform).tolist() == [1]


@pytest.mark.parametrize("mean", [3.0, 3.5, 0.7])
def test_lengths_are_poisson(mean):
    """The spans of a row, zeros included, are draws until they are ceil(share * W) together."""
    words = 400  # so many that spans hardly meet; only the first span of each row is looked at
    select = PoissonSelection(0.3, mean)
    uniform = np.random.default_rng(5).random((DRAWS, select.draws(words)))
    lengths, empty = select._spans(np.full(DRAWS, words), uniform)
    assert (lengths.sum(axis=1) == ceil(0.3 * words)).all()  # exactly, by cutting the last
    expected = chances(mean)
    # a draw that is not 0 comes with the chance P(k) / (1 - P(0))
    first = lengths[:, 0]
    for k in range(1, 12):
        chance = expected[k] / (1 - expected[0])
        deviation = np.sqrt(chance * (1 - chance) / DRAWS)
        assert abs(np.mean(first == k) - chance) < 4.5 * deviation + 1e-9, k
    # and behind z empty ones with P(0)^z (1 - P(0))
    for z in range(4):
        chance = expected[0] ** z * (1 - expected[0])
        deviation = np.sqrt(chance * (1 - chance) / DRAWS)
        assert abs(np.mean(empty[:, 0] == z) - chance) < 4.5 * deviation + 1e-9, z
    # how many draws that are not 0 it takes on average, by what the first of them leaves to do
    draws = np.zeros(121)
    for goal in range(1, 121):
        draws[goal] = 1 + sum(
            expected[k] / (1 - expected[0]) * draws[goal - k] for k in range(1, min(goal, 60))
        )
    number, zeros = (lengths > 0).sum(axis=1), np.where(lengths > 0, empty, 0).sum(axis=1)
    odds = expected[0] / (1 - expected[0])
    for found, mean_found in ((number, draws[120]), (zeros, draws[120] * odds)):
        assert abs(found.mean() - mean_found) < 4.5 * found.std() / np.sqrt(DRAWS)


def test_the_chances_of_the_paper():
    """P(0), P(1), ... of a mean of 3: .0498 .1494 .224 .224 .168."""
    limits = np.append(PoissonSelection(0.3, 3)._limits(), 1.0)
    found = np.diff(np.append(0, limits)) * (1 - exp(-3))
    np.testing.assert_allclose(found[:4], [0.1494, 0.2240, 0.2240, 0.1680], atol=5e-5)
    assert exp(-3) == pytest.approx(0.0498, abs=5e-5)


def walked(batch, uniform, select):
    """The slow, plain form for one row: units, from the spans and their words."""
    real = batch["padding_mask"] & ~batch["functional"]
    length, most = len(real), len(uniform) // 3
    starts = [
        i
        for i in range(length)
        if real[i] and (batch["word_starts"][i] or i == 0 or not real[i - 1])
    ]
    (lengths,), _ = select._spans(np.array([len(starts)]), uniform[None])
    left, covered, begun = list(starts), set(), set()
    for number, span in zip(uniform[2 * most :], lengths):
        if span == 0:
            continue
        # a draw without replacement: the place of what is drawn is taken by the first that is left
        place = int(number * len(left))
        begin = left[place]
        left[place] = left[0]
        del left[0]
        begun.add(begin)
        words, i = 1, begin + 1
        while i < length and real[i]:
            words += i in starts
            if words > span:
                break
            covered.add(i)
            i += 1
    units, number = [], 0
    for i in range(length):
        if i in begun and i not in covered:
            number += 1
        units.append(number if i in begun or i in covered else 0)
    return units


@pytest.mark.parametrize("share, mean", [(0.3, 3.5), (0.6, 1.5), (1.0, 2.0), (0.5, None)])
def test_against_the_plain_form(share, mean, make_rows, check_units):
    select = PoissonSelection(share, mean)
    batch = make_rows(np.random.default_rng(6), 400, 24)
    units, empty, uniform = sample(select, batch)
    check_units_apart(batch, units)
    for row in range(400):
        one = {name: values[row] for name, values in batch.items()}
        assert units[row].tolist() == walked(one, uniform[row], select)
    assert (empty >= 0).all() and (mean is not None or not empty.any())
    part = {name: values[130:] for name, values in batch.items()}
    np.testing.assert_array_equal(select(part, uniform[130:], 24), units[130:])
    np.testing.assert_array_equal(select.empty_spans(part, uniform[130:]), empty[130:])


def check_units_apart(batch, units):
    """Units are numbered from left to right, and nothing special is in them."""
    maskable = batch["padding_mask"] & ~batch["functional"]
    assert units.dtype == np.int32 and not units[~maskable].any()
    for row in units.tolist():
        numbers = [n for i, n in enumerate(row) if n and (i == 0 or row[i - 1] != n)]
        assert numbers == list(range(1, len(numbers) + 1))


def test_words_that_are_hidden_are_the_budget_where_no_span_meets_another():
    batch = one_word_each(2_000, 102)
    units, _, _ = sample(PoissonSelection(0.05, 3.0), batch)
    hidden = (units > 0).sum(axis=1)
    assert hidden.max() == 5 and np.mean(hidden == 5) > 0.7  # less where one runs over another
    units, empty, _ = sample(PoissonSelection(0.3, None), batch)
    assert ((units > 0).sum(axis=1) == 30).all() and (units.max(axis=1) == 30).all()
    assert not empty.any()


def test_a_share_of_nothing_and_rows_without_words():
    batch = one_word_each(5, 8)
    units, empty, uniform = sample(PoissonSelection(0.0), batch)
    assert uniform.shape == (5, 0) and not units.any() and not empty.any()
    batch["functional"][:] = True
    units, empty, _ = sample(PoissonSelection(0.5), batch)
    assert not units.any() and not empty.any()
    assert PoissonSelection(0.5)(one_word_each(5, 8), np.zeros((5, 12)), 2).max() > 0
    assert (PoissonSelection(1.0)(one_word_each(5, 8), np.zeros((5, 24)), 2) > 0).sum() == 10


@pytest.mark.parametrize(
    "settings, message",
    [
        (dict(share=-0.1), "`share` must be a number from 0 to 1"),
        (dict(share=1.5), "`share` must be a number from 0 to 1"),
        (dict(mean_length=0), "`mean_length` must be a number above 0, at most 30, or None"),
        (dict(mean_length=40), "`mean_length` must be a number above 0, at most 30, or None"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message) as error:
        PoissonSelection(**settings)
    assert "Received: " in str(error.value)
