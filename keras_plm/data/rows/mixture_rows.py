"""Rows for several objectives that take turns: every batch comes from the builder of one."""

import numpy as np


class MixtureRows:
    """Makes batch n with the row builder that is drawn for it.

    Part k makes the rows that it would make for batch n alone, so that every batch can be made
    without the others.

    Args:
        builders: list of row builders of one batch size.
        weights: as many positive numbers: how often each is drawn, relative to the others.
        seed: int >= 0.
    """

    def __init__(self, builders, weights, seed):
        self.builders = builders
        self.shares = np.asarray(weights, float) / sum(weights)
        self.seed = seed
        self.batch_size = builders[0].batch_size
        self.steps_per_pass = max(builder.steps_per_pass for builder in builders)

    def __call__(self, step, rows=slice(None)):
        """Makes batch `step`.

        Args:
            step: number of the batch, from 0.
            rows: slice of the batch's rows; the others are not made.

        Returns:
            dict of the arrays of the part's builder, and "part", its number.
        """
        part = part_at(self.seed, step, self.shares)
        return {**self.builders[part](step, rows), "part": part}


def part_at(seed, step, shares):
    """Which part of a mixture makes a batch.

    Args:
        seed: int >= 0.
        step: number of the batch, from 0.
        shares: probabilities of the parts, with the sum 1.

    Returns:
        An int from 0.
    """
    return int(np.random.default_rng((seed, 4, step)).choice(len(shares), p=shares))
