"""What objectives that are made of objectives have in common."""

from dataclasses import dataclass

from keras_plm.objectives.joint.plug_in import PlugIn
from keras_plm.objectives.objective import Objective


@dataclass(frozen=True)
class JointObjective(Objective):
    """Abstract base of `ObjectiveSum` and `Mixture`: several objectives, one model.

    Args:
        objectives: tuple or list of two or more `Objective` of the same `sequence_length`.

    Raises:
        ValueError: they are not.
    """

    objectives: tuple

    def __post_init__(self):
        super().__post_init__()
        name, objectives = type(self).__name__, self.objectives
        given = objectives if isinstance(objectives, (tuple, list)) else ()
        if len(given) < 2 or not all(isinstance(one, Objective) for one in given):
            raise ValueError(
                f"{name} takes a tuple of two or more objectives. Received: "
                f"objectives={objectives!r}"
            )
        if any(one.variable_length for one in given):
            raise ValueError(
                f"The objectives of {name} must have rows of one length. Received: "
                f"variable_length=True in {objectives!r}"
            )
        lengths = {one.sequence_length for one in given if not isinstance(one, PlugIn)}
        if len(lengths) > 1:
            raise ValueError(
                f"The objectives of {name} must have the same sequence_length. Received: "
                f"{sorted(lengths)}"
            )
        object.__setattr__(self, "objectives", tuple(given))

    @property
    def hides(self):
        """Whether one of them does."""
        return any(objective.hides for objective in self.objectives)

    @property
    def sequence_length(self):
        """T, tokens per row."""
        return next(one.sequence_length for one in self.objectives if not isinstance(one, PlugIn))

    @property
    def composes(self):
        """Whether one of them has `outputs` of its own."""
        return any(objective.composes for objective in self.objectives)

    def outputs(self, backbone, heads, inputs):
        """Composes the graph: parts with `outputs` of their own by these, all others by one pass.

        See `Objective.outputs`.
        """
        made, read = {}, {"state"}
        for objective in self.objectives:
            if objective.composes:
                own = {name: heads[name] for name in objective.head_names}
                outputs, encoded = objective.outputs(backbone, own, inputs)
                made |= outputs
            else:
                read |= set(objective.feature_names)
        rest = {name: head for name, head in heads.items() if name not in made}
        if rest:
            features = {name: one for name, one in inputs.items() if name in read}
            outputs, encoded = super().outputs(backbone, rest, features)
            made |= outputs
        return {name: made[name] for name in heads}, encoded

    @property
    def head_settings(self):
        """Those of all of them."""
        return {name: one for part in self.objectives for name, one in part.head_settings.items()}

    @property
    def characters(self):
        """Whether a part takes `character_ids`."""
        return any(objective.characters for objective in self.objectives)

    @property
    def samples_per_row(self):
        """The most that any of them needs."""
        return max(objective.samples_per_row for objective in self.objectives)

    @property
    def whole_batch(self):
        """Whether a part makes arrays of the whole batch."""
        return any(objective.whole_batch for objective in self.objectives)

    @property
    def columns(self):
        """What any of them needs of the corpus."""
        return tuple(dict.fromkeys(name for one in self.objectives for name in one.columns))

    @property
    def token_counts(self):
        """Whether a part takes `token_counts`."""
        return any(objective.token_counts for objective in self.objectives)

    def target_shape(self, name):
        """That of the objectives which have the head; see `Objective.target_shape`."""
        self._check_head(name)
        with_head = [one for one in self.objectives if name in one.head_names]
        return with_head[0].target_shape(name)
