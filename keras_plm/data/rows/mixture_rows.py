"""Rows for several objectives that take turns: every batch comes from the builder of one."""

import functools

import numpy as np


class MixtureRows:
    """Makes batch n with the row builder that its number says.

    Part k makes the rows that it would make for batch n alone, so that every batch can be made
    without the others.

    Args:
        builders: list of row builders of one batch size.
        part_at: function of the number of a batch that returns the number of its part.
    """

    def __init__(self, builders, part_at):
        self.builders = builders
        self.part_at = part_at
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
        part = self.part_at(step)
        return {**self.builders[part](step, rows), "part": part}


class DrawnParts:
    """Draws the part of each batch by weight.

    Args:
        weights: positive numbers, how often each part is drawn, relative to the others.
        seed: int >= 0.
    """

    def __init__(self, weights, seed):
        self.shares = np.asarray(weights, float) / sum(weights)
        self.seed = seed

    def __call__(self, step):
        """Returns the part of batch `step`, an int from 0."""
        rng = np.random.default_rng((self.seed, 4, step))
        return int(rng.choice(len(self.shares), p=self.shares))


class PartsInStages:
    """Gives each stage of a training as many batches of each part as a table says, shuffled.

    Behind the last stage it comes again, shuffled anew.

    Args:
        stages: tuple of tuples of int >= 0, how many batches of each part a stage has.
        seed: int >= 0.
    """

    def __init__(self, stages, seed):
        self.stages = np.asarray(stages)  # (stages, parts)
        self.ends = self.stages.sum(axis=1).cumsum()
        self.seed = seed
        self._order = functools.lru_cache(maxsize=4)(self._new_order)

    def __call__(self, step):
        """Returns the part of batch `step`, an int from 0."""
        last = len(self.stages) - 1
        stage = min(int(np.searchsorted(self.ends, step, side="right")), last)
        start = 0 if stage == 0 else int(self.ends[stage - 1])
        turn, place = divmod(step - start, int(self.stages[stage].sum()))
        return int(self._order(stage, turn)[place])

    def _new_order(self, stage, turn):
        """The parts of a stage's batches, the `turn`-th time that it comes."""
        parts = np.repeat(np.arange(self.stages.shape[1]), self.stages[stage])
        return np.random.default_rng((self.seed, 5, stage, turn)).permutation(parts)
