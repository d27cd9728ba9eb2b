"""One of several objectives per batch: ERNIE 1.0 takes turns of masks and dialogues.

A literal example: `Mixture((masked, masked + pairs), weights=(2, 1))`; a batch of part 0 has no
question about pairs, and the head that stands idle gets zeros of weight 0.

    batch["part"]      0                                1
    objective          masked                           masked + pairs
    y                  tokens, sentence_pair = 0 0 0    tokens, sentence_pair = 1 0 1
    sample_weight      tokens, sentence_pair = 0 0 0    tokens, sentence_pair = 1 1 1

ERNIE 2.0 tells the model which part it is: with `task_ids=True` each token of a batch has the
number of its part in `x["task_ids"]`.
"""

import math
from dataclasses import dataclass

import numpy as np

from keras_plm.checks import flag, is_integer
from keras_plm.objectives.joint.joint_objective import JointObjective
from keras_plm.objectives.joint.plug_in import PlugIn
from keras_plm.objectives.objective import DrawnNumbers

LARGEST_WEIGHT = 1e6
SLOTS = "target_positions"  # 0 in slots that are not used, so that all of them may be


@dataclass(frozen=True)
class Mixture(JointObjective):
    """Trains each batch by one of several objectives; all share the model.

    Which one follows from the seed and the number of the batch, so that a training that is
    resumed, or read in shards, goes on as it would have.

    Args:
        objectives: tuple of two or more `Objective` that make the same features, but that some may
            hide nothing: `target_positions`, which they lack, are 0 then. A head that two of them
            have is the same head.
        weights: tuple of as many positive numbers: how often each is drawn, relative to the
            others. "sizes": as often as a pass of its rows has batches.
        stages: in place of weights, a tuple of stages, each a tuple of as many integers of at
            least 0: how many batches of each objective it has, in random order. Behind the last
            stage it comes again. ERNIE 2.0's continual training (arXiv:1907.12412, section 3.3)
            of three tasks: `((20, 0, 0), (10, 30, 0), (10, 10, 40))`, in thousands; see
            `continual_stages`.
        task_ids: whether `task_ids` is a feature: the number of the part, the same for all tokens
            of a batch. The backbone has a table of tasks then, `num_tasks` rows or more.

    Raises:
        ValueError: the objectives, weights or stages do not fit each other, or, from `heads`, the
            backbone has not as many tasks.
    """

    rows = "mixture"

    weights: tuple | str | None = None
    stages: tuple | None = None
    task_ids: flag() = False

    def __post_init__(self):
        super().__post_init__()
        if (self.weights is None) == (self.stages is None):
            raise ValueError(
                "A mixture needs either `weights` or `stages`. "
                f"Received: weights={self.weights!r:.100}, stages={self.stages!r:.100}"
            )
        count = len(self.objectives)
        if self.stages is not None:
            object.__setattr__(self, "stages", _checked_stages(self.stages, count))
        elif self.weights != "sizes":
            object.__setattr__(self, "weights", _checked_weights(self.weights, count))
        _check_mixture(self)

    @property
    def static_passes(self):
        """That of all of them."""
        return self.objectives[0].static_passes

    @property
    def row_settings(self):
        """Which row builders take turns, each with its settings, and how."""
        parts = [(objective.rows, objective.row_settings) for objective in self.objectives]
        turns = {"weights": self.weights} if self.stages is None else {"stages": self.stages}
        return {"parts": tuple(parts), **turns}

    @property
    def feature_names(self):
        """The keys of `x`, the same for all of them."""
        names = (name for objective in self.objectives for name in objective.feature_names)
        return (*dict.fromkeys(names), *(["task_ids"] if self.task_ids else []))

    @property
    def head_names(self):
        """The keys of `y`: each name once."""
        names = (name for objective in self.objectives for name in objective.head_names)
        return tuple(dict.fromkeys(names))

    @property
    def reuse_length(self):
        """The largest of theirs."""
        return max(objective.reuse_length for objective in self.objectives)

    @property
    def draws_per_row(self):
        """The most that any of them draws."""
        return max(objective.draws_per_row for objective in self.objectives)

    def heads(self, backbone):
        """Returns the heads of all of them, each once."""
        rows = backbone.bounds.get("task_ids", 0) if self.task_ids else len(self.objectives)
        if rows < len(self.objectives):
            raise ValueError(
                "With task_ids=True the backbone needs a task for each objective of the mixture: "
                f"make it with num_tasks={len(self.objectives)} or more. Received: "
                f"{type(backbone).__name__} with {rows} tasks"
            )
        heads = {}
        for objective in self.objectives:
            heads = objective.heads(backbone) | heads
        return {name: heads[name] for name in self.head_names}

    def of_batch(self, batch):
        """What all rows share, of the objective that the batch is for; see `Objective.of_batch`."""
        rest = {name: value for name, value in batch.items() if name != "part"}
        return self.objectives[batch["part"]].of_batch(rest)

    def __call__(self, batch, rng):
        """Makes the examples of the objective that the batch is for.

        Args:
            batch: dict of arrays as that objective takes them, and "part", its number.
            rng: `numpy.random.Generator`.

        Returns:
            `(x, y, sample_weight)`, see `Objective`; heads that this objective does not have get
            targets 0 of weight 0.

        Raises:
            ValueError: there is no such part, or the batch does not fit it.
        """
        part = batch.get("part")
        if not isinstance(part, (int, np.integer)) or not 0 <= part < len(self.objectives):
            raise ValueError(
                'The batch\'s "part" must say which objective it is for, an integer in '
                f"[0, {len(self.objectives)}). Received: part={part!r}. Make the rows with this "
                "objective."
            )
        objective, num_rows = self.objectives[part], len(batch["token_ids"])
        uniform = rng.random((num_rows, self.draws_per_row))[:, : objective.draws_per_row]
        rest = {name: value for name, value in batch.items() if name != "part"}
        x, made, made_weight = objective(rest, DrawnNumbers(uniform))
        y, sample_weight = {}, {}
        for name in self.head_names:
            shape = (num_rows, *self.target_shape(name))
            y[name] = made[name] if name in made else np.zeros(shape, "int32")
            given = name in made_weight
            sample_weight[name] = made_weight[name] if given else np.zeros(shape, "float32")
        if SLOTS not in x and SLOTS in self.feature_names:
            x = {**x, SLOTS: np.zeros((num_rows, self._num_slots), "int32")}
        if self.task_ids:
            x = {**x, "task_ids": np.full(batch["token_ids"].shape, part, "int32")}
        return {name: x[name] for name in self.feature_names}, y, sample_weight

    @property
    def _num_slots(self):
        """P of those that have slots."""
        return next(one.num_predict for one in self.objectives if SLOTS in one.feature_names)


def _checked_weights(weights, count):
    """The weights as a tuple of floats."""
    given = weights if isinstance(weights, (tuple, list)) else ()
    numbers = [one for one in given if isinstance(one, (int, float)) and not isinstance(one, bool)]
    good = all(math.isfinite(one) and 0 < one <= LARGEST_WEIGHT for one in numbers)
    if len(given) != count or len(numbers) != count or not good:
        raise ValueError(
            f"weights must be {count} positive numbers, one per objective, up to "
            f"{LARGEST_WEIGHT:.0f}. Received: weights={weights!r}"
        )
    return tuple(map(float, numbers))


def _checked_stages(stages, count):
    """The table of stages as tuples of ints."""
    given = stages if isinstance(stages, (tuple, list)) and len(stages) else [None]
    rows = [tuple(stage) if isinstance(stage, (tuple, list)) else () for stage in given]
    good = all(len(row) == count and all(is_integer(n) and n >= 0 for n in row) for row in rows)
    if not good or not all(map(sum, rows)):
        raise ValueError(
            f"stages must be tuples of {count} integers of at least 0, one per objective, the "
            f"number of its batches, and not all 0. Received: stages={stages!r:.200}"
        )
    return tuple(tuple(map(int, row)) for row in rows)


def _check_mixture(mixture):
    """The objectives make the same features and agree on what they share."""
    plug_ins = [one for one in mixture.objectives if isinstance(one, PlugIn)]
    if plug_ins:
        raise ValueError(
            "A plug-in stands in an ObjectiveSum with the objective that hides tokens, and the "
            f"sum in the mixture. Received: {plug_ins}"
        )
    if mixture.composes:
        raise ValueError(
            "The objectives of a mixture share one graph, which an objective with `outputs` of its "
            f"own does not: train it alone or in an ObjectiveSum. Received: {mixture.objectives}"
        )
    sets = [sorted({*one.feature_names} - {SLOTS}) for one in mixture.objectives]
    if any(names != sets[0] for names in sets) or mixture.task_ids and "task_ids" in sets[0]:
        raise ValueError(
            "The objectives of a mixture must make the same features, since they train one "
            "graph; of labels segments=True makes segment_ids, and with task_ids=True the mixture "
            f"makes task_ids. Received: {sets}, task_ids={mixture.task_ids}"
        )
    if mixture.stages is not None and mixture.static_passes:
        raise ValueError(
            "Stages follow the number of the batch, which static_passes repeats: set "
            f"static_passes=0. Received: static_passes={mixture.static_passes}"
        )
    static = {objective.static_passes for objective in mixture.objectives}
    if len(static) > 1:
        raise ValueError(
            f"The objectives of a mixture must agree on static_passes. Received: {sorted(static)}"
        )
    settings = [objective.row_settings for objective in mixture.objectives]
    contiguous = any(objective.contiguous for objective in mixture.objectives)
    if contiguous and any(one != settings[0] for one in settings):
        raise ValueError(
            "Rows that go on from batch to batch must be the same for all objectives of a mixture. "
            f"Received: settings {settings}"
        )
    for name in mixture.head_names:
        with_head = [one for one in mixture.objectives if name in one.head_names]
        shapes = {one.target_shape(name) for one in with_head}
        if len(shapes) > 1:
            raise ValueError(
                f"The objectives of a mixture must have as many targets of the head {name!r} "
                f"each: set num_predict. Received: shapes {sorted(shapes)}"
            )
        settings = [one.head_settings[name] for one in with_head if name in one.head_settings]
        if any(one != settings[0] for one in settings):
            raise ValueError(
                f"The objectives of a mixture share the head {name!r} and must agree on it. "
                f"Received: {settings}"
            )
