"""InfilledInput: the literal example; empty spans, random tokens over 20,000 draws; bad input."""

from collections import Counter

import numpy as np
import pytest

from keras_plm.objectives import InfilledInput
from keras_plm.objectives.two_sided.rewriting import SelectedRows

DRAWS, MASK, V = 20_000, 4, 50
# <s> The cat sat . It ran . </s>
THE, CAT, SAT, STOP, IT, RAN = range(10, 16)
ROW = [1, THE, CAT, SAT, STOP, IT, RAN, STOP, 2]


def rows(units, row=ROW, empty=None, times=1, padding=0):
    ids = np.repeat([[*row, *[0] * padding]], times, axis=0).astype("int32")
    spans = np.repeat([[*units, *[0] * padding]], times, axis=0)
    begins = spans > 0
    begins[:, 1:] &= spans[:, :-1] == 0
    real = np.arange(ids.shape[1]) < len(row)
    functional = np.isin(ids, (0, 1, 2))
    return SelectedRows(
        ids,
        np.broadcast_to(real, ids.shape),
        np.cumsum(begins, axis=1) * (spans > 0),
        begins,
        {},
        V,
        functional,
        spans,
        None if empty is None else np.full(times, empty),
    )


def written(slot, selected, seed=0):
    shape = len(selected.real), slot.draws(selected.real.shape[1])
    made = slot(selected, np.random.default_rng(seed).random(shape))
    return [ids[keep].tolist() for ids, keep in zip(made["token_ids"], made["keep"])]


UNITS = [0, 0, 1, 1, 0, 0, 2, 0, 0]


@pytest.mark.parametrize(
    "replace, expected",
    [
        ("span", [1, THE, MASK, STOP, IT, MASK, STOP, 2]),
        ("token", [1, THE, MASK, MASK, STOP, IT, MASK, STOP, 2]),
        ("nothing", [1, THE, STOP, IT, STOP, 2]),
    ],
)
def test_literal_example(replace, expected):
    """The example of the module's docstring: one more mask, anywhere but outside of the frame."""
    slot = InfilledInput(MASK, replace)
    assert written(slot, rows(UNITS)) == [expected]
    if replace == "nothing":
        assert written(slot, rows(UNITS, empty=1, padding=2)) == [expected]
        return
    made = Counter(map(tuple, written(slot, rows(UNITS, empty=1, times=DRAWS, padding=2))))
    places = Counter()
    for place in range(1, len(expected)):
        places[(*expected[:place], MASK, *expected[place:])] += 1  # beside a mask: twice the same
    assert set(made) == set(places)
    for outcome, count in places.items():
        chance = count / (len(expected) - 1)
        assert abs(made[outcome] / DRAWS - chance) < 4.5 * np.sqrt(chance * (1 - chance) / DRAWS)


def test_spans_that_touch():
    """In BART they are two, unless one runs over the other; in other denoising one."""
    units = [0, 0, 1, 2, 2, 0, 0, 0, 0]
    apart = InfilledInput(MASK, joined=False)
    assert written(apart, rows(units)) == [[1, THE, MASK, MASK, IT, RAN, STOP, 2]]
    assert written(InfilledInput(MASK), rows(units)) == [[1, THE, MASK, IT, RAN, STOP, 2]]


def test_random_tokens():
    """A tenth of the spans, each as a whole; ids from 1 to V - 1 alike, another for each token."""
    units = [0, 0, 1, 1, 0, 0, 2, 0, 0]
    made = np.array(written(InfilledInput(MASK, "token", random=0.1), rows(units, times=DRAWS)))
    first, second, third = made[:, 2], made[:, 3], made[:, 6]
    is_mask = first == MASK
    chance = 0.9 + 0.1 / (V - 1)  # a random token may be the mask itself
    deviation = np.sqrt(chance * (1 - chance) / DRAWS)
    for span in (first, third):
        assert abs(np.mean(span == MASK) - chance) < 4.5 * deviation
    assert np.mean(is_mask & (second != MASK)) < 0.005  # both of a span, but for such masks
    assert abs(np.mean((first != MASK) & (third != MASK)) - (1 - chance) ** 2) < 0.005
    drawn = np.concatenate([first[first != MASK], third[third != MASK]])
    counts = np.bincount(drawn, minlength=V)
    assert counts[0] == 0 and counts[MASK] == 0 and (np.delete(counts, [0, MASK]) > 0).all()
    assert np.mean(first[~is_mask] == second[~is_mask]) < 3 / V


@pytest.mark.parametrize("empty, expected", [(1, 1), (10, 1), (11, 2), (25, 3)])
def test_random_tokens_of_empty_spans(empty, expected):
    """Of n masks that stand where nothing was ceil(.1 n) are random, as released."""
    slot = InfilledInput(7, random=0.1)
    made = written(slot, rows([0] * 9, empty=empty, times=300, padding=40))
    for row in made:
        assert len(row) == 9 + empty and row[0] == 1 and row[-1] == 2
    masks = [row.count(7) for row in made]
    assert max(masks) <= empty and min(masks) == empty - expected  # a random one may be a mask
    assert np.mean(np.array(masks) == empty - expected) > 0.85


def test_what_is_left_of_the_text_keeps_its_order_and_the_row_its_length():
    made = written(InfilledInput(MASK), rows(UNITS, empty=5, times=200, padding=3))
    for row in made:
        assert len(row) == 12  # 8 are left, and no room for more than 4
        assert [token for token in row if token != MASK] == [1, THE, STOP, IT, STOP, 2]
    assert written(InfilledInput(MASK), rows([0] * 9, empty=3)) == [ROW]  # no room at all


@pytest.mark.parametrize(
    "settings, message",
    [
        (dict(mask_token_id=-1), "`mask_token_id` must be an integer of at least 0"),
        (dict(replace="mask"), "`replace` must be one of"),
        (dict(joined=1), "`joined` must be True or False"),
        (dict(random=1.1), "`random` must be a number from 0 to 1"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message) as error:
        InfilledInput(**{"mask_token_id": MASK, **settings})
    assert "Received: " in str(error.value)
