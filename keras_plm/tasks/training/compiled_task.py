"""How tasks are compiled: what their heads say, labels and losses, and the guarded step."""

import types

import keras
import keras_hub

from keras_plm.checks import check_flag
from keras_plm.generation.compiled_programs import xla_is_allowed
from keras_plm.heads.head import as_head, targets_of, yes_no_accuracy
from keras_plm.heads.losses.soft_label_loss import accuracy_of_soft_labels
from keras_plm.tasks.optimizers.decay_exclusions import (
    exclude_from_weight_decay,
    weight_decay_exclusions,
)
from keras_plm.tasks.optimizers.dense_gradients import given_dense_gradients
from keras_plm.tasks.optimizers.moving_averages import begin_averages
from keras_plm.tasks.optimizers.paper_optimizers import default_optimizer
from keras_plm.tasks.training.class_weights import class_weights, weighted_by_class
from keras_plm.tasks.training.finite_guard import SKIPPED, FiniteGuard
from keras_plm.tasks.training.label_checks import check_labelled
from keras_plm.tasks.training.label_kinds import (
    IDS,
    NUMBERS,
    SHARES,
    SOFT,
    YES_NO,
    as_labels,
    label_kind,
    with_class_axis,
)
from keras_plm.tasks.training.replicas import (
    build_optimizer,
    part_of_a_replica,
    scope_of,
    strategy_of,
)
from keras_plm.tasks.training.training_fingerprint import remember_optimizer


class CompiledTask(keras_hub.models.Task):
    """Abstract base of `Task`: the heads say how it is trained, if nobody else does."""

    _label_kinds = types.MappingProxyType({})  # of an output's labels, by its name; see `compile`

    def compile(
        self,
        optimizer="auto",
        loss="auto",
        metrics="auto",
        weighted_metrics="auto",
        loss_weights="auto",
        jit_compile="auto",
        skip_non_finite=10,
        fixed_shapes=None,
        **kwargs,
    ):
        """Set up training; see `keras.Model.compile`.

        What is "auto" the heads say, see `keras_plm.heads.Head`. Another loss may take other
        labels: `CategoricalCrossentropy` a share for each class (one-hot, soft labels),
        `BinaryCrossentropy` a yes or no for each; the default metrics go with it.

        Args:
            optimizer: "auto": AdamW with the `learning_rate` of the task, weight decay 0.01 (not
                on norms and biases), epsilon 1e-6, gradients clipped to a global norm of 1.
            loss: "auto": that of each head. Cross-entropy of one class each; binary
                cross-entropy where there may be several; squared error of numbers.
            metrics: "auto": those of the heads, where no weights say which labels count.
            weighted_metrics: "auto": those of the heads, where weights say which labels count.
            loss_weights: "auto": those of the heads, mostly none.
            jit_compile: bool or "auto". Whether XLA compiles the step. "auto": as Keras has it,
                which is yes, but not under TensorFlow on a CPU alone, where compiling takes long
                (see docs/performance.md), or in a strategy, nor with a layer that says it cannot.
            skip_non_finite: int or None. A batch whose loss, or a gradient of which, is not finite
                is skipped: it leaves weights, optimizer, memory and metrics as they were, and is
                counted in the logs, as `skipped_batches`. After so many in a row `fit` ends with
                a `FloatingPointError`. None: there is no guard.
            fixed_shapes: bool or None. False: texts are read in batches of similar length, without
                the padding that all of them have. True: every batch is as long as the
                preprocessor says and, unless rows are trained or evaluated on, full: one program
                of XLA's each for training, evaluation and prediction, as a TPU likes it. None:
                True for a `Pretrainer`, all batches of which have one shape.
            kwargs: arguments of `keras.Model.compile`.
        """
        fixed_shapes = self.fixes_shapes if fixed_shapes is None else fixed_shapes
        check_flag("fixed_shapes", fixed_shapes)
        parts = {
            "loss": loss,
            "metrics": metrics,
            "weighted_metrics": weighted_metrics,
            "loss_weights": loss_weights,
        }
        asked = {**parts, "jit_compile": jit_compile}  # which another backend may answer otherwise
        self._left_to_us = [name for name, value in asked.items() if is_auto(value)]
        if is_auto(optimizer):
            with scope_of(self):
                optimizer = default_optimizer(self.learning_rate) if self.targets else None
        losses = self._of_heads(lambda head: head.loss)
        self._label_kinds = self._kinds_of_labels(loss, losses)
        defaults = self._parts_of_heads(losses, is_auto(loss)) if losses else {}
        parts = {n: defaults.get(n) if is_auto(value) else value for n, value in parts.items()}
        self._compile_metrics = None  # Keras would keep those of an earlier compilation
        self._guard = None if skip_non_finite is None else FiniteGuard(skip_non_finite)
        self._class_weight = {}
        self.fixed_shapes = fixed_shapes
        super().compile(optimizer, jit_compile=jit_compile, **parts, **kwargs)
        if self.optimizer is not None:
            remember_optimizer(self, anew=True)
        if not xla_is_allowed():  # what is saved keeps what was asked for
            self.jit_compile = False
        self.forget_programs()

    def forget_programs(self):
        """Forget what was compiled for generation, if there is any: it may have other weights."""

    def _of_heads(self, ask):
        """What the heads say, by output; a task may have none."""
        found = {}
        for name, head in (getattr(self, "heads", None) or {}).items():
            output = self.output
            if isinstance(output, dict):
                output = output.get(name)
            one = ask(as_head(head, output))
            found.update(one if isinstance(one, dict) else {name: one})
        return found

    def _as_outputs(self, by_output):
        """A dict by output as Keras takes it: without its name where there is but one."""
        if isinstance(self.output, dict):
            return by_output
        (one,) = by_output.values()
        return one

    @property
    def targets(self):
        """dict of an output's name to the `keras_plm.heads.Targets` that it is trained on."""
        return self._of_heads(targets_of)

    @property
    def _trained_outputs(self):
        """dict of an output's name to its targets and the kind of its labels."""
        return {name: (one, self._label_kinds[name]) for name, one in self.targets.items()}

    def _kinds_of_labels(self, loss, losses):
        """What the loss of each output, given or of the heads, takes as labels."""
        kinds = {}
        for name, targets in self.targets.items():
            one = loss.get(name) if isinstance(loss, dict) else loss
            one = losses[name] if is_auto(loss) else one
            kinds[name] = None if one is None else label_kind(one)
            if kinds[name] is None and targets.num_classes is None:
                kinds[name] = NUMBERS
            elif kinds[name] is None and is_auto(loss):
                kinds[name] = IDS
        return kinds

    def _parts_of_heads(self, losses, own_loss):
        """The defaults of `compile`; metrics follow a loss that takes other labels."""
        metrics = self._of_heads(lambda head: head.new_metrics())
        if not own_loss:
            other = {
                SHARES: lambda: [keras.metrics.CategoricalAccuracy(name="accuracy")],
                SOFT: lambda: [accuracy_of_soft_labels()],
                YES_NO: lambda: [yes_no_accuracy()],
            }
            for name, kind in self._label_kinds.items():
                if kind in other and label_kind(losses[name]) != kind:
                    metrics[name] = other[kind]()
        weights = {}
        for head in self.heads.values():
            weights |= getattr(head, "loss_weights", None) or {}
        metrics = self._as_outputs(metrics)
        return {
            "loss": self._as_outputs(losses),
            "weighted_metrics" if self.labels_are_weighted else "metrics": metrics,
            "loss_weights": weights if weights and own_loss else None,
        }

    @property
    def metrics(self):
        guard = getattr(self, "_guard", None)
        return super().metrics if guard is None else [*super().metrics, guard.skipped]

    def get_metrics_result(self):
        """The values of the metrics; what the guard counts belongs to training alone."""
        logs = super().get_metrics_result()
        logs.pop(SKIPPED, None)
        return logs

    def get_compile_config(self):
        """What `compile_from_config` takes; Keras's own forgets what weight decay leaves out."""
        config = super().get_compile_config()
        if self.__dict__.pop("_is_cloned", False):  # what a plain model takes
            return {name: value for name, value in config.items() if value is not None}
        if not config:
            return config
        limit = None if self._guard is None else self._guard.limit
        exclusions = weight_decay_exclusions(self)
        own = {"skip_non_finite": limit, "fixed_shapes": self.fixed_shapes}
        asked = {name: "auto" for name in self._left_to_us}
        return {**config, **asked, "no_weight_decay": exclusions, **own}

    def compile_from_config(self, config):
        """Compile as a saved model was compiled, its optimizer ready to be loaded."""
        config = dict(config)
        no_weight_decay = config.pop("no_weight_decay", None)
        own = {
            name: config.pop(name) for name in ("skip_non_finite", "fixed_shapes") if name in config
        }
        self.compile(**own, **keras.saving.deserialize_keras_object(config))
        if self.optimizer is not None and self.built:
            exclude_from_weight_decay(self, no_weight_decay)
            self._build_optimizer()

    # === The step ===

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The loss of a batch; see `keras.Model.compute_loss`."""
        y, y_pred = self._with_class_axes(y), self._with_class_axes(y_pred)
        loss = super().compute_loss(x, y, y_pred, sample_weight, training)
        if self._guard is None or not training or loss is None:
            return loss
        return self._guard.judged(self, loss)

    def loss_of(self, y, y_pred, sample_weight=None):
        """The compiled loss of outputs, without what layers add to it.

        Args:
            y: labels, as the compiled loss takes them.
            y_pred: outputs of `read`.
            sample_weight: weights, or None.

        Returns:
            Scalar tensor.
        """
        y, y_pred = self._with_class_axes(y), self._with_class_axes(y_pred)
        return self._compile_loss(y, y_pred, sample_weight)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """The metrics of a batch; see `keras.Model.compute_metrics`."""
        y, y_pred = self._with_class_axes(y), self._with_class_axes(y_pred)
        return super().compute_metrics(x, y, y_pred, sample_weight)

    def _with_class_axes(self, tensors):
        """Labels or outputs as losses of numbers take them; see `with_class_axis`."""
        outputs = self._trained_outputs
        if not outputs or tensors is None:
            return tensors
        if isinstance(tensors, dict):
            return {
                name: with_class_axis(one, *outputs[name]) if name in outputs else one
                for name, one in tensors.items()
            }
        (output,) = outputs.values()
        return with_class_axis(tensors, *output)

    def train_step(self, *arguments):
        """Take one step; see `keras.Model.train_step`, whose arguments the backend decides."""
        step = super().train_step
        if self._class_weight:
            data = weighted_by_class(arguments[-1], self._class_weight, self._label_kinds)
            arguments = (*arguments[:-1], data)
        if self._guard is None:
            with given_dense_gradients(self.optimizer):
                return step(*arguments)
        jax = keras.backend.backend() == "jax"
        guarded = self._guard.jax_step if jax else self._guard.tensorflow_step
        return guarded(self, step, *arguments)

    def _build_optimizer(self):
        """Make the optimizer's variables: TensorFlow traces a step that makes some twice."""
        build_optimizer(self)
        begin_averages(self.optimizer)

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Make metrics before the first step of replicas.

        Keras looks at the mean of what they are given, which TensorFlow cannot take of bools.
        """
        if iterator is not None and (strategy := strategy_of(self)) is not None:
            data_batch = part_of_a_replica(strategy, iterator)
            iterator = None
        super()._maybe_symbolic_build(iterator, data_batch)

    def _purge_model_variables(self, **kinds):
        """Keep what JAX's trainer would take out of the variables while it runs.

        It gives nothing back when its first step fails. No memory is lost: it donates the
        values to the step, which deletes them.
        """

    # === Labels ===

    def as_labels(self, y):
        """Return labels as the compiled loss is trained on them; see `label_kinds.as_labels`.

        Args:
            y: labels as a user has them, or a dict of them by output, or None.
        """
        outputs = self._trained_outputs
        if isinstance(y, dict):
            known = {name: (kind, *targets) for name, (targets, kind) in outputs.items()}
            return {name: as_labels(one, *known.get(name, (None,))) for name, one in y.items()}
        if len(outputs) != 1:
            return y
        ((targets, kind),) = outputs.values()
        return as_labels(y, kind, *targets)

    def check_y(self, x, y, sample_weight):
        """Refuse labels and weights that the heads and the compiled loss cannot take.

        Args:
            x: dict of features, checked.
            y: labels, or a dict of them by output, or None.
            sample_weight: weights, as `y`, or None.

        Raises:
            ValueError: naming what is wrong.
        """
        outputs = self._trained_outputs
        if outputs:
            check_labelled(
                x,
                y,
                sample_weight,
                outputs,
                by_output=isinstance(self.output, dict),
                weighted=self.labels_are_weighted,
                weights_may_be_missing=self.weights_may_be_missing,
            )

    def _weigh_classes(self, class_weight):
        """Let the next steps of training weigh the classes of labels so."""
        weights = class_weights(class_weight, self._trained_outputs)
        if weights != self._class_weight:
            self._class_weight = weights
            self.train_function = None  # traced with those of before


def is_auto(value):
    """Whether an argument of `compile` is left to the heads."""
    return isinstance(value, str) and value == "auto"
