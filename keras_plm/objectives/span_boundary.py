"""The span-boundary objective: a hidden token is told from the two tokens around its span.

A literal example: "cat sat" and "mats" are selected. "mats" stands beside SEP, so it has no
boundary on its right and is no target here.

    position          0    1    2    3    4    5     6
    token             CLS  the  cat  sat  on   mats  SEP

    target_positions  2  3  5
    left_positions    1  1  0      the, the
    right_positions   4  4  0      on, on
    span_offsets      0  1  0
    weight            1  1  0
"""

import numpy as np


def span_boundaries(positions, weights, functional, longest):
    """Finds for each target the tokens beside its span, and its place in the span.

    A span is a run of neighbouring targets, whatever units they were selected with: so no
    boundary is ever a target itself. It counts if both neighbours are ordinary tokens of the row
    and it has at most `longest` tokens.

    Args:
        positions: (B, P) int32, ascending positions of the targets, 0 where unused.
        weights: (B, P) float32, 0 where unused.
        functional: (B, T) bool, special tokens and padding.
        longest: tokens of the longest span that counts.

    Returns:
        left_positions, right_positions, span_offsets (B, P) int32 and weights (B, P) float32; all
        are 0 where the span does not count or the slot is unused.

    Source: SpanBERT (arXiv:1907.10529), section 3.2, and the pairs of the released
    `PairWithSpanMaskingScheme`, where a span at the edge of the text has no pair.
    """
    num_rows, length = functional.shape
    used = weights > 0
    slots = np.arange(positions.shape[1])
    goes_on = used[:, 1:] & (positions[:, 1:] == positions[:, :-1] + 1)  # (B, P - 1)
    begins, ends = np.ones((2, *used.shape), bool)
    begins[:, 1:] = ends[:, :-1] = ~goes_on
    first = np.maximum.accumulate(np.where(begins, slots, 0), axis=1)
    last = np.where(ends, slots, slots[-1])[:, ::-1]
    last = np.minimum.accumulate(last, axis=1)[:, ::-1]
    left = np.take_along_axis(positions, first, axis=1) - 1  # (B, P)
    right = np.take_along_axis(positions, last, axis=1) + 1
    counts = used & (left >= 0) & (right < length) & (right - left - 1 <= longest)
    rows = np.arange(num_rows)[:, None]
    counts &= ~functional[rows, np.maximum(left, 0)]
    counts &= ~functional[rows, np.minimum(right, length - 1)]
    offsets = positions - left - 1
    pairs = (np.where(counts, array, 0).astype("int32") for array in (left, right, offsets))
    return (*pairs, counts.astype("float32"))
