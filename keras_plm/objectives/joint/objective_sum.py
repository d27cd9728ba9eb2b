"""Several objectives over one batch: BERT masks tokens and asks for the next sentence.

A literal example: `ObjectiveSum((MaskedModeling(..., rows="sentence_pair"), SentencePair(...)))`.

    row                CLS  it      rains  SEP  stay  in  SEP
    x["token_ids"]     CLS  [MASK]  rains  SEP  stay  in  SEP      of the one that hides
    x["segment_ids"]   0    0       0      0    1     1   1        of the other
    y                  {"tokens": it, "sentence_pair": 0}
"""

from dataclasses import dataclass

import numpy as np

from keras_plm.objectives.joint.joint_objective import JointObjective
from keras_plm.objectives.joint.plug_in import PlugIn
from keras_plm.objectives.objective import DrawnNumbers, shape_of_targets


@dataclass(frozen=True)
class ObjectiveSum(JointObjective):
    """The heads of several objectives, trained on the same rows; the losses add up.

    Args:
        objectives: tuple of two or more `Objective`, over the same rows and with different heads.
            At most one of them hides tokens; plug-ins (`SpanBoundary`) ask about what it hides.

    Raises:
        ValueError: the objectives do not fit each other.
    """

    def __post_init__(self):
        super().__post_init__()
        _check_sum(self.objectives)

    @property
    def rows(self):
        """The row builder of all of them."""
        return self._with_rows[0].rows

    @property
    def _with_rows(self):
        """The objectives that are no plug-ins."""
        return [one for one in self.objectives if not isinstance(one, PlugIn)]

    @property
    def tells_hidden(self):
        """Whether the one that hides tokens says which."""
        return any(objective.tells_hidden for objective in self.objectives)

    @property
    def num_predict(self):
        """P of the one that hides tokens, if one does."""
        return next(one.num_predict for one in self.objectives if one.hides)

    @property
    def static_passes(self):
        """That of the one that masks statically, or 0."""
        return max(objective.static_passes for objective in self.objectives)

    @property
    def reuse_length(self):
        """That of the rows, which all share."""
        return max(objective.reuse_length for objective in self.objectives)

    @property
    def row_settings(self):
        """The keyword arguments of the row builder, of all of them."""
        merged = {}
        for objective in self.objectives:
            merged |= objective.row_settings
        return merged

    @property
    def feature_names(self):
        """The keys of `x`: each name once."""
        names = (name for objective in self.objectives for name in objective.feature_names)
        return tuple(dict.fromkeys(names))

    @property
    def head_names(self):
        """The keys of `y`."""
        return tuple(name for objective in self.objectives for name in objective.head_names)

    @property
    def draws_per_row(self):
        """Those of all, one after the other."""
        return sum(objective.draws_per_row for objective in self.objectives)

    def heads(self, backbone):
        """Returns the heads of all of them."""
        heads = {}
        for objective in self.objectives:
            heads |= objective.heads(backbone)
        return heads

    def of_batch(self, batch):
        """What all rows share, of all of the objectives; see `Objective.of_batch`."""
        made = {}
        for objective in self.objectives:
            made |= objective.of_batch(batch)
        return made

    def __call__(self, batch, rng):
        """Makes the examples of all objectives from the same rows.

        Args:
            batch: dict of arrays, with all that any of the objectives takes.
            rng: `numpy.random.Generator`.

        Returns:
            `(x, y, sample_weight)`, see `Objective`. Where two objectives make the same feature,
            that of the one that hides tokens counts.

        Raises:
            ValueError: the batch does not fit one of the objectives.
        """
        return self.hide(batch, rng)[0]

    def hide(self, batch, rng):
        """Makes the examples, and says what was hidden; see `Objective`."""
        objectives = self.objectives
        uniform = rng.random((len(batch["token_ids"]), self.draws_per_row))
        ends = np.cumsum([objective.draws_per_row for objective in objectives])
        made, hidden = {}, None
        # what is hidden is known before it is asked about
        numbered = sorted(enumerate(objectives), key=lambda pair: not pair[1].hides)
        for number, objective in numbered:
            end = ends[number]
            numbers = DrawnNumbers(uniform[:, end - objective.draws_per_row : end])
            if objective.tells_hidden:
                made[number], hidden = objective.hide(batch, numbers)
            else:
                told = (hidden,) if isinstance(objective, PlugIn) else ()
                made[number] = objective(batch, numbers, *told)
        x, of_hidden, y, sample_weight = {}, {}, {}, {}
        for number, objective in enumerate(objectives):
            part_x, part_y, part_weight = made[number]
            x |= part_x
            of_hidden |= part_x if objective.hides else {}
            y |= part_y
            sample_weight |= part_weight
        return (x | of_hidden, y, sample_weight), hidden

    def target_shape(self, name):
        """That of the objective which has the head; see `Objective.target_shape`."""
        self._check_head(name)
        objective = next(one for one in self.objectives if name in one.head_names)
        if isinstance(objective, PlugIn):
            return shape_of_targets(objective.target_axes[name], self)
        return objective.target_shape(name)


def _check_sum(objectives):
    """The objectives can share rows and heads."""
    asking = [type(one).__name__ for one in objectives if isinstance(one, PlugIn)]
    if asking and not any(one.tells_hidden for one in objectives):
        raise ValueError(
            f"{asking} ask about hidden tokens: add the objective that hides them and says which, "
            f"such as MaskedModeling. Received: {[type(one).__name__ for one in objectives]}"
        )
    with_rows = [one for one in objectives if not isinstance(one, PlugIn)]
    builders = {one.rows: getattr(one.rows, "__name__", one.rows) for one in with_rows}
    if len(builders) > 1:
        raise ValueError(
            "The objectives of a sum must take the same rows: give MaskedModeling the row builder "
            'of the others, such as rows="sentence_pair". Received: rows '
            f"{sorted(map(str, builders.values()))}"
        )
    hiding = [type(objective).__name__ for objective in objectives if objective.hides]
    if len(hiding) > 1:
        raise ValueError(
            "Only one objective of a sum may hide tokens: the others would see what it hides. Use "
            f"Mixture to take turns. Received: {hiding}"
        )
    names = [name for objective in objectives for name in objective.head_names]
    if len(set(names)) < len(names):
        raise ValueError(f"The objectives of a sum must have different heads. Received: {names}")
    static = {objective.static_passes for objective in objectives} - {0}
    if len(static) > 1:
        raise ValueError(
            f"The objectives of a sum must agree on static_passes. Received: {sorted(static)}"
        )
    merged = {}
    for objective in objectives:
        for name, value in objective.row_settings.items():
            if merged.setdefault(name, value) != value:
                raise ValueError(
                    "The objectives of a sum must agree on the settings of their rows. Received: "
                    f"{name}={merged[name]!r} and {name}={value!r}"
                )
