"""Draws without replacement, for all rows of a batch at once.

A literal example: two rows, one with the numbers 0, 1, 2, 3 and one with 0, 1.

    uniform       .5  .0  .9  .0     .9  .0  .3  .8
    drawn          2   1   3   0      1   0  -1  -1      -1: no number left

In the first row .5 is number 2 of 0 1 2 3; its place is taken by 0, so that 1 0 3 are left, and
.0 is the first of them.
"""

import numpy as np

STEPS_AT_ONCE = 32  # most rows need only the first of their draws


def random_order(counts, uniform):
    """Draws, in random order, the numbers from 0 to `counts[b] - 1` of each row b.

    Every draw is uniform over the numbers that its row has left, so all orders are equally
    likely. Nothing is computed that is not asked for.

    Args:
        counts: (B,) int, how many numbers each row has.
        uniform: (B, steps) float in [0, 1), one number per row and draw.

    Yields:
        `(steps, drawn)`, some steps at a time: `steps`, the slice of the columns of `uniform`, and
        `drawn`, (steps, B) int64 with -1 for a row that has no number left. It ends when no row
        has any, or with the columns.

    Source: Fisher and Yates's shuffle, done as far as it is asked for.
    """
    num_rows, rows = len(counts), np.arange(len(counts))
    last = min(uniform.shape[1], int(counts.max(initial=0)))
    # number i of all rows, then number i + 1 of all rows; those before the step are used up
    numbers = np.repeat(np.arange(counts.max(initial=0), dtype="int32"), num_rows)
    for start in range(0, last, STEPS_AT_ONCE):
        steps = slice(start, min(start + STEPS_AT_ONCE, last))
        step = np.arange(steps.start, steps.stop)[:, None]
        left = counts - step  # (steps, B)
        share = np.ascontiguousarray(uniform[:, steps].T)
        places = ((share * np.maximum(left, 0)).astype("int64") + step) * num_rows + rows
        drawn = np.empty(places.shape, "int64")
        begin = start * num_rows
        for place, draw in zip(places, drawn):
            draw[:] = numbers[place]
            numbers[place] = numbers[begin : begin + num_rows]
            begin += num_rows
        yield steps, np.where(left > 0, drawn, -1)
