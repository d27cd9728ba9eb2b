"""Spans of whole words with geometric lengths: SpanBERT's masking.

A literal example: one row, `SpanSelection(rate=0.6)`: ceil(0.6 * 7) = 5 tokens are to be selected.

    token     CLS  the  cat  sat  on  un  ##der  mats  SEP
    words     -    0    1    2    3   4   4      5     -

    draws (anchor, words):  ##der, 2    the, 1    sat, 3
    ##der, 2: from its word's begin, "un ##der mats". the, 1: "the". One token is missing.
    sat, 3: "sat", and the row is full. It does not touch "un": "on" is between.

    units     0    1    0    2    0   3   3      3     0
"""

from dataclasses import dataclass
from math import ceil

import numpy as np

from keras_plm.checks import integer, number
from keras_plm.objectives.selection.random_order import random_order
from keras_plm.objectives.selection.row_units import (
    RowUnits,
    after_break,
    number_units,
    word_begins,
)
from keras_plm.objectives.selection.selection import Selection


@dataclass(frozen=True)
class SpanSelection(Selection):
    """Selects spans of whole words until a share of the tokens is reached exactly.

    min(P, ceil(rate * n)) tokens are selected, n the tokens of the row without the special ones.
    Each span has an anchor, uniform over the tokens that are not yet selected, begins with the
    anchor's word and is L words long, P(L) ~ p (1 - p)^(L - 1) on 1 to `max_length` (p = 0.2 and
    10: a mean of 3.80). A span ends early at the end of the text, and where the row is full, even
    within a word. It may run over tokens that are selected already. Spans that overlap or touch
    are one: the units are the maximal runs of selected tokens, so they may be longer than
    `max_length`, and the tokens beside them are never selected.

    Where it departs from the released code: a functional token inside of the row (SEP between two
    texts) ends the text for a span; there may be a P smaller than ceil(rate * n).

    Args:
        p: success probability of the geometric distribution, in (0, 1]; 0.2 as in the paper.
        max_length: longest span that is drawn, in words.
        rate: share of the tokens to select, in (0, 1].

    Raises:
        ValueError: a setting is out of range.

    Source: SpanBERT (arXiv:1907.10529), section 3.1, and `PairWithSpanMaskingScheme` of the
    released code.
    """

    p: number(above=0, most=1) = 0.2
    max_length: integer(1) = 10
    rate: number(above=0, most=1) = 0.15

    def draws(self, length):
        """Two per token to select: each span, or anchor passed over, is at least one of them."""
        return 2 * ceil(self.rate * length)

    def _select(self, batch, maskable, uniform, most):
        words = RowUnits(maskable, word_begins(maskable, batch["word_starts"]))
        selected = self._spans(words, uniform, most)
        return number_units(selected, after_break(selected))

    def _spans(self, words, uniform, most):
        """(B, T) bool, the tokens of all spans."""
        half = uniform.shape[1] // 2
        chances = self.p * (1 - self.p) ** np.arange(self.max_length)
        limits = np.cumsum(chances / chances.sum())[:-1]
        ends, offsets = words.segment_ends(), words.offsets
        tokens = np.flatnonzero(words.maskable)  # the maskable tokens, row after row
        first, last = offsets[words.first], len(tokens)
        counts = np.count_nonzero(words.maskable, axis=1)
        missing = np.minimum(np.ceil(self.rate * counts).astype("int64"), most)
        unit = words.number[tokens]
        # from here on positions count the maskable tokens only; spans never leave a run of them
        selected = np.zeros(last + words.maskable.shape[1], bool)
        for steps, drawn in random_order(counts, uniform[:, :half]):
            anchors = first + np.maximum(drawn, 0)  # (steps, B)
            shares = np.ascontiguousarray(uniform[:, half:][:, steps].T)
            lengths = np.searchsorted(limits, shares, side="right") + 1
            for anchor, length in zip(anchors, lengths):
                rows = np.flatnonzero((missing > 0) & ~selected[anchor])
                word = unit[anchor[rows]]
                begin, end = offsets[word], offsets[np.minimum(word + length[rows], ends[word])]
                missing[rows] -= _mark(selected, begin, end, missing[rows])
            if not missing.any():
                break
        spread = np.zeros(words.maskable.shape, bool)
        spread.ravel()[tokens[selected[:last]]] = True
        return spread


def _mark(selected, begin, end, missing):
    """Marks from each `begin` to `end`, at most `missing` new tokens; returns how many are new."""
    width = int((end - begin).max(initial=0))
    window = begin[:, None] + np.arange(width)  # (rows, width)
    new = (window < end[:, None]) & ~selected[window]
    new &= np.cumsum(new, axis=1) <= missing[:, None]
    selected[window[new]] = True
    return np.count_nonzero(new, axis=1)
