"""Lengths of rows that differ from batch to batch, so that no word always stands at an edge.

T = 70: one of 35, 60, 65, 70, 75, 80
"""

import numpy as np

SHARE_OF_LONG = 0.95  # the other batches are half as long
DEVIATION = 1 / 14  # of T: 5 of 70


def lengths_of_batches(sequence_length):
    """The lengths that batches may have: half of T, and T less or more one or two deviations.

    Args:
        sequence_length: int. T.

    Returns:
        Tuple of at most six ascending int.
    """
    near = [round(sequence_length * (1 + steps * DEVIATION)) for steps in range(-2, 3)]
    return tuple(sorted({sequence_length // 2, *near}))


def draw_lengths(sequence_length, number, rng):
    """Draws a length for each of several batches.

    T, or in one of twenty batches its half, and a normal step of a deviation T / 14, to the nearest
    of the lengths. The original takes every integer, of which 1,000 batches have about 50, each
    a program of XLA's.

    Args:
        sequence_length: int. T.
        number: int. How many batches.
        rng: `numpy.random.Generator`.

    Returns:
        (number,) int64.

    Source: Merity et al., arXiv:1708.02182, section 4.1.
    """
    lengths = np.array(lengths_of_batches(sequence_length))
    middle = np.where(rng.random(number) < SHARE_OF_LONG, 1.0, 0.5) * sequence_length
    drawn = rng.normal(middle, sequence_length * DEVIATION)
    return lengths[np.abs(drawn[:, None] - lengths).argmin(axis=1)]
