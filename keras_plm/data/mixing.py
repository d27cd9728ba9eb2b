"""Which of several tasks each batch of a training is of."""

import functools
from dataclasses import dataclass

import numpy as np

from keras_plm.checks import (
    check_choice,
    check_integer,
    check_names,
    check_number,
)
from keras_plm.data.rows.mixture_rows import DrawnParts, PartsInStages

DRAWS = ("sizes", "roots")
LARGEST = 2**20  # batches that are remembered by their order


@dataclass(frozen=True)
class MainTask:
    """MT-DNN's mixture of a main task with a share of the others.

    In each epoch come all batches of the main task, and of the others together
    `int(min(ratio * batches of the main task, all of theirs))`, drawn without replacement.

    Args:
        name: str. The main task.
        ratio: number of at least 0. 0: all batches of the others.
        others_first: bool. Whether the others come before the main task, and not among it.

    Raises:
        ValueError: if the ratio is negative or no number.

    Source: `--ratio` and `--mix_opt` of namisan/mt-dnn.
    """

    name: str
    ratio: float = 0.0
    others_first: bool = False

    def __post_init__(self):
        check_number("ratio", self.ratio, 0)


class Mix:
    """The order of the batches of several tasks; every batch follows from its number and a seed.

    Args:
        names: list of str, the tasks.
        sizes: list of int. How many batches each has in a pass over its data.
        part_at: function of the number of a batch, to the number of its task.
        steps: int. How many batches an epoch has.

    Attributes:
        names: tuple of str.
        steps: int.
    """

    def __init__(self, names, sizes, part_at, steps):
        self.names = tuple(names)
        self.sizes = tuple(sizes)
        self.steps = steps
        self._part_at = part_at
        self._before = [np.zeros(len(self.names), int)]  # batches of each task before an epoch
        self._order = functools.lru_cache(maxsize=4)(self._new_order)

    def order(self, epoch):
        """The numbers of the tasks of an epoch's batches.

        Args:
            epoch: int, from 0.

        Returns:
            int array (steps,).
        """
        return self._order(epoch).copy()

    def _new_order(self, epoch):
        start = epoch * self.steps
        return np.array([self._part_at(step) for step in range(start, start + self.steps)])

    def __call__(self, step):
        """Says which batch of which task comes.

        Args:
            step: int. The number of the batch, from 0, over all epochs.

        Returns:
            Pair of int: the number of the task, and how many batches of it came before.
        """
        epoch, place = divmod(step, self.steps)
        while len(self._before) <= epoch:
            order = self._order(len(self._before) - 1)
            counts = np.bincount(order, minlength=len(self.names))
            self._before.append(self._before[-1] + counts)
        order = self._order(epoch)
        part = int(order[place])
        return part, int(self._before[epoch][part] + (order[:place] == part).sum())


def mix(sizes, by="sizes", seed=0, steps=None):
    """Decide which task each batch of a training is of.

    Args:
        sizes: dict of the name of a task to the number of its batches, in a pass over its data.
        by: how tasks are drawn.
            "sizes": each epoch has all batches of all tasks, shuffled (MT-DNN, algorithm 1).
            "roots": each batch is drawn, in proportion to the square roots of the sizes.
            dict of names to positive weights: each batch is drawn in proportion to them.
            `MainTask`: a main task, and a share of the others.
            list of dicts of names to numbers of batches: the stages of a training, each of which
            has so many batches of each task, shuffled; behind the last one it comes again. Tasks
            that are not named have none (ERNIE 2.0's continual training).
        seed: int of at least 0.
        steps: int or None. How many batches an epoch has. None: all batches once; of stages all
            of theirs.

    Returns:
        `Mix`.

    Raises:
        ValueError: if `by` is none of these, names a task that there is not, or says nothing about
            one that there is.

    Source: MT-DNN, arXiv:1901.11504, section 3.2; ERNIE 2.0, arXiv:1907.12412, section 3.3.

    Example: two epochs of tasks with two batches and one
    ```python
    from keras_plm import data

    batches = data.mix({"cola": 2, "rte": 1})
    assert [sorted(batches.order(epoch)) for epoch in (0, 1)] == [[0, 0, 1], [0, 0, 1]]
    assert sorted(batches(step) for step in range(3)) == [(0, 0), (0, 1), (1, 0)]
    ```
    """
    if not isinstance(sizes, dict) or not sizes:
        raise ValueError(
            "`sizes` must be a dict of the names of tasks to the numbers of their batches. "
            f"Received: sizes={sizes!r:.200}."
        )
    names = list(sizes)
    counts = [check_integer(f"sizes[{name!r}]", sizes[name], 1) for name in names]
    seed = check_integer("seed", seed, 0)
    steps = check_integer("steps", steps, 1, LARGEST, none=True)
    part_at, own_steps = _parts(dict(zip(names, counts)), by, seed)
    return Mix(names, counts, part_at, steps or own_steps)


def _parts(sizes, by, seed):
    """The function of a batch's number to that of its task, and the batches of an epoch."""
    names, counts = list(sizes), list(sizes.values())
    if isinstance(by, MainTask):
        check_choice("by.name", by.name, names)
        parts = _MainAndOthers(counts, names.index(by.name), by, seed)
        return parts, parts.steps
    if isinstance(by, (list, tuple)):
        stages = [_stage(stage, names) for stage in by]
        if not stages:
            raise ValueError(f"`by` must have a stage at least. Received: by={by!r}.")
        return PartsInStages(stages, seed), int(np.sum(stages))
    if isinstance(by, dict):
        check_names("A mix of tasks", by, names, "tasks")
        missing = sorted(set(names) - set(by))
        if missing:
            raise ValueError(
                "`by` must give each task a weight; leave a task out of the data that is not to "
                f"be trained. Received: by={by!r:.200}, without {missing}."
            )
        weights = [check_number(f"by[{name!r}]", by[name], above=0) for name in names]
    else:
        check_choice("by", by, DRAWS)
        weights = np.sqrt(counts)
        if by == "sizes":
            return PartsInStages([counts], seed), sum(counts)
    return DrawnParts(weights, seed), sum(counts)


def _stage(stage, names):
    """The numbers of a stage's batches, in the order of the tasks."""
    if not isinstance(stage, dict):
        raise ValueError(
            "A stage must be a dict of the names of tasks to numbers of batches. "
            f"Received: {stage!r:.200}."
        )
    check_names("A stage", stage, names, "tasks")
    numbers = [check_integer(f"stage[{n!r}]", stage.get(n, 0), 0, LARGEST) for n in names]
    if not sum(numbers):
        raise ValueError(f"A stage must have a batch at least. Received: {stage!r:.200}.")
    return numbers


class _MainAndOthers:
    """The tasks of the batches of `MainTask`."""

    def __init__(self, counts, main, settings, seed):
        others = np.repeat(np.arange(len(counts)), counts)
        self.others, self.main = others[others != main], np.full(counts[main], main)
        self.drawn = len(self.others)
        if settings.ratio:
            self.drawn = int(min(counts[main] * settings.ratio, self.drawn))
        self.first, self.seed = settings.others_first, seed
        self.steps = len(self.main) + self.drawn
        self._order = functools.lru_cache(maxsize=4)(self._new_order)

    def __call__(self, step):
        epoch, place = divmod(step, self.steps)
        return int(self._order(epoch)[place])

    def _new_order(self, epoch):
        """The tasks of an epoch's batches."""
        random = np.random.default_rng((self.seed, 6, epoch))
        others = random.permutation(self.others)[: self.drawn]
        both = np.concatenate([others, self.main])
        return both if self.first else random.permutation(both)
