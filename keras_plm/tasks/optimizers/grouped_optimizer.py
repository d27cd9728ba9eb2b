"""One optimizer for several groups of variables, each with a rate and a gate of its own."""

import contextlib
import functools
import logging

import keras
from keras import ops

from keras_plm.checks import check_flag
from keras_plm.ops.branches import run_if
from keras_plm.tasks.optimizers.dense_gradients import dense_gradients
from keras_plm.tasks.optimizers.moving_averages import begin_averages
from keras_plm.tasks.training.replicas import under_strategy

logger = logging.getLogger("keras_plm")

# What is of a whole step, and not of a group.
OF_A_STEP = (
    "clipnorm",
    "clipvalue",
    "global_clipnorm",
    "gradient_accumulation_steps",
    "loss_scale_factor",
)


@keras.saving.register_keras_serializable(package="keras_plm")
class GroupedOptimizer(keras.optimizers.Optimizer):
    """Any Keras optimizer, with a rate factor and a gate for each group of variables.

    The update of a group, weight decay with it, is made at `factor` times the learning rate: it is
    the update that is scaled, as Adam undoes what scales a gradient. A group whose gate is closed
    stands still whole: its values, their moments and averages, and its own count of steps, so that
    its first update is the one of a new optimizer. A learning rate schedule counts all steps.

    Gradients are clipped as the optimizer says, a global norm over all open groups, and gathered
    over `gradient_accumulation_steps` for all groups together.

    `gates` and `factors` may be assigned to between epochs, as a callback does; they are saved
    with the optimizer. Backpropagation runs through closed groups all the same: `fit_in_stages`
    saves its time.

    Args:
        optimizer: Keras optimizer that was not used before; not one that wraps others.
            (`LossScaleOptimizer` goes around this one, as Keras puts it.)
        groups: list of lists of `keras.Variable` or of their paths, as `parameter_groups` makes
            them. What is in no group is a group by itself, the last, with a factor of 1.
        factors: list of float of at least 0, one per group; None: all are 1.
        rest_when_idle: bool. Whether a group all of whose gradients are 0 stands still in a step,
            as a head that a batch is not for (`keras_plm.transfer.head_groups`).

    Attributes:
        factors: variable (G,), float.
        gates: variable (G,), 1.0 where a group is trained, else 0.0.

    Raises:
        ValueError: if an argument is not of this form, or a variable is in two groups; by the first
            step, in a strategy of `tf.distribute`, which cannot update on conditions.

    Source: Howard and Ruder, ULMFiT, arXiv:1801.06146, section 3.3 (discriminative rates and
    gradual unfreezing).

    Example:

    ```python
    import keras
    from keras_plm.transfer import GroupedOptimizer

    model = keras.Sequential([keras.layers.Dense(3), keras.layers.Dense(1)])
    model.build((None, 2))
    groups = [layer.trainable_variables for layer in model.layers]
    model.compile(GroupedOptimizer(keras.optimizers.Adam(1e-3), groups, [0.1, 1.0]), "mse")
    ```
    """

    def __init__(
        self, optimizer, groups, factors=None, name="grouped_optimizer", rest_when_idle=False
    ):
        wraps = isinstance(optimizer, GroupedOptimizer) or any(
            hasattr(optimizer, one) for one in ("inner_optimizer", "optimizers")
        )
        if not isinstance(optimizer, keras.optimizers.Optimizer) or wraps or optimizer.built:
            raise ValueError(
                "`optimizer` must be a Keras optimizer that was not used before and wraps no "
                f"other. Received: optimizer={optimizer!r:.100}."
            )
        paths = _paths(groups)
        factors = _checked_factors(factors, len(paths))
        config = optimizer.get_config()
        rate = getattr(optimizer, "_learning_rate", None)
        if isinstance(rate, keras.Variable):
            rate = config["learning_rate"]
        super().__init__(rate, name=name, **{one: config.get(one) for one in OF_A_STEP})
        self.rest_when_idle = check_flag("rest_when_idle", rest_when_idle)
        self.paths = paths
        self.initial_factors = factors
        self.optimizer = optimizer  # what the groups' are made as; it updates nothing itself
        self.group_optimizers = []  # or None, where no variable of a group is trained
        self._rates = []

    def build(self, variables):
        """Make the optimizers of the groups, and their variables.

        Args:
            variables: list of the `keras.Variable` that will be trained.
        """
        if not self.built:
            with _outside_of_graphs():  # Keras builds in a first step, which TensorFlow traces
                self._build(variables)

    def _build(self, variables):
        super().build(variables)
        numbers = self._numbers_of(variables)
        self._group_of = {self._var_key(one): number for one, number in zip(variables, numbers)}
        count = max(len(self.paths), max(numbers, default=-1) + 1)
        factors = [*self.initial_factors, 1.0][:count]
        self.factors, self.gates = (
            self.add_variable((count,), initializer="ones", dtype="float32", name=name)
            for name in ("factors", "gates")
        )
        self.factors.assign(factors)
        self.group_optimizers = [
            self._new_optimizer(number, [v for v, n in zip(variables, numbers) if n == number])
            for number in range(count)
        ]

    def _numbers_of(self, variables):
        """The number of each variable's group."""
        groups = {path: number for number, paths in enumerate(self.paths) for path in paths}
        numbers = [_group_of_path(groups, variable.path) for variable in variables]
        rest = len(self.paths)
        return [rest if number is None else number for number in numbers]

    def _new_optimizer(self, number, variables):
        """The optimizer of a group, at the rate that `_backend_update_step` finds."""
        if not variables:
            names = self.paths[number][:3]
            logger.warning("No variable of group %d is trained: it has %s, ...", number, names)
            return None
        config = {k: v for k, v in self.optimizer.get_config().items() if k not in OF_A_STEP}
        config["learning_rate"] = 0.0
        config["name"] = f"group_{number}"
        new = type(self.optimizer).from_config(config)
        new.learning_rate = lambda: self._rates[number]
        for name in ("_exclude_from_weight_decay", "_exclude_from_weight_decay_pattern"):
            if hasattr(self.optimizer, name):
                setattr(new, name, getattr(self.optimizer, name))
        new.build(variables)
        begin_averages(new)
        return new

    @property
    def variables(self):
        built = [one for one in self.group_optimizers if one is not None]
        return [*super().variables, *(v for one in built for v in one.variables)]

    @property
    def _model_variables_moving_average(self):
        """The averages of all variables, in their order, as `SwapEMAWeights` looks for them."""
        averages = {}
        for one in self.group_optimizers:
            if one is not None:
                pairs = zip(one._trainable_variables, one._model_variables_moving_average)
                averages |= {self._var_key(variable): average for variable, average in pairs}
        return [averages[self._var_key(variable)] for variable in self._trainable_variables]

    def exclude_from_weight_decay(self, var_list=None, var_names=None):
        """Leave variables out of weight decay; see `keras.optimizers.Optimizer`."""
        if self.built:
            raise ValueError("Weight decay's exceptions are set before the optimizer is built.")
        self.optimizer.exclude_from_weight_decay(var_list, var_names)

    def _clip_gradients(self, grads):
        """Clip gradients; those of closed groups have no part in a global norm."""
        if self.global_clipnorm:
            gates = ops.convert_to_tensor(self.gates)
            grads = [
                gradient * ops.cast(gates[number] > 0, gradient.dtype)
                for gradient, number in zip(grads, self._numbers)
            ]
        return super()._clip_gradients(grads)

    def apply(self, grads, trainable_variables=None):
        """Update variables; see Keras's. Gradients of tables may be sparse."""
        return super().apply(dense_gradients(grads), trainable_variables)

    def _backend_apply_gradients(self, grads, trainable_variables):
        self._numbers = [self._group_of[self._var_key(one)] for one in trainable_variables]
        super()._backend_apply_gradients(grads, trainable_variables)

    def _backend_update_step(self, grads, trainable_variables, learning_rate):
        """Take a step of each open group, with gradients that are clipped already."""
        if under_strategy():
            raise ValueError(
                "A strategy of `tf.distribute` cannot train groups of variables. Use one optimizer "
                "for all of them, or train with JAX."
            )
        gates = ops.convert_to_tensor(self.gates)
        rates = ops.cast(learning_rate, "float32") * ops.convert_to_tensor(self.factors)
        self._rates = [rates[number] for number in range(len(self.group_optimizers))]
        given = list(zip(grads, trainable_variables, self._numbers))
        for number, optimizer in enumerate(self.group_optimizers):
            own = [(gradient, variable) for gradient, variable, n in given if n == number]
            if own:
                own_grads, variables = map(list, zip(*own))
                is_open = gates[number] > 0
                if self.rest_when_idle:
                    is_open = ops.logical_and(is_open, _any_is_not_zero(own_grads))
                step = functools.partial(optimizer.apply, own_grads, variables)
                run_if(is_open, step, [*optimizer.variables, *variables])
        self._rates = []

    def finalize_variable_values(self, var_list):
        """Give variables their averages, if the optimizer has such; see Keras's."""
        for optimizer in self.group_optimizers:
            if optimizer is not None and int(optimizer.iterations):  # it has taken a step
                optimizer.finalize_variable_values(optimizer._trainable_variables)

    def get_config(self):
        rate = super().get_config()["learning_rate"]
        optimizer = keras.saving.serialize_keras_object(self.optimizer)
        optimizer["config"]["learning_rate"] = rate  # as a callback may have left it
        return {
            "optimizer": optimizer,
            "groups": [list(paths) for paths in self.paths],
            "factors": list(self.initial_factors),
            "name": self.name,
            "rest_when_idle": self.rest_when_idle,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        optimizer = keras.saving.deserialize_keras_object(config["optimizer"], custom_objects)
        return cls(**{**config, "optimizer": optimizer})


def _outside_of_graphs():
    """A context that is not part of what TensorFlow traces."""
    if keras.backend.backend() != "tensorflow":
        return contextlib.nullcontext()
    import tensorflow as tf

    return tf.init_scope()


def _any_is_not_zero(grads):
    """Whether a group has a gradient; NaN is one."""
    found = [ops.any(ops.not_equal(one, 0)) for one in grads]
    return ops.any(ops.stack(found))


def _paths(groups):
    """The paths of the variables of groups, checked."""
    if not isinstance(groups, (list, tuple)) or not groups:
        raise ValueError(
            "`groups` must be a list of groups, each a list of variables or of their paths. "
            f"Received: groups={groups!r:.200}."
        )
    found = []
    for group in groups:
        group = [getattr(one, "path", one) for one in group]
        if not all(isinstance(one, str) for one in group):
            raise ValueError(
                f"A group must be a list of variables or of their paths. Received: {group!r:.200}."
            )
        found.append(group)
    flat = [path for group in found for path in group]
    twice = sorted({path for path in flat if flat.count(path) > 1})
    if twice:
        raise ValueError(f"A variable must be in one group. Received several times: {twice[:5]}.")
    return found


def _checked_factors(factors, count):
    """The factors of groups as floats."""
    factors = [1.0] * count if factors is None else list(factors)
    good = all(
        isinstance(one, (int, float)) and not isinstance(one, bool) and 0 <= one < float("inf")
        for one in factors
    )
    if len(factors) != count or not good:
        raise ValueError(
            f"`factors` must be {count} finite numbers of at least 0, one for each group. "
            f"Received: factors={factors!r:.200}."
        )
    return [float(one) for one in factors]


def _group_of_path(groups, path):
    """The number of the group of a path, or None; the model's own name may stand before it."""
    if path in groups:
        return groups[path]
    near = [n for one, n in groups.items() if one.endswith(f"/{path}") or path.endswith(f"/{one}")]
    return near[0] if len(near) == 1 else None
