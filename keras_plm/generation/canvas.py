"""Rows of tokens with some to predict, in some order, as the features of a two-stream model.

A literal example: `<eod> the cat _ on _ mats` with the blanks filled right to left.

    position          0..24     25     26   27   28  29  30  31
    token             (padding) <eod>  the  cat  _   on  _   mats
    order             0         0      0    0    8   0   7   0

    slot              0..5  6   7
    target_positions  0     30  28
    used              no    yes yes

Lengths are rounded up, so that a program compiled for one batch serves the next. Rows end at the
same position and at the same slot, whatever their number of tokens and of targets.
"""

from typing import NamedTuple

import numpy as np

from keras_plm.checks import check_integer, did_you_mean, is_integer

BLANK = -1  # the id of a token to fill in
POSITIONS_AT_ONCE, SLOTS_AT_ONCE = 32, 8  # T and P are multiples
ORDERS = ("left_to_right", "right_to_left", "random")


class Canvas(NamedTuple):
    """A batch of rows, and which of its tokens are predicted when.

    Args:
        features: dict of arrays: `token_ids`, `padding_mask`, `segment_ids`, `order` (B, T),
            `target_positions` and `used` (B, P): whether a slot has a target.
        start: int. The first slot that any row uses.
    """

    features: dict
    start: int


def lay_out(rows, targets, causal=False):
    """Put rows of tokens on a canvas.

    All tokens are of segment 0, and there are no functional tokens: context, in pretraining,
    never sees SEP and CLS.

    Args:
        rows: list of B lists of int, the ids of each row; those at targets are put aside.
        targets: list of B lists of int: the indices of the tokens to predict, in the order of
            the factorisation, at least one per row.
        causal: bool. Whether no token sees one to its right.

    Returns:
        `Canvas`.

    Raises:
        ValueError: if a token would have to be predicted from nothing.
    """
    most = max(len(row) for row in targets)
    length = _rounded(max(len(row) for row in rows), POSITIONS_AT_ONCE)
    slots = _rounded(most, SLOTS_AT_ONCE)
    token_ids, order = np.zeros((2, len(rows), length), "int32")  # (B, T)
    padding_mask = np.zeros((len(rows), length), "bool")
    target_positions = np.zeros((len(rows), slots), "int32")  # (B, P)
    used = np.zeros((len(rows), slots), "bool")
    for index, (row, chosen) in enumerate(zip(rows, targets)):
        left, first = length - len(row), slots - len(chosen)
        positions = left + np.asarray(chosen, "int32")
        token_ids[index, left:] = np.maximum(row, 0)
        padding_mask[index, left:] = True
        target_positions[index, first:] = positions
        order[index, positions] = np.arange(first, slots) + 1
        used[index, first:] = True
        # Later targets see more: the first one, and under a causal mask the leftmost, see least.
        seen = np.flatnonzero(order[index, left:] == 0)
        leftmost = chosen[0] if not causal else min(chosen)
        if not len(seen) or (causal and seen[0] > leftmost):
            raise ValueError(
                "A text must have a known token that its first blank can be predicted from. "
                f"Received: {len(row)} tokens, {len(chosen)} to predict. Give a prefix."
            )
    features = {
        "token_ids": token_ids,
        "padding_mask": padding_mask,
        "segment_ids": np.zeros_like(token_ids),
        "order": order,
        "target_positions": target_positions,
        "used": used,
    }
    return Canvas(features, slots - most)


def lay_out_batches(rows, targets, batch_size, causal=False):
    """Put rows of tokens on canvases of one number of rows.

    Args:
        rows, targets, causal: as in `lay_out`, of any number N of rows.
        batch_size: int. The most rows on a canvas. The last one is filled up with its own.

    Yields:
        Pairs of a `Canvas` and the number of its rows that count.

    Raises:
        ValueError: as `lay_out`, or if `batch_size` is no integer of at least 1.
    """
    check_integer("batch_size", batch_size, 1)
    size = min(batch_size, len(rows))
    for first in range(0, len(rows), size):
        chosen = np.resize(np.arange(first, min(first + size, len(rows))), size)
        canvas = lay_out([rows[i] for i in chosen], [targets[i] for i in chosen], causal)
        yield canvas, min(size, len(rows) - first)


def permutations(order, counts, seed=None):
    """The places of some targets, listed in the order in which they are predicted.

    Args:
        order: one of `ORDERS`, or a list with a permutation of 0 .. n-1 for each text of n
            targets, from left to right: which one is predicted first, second, ...
        counts: list of int, the number of targets n of each text.
        seed: int or None. Of random orders.

    Returns:
        list of lists of int.

    Raises:
        ValueError: if the order is unknown, of another length, or no permutation.
    """
    if isinstance(order, str):
        if order not in ORDERS:
            raise ValueError(
                f"`order` must be one of {ORDERS} or a list of permutations. Received: {order!r}."
                f"{did_you_mean(order, ORDERS)}"
            )
        rng = np.random.default_rng(seed)
        if order == "random":
            return [rng.permutation(count).tolist() for count in counts]
        step = 1 if order == "left_to_right" else -1
        return [list(range(count))[::step] for count in counts]
    try:
        given = [[_integer(place) for place in permutation] for permutation in order]
    except TypeError as error:
        raise ValueError(
            f"`order` must be one of {ORDERS} or a list with a permutation for each text. "
            f"Received: {order!r:.100}."
        ) from error
    if len(given) != len(counts):
        raise ValueError(
            "`order` must have one permutation for each text. "
            f"Received: {len(given)} permutations for {len(counts)} texts."
        )
    for index, (permutation, count) in enumerate(zip(given, counts)):
        if len(permutation) != count:
            raise ValueError(
                f"The order of text {index} must be as long as its number of tokens to predict, "
                f"{count}. Received: {len(permutation)} places, {permutation[:8]}."
            )
        if sorted(permutation) != list(range(count)):
            raise ValueError(
                f"The order of text {index} must name each of 0 to {count - 1} once. "
                f"Received: {permutation[:20]}."
            )
    return given


def checked_ids(rows, vocabulary_size, blanks=False, what="`texts`"):
    """Lists of ids from lists or arrays of ids.

    Args:
        rows: list of lists of int, or an int array of shape (N, n).
        vocabulary_size: int. V.
        blanks: bool. Whether ids may be `BLANK`.
        what: str. What they are, for the message.

    Returns:
        list of lists of int.

    Raises:
        TypeError: if they are no integers.
        ValueError: if an id lies outside the vocabulary.
    """
    try:
        rows = [[_integer(index) for index in row] for row in rows]
    except TypeError as error:
        raise TypeError(
            f"{what} must be a list of texts, or of lists of ids. Received: {rows!r:.100}."
        ) from error
    lowest = BLANK if blanks else 0
    for number, row in enumerate(rows):
        if row and (min(row) < lowest or max(row) >= vocabulary_size):
            raise ValueError(
                f"The ids of {what} must lie in [{lowest}, {vocabulary_size}). "
                f"Received: values from {min(row)} to {max(row)} in row {number}."
            )
    return rows


def _integer(value):
    if not is_integer(value):
        raise TypeError(f"not an integer: {value!r:.80}")
    return int(value)


def _rounded(length, step):
    return -(-length // step) * step
