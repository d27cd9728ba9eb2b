"""NoisyInput: the literal example, rates over 20,000 draws, the token that stays, bad input."""

from collections import Counter

import numpy as np
import pytest

from keras_plm.objectives import NoisyInput
from keras_plm.objectives.two_sided.rewriting import SelectedRows

DRAWS, MASK, END = 20_000, 4, 1


def rows(row, times=1):
    ids = np.repeat([row], times, axis=0).astype("int32")
    nothing = np.zeros(ids.shape, int)
    return SelectedRows(ids, ids > 0, nothing, nothing > 0, {}, 50, np.isin(ids, (0, END)))


def written(slot, selected, uniform=None):
    shape = len(selected.real), slot.draws(selected.real.shape[1])
    uniform = np.random.default_rng(0).random(shape) if uniform is None else np.array([uniform])
    made = slot(selected, uniform)
    return [tuple(ids[keep].tolist()) for ids, keep in zip(made["token_ids"], made["keep"])]


def test_literal_example():
    """The example of the module's docstring."""
    drop, blank = [0, 0.05, 0.9, 0.5, 0.7, 0], [0, 0.9, 0.03, 0.5, 0.7, 0]
    made = written(NoisyInput(MASK), rows([END, 11, 12, 13, 14, END]), uniform=[*drop, *blank, 0.0])
    assert made == [(END, MASK, 13, 14, END)]


@pytest.mark.parametrize("drop, blank", [(0.1, 0.1), (0.0, 0.3), (0.4, 0.0), (0.0, 0.0)])
def test_rates(drop, blank):
    """Every token by itself: dropped with .1, else a mask with .1; special ones never."""
    row = [END, *range(10, 30), END, 0, 0]
    made = written(NoisyInput(MASK, drop, blank), rows(row, DRAWS))
    for one in made:
        assert one[0] == one[-1] == END
        left = [token for token in one[1:-1] if token != MASK]
        assert left == sorted(left)  # a subsequence
    for name, found, chance in (
        ("left", sum(len(one) - 2 for one in made), 1 - drop),
        ("mask", sum(one.count(MASK) for one in made), (1 - drop) * blank),
        ("as it was", sum(token >= 10 for one in made for token in one), (1 - drop) * (1 - blank)),
    ):
        number = 20 * DRAWS
        deviation = np.sqrt(chance * (1 - chance) / number)
        assert abs(found / number - chance) <= 4.5 * deviation, name


def test_a_token_stays():
    """Where all would be dropped one is kept, any of them."""
    made = written(NoisyInput(MASK, 1.0, 0.0), rows([END, 10, 11, 12, END, 0], DRAWS))
    found = Counter(made)
    assert set(found) == {(END, token, END) for token in (10, 11, 12)}
    for count in found.values():
        assert abs(count / DRAWS - 1 / 3) < 4.5 * np.sqrt(2 / 9 / DRAWS)
    assert written(NoisyInput(MASK, 1.0), rows([END, END])) == [(END, END)]


@pytest.mark.parametrize(
    "settings, message",
    [
        (dict(mask_token_id=-1), "`mask_token_id` must be an integer of at least 0"),
        (dict(drop=1.5), "`drop` must be a number from 0 to 1"),
        (dict(blank=-1), "`blank` must be a number from 0 to 1"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message) as error:
        NoisyInput(**{"mask_token_id": MASK, **settings})
    assert "Received: " in str(error.value)
