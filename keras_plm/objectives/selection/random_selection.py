"""Single units, chosen uniformly: the masking of BERT, BERT-wwm, RoBERTa and ERNIE 1.0.

A literal example: one row, `RandomSelection(unit="word", rate=0.4)`. There are 7 real tokens, the
special ones included: round(0.4 * 7) = 3 tokens are to be selected.

    token     CLS  un  ##do  it  now  ##adays  SEP  PAD
    words     -    0   0     1   2    2        -    -

    words in random order: 2, 0, 1
    word 2: 2 tokens, 1 missing. Word 0: 2 tokens do not fit, skipped. Word 1: fits.

    units     0    0   0     1   2    2        0    0
"""

from dataclasses import dataclass
from math import ceil, sqrt

import numpy as np

from keras_plm.checks import choice, number
from keras_plm.objectives.selection.random_order import random_order
from keras_plm.objectives.selection.row_units import (
    RowUnits,
    number_units,
    span_begins,
    word_begins,
)
from keras_plm.objectives.selection.selection import Selection, exact_count

UNITS = ("token", "word", "span")
COUNTS = ("exact", "rounded", "bernoulli")
DEVIATIONS = 4  # of the number of selected tokens, where it varies


@dataclass(frozen=True)
class RandomSelection(Selection):
    """Selects tokens, words or given spans, each as a whole and all with the same chance.

    How many, with n the real tokens of the row, special ones included, and P the most:

    - "exact": k = min(P, max(1, round(rate * n))) tokens, halves rounded to even (BERT). Units
      are taken in random order until there are k tokens; one that would pass k is skipped
      (BERT-wwm), so a row may have fewer, and a word longer than k is never selected.
    - "rounded": int(rate * n + U) tokens, or, of words and spans, int(rate * units + U) units,
      with one uniform number U per row, so the expected share is exact; it may be none
      (RoBERTa). At most P tokens: a drawn unit that would pass P is left out.
    - "bernoulli": each unit by itself with the chance `rate` (ERNIE 1.0). If a row gets more than
      P tokens, units with the largest numbers are left out until there are at most P.

    Where it departs from the released code: special tokens are never selected (fairseq selects
    <s> and </s> too; they count in n here as there, but not among the words, so the expected
    number of real words is the same); a functional token ends a word (in BERT-wwm a continuation
    right after SEP joins the last word before it). A P smaller than k cuts the count to P, as in
    BERT's code, not the row.

    Args:
        unit: "token"; "word" (whole words); or "span": the spans given in `span_marks`, and
            every word outside of them.
        rate: share of the tokens (or units) to select, in (0, 1].
        count: "exact", "rounded" or "bernoulli".

    Raises:
        ValueError: a setting is out of range.

    Source: BERT (arXiv:1810.04805), section 3.1, and `create_masked_lm_predictions` of the
    released code; BERT-wwm (arXiv:1906.08101); RoBERTa (arXiv:1907.11692), section 4.1, and
    fairseq's `mask_tokens_dataset`; ERNIE (arXiv:1904.09223), section 3.2, and its `batching.py`.
    """

    unit: choice(UNITS) = "token"
    rate: number(above=0, most=1) = 0.15
    count: choice(COUNTS) = "exact"

    @property
    def batch_names(self):
        """The arrays of the batch that it reads."""
        more = {"token": (), "word": ("word_starts",), "span": ("word_starts", "span_marks")}
        return ("padding_mask", "functional", *more[self.unit])

    def draws(self, length):
        """One per unit that may have to be drawn, and one for a rounded count."""
        if self.count == "rounded":
            return 1 + min(length, int(self.rate * length + 1))
        if self.count == "exact" and self.unit == "token":
            return max(1, round(self.rate * length))
        return length

    def predictions(self, length):
        """As many as are selected, and where that varies four standard deviations more.

        The deviation is that of T independent choices; what passes even that is not selected.
        """
        mean = self.rate * length
        varies = self.count == "bernoulli" or (self.count == "rounded" and self.unit != "token")
        more = DEVIATIONS * sqrt(mean * (1 - self.rate)) if varies else 0
        return max(1, min(length, ceil(round(mean + more, 6))))

    def _select(self, batch, maskable, uniform, most):
        begins = maskable
        if self.unit == "word":
            begins = word_begins(maskable, batch["word_starts"])
        elif self.unit == "span":
            begins = span_begins(maskable, batch["word_starts"], batch["span_marks"])
        if self.unit == "token" and self.count != "bernoulli":
            selected = self._select_tokens(batch["padding_mask"], maskable, uniform, most)
        else:
            units = RowUnits(maskable, begins)
            selected = units.tokens_of(self._take(batch["padding_mask"], units, uniform, most))
        return number_units(selected, selected & begins)

    def _select_tokens(self, padding_mask, maskable, uniform, most):
        """(B, T) bool: so many tokens of each row."""
        if self.count == "exact":
            return _single_tokens(maskable, uniform, exact_count(padding_mask, self.rate, most))
        goal = _rounded(np.count_nonzero(padding_mask, axis=1), self.rate, uniform[:, 0])
        return _single_tokens(maskable, uniform[:, 1:], np.minimum(goal, most))

    def _take(self, padding_mask, units, uniform, most):
        """Which of the units are selected, (units + 1,) bool."""
        if self.count == "bernoulli":
            return _each_by_itself(units, uniform, self.rate, most)
        if self.count == "exact":
            tokens = exact_count(padding_mask, self.rate, most)
            return _whole_units(units, uniform, tokens, units.counts)
        goal = _rounded(units.counts, self.rate, uniform[:, 0])
        tokens = np.full(len(goal), min(most, padding_mask.shape[1]))
        return _whole_units(units, uniform[:, 1:], tokens, goal)


def _rounded(counts, rate, uniform):
    """The share `rate` of `counts`, rounded up or down so that it is right on average."""
    return (rate * counts + uniform).astype("int64")


def _single_tokens(maskable, uniform, goal):
    """(B, T) bool: `goal` maskable tokens of each row."""
    places, counts = np.flatnonzero(maskable), np.count_nonzero(maskable, axis=1)
    first = np.cumsum(counts) - counts
    selected = np.zeros(maskable.shape, bool)
    for steps, drawn in random_order(counts, uniform):
        drawing = (drawn >= 0) & (np.arange(steps.start, steps.stop)[:, None] < goal)
        selected.ravel()[places[(first + drawn)[drawing]]] = True
    return selected


def _whole_units(units, uniform, tokens, goal):
    """Takes up to `goal` units per row in random order, and leaves out what would pass `tokens`."""
    taken, offsets = np.zeros(len(units.offsets), bool), units.offsets
    missing = np.where(goal > 0, tokens, 0)
    for steps, drawn in random_order(units.counts, uniform):
        drawing = (drawn >= 0) & (np.arange(steps.start, steps.stop)[:, None] < goal)
        unit = np.where(drawing, units.first + drawn, 0)  # (steps, B)
        sizes = np.where(drawing, offsets[unit + 1] - offsets[unit], units.maskable.size + 1)
        fits = np.empty(unit.shape, bool)
        for size, fit in zip(sizes, fits):
            np.less_equal(size, missing, out=fit)
            missing -= size * fit
        taken[unit[fits]] = True
        if not missing.any() or steps.stop >= goal.max():
            break
    return taken


def _each_by_itself(units, uniform, rate, most):
    """Takes each unit whose number is below `rate`, those with the smallest where too many do."""
    taken = np.zeros(len(units.offsets), bool)
    places = units.places
    shares = uniform.ravel()[places]
    chosen = np.flatnonzero(shares < rate)
    rows = places[chosen] // uniform.shape[1]
    sizes = units.offsets[chosen + 1] - units.offsets[chosen]
    totals = np.bincount(rows, sizes, len(uniform)).astype("int64")
    if (totals > most).any():
        order = np.lexsort((shares[chosen], rows))
        before = (np.cumsum(totals) - totals)[rows]  # tokens of all earlier rows
        chosen = chosen[order[np.cumsum(sizes[order]) - before <= most]]
    taken[chosen] = True
    return taken
