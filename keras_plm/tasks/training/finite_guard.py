"""A guard of training: a batch whose loss or gradients are not finite leaves a model as it was.

In a graph of TensorFlow the optimizer's update is a branch, which such a batch does not take. XLA
would copy all weights for a branch; there each value that a step would leave behind is chosen
between the new one and the one before. That costs next to nothing inside one program, if what the
optimizer assigns is chosen at once: were a weight computed from a moment that is given up later,
both of the moment's values would have to be kept, which takes twice the time of the update.
"""

import contextlib
import functools
import logging
import threading

import keras
from keras import ops

from keras_plm.ops.branches import run_if
from keras_plm.ops.keras_internals import compiled_by_xla, compute_output_spec
from keras_plm.tasks.optimizers.decay_exclusions import assigning_optimizers
from keras_plm.tasks.optimizers.dense_gradients import with_dense_gradients
from keras_plm.tasks.optimizers.replaced_methods import replaced
from keras_plm.tasks.training.replicas import under_strategy

SKIPPED = "skipped_batches"
LARGEST = 1e28  # a sum of squares; 3e10 of them have a sum in float32
logger = logging.getLogger("keras_plm")
_step = threading.local()  # what is known of the running one; of each replica, in its own thread


class FiniteGuard:
    """Takes the steps of a model, and leaves the model as it was if a batch is not finite.

    A batch is skipped if its loss, the norm of its gradients, or the state that it would carry on
    (a memory, running statistics) is not finite. Weights, optimizer, carried state and the means
    of metrics are then what they were; random seeds go on. All replicas decide together. A
    gradient that is not finite because the loss is scaled is left to `LossScaleOptimizer`, which
    skips the update itself and halves its scale; it counts as soon as that scale is down to 1.

    Args:
        limit: int. How many batches skipped in a row end `fit`.

    Attributes:
        skipped: `keras.metrics.Sum`, the number of batches skipped in this epoch.

    Raises:
        ValueError: if `limit` is no positive integer.
    """

    def __init__(self, limit):
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
            raise ValueError(
                "`skip_non_finite` must be a positive integer, the number of batches skipped in a "
                f"row that end training, or None. Received: skip_non_finite={limit!r}."
            )
        self.limit = limit
        self.skipped = keras.metrics.Sum(name=SKIPPED)

    def judged(self, model, loss):
        """A loss that shows in every gradient if it, or the state to be carried, is not finite.

        Args:
            model: Keras model, whose forward pass is done.
            loss: scalar tensor.

        Returns:
            The loss, or NaN.
        """
        finite = _all(ops.isfinite(one) for one in (loss, *map(_value, _carried(model))))
        return loss * ops.cast(ops.where(finite, 1.0, float("nan")), loss.dtype)

    def jax_step(self, model, train_step, state, data):
        """Take a step as the trainer for JAX does.

        Args:
            model: compiled Keras model, whose `metrics` end with `skipped`.
            train_step: its step without a guard.
            state: tuple of four lists of arrays: trainable, non-trainable, optimizer, metrics.
            data: tuple (x, y, sample_weight).

        Returns:
            Tuple (logs, state).
        """
        with _watched(model.optimizer, "stateless_apply", lambda _, gradients, __: gradients, list):
            _, new_state = train_step(state, data)
        groups = (
            model.trainable_variables,
            model.non_trainable_variables,
            model.optimizer.variables,
            model.metrics_variables,
        )
        variables, before, after = map(_flat, (groups, state, new_state))
        with keras.StatelessScope(list(zip(variables, before))):
            scaled = _is_scaled(model.optimizer)
        with keras.StatelessScope(list(zip(variables, after))):
            finite = _is_finite(model, scaled)
        kept = {id(variable) for variable in _kept(model)} - _step.chosen
        after = [
            ops.where(finite, new, value) if id(variable) in kept else new
            for variable, value, new in zip(variables, before, after)
        ]
        with keras.StatelessScope(list(zip(variables, after))) as scope:
            logs = self._logs(model, finite)
        return logs, tuple([scope.get_current_value(v) for v in group] for group in groups)

    def tensorflow_step(self, model, train_step, data):
        """Take a step as the trainer for TensorFlow does; see `jax_step`.

        Returns:
            dict of logs.
        """
        import tensorflow as tf

        _build(model, data)
        scaled = _is_scaled(model.optimizer)
        alone = not under_strategy()
        is_branch = alone and not compiled_by_xla()
        kept = [*model.metrics_variables, *_carried(model)] if is_branch else _kept(model)
        before = [tf.identity(variable.value) for variable in kept]

        def gradients(pairs):
            return [gradient for gradient, _ in pairs]

        def if_finite(update):
            run_if(_is_finite(model, scaled), update, [])

        with _watched(
            model.optimizer,
            "apply_gradients",
            gradients,
            with_dense_gradients,
            alone,
            if_finite if is_branch else None,
        ):
            train_step(data)
        finite = _is_finite(model, scaled)
        if not alone:
            wrong = tf.cast(tf.logical_not(finite), "float32")
            context = tf.distribute.get_replica_context()
            finite = context.all_reduce(tf.distribute.ReduceOp.SUM, wrong) == 0
        still = [n for n, variable in enumerate(kept) if id(variable) not in _step.chosen]
        _put_back([kept[n] for n in still], [before[n] for n in still], finite, alone)
        return self._logs(model, finite)

    def _logs(self, model, finite):
        """Count a batch and return the logs of the model, a loss of NaN if none was trained on."""
        self.skipped.update_state(ops.where(finite, 0.0, 1.0))
        logs = {**model.get_metrics_result(), SKIPPED: self.skipped.result()}
        tracker = model._loss_tracker
        logs[tracker.name] = ops.where(tracker.count > 0, logs[tracker.name], float("nan"))
        return logs


def _value(variable):
    """The value of a variable where the program is, as a tensor."""
    return ops.convert_to_tensor(variable)


def _flat(groups):
    """The elements of all groups."""
    return [one for group in groups for one in group]


def _all(conditions):
    """Whether all elements of all tensors are true."""
    return ops.all(ops.stack([ops.all(one) for one in conditions]))


def _have_a_norm(gradients):
    """Whether gradients are finite, and so small that the sum of all squares is, in float32.

    Clipping to a global norm makes NaN of gradients that have none. Matrices are summed to one
    row each, and all rows are judged as one: XLA would copy a conjunction of single conditions, as
    many as there are weights, into every kernel that assigns a value, and compile each of them.
    """
    gradients = [one for one in gradients if one is not None]
    return ops.all(ops.concatenate([_row_of_sums(one) for one in gradients]) < LARGEST)


def _row_of_sums(gradient):
    """Sums of the squares over all axes but the last, a vector; in a graph one sum over all."""
    gradient = ops.cast(gradient, "float32")
    if keras.backend.backend() == "tensorflow" and not compiled_by_xla():
        import tensorflow as tf

        return ops.reshape(2 * tf.nn.l2_loss(gradient), (1,))  # one kernel, which writes nothing
    squares = ops.square(gradient)
    if len(squares.shape) < 2:
        return ops.reshape(squares, (-1,))
    return ops.sum(squares, axis=tuple(range(len(squares.shape) - 1)))


def _kept(model):
    """The variables that a skipped batch must leave as they are."""
    trained = [*model.trainable_variables, *model.optimizer.variables]
    return [*trained, *model.metrics_variables, *_carried(model)]


def _carried(model):
    """State of layers that a batch may change: no weights that are merely frozen, no seeds."""
    variables = (v for layer in model._flatten_layers() for v in layer._non_trainable_variables)
    variables = {id(v): v for v in variables if keras.backend.is_float_dtype(v.dtype)}
    return list(variables.values())


def _build(model, data):
    """Make what the trainer for TensorFlow makes in its first step: it could not be put back."""
    import tensorflow as tf

    if not model.optimizer.built:
        with tf.init_scope():
            model.optimizer.build(model.trainable_variables)
    x, y, sample_weight = keras.tree.map_structure(
        lambda one: None if one is None else keras.KerasTensor(one.shape, one.dtype.name),
        keras.utils.unpack_x_y_sample_weight(data),
    )
    metrics, loss = model._compile_metrics, model._compile_loss
    if metrics is not None and not metrics.built:
        compute_output_spec(model.compute_metrics, x, y, model.output, sample_weight)
    if loss is not None and not loss.built:
        compute_output_spec(model.compute_loss, x, y, model.output, sample_weight, training=False)


def _is_scaled(optimizer):
    """Whether gradients may overflow just because the loss is scaled; None: it is not."""
    if not isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return None
    return _value(optimizer.dynamic_scale) > 1.0


def _is_finite(model, scaled):
    """Whether the batch of the step that was just taken was finite: a bool scalar."""
    if _step.finite is not None and scaled is None:
        return _step.finite  # the loss is in it, see `FiniteGuard.judged`
    loss = _all(ops.isfinite(_value(variable)) for variable in model._loss_tracker.variables)
    if _step.finite is None:  # there was nothing to train
        return loss
    return ops.logical_and(loss, ops.logical_or(_step.finite, scaled))


@contextlib.contextmanager
def _watched(optimizer, method, gradients, as_given, alone=True, if_finite=None):
    """See, while the block runs, whether an optimizer is given finite gradients.

    Args:
        optimizer: Keras optimizer. It is itself again behind the block.
        method: str. Its method that a trainer hands gradients to.
        gradients: function of the arguments of that method, which finds them.
        as_given: function of each argument that makes the list that the optimizer is given.
        alone: bool. Whether there is no strategy of `tf.distribute`, whose optimizer runs in
            another thread, on the gradients of all replicas: what it assigns if they are not
            finite is then what was there.
        if_finite: function that calls another one if the batch is finite, or None: each value is
            chosen.
    """
    _step.finite, _step.chosen = None, set()

    def watching(*arguments):
        arguments = [as_given(one) for one in arguments]
        finite = _step.finite = _have_a_norm(gradients(*arguments))
        update = functools.partial(getattr(type(optimizer), method), optimizer, *arguments)
        if if_finite is not None:
            return if_finite(update)
        with contextlib.ExitStack() as stack:
            if alone and not isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
                for one in assigning_optimizers(optimizer):
                    stack.enter_context(_choosing(one, finite))
            return update()

    with replaced(optimizer, {method: watching}):
        yield


def _choosing(optimizer, finite):
    """Let an optimizer assign, while the block runs, what is there if `finite` is false.

    Its own variables need no more than that (`_step.chosen`); weights may change by other ways too,
    such as a constraint or Keras's weight decay.
    """
    assign = optimizer.assign
    own = {id(variable) for variable in optimizer.variables}

    def choosing(new):
        def choose(variable, value):
            old = ops.convert_to_tensor(variable)
            new_value = new(old, ops.cast(value, old.dtype))
            _step.chosen |= {id(variable)} & own
            return assign(variable, ops.where(finite, new_value, old))

        return choose

    new_values = {
        "assign": lambda old, value: value,
        "assign_add": ops.add,
        "assign_sub": ops.subtract,
    }
    return replaced(optimizer, {name: choosing(new) for name, new in new_values.items()})


def _put_back(variables, before, finite, alone):
    """Give variables the values they had before a step that was not finite."""
    if alone:
        for variable, value in zip(variables, before):
            variable.assign(ops.where(finite, variable, value))
        return
    import tensorflow as tf

    def choose(variable, value, finite):
        variable.assign(tf.where(finite, variable, value))

    def update(strategy, finite, before):
        for variable, value in zip(variables, before):
            strategy.extended.update(variable.value, choose, (value, finite), group=False)

    tf.distribute.get_replica_context().merge_call(update, args=(finite, before))
