"""BART's input: spans become one mask, or nothing; and masks stand where nothing was.

A literal example, BART's: the selection has the words "cat sat" and "ran" and one empty span. Whole
words are selected, M is the mask; of its places in the row the empty span takes a random one.

    token                       <s>  The  cat  sat  .  It  ran  .  </s>
    units                       0    0    1    1    0  0   2    0  0

    InfilledInput(M)            <s>  The  M  .  M  It  M  .  </s>
    replace="token"             <s>  The  M  M  .  M  It  M  .  </s>
    replace="nothing"           <s>  The  .  It  .  </s>
"""

from dataclasses import dataclass

import numpy as np

from keras_plm.checks import choice, flag, integer, number
from keras_plm.objectives.noising.arrangement import inner_tokens
from keras_plm.objectives.two_sided.rewriting import Rewriting

REPLACE = ("span", "token", "nothing")


@dataclass(frozen=True)
class InfilledInput(Rewriting):
    """What BART's encoder reads; the module's docstring shows one row.

    Empty spans (`Selection.empty_spans`) become masks before, between or behind the tokens of the
    text, all places alike; a row takes as many as it has room for. Where spans are deleted they are
    nothing, of which the released code makes masks all the same.

    Args:
        mask_token_id: id of the mask.
        replace: what a span becomes: "span": one mask; "token": a mask for each of its tokens;
            "nothing": it is deleted.
        joined: whether spans that touch are one. In BART they are two.
        random: the chance that a span becomes random tokens in place of masks, ids from 1 to
            V - 1; of n empty spans ceil(random * n) do.

    Raises:
        ValueError: a setting is out of range.

    Source: BART, arXiv:1910.13461, section 2.2; `add_whole_word_mask` and `add_insertion_noise` of
    the released `denoising_dataset.py`, where `replace` is a length of 1, -1 and 0.
    """

    mask_token_id: integer(0)
    replace: choice(REPLACE) = "span"
    joined: flag() = True
    random: number(0, 1) = 0.0

    def draws(self, length):
        """Where empty spans stand; and what becomes random, which id, and which of empty spans."""
        return length * (4 if self.random else 1)

    def longest(self, length, most):
        """Never longer than the row."""
        return length

    def __call__(self, rows, uniform):
        """See `Rewriting`."""
        parts = np.split(uniform, max(1, uniform.shape[1] // rows.real.shape[1]), axis=1)
        begins = rows.begins
        if not self.joined:
            begins = rows.units > 0
            begins[:, 1:] &= rows.spans[:, 1:] != rows.spans[:, :-1]
        masks = rows.units > 0 if self.replace == "token" else begins
        token_ids = np.where(masks, np.int32(self.mask_token_id), rows.token_ids)
        if self.random:
            first = np.maximum.accumulate(np.where(begins, np.arange(begins.shape[1]), 0), axis=1)
            drawn = np.take_along_axis(parts[1], first, axis=1) < self.random
            random = _random_ids(parts[2], rows.vocabulary_size)
            token_ids = np.where(masks & drawn, random, token_ids)
        keep = rows.real & (rows.units == 0)
        keep |= masks & (self.replace != "nothing")
        written = {"keep": keep, "token_ids": token_ids.astype("int32")}
        empty = rows.empty_spans
        if empty is None or self.replace == "nothing" or not empty.any():
            return written
        return self._with_empty_spans(rows, written, parts)

    def _with_empty_spans(self, rows, written, parts):
        """The row with masks between what is left of it, from left to right."""
        keep, length = written["keep"], rows.real.shape[1]
        lead, trail = frame_of(rows)
        left = np.count_nonzero(keep, axis=1)  # (B,)
        added = np.minimum(rows.empty_spans, length - left)
        place, end = np.arange(length), (left + added)[:, None]
        free = (place >= lead[:, None]) & (place < end - trail[:, None])
        rank = np.argsort(np.argsort(np.where(free, parts[0], 2.0), axis=1), axis=1)
        is_added = free & (rank < added[:, None])
        token_ids = np.full(keep.shape, self.mask_token_id, "int32")
        token_ids[(place < end) & ~is_added] = written["token_ids"][keep]
        if self.random:
            number = np.ceil(np.round(added * self.random, 6))[:, None]
            random = _random_ids(parts[3], rows.vocabulary_size)
            token_ids = np.where(is_added & (rank < number), random, token_ids)
        return {"keep": place < end, "token_ids": token_ids}


def frame_of(rows):
    """How many tokens a row has before and behind its text.

    Args:
        rows: `SelectedRows`.

    Returns:
        (B,) int each.
    """
    inner = inner_tokens(rows.real, rows.functional)
    before = rows.real & ~np.logical_or.accumulate(inner, axis=1)
    lead = np.count_nonzero(before, axis=1)
    trail = np.count_nonzero(rows.real & ~inner & ~before, axis=1)
    return lead, trail


def _random_ids(uniform, vocabulary_size):
    """Ids from 1 on, as released: 0 is the first token of a row there."""
    return (1 + uniform * (vocabulary_size - 1)).astype("int32")
