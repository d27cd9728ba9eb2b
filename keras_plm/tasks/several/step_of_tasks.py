"""How a `MultiTask` is compiled, and its step: the head of a batch's task is chosen in it."""

import functools
import warnings

import keras
from keras import ops

from keras_plm.checks import check_names
from keras_plm.ops import run_branch, run_loss_branch
from keras_plm.tasks.feeding.mixed_batches import TASK_NUMBER
from keras_plm.tasks.optimizers.paper_optimizers import default_optimizer
from keras_plm.tasks.several import parts_of_tasks
from keras_plm.tasks.task import Task


class CompiledMultiTask(Task):
    """Abstract base of `MultiTask`: losses of several tasks, of which one counts in each batch.

    Attributes:
        members: dict of names to `Task`, whose heads it trains.
        losses_of_tasks: dict of names to `keras.metrics.Mean`.
    """

    def set_tasks(self, tasks):
        """Take the tasks that are trained.

        Args:
            tasks: dict of names to `Task`.
        """
        self.heads = {}  # those of the tasks are theirs
        self.members = tasks
        self.losses_of_tasks = {
            name: keras.metrics.Mean(name=f"{name}_loss", dtype="float32") for name in tasks
        }
        self._rows_per_example = {}  # of the tasks, as their last data had them
        self._reader = _InTraining()

    # === Compilation ===

    def compile(
        self,
        optimizer="auto",
        loss=None,
        jit_compile="auto",
        skip_non_finite=10,
        fixed_shapes=None,
        run_eagerly=False,
        **kwargs,
    ):
        """Set up training; see `Task.compile`.

        Args:
            optimizer: "auto", see there; or a Keras optimizer. It becomes a `GroupedOptimizer`, in
                which each head is a group of its own.
            loss: dict of names of tasks to losses in place of those of their heads, such as
                `keras_plm.heads.SoftLabelLoss`; or None.
            jit_compile, skip_non_finite, fixed_shapes: see there.
            run_eagerly: bool. As Keras takes it.
            kwargs: arguments of `keras.Model.compile`, but for metrics: each task has its own.

        Raises:
            ValueError: if `loss` is none of these.
        """
        loss = {} if loss is None else loss
        if not isinstance(loss, dict):
            raise ValueError(
                "`loss` must be a dict of names of tasks to losses, or None: those of the heads. "
                f"Received: loss={loss!r:.100}."
            )
        check_names("MultiTask", loss, self.members, "tasks")
        options = dict(jit_compile=jit_compile, skip_non_finite=skip_non_finite)
        options |= dict(fixed_shapes=fixed_shapes, run_eagerly=run_eagerly)
        for name, task in self.members.items():
            task.compile(loss=loss.get(name, "auto"), **options)
        if isinstance(optimizer, str):
            auto = optimizer == "auto"
            optimizer = default_optimizer(self.learning_rate) if auto else optimizer
            optimizer = keras.optimizers.get(optimizer)
        if optimizer is not None:
            optimizer = parts_of_tasks.with_groups(optimizer, self.members)
        self._given_losses = dict(loss)
        unused = dict.fromkeys(("loss", "metrics", "weighted_metrics", "loss_weights"))
        super().compile(optimizer, **unused, **options, **kwargs)

    def get_compile_config(self):
        config = super().get_compile_config()
        for name in ("metrics", "weighted_metrics", "loss_weights"):
            config.pop(name, None)
        if config:
            config["loss"] = keras.saving.serialize_keras_object(self._given_losses)
        return config

    # === The step ===

    def train_step(self, *arguments):
        """Take one step; the gate of the batch's head is open, those of the others are closed."""
        *state, data = arguments
        x, y, _ = keras.utils.unpack_x_y_sample_weight(data)
        number = x[TASK_NUMBER][0]
        optimizer = parts_of_tasks.grouped(self.optimizer)
        group = ops.arange(optimizer.gates.shape[0])  # the heads, in their order, come first
        is_open = ops.logical_or(group == number, group >= len(self.members))
        if not state:
            before = ops.convert_to_tensor(optimizer.gates)
            optimizer.gates.assign(_gates(is_open, before, group, len(self.members)))
            with warnings.catch_warnings():
                if set(self.members) - set(y):  # as a user asked for
                    warnings.filterwarnings("ignore", "Gradients do not exist")
                return super().train_step(data)
        weights, others, of_optimizer, of_metrics = state[0]
        places = [one is optimizer.gates for one in self.optimizer.variables]
        place, of_optimizer = places.index(True), list(of_optimizer)
        of_optimizer[place] = _gates(is_open, of_optimizer[place], group, len(self.members))
        return super().train_step((weights, others, of_optimizer, of_metrics), data)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The loss of the task that a batch is of."""
        number = x[TASK_NUMBER][0]
        names = [name for name in self.members if name in y]
        branches = [
            functools.partial(self._loss_of, name, x, y, y_pred, sample_weight, training)
            if name in y
            else functools.partial(ops.zeros, ())
            for name in self.members
        ]
        below = {id(one) for one in self.backbone.variables}  # no head assigns to these
        changing = [one for one in self.variables if not one.trainable and id(one) not in below]
        known = {id(one) for one in changing}
        reading = [one for one in self.variables if id(one) not in known]
        if training:
            scale = _loss_scale(self.optimizer)
            loss = run_loss_branch(number, branches, changing, reading, scale)
        else:
            loss = run_branch(number, branches, changing, reading)
        for place, (name, mean) in enumerate(self.losses_of_tasks.items()):
            if name in names:
                own = ops.equal(number, place)
                mean.update_state(ops.where(own, loss, 0.0), ops.cast(own, "float32"))
        for one in self.losses:
            loss = loss + ops.sum(ops.cast(one, loss.dtype))
        if self._guard is None or not training:
            return loss
        return self._guard.judged(self, loss)

    def _loss_of(self, name, x, y, encoded, sample_weight, training):
        """The loss of one task, for rows that are read."""
        task, several = self.members[name], self._rows_per_example.get(name, 1)
        rows = ops.shape(keras.tree.flatten(y[name])[0])[0] * several
        encoded, x = (
            {key: one if several == 1 else one[:rows] for key, one in given.items()}
            for given in (encoded, x)
        )
        read = functools.partial(task.read, encoded, x, several)
        outputs = self._reader(x[TASK_NUMBER], read=read, training=training)
        return ops.cast(task.loss_of(y[name], outputs, sample_weight[name]), "float32")

    def get_metrics_result(self):
        """The values of the metrics; the loss of a task without a batch is NaN."""
        logs = super().get_metrics_result()
        for name, mean in self.losses_of_tasks.items():
            logs[mean.name] = ops.where(mean.count > 0, logs[mean.name], float("nan"))
        return logs


class _InTraining(keras.layers.Layer):
    """Runs a function as a layer does, so that the layers inside know whether it is training."""

    def __init__(self):
        super().__init__(autocast=False, name="reader")
        self.built = True

    def call(self, inputs, read, training=None):
        return read()


def _loss_scale(optimizer):
    """What an optimizer multiplies losses with before their gradients are taken, or None."""
    names = ("dynamic_scale", "initial_scale", "loss_scale_factor")
    found = (getattr(optimizer, name, None) for name in names)
    return next((one for one in found if one is not None), None)


def _gates(is_open, before, group, num_tasks):
    """The gates of all groups, of which those behind the heads stay as they were."""
    own = ops.cast(is_open, before.dtype)
    return ops.where(group < num_tasks, own, before)
