"""Short runs of whole words or tokens: n-gram masking of ALBERT and UniLM.

A literal example: one row, `NgramSelection(max_ngram=3, rate=0.5)`: round(0.5 * 9) = 4 (halves to
even) tokens are to be selected.

    token     CLS  the  cat  sat  on  the  mat  .  SEP
    words     -    0    1    2    3   4    5    6  -

    words in random order, each with its n: 5 with 2, 4 with 2, 1 with 3, ...
    5 with 2: "mat ." is selected, 2 missing. 4 with 2: "mat" is taken, skipped.
    1 with 3: too long, shortened to 2: "cat sat" is selected, done.

    units     0    0    1    1    0   0    2    2  0
"""

from dataclasses import dataclass

import numpy as np

from keras_plm.checks import choice, integer, number
from keras_plm.objectives.selection.random_order import random_order
from keras_plm.objectives.selection.row_units import RowUnits, number_units, word_begins
from keras_plm.objectives.selection.selection import Selection, exact_count

UNITS = ("word", "token")
LARGEST_CHANCE = 1e6


@dataclass(frozen=True)
class NgramSelection(Selection):
    """Selects n-grams of whole words or tokens that do not overlap, short ones more often.

    k = min(P, max(1, round(rate * n))) tokens are to be selected, n the real tokens with the
    special ones, halves rounded to even. The words are tried in random order as the first of an
    n-gram. n is drawn with p(n) ~ 1/n, or as `chances` say; at the end of the text the n-gram is
    as long as the words that are left. One that would pass k is shortened word by word; if not even
    its first word fits, or a word of it is already selected, it is skipped, and not tried again
    with another n; so at high rates a row may have fewer than k. Neighbouring n-grams stay two
    units. With the unit "token" every token is a word.

    Where it departs from the released code: an n-gram never reaches over a functional token (the
    released one goes on behind SEP).

    Args:
        max_ngram: longest n-gram, in words.
        rate: share of the tokens to select, in (0, 1].
        chances: tuple of `max_ngram` numbers, how often n is 1, 2, ...; () is 1/n. UniLM:
            (0.8, 0.1, 0.1).
        unit: what an n-gram has n of: "word" or, as in UniLM, "token".

    Raises:
        ValueError: a setting is out of range.

    Source: ALBERT (arXiv:1909.11942), section 4.1, and `create_masked_lm_predictions` of the
    released code (`favor_shorter_ngram`, which gives the paper's p(n)); UniLM
    (arXiv:1905.03197), section 2.4.
    """

    max_ngram: integer(1) = 3
    rate: number(above=0, most=1) = 0.15
    chances: tuple = ()
    unit: choice(UNITS) = "word"

    def __post_init__(self):
        super().__post_init__()
        object.__setattr__(self, "chances", _checked_chances(self.chances, self.max_ngram))

    def draws(self, length):
        """Two per word: which one is next, and its n."""
        return 2 * length

    def _select(self, batch, maskable, uniform, most):
        begins = maskable
        if self.unit == "word":
            begins = word_begins(maskable, batch["word_starts"])
        words = RowUnits(maskable, begins)
        missing = exact_count(batch["padding_mask"], self.rate, most)
        taken, starting = self._take(words, uniform, missing)
        return number_units(words.tokens_of(taken), words.tokens_of(starting) & begins)

    def _take(self, words, uniform, missing):
        """Which words are selected, and which of them begin an n-gram: (words + 1,) bool each."""
        length = uniform.shape[1] // 2
        chances = np.array(self.chances or 1.0 / np.arange(1, self.max_ngram + 1))
        limits = np.cumsum(chances / chances.sum())[:-1]
        ends, offsets, last = words.segment_ends(), words.offsets, len(words.offsets) - 1
        reach = np.arange(self.max_ngram)[:, None]  # (N, 1)
        taken, starting = np.zeros((2, last + 1), bool)
        for steps, drawn in random_order(words.counts, uniform[:, :length]):
            words_drawn = np.where(drawn >= 0, words.first + drawn, last)  # (steps, B)
            shares = np.ascontiguousarray(uniform[:, length:][:, steps].T)
            n = np.searchsorted(limits, shares, side="right") + 1
            ends_drawn = np.minimum(words_drawn + n, ends[words_drawn])
            for word, end in zip(words_drawn, ends_drawn):
                end = _shortened(word, end, offsets, missing)
                size = offsets[end] - offsets[word]
                members = np.minimum(word + reach, np.maximum(end - 1, word))  # (N, B)
                keep = (size <= missing) & (end > word) & ~taken[members].any(axis=0)
                taken[members[:, keep]] = True
                starting[word[keep]] = True
                missing -= size * keep
            if not missing.any():
                break
        return taken, starting


def _checked_chances(chances, max_ngram):
    """The chances as a tuple of floats."""
    given = chances if isinstance(chances, (tuple, list)) else (None,)
    numbers = [one for one in given if isinstance(one, (int, float)) and not isinstance(one, bool)]
    good = all(0 <= one < LARGEST_CHANCE for one in numbers) and len(numbers) == len(given)
    if not good or (given and (len(given) != max_ngram or not sum(given) > 0)):
        raise ValueError(
            f"chances must be () or {max_ngram} numbers, not all 0, for the n-grams of 1 to "
            f"max_ngram. Received: chances={chances!r}, max_ngram={max_ngram}"
        )
    return tuple(map(float, given))


def _shortened(word, end, offsets, missing):
    """The ends of the n-grams without the last words that do not fit; one word always stays."""
    while True:
        too_long = (offsets[end] - offsets[word] > missing) & (end > word + 1)
        if not too_long.any():
            return end
        end = end - too_long
