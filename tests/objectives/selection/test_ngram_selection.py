"""N-grams against ALBERT's rule, written out for one row, and their statistics."""

import numpy as np
import pytest

from keras_plm.objectives import NgramSelection

ROWS = 10_000


def one_row(words, breaks, order, lengths, goal):
    """The rule for one row: lists of the positions of its n-grams, from left to right.

    `breaks` are the numbers of the words behind which the text ends; `lengths` are drawn n.
    """
    grams, covered = [], set()
    for first, n in zip(order, lengths):
        if len(covered) >= goal:
            break
        text_end = min(end for end in breaks if end >= first) + 1
        members = list(range(first, min(first + n, text_end)))
        room = goal - len(covered)
        while len(members) > 1 and sum(len(words[i]) for i in members) > room:
            members.pop()
        positions = [i for member in members for i in words[member]]
        if len(positions) > room or covered & set(positions):
            continue
        covered |= set(positions)
        grams.append(positions)
    return sorted(grams)


def lengths_of(numbers, max_ngram):
    """The n of each number, p(n) ~ 1/n: 6, 3 and 2 elevenths up to 3."""
    limits = np.cumsum([1 / n for n in range(1, max_ngram + 1)])
    return [1 + sum(number * limits[-1] >= limit for limit in limits) for number in numbers]


def sample(select, length, seed, starts=None, most=1_000, num_rows=ROWS):
    shape = (num_rows, length)
    batch = {
        "padding_mask": np.ones(shape, bool),
        "functional": np.zeros(shape, bool),
        "word_starts": np.broadcast_to(True if starts is None else starts, shape),
    }
    uniform = np.random.default_rng(seed).random((num_rows, select.draws(length)))
    return select(batch, uniform, most)


def test_literal_example():
    functional = np.array([[1, 0, 0, 0, 0, 0, 0, 0, 1]], bool)
    batch = {
        "padding_mask": np.ones((1, 9), bool),
        "functional": functional,
        "word_starts": np.ones((1, 9), bool),
    }
    # 5 of 0 1 2 3 4 5 6, then 4 of 1 2 3 4 0 6, then 1 of 2 3 1 0 6
    which, n = [0.75, 0.5, 0.5], [0.6, 0.6, 0.9]  # n: below 6/11 1, below 9/11 2
    uniform = np.array([which + [0.5] * 6 + n + [0.5] * 6])
    units = NgramSelection(max_ngram=3, rate=0.5)(batch, uniform, 9)
    assert units.tolist() == [[0, 0, 1, 1, 0, 0, 2, 2, 0]]


@pytest.mark.parametrize("max_ngram", [1, 3, 6])
@pytest.mark.parametrize("most", [8, 100])
@pytest.mark.parametrize("rate", [0.15, 0.5, 1.0])
def test_equal_to_the_published_rule(
    max_ngram, most, rate, make_rows, list_units, random_list, check_units
):
    rng = np.random.default_rng(0)
    batch = make_rows(rng, 200, 50)
    select = NgramSelection(max_ngram, rate)
    uniform = rng.random((200, select.draws(50)))
    units = select(batch, uniform, most)
    check_units(batch, units, most)
    for i, numbers in enumerate(uniform):
        row = {name: values[i] for name, values in batch.items()}
        words = list_units(row, "word")
        breaks = [
            j
            for j, word in enumerate(words)
            if row["functional"][word[-1] + 1 : word[-1] + 2].all()
        ]
        n = int(row["padding_mask"].sum())
        goal = min(most, max(1, int(round(n * rate))))
        order = random_list(len(words), numbers[:50])
        grams = one_row(words, breaks, order, lengths_of(numbers[50:], max_ngram), goal)
        expected = np.zeros(50, int)
        for number, positions in enumerate(grams, start=1):
            expected[positions] = number
        assert units[i].tolist() == expected.tolist()


@pytest.mark.parametrize(
    "settings, shares",
    [
        ((), (6 / 11, 3 / 11, 2 / 11)),
        (((0.8, 0.1, 0.1), "token"), (0.8, 0.1, 0.1)),
        (((0, 3, 1),), (0, 0.75, 0.25)),
    ],
    ids=["1 over n", "UniLM", "no single words"],
)
def test_lengths_are_as_the_chances_say(settings, shares):
    """The n-gram of each row's first word: nothing is taken yet, and three tokens fit."""
    select, shape = NgramSelection(3, 3 / 256, *settings), (ROWS, 256)
    batch = {
        "padding_mask": np.ones(shape, bool),
        "functional": np.zeros(shape, bool),
        "word_starts": np.ones(shape, bool),
    }
    uniform = np.random.default_rng(1).random((ROWS, select.draws(256)))
    uniform[:, 0] *= 253 / 256  # an n-gram behind the word 253 would be cut
    units = select(batch, uniform, 256)
    assert ((units > 0).sum(axis=1) == 3).all()
    word = (uniform[:, 0] * 256).astype(int)
    number = units[np.arange(ROWS), word]
    assert (number > 0).all()
    sizes = (units == number[:, None]).sum(axis=1)
    counts, expected = np.bincount(sizes, minlength=4)[1:], np.array(shares) * ROWS
    assert not counts[expected == 0].any()
    counts, expected = counts[expected > 0], expected[expected > 0]
    # chi-square with 2 degrees of freedom: above 18 once in 8,000
    assert ((counts - expected) ** 2 / expected).sum() < 18


def test_ngrams_in_long_rows_have_nearly_these_lengths():
    """Longer ones overlap a little more often, and are then skipped: at 5 %, below 0.06."""
    units = sample(NgramSelection(3, 0.05), 512, 3, num_rows=1_000)
    sizes = np.concatenate([np.bincount(row)[1:] for row in units])
    shares = np.bincount(sizes, minlength=4)[1:] / len(sizes)
    np.testing.assert_allclose(shares, np.array([6, 3, 2]) / 11, atol=0.03)


def test_selection_is_flat_inside_of_the_row():
    selected = sample(NgramSelection(3, 0.15), 64, 4) > 0
    assert (selected.sum(axis=1) == 10).all()  # words of one piece: the count is reached exactly
    share = selected[:, 2:-2].mean()
    spread = np.sqrt(share * (1 - share) / ROWS)
    assert (abs(selected[:, 3:-3].mean(axis=0) - share) < 5 * spread).all()
    assert selected[:, 0].mean() < share - 10 * spread  # only one bigram, one trigram reach it


def test_words_are_all_or_none():
    starts = np.arange(60) % 4 == 0
    units = sample(NgramSelection(3, 0.3), 60, 5, starts, num_rows=500).reshape(500, 15, 4)
    assert (units == units[..., :1]).all()
    assert set((units > 0).sum(axis=(1, 2)).tolist()) <= {16}  # 18 is no multiple of 4


def test_tokens_as_units():
    starts = np.arange(60) % 4 == 0
    select = NgramSelection(3, 0.15, (0.8, 0.1, 0.1), "token")
    units = sample(select, 60, 5, starts, num_rows=500)
    assert ((units > 0).sum(axis=1) == 9).all()
    sizes = np.concatenate([np.bincount(row)[1:] for row in units])
    assert 0.7 < np.mean(sizes == 1) < 0.9  # whole words would have 4 or more


@pytest.mark.parametrize(
    "settings, message",
    [
        (dict(chances=(0.5, 0.5)), "chances must be .* 3 numbers.*max_ngram=3"),
        (dict(chances=(0, 0, 0)), "not all 0"),
        (dict(chances=(1, 1, -1)), "chances must be"),
        (dict(chances=(1, 1, float("nan"))), "chances must be"),
        (dict(chances=(1, 1, float("inf"))), "chances must be"),
        (dict(chances=(1, 1, True)), "chances must be"),
        (dict(chances=0.5), "chances must be.*0.5"),
        (dict(unit="span"), r"`unit` must be one of \['word', 'token'\].*'span'"),
    ],
)
def test_bad_chances_and_units(settings, message):
    with pytest.raises(ValueError, match=message):
        NgramSelection(**settings)


@pytest.mark.parametrize("max_ngram", [0, -1, 2.0, True, "3"])
def test_bad_settings(max_ngram):
    with pytest.raises(ValueError, match="`max_ngram` must be an integer of at least 1"):
        NgramSelection(max_ngram=max_ngram)
