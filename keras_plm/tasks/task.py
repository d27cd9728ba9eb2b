"""What every task has: raw strings in, checked batches, and presets with heads."""

import contextlib
import logging
import types

import grain
import keras
import keras_hub
import numpy as np

from keras_plm import features as contract
from keras_plm import files
from keras_plm.backbones.preset_directory import CONFIG_FILE
from keras_plm.backbones.quantization import check_saveable
from keras_plm.checks import check_flag, check_names, constructor_arguments
from keras_plm.generation.compiled_programs import runs_on_cpu, xla_is_allowed, xla_predicts
from keras_plm.heads.head import as_head, targets_of, yes_no_accuracy
from keras_plm.preprocessing.text_preprocessor import TextPreprocessor
from keras_plm.tasks import task_preset
from keras_plm.tasks.quantized_layers import quantize_layers, quantized_layers
from keras_plm.tasks.training import length_batches, prepared_data
from keras_plm.tasks.training.class_weights import class_weights, weighted_by_class
from keras_plm.tasks.training.decay_exclusions import (
    exclude_from_weight_decay,
    weight_decay_exclusions,
)
from keras_plm.tasks.training.finite_guard import SKIPPED, FiniteGuard, StopAfterSkips
from keras_plm.tasks.training.label_checks import (
    IDS,
    NUMBERS,
    SHARES,
    YES_NO,
    as_labels,
    check_labelled,
    label_kind,
    with_class_axis,
)
from keras_plm.tasks.training.length_batches import Shapes, SortedBatches, row_lengths
from keras_plm.tasks.training.optimizers import default_optimizer
from keras_plm.tasks.training.ready_datasets import array_of_list, is_tf_dataset
from keras_plm.tasks.training.replicas import part_of_a_replica, scope_of, strategy_of
from keras_plm.tasks.training.shuffled_batches import ShuffledBatches, choose_lengths
from keras_plm.tasks.training.tensorflow_batches import as_tf_dataset
from keras_plm.tasks.training.training_fingerprint import remember_optimizer

logger = logging.getLogger("keras_plm")

# How many steps of training take as long as XLA needs to compile one, about: MiniLM with 32 rows of
# 64 tokens takes 12 on a CPU (docs/performance.md); an accelerator takes milliseconds for a step.
STEPS_OF_A_CPU, STEPS_OF_AN_ACCELERATOR = 20, 200


class Task(keras_hub.models.Task):
    """Abstract base of the tasks: a backbone, a preprocessor and heads, generic over backbones.

    A concrete task builds its Functional graph by calling `backbone.encode` on the features that
    it needs, and sets `heads`, a dict of `keras_plm.heads.Head` by name. What they are trained on
    is theirs to say. Its default `compile` turns XLA on: Keras's own default leaves it off for
    TensorFlow on a CPU.

    Attributes:
        preprocessor_class: class of the `Preprocessor` that makes its features from strings.
        trains_query_rows: bool. Whether its graph has query rows, whose weights it then trains.
        outputs_of_tokens: bool. Whether outputs (B, T, ...) are of tokens, and labels with them.
        labels_are_positions: bool. Whether labels count the tokens of rows from their start.
        output_of_padding: float. What `predict` gives for tokens that are padding.
        labels_are_weighted: bool. Whether `sample_weight` says which labels count, as the ones of
            tokens and slots need it; metrics are then weighted ones.
        weights_may_be_missing: bool. Whether they may nevertheless be left out.
        learning_rate: float. Of the default optimizer.
        fixes_shapes: bool. Whether `fixed_shapes` of `compile` is True by default.
    """

    preprocessor_class = TextPreprocessor
    trains_query_rows = False
    outputs_of_tokens = False
    labels_are_positions = False
    output_of_padding = 0.0
    labels_are_weighted = False
    weights_may_be_missing = False
    learning_rate = 5e-5
    fixes_shapes = False
    _label_kinds = types.MappingProxyType({})  # of an output's labels, by its name; see `compile`

    def __init__(self, *args, **kwargs):
        cls, common = type(self), ("name", "trainable", "compile")
        known = {*constructor_arguments(cls), *common}  # Keras would ignore others
        check_names(cls.__name__, set(kwargs) - {"inputs", "outputs"}, known)
        super().__init__(*args, **kwargs)
        tokenizer = getattr(self.preprocessor, "tokenizer", None)
        if tokenizer and tokenizer.vocabulary_size > self.backbone.vocabulary_size:
            raise ValueError(
                f"The tokenizer has {tokenizer.vocabulary_size} ids, the backbone only "
                f"{self.backbone.vocabulary_size}. Use the tokenizer that the backbone was made "
                "for."
            )
        length = getattr(self.preprocessor, "sequence_length", 0)
        longest = self.backbone.max_sequence_length
        if longest is not None and length > longest:
            raise ValueError(
                f"The preprocessor makes rows of {length} tokens, the backbone has positions for "
                f"{longest}. Give a `sequence_length` of at most {longest}. "
                f"Received: sequence_length={length}."
            )

    def settings(self):
        """The constructor arguments beside backbone and preprocessor, as plain JSON values."""
        raise NotImplementedError(f"{type(self).__name__} has no `settings`.")

    @classmethod
    def read_settings(cls, settings):
        """Constructor arguments from what `settings` returned, as JSON gives it back.

        Args:
            settings: dict of plain values.

        Raises:
            ValueError: if a setting is unknown.
        """
        known = set(constructor_arguments(cls)) - {"backbone", "preprocessor"}
        check_names(cls.__name__, settings, known, "settings")
        return settings

    @classmethod
    def settings_of_heads(cls, heads):
        """Constructor arguments that follow from the heads in the preset of another task.

        Args:
            heads: dict of a head's name to a dict of its plain settings.

        Returns:
            dict, by default empty.
        """
        return {}

    def check_x(self, x):
        """Refuse a batch that the model cannot take, before a backend sees it.

        Args:
            x: dict of arrays, the features of one batch.

        Raises:
            ValueError: naming the feature and what is wrong.
        """
        if isinstance(x, dict):
            x = {name: np.asarray(value) for name, value in x.items()}
        contract.check_batch(
            x,
            names=self.input_names_of_task(),
            vocabulary_size=self.backbone.vocabulary_size,
            bounds=self.backbone.bounds,
        )

    def input_names_of_task(self):
        """The features that the graph of this task takes."""
        return [tensor.name for tensor in self.inputs]

    def keep_inputs(self, features):
        """Those of a preprocessor's features that the graph of this task takes.

        Args:
            features: dict of arrays. A preprocessor makes all that may be known of a text, such
                as `segment_ids`; not every backbone has a table for them.

        Returns:
            dict of arrays.
        """
        names = set(self.input_names_of_task())
        return {name: value for name, value in features.items() if name in names}

    # === Weights ===

    # A backbone may be shared: which of its weights are trained is said here, and not by a change
    # of the backbone.

    @property
    def trainable_variables(self):
        return [v for v in self.variables if self._trains(v)]

    @property
    def non_trainable_variables(self):
        return [v for v in self.variables if not self._trains(v)]

    @property
    def trainable_weights(self):
        return [v for v in self.weights if self._trains(v)]

    @property
    def non_trainable_weights(self):
        return [v for v in self.weights if not self._trains(v)]

    def _trains(self, variable):
        """Whether a variable is trained: weights of query rows if there are any, and only then."""
        if any(variable is one for one in self.backbone.query_weights):
            return self.trainable and self.trains_query_rows
        return self.trainable and variable.trainable

    # === Compilation ===

    def compile(
        self,
        optimizer="auto",
        loss="auto",
        metrics="auto",
        weighted_metrics="auto",
        loss_weights="auto",
        jit_compile=True,
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
            jit_compile: bool or "auto". Whether XLA compiles the step.
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
        self._asked_of_heads = [name for name, value in parts.items() if _is_auto(value)]
        if _is_auto(optimizer):
            with scope_of(self):
                optimizer = default_optimizer(self.learning_rate) if self.targets else None
        losses = self._of_heads(lambda head: head.loss)
        self._label_kinds = self._kinds_of_labels(loss, losses)
        defaults = self._parts_of_heads(losses, _is_auto(loss)) if losses else {}
        parts = {n: defaults.get(n) if _is_auto(value) else value for n, value in parts.items()}
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
            one = losses[name] if _is_auto(loss) else one
            kinds[name] = None if one is None else label_kind(one)
            if kinds[name] is None and targets.num_classes is None:
                kinds[name] = NUMBERS
            elif kinds[name] is None and _is_auto(loss):
                kinds[name] = IDS
        return kinds

    def _parts_of_heads(self, losses, own_loss):
        """The defaults of `compile`; metrics follow a loss that takes other labels."""
        metrics = self._of_heads(lambda head: head.new_metrics())
        if not own_loss:
            other = {
                SHARES: lambda: [keras.metrics.CategoricalAccuracy(name="accuracy")],
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
        asked = {name: "auto" for name in self._asked_of_heads}
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

    def get_config(self):
        quantized = quantized_layers(self.heads) if getattr(self, "heads", None) else {}
        return {
            **super().get_config(),
            **self.settings(),
            **({"quantized_layers": quantized} if quantized else {}),
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        parts = {
            name: keras.saving.deserialize_keras_object(config.pop(name))
            for name in ("backbone", "preprocessor")
        }
        quantized = config.pop("quantized_layers", {})
        task = cls(**parts, name=config.pop("name"), **cls.read_settings(config))
        quantize_layers(task.heads, quantized)
        return task

    # === Copies ===

    def clone(self):
        """Make a new task of the same class, settings and compilation, with new weights.

        Layers that are frozen here are so there. `clone.set_weights(task.get_weights())` gives it
        the same weights; the tokenizer is shared.

        Returns:
            `Task`, of this class.
        """
        new = type(self).from_config(self.get_config())
        if self.preprocessor is not None:
            new.preprocessor.tokenizer = self.preprocessor.tokenizer
        for mine, theirs in zip(self._flatten_layers(), new._flatten_layers()):
            if theirs.trainable != mine.trainable:
                theirs.trainable = mine.trainable
        if self.compiled:
            new.compile_from_config(self.get_compile_config())
        return new

    def _run_through_graph(self, inputs, *args, **kwargs):
        """Run or, for `keras.models.clone_model`, copy the graph, which must not untie weights."""
        outputs = super()._run_through_graph(inputs, *args, **kwargs)
        operation_fn = kwargs.get("operation_fn")
        if getattr(operation_fn, "__module__", None) != keras.models.clone_model.__module__:
            return outputs
        layers = [layer for layer in self.layers if layer.weights]
        clones = [operation_fn(layer) for layer in layers]
        if _num_shared_weights(layers) != _num_shared_weights(clones):
            raise ValueError(
                "`keras.models.clone_model` copies layer by layer, and some layers of this "
                f"{type(self).__name__} share weights, such as a head the token embedding, which "
                "the copies would not. Use `task.clone()`, and `set_weights` for the same weights. "
                f"Received: {self.name!r}."
            )
        if self.compiled:
            self._is_cloned = True  # until `clone_model` asks for the compile config, at once
            logger.warning(
                "clone_model makes a plain Functional model of a %s, which is trained by Keras's "
                "own `fit`, without what a task adds to it (strings, `skip_non_finite`, weights "
                "without weight decay). `task.clone()` makes a task.",
                type(self).__name__,
            )
        return outputs

    # === Presets ===

    def save(self, *args, **kwargs):
        """Save a `.keras` file; see `keras.Model.save` and `write_preset`."""
        check_saveable(self, with_optimizer=True)
        return super().save(*args, **kwargs)

    def export(self, *args, **kwargs):
        """Export the forward pass; see `keras.Model.export` and `write_preset`."""
        check_saveable(self)
        return super().export(*args, **kwargs)

    def write_preset(self, directory):
        """Write backbone, tokenizer, heads and settings into a directory that is there.

        Args:
            directory: str.

        Raises:
            ValueError: see `keras_plm.backbones.quantization.check_saveable`.
        """
        task_preset.write_task(self, directory)

    def save_to_preset(self, preset_dir):
        """Save the task to a directory, whole or not at all.

        Args:
            preset_dir: str. The directory; a preset that is there already is replaced.

        Raises:
            ValueError: if the directory is there and holds something else than a preset.
        """
        with files.atomic_directory(preset_dir, CONFIG_FILE) as directory:
            self.write_preset(directory)

    @classmethod
    def from_preset(cls, preset, load_weights=True, custom_objects=None, strict=False, **kwargs):
        """Load a task from the preset of this or of any other task, or of a backbone.

        Heads are taken by name where the preset has them in this task's shape; a head that it
        has not starts new, which is said once, in the log "keras_plm".

        Args:
            preset: str or `OpenedPreset`. What `keras_plm.presets.open_preset` takes, such as a
                directory that `save_to_preset` wrote.
            load_weights: bool. False leaves all weights random.
            custom_objects: dict of str to class or function, or None: those of your own that the
                preset names, such as an objective, and that are not registered with Keras.
            strict: bool. Whether weights that are of no head and beside those of the backbone are
                refused, see `Backbone.from_preset`.
            kwargs: arguments of this task, such as `num_classes`, and of its preprocessor, such
                as `sequence_length`; any other replaces a saved argument of the backbone. A
                `dropout` is the task's own: the backbone's is changed by
                `TaskClass(Backbone.from_preset(preset, dropout=0.2), ...)`.

        Raises:
            FileNotFoundError: if there is no such preset.
            ValueError: if a file is not what it should be, or an argument is unknown.
        """
        with keras.saving.custom_object_scope(custom_objects or {}):
            return task_preset.read_task(cls, preset, load_weights, strict, **kwargs)

    # === Training ===

    def preprocess_samples(self, x, y=None, sample_weight=None):
        """Turn strings into features, and check their labels; features stay what they are."""
        if not isinstance(x, dict):
            if self.preprocessor is None:
                raise ValueError(
                    f"{type(self).__name__} has no preprocessor: give a dict of the features "
                    f"{self.input_names_of_task()}. Received: {type(x).__name__}."
                )
            x, y, sample_weight = self.features_and_labels(x, y, sample_weight)
            x, y = self.keep_inputs(x), self.as_labels(y)
            self.check_y(x, y, sample_weight)
        else:
            y = self.as_labels(y)
        kinds = list(self._label_kinds.values())
        y, sample_weight = array_of_list(y, kinds), array_of_list(sample_weight)
        return keras.utils.pack_x_y_sample_weight(x, y, sample_weight)

    def features_and_labels(self, x, y, sample_weight):
        """Turn raw strings and what belongs to them into arrays, before they are checked.

        The base leaves labels and weights as they are: one each per text. A task whose rows are
        not its texts, or whose labels are not of one length, replaces this.

        Args:
            x: strings, as the preprocessor takes them.
            y: labels as the user gave them, or None.
            sample_weight: weights as the user gave them, or None.

        Returns:
            Tuple (dict of features, labels or None, weights or None).
        """
        # Not `preprocessor(x)`: Keras would append all of `x` to the message of an error.
        return self.preprocessor.call(x), y, sample_weight

    @prepared_data.warning_once
    def fit(
        self,
        x=None,
        y=None,
        batch_size=None,
        sample_weight=None,
        validation_data=None,
        length_buckets="auto",
        **kw,
    ):
        """Train on raw strings, on features, or on a dataset of either.

        Lists are tokenised once and shuffled anew in every epoch (`shuffle=False`: not at all);
        other arguments are those of `keras.Model.fit`.

        Args:
            x: list of str, a pair of such lists, a dict of features, or a dataset of batches of
                either: of `tf.data`, of Grain, a `keras.utils.PyDataset` or a generator.
            y: labels of lists and features.
            batch_size: int. The batch size B of lists and features.
            sample_weight: weights of lists and features.
            validation_data: dataset, or tuple (x, y) or (x, y, sample_weight).
            length_buckets: "auto", list of int, or None. Rows of lists and features go into
                batches with rows of similar length, cut to the smallest of these lengths that
                holds them: less work on padding, and one more program of XLA's per length.
                "auto": at most 8 lengths, each only if it saves more time than it takes to
                compile. None, or compiled with `fixed_shapes`: every row stays as it is.

        Raises:
            ValueError: if the first batch is not what the model takes, or a number of batches or
                rows is no integer of at least 1; the model is unchanged.
        """
        prepared_data.check_numbers(batch_size=batch_size, **kw)
        self._weigh_classes(kw.pop("class_weight", None))
        x, y, sample_weight = self._prepare(x, y, sample_weight)
        trainer = self._trainer(x)
        validation_data = prepared_data.prepare_validation(
            self, validation_data, mapped=trainer is not keras.Model
        )
        if trainer is keras.Model and isinstance(validation_data, grain.MapDataset):
            kw.setdefault("validation_steps", len(validation_data))  # Keras would not ask
        split = kw.pop("validation_split", None)
        if split and validation_data is None:
            (x, y, sample_weight), validation_data = prepared_data.split(x, y, sample_weight, split)
        sortable = trainer is keras.Model and kw.get("validation_steps") is None
        if sortable and isinstance(validation_data, tuple):
            parts = keras.utils.unpack_x_y_sample_weight(validation_data)
            if isinstance(parts[0], dict):
                size = kw.pop("validation_batch_size", None) or batch_size
                validation_data = self._sorted_batches(parts, size)
        shuffled = isinstance(x, dict) and kw.get("shuffle", True) is True
        if length_buckets is not None and not _is_auto(length_buckets) and not shuffled:
            raise ValueError(
                "`length_buckets` needs lists or arrays, which are shuffled. "
                f"Received: {type(x).__name__}, shuffle={kw.get('shuffle', True)!r}."
            )
        if not isinstance(x, dict):
            kw.setdefault("shuffle", False)  # Keras cannot, and would warn
        elif shuffled:
            arrays, batch_size = (x, y, sample_weight), batch_size or 32
            if _is_auto(length_buckets):
                length_buckets = self._length_buckets(x, batch_size, **kw)
            x = ShuffledBatches(
                arrays,
                batch_size,
                length_buckets,
                cut_left=self._cuts_left and not self.labels_are_positions,
                labels_of_tokens=self.outputs_of_tokens,
            )
            kw.update(shuffle=False, steps_per_epoch=kw.get("steps_per_epoch") or x.num_steps)
            y = sample_weight = batch_size = None
        if self._guard is not None:
            stop, callbacks = StopAfterSkips(self._guard.limit), kw.get("callbacks") or []
            if isinstance(callbacks, keras.callbacks.CallbackList):
                callbacks.callbacks.append(stop)
            else:
                kw["callbacks"] = [stop, *keras.tree.flatten(callbacks)]
        self._build_optimizer()
        with weights_kept(self):
            return trainer.fit(
                self,
                x=as_tf_dataset(x),
                y=y,
                batch_size=batch_size,
                sample_weight=sample_weight,
                validation_data=as_tf_dataset(validation_data),
                **kw,
            )

    @prepared_data.warning_once
    def evaluate(self, x=None, y=None, batch_size=None, sample_weight=None, **kw):
        """Evaluate on what `fit` takes; see `keras.Model.evaluate`.

        Rows of lists and features go into batches with rows of similar length, see `compile`.
        """
        prepared_data.check_numbers(batch_size=batch_size, **kw)
        if not kw.get("_use_cached_eval_dataset"):
            x, y, sample_weight = self._prepare(x, y, sample_weight)
            if isinstance(x, dict) and kw.get("steps") is None:
                x = self._sorted_batches((x, y, sample_weight), batch_size)
                y = sample_weight = batch_size = None
        trainer = keras.Model if isinstance(x, SortedBatches) else self._trainer(x)
        with weights_kept(self):
            return trainer.evaluate(
                self,
                x=as_tf_dataset(x),
                y=y,
                batch_size=batch_size,
                sample_weight=sample_weight,
                **kw,
            )

    @prepared_data.warning_once
    def predict(self, x, batch_size=None, verbose="auto", steps=None, callbacks=None):
        """Predict for what `fit` takes; see `keras.Model.predict`.

        Texts and features are read in batches of rows of similar length, the longest ones first;
        results are in the order given. Under TensorFlow on a CPU one program takes all shapes.
        Elsewhere XLA compiles one for each: of the lengths 16, 32, 48, 64, 96, 128, 192, ... and
        of 1, 2, 4, ... `batch_size` rows, of which a call meets as many as it has lengths and one
        more; later calls find them. See `compile` for `fixed_shapes`.
        """
        prepared_data.check_numbers(batch_size=batch_size, steps=steps)
        x, _, _ = self._prepare(x, labelled=False)
        if not isinstance(x, dict) or steps is not None:
            options = dict(batch_size=batch_size, verbose=verbose, steps=steps, callbacks=callbacks)
            with weights_kept(self):
                return self._trainer(x).predict(self, x=as_tf_dataset(x), **options)
        number, *_, whole = np.shape(x["token_ids"])
        found = None
        of_tokens = [
            self.outputs_of_tokens and output.shape[1] is None
            for output in keras.tree.flatten(self.output)
        ]
        for rows, outputs, columns in self._predicted(x, batch_size, callbacks, verbose):
            flat = keras.tree.flatten(outputs)
            if found is None:
                found = [
                    np.full(
                        (number, whole, *one.shape[2:]) if tokens else (number, *one.shape[1:]),
                        self.output_of_padding if tokens else 0,
                        one.dtype,
                    )
                    for one, tokens in zip(flat, of_tokens)
                ]
            for all_rows, one, tokens in zip(found, flat, of_tokens):
                all_rows[(rows, columns) if tokens else rows] = one
        return keras.tree.pack_sequence_as(outputs, found)

    def _predicted(self, x, batch_size=None, callbacks=None, verbose=0):
        """Predict for features; see `length_batches.predict`."""
        with weights_kept(self):
            yield from length_batches.predict(
                self, x, self._shapes(batch_size), self._cuts_left, callbacks, verbose
            )

    def _sorted_batches(self, arrays, batch_size):
        """Batches to evaluate on; see `SortedBatches`."""
        return SortedBatches(
            arrays,
            self._shapes(batch_size),
            cut_left=self._cuts_left and not self.labels_are_positions,
            labels_of_tokens=self.outputs_of_tokens,
        )

    def _shapes(self, batch_size):
        """The shapes that batches of predictions have."""
        size = 32 if batch_size is None else batch_size
        return Shapes(size, few=xla_predicts(self), fixed=self.fixed_shapes)

    @property
    def _cuts_left(self):
        """Whether padding at the left of rows may be left out."""
        return self.backbone.max_sequence_length is None

    def _length_buckets(self, x, batch_size, epochs=1, initial_epoch=0, steps_per_epoch=None, **kw):
        """The lengths of batches that are worth their programs, or None."""
        lengths, _ = row_lengths(x, self._cuts_left and not self.labels_are_positions)
        if lengths is None or self.fixed_shapes:
            return None
        steps = (epochs - initial_epoch) * (steps_per_epoch or -(-len(lengths) // batch_size))
        compiles = keras.backend.backend() == "jax" or self.jit_compile
        cost = (STEPS_OF_A_CPU if runs_on_cpu() else STEPS_OF_AN_ACCELERATOR) if compiles else 1
        return choose_lengths(lengths, max(steps, 1), cost)

    def make_predict_function(self, force=False):
        """Make the program that predicts; see `xla_predicts`."""
        if self.predict_function is not None and not force:
            return self.predict_function
        with self._xla_as_for_predictions():
            return super().make_predict_function(force)

    def make_test_function(self, force=False):
        """Make the program that evaluates; see `xla_predicts`."""
        if self.test_function is not None and not force:
            return self.test_function
        with self._xla_as_for_predictions():
            return super().make_test_function(force)

    @contextlib.contextmanager
    def _xla_as_for_predictions(self):
        before = self.jit_compile
        self.jit_compile = before and xla_predicts(self)
        try:
            yield
        finally:
            self.jit_compile = before

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The loss of a batch; see `keras.Model.compute_loss`."""
        y, y_pred = self._with_class_axes(y), self._with_class_axes(y_pred)
        loss = super().compute_loss(x, y, y_pred, sample_weight, training)
        if self._guard is None or not training or loss is None:
            return loss
        return self._guard.judged(self, loss)

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
            return step(*arguments)
        jax = keras.backend.backend() == "jax"
        guarded = self._guard.jax_step if jax else self._guard.tensorflow_step
        return guarded(self, step, *arguments)

    def train_on_batch(self, x, y=None, sample_weight=None, **kw):
        """Train on one batch of lists or features; see `keras.Model.train_on_batch`."""
        self._weigh_classes(kw.pop("class_weight", None))
        batch = self._prepare(x, y, sample_weight)
        self._build_optimizer()
        return_dict = kw.pop("return_dict", False)
        logs = keras.Model.train_on_batch(self, *batch, return_dict=True, **kw)
        if return_dict:
            return logs
        return self._flatten_metrics_in_order({k: v for k, v in logs.items() if k != SKIPPED})

    def test_on_batch(self, x, y=None, sample_weight=None, **kw):
        """Evaluate on one batch of lists or features; see `keras.Model.test_on_batch`."""
        return keras.Model.test_on_batch(self, *self._prepare(x, y, sample_weight), **kw)

    def _build_optimizer(self):
        """Make the optimizer's variables: TensorFlow traces a step that makes some twice."""
        if self.optimizer is not None and not self.optimizer.built:
            with scope_of(self):
                self.optimizer.build(self.trainable_variables)

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Make metrics before the first step of replicas.

        Keras looks at the mean of what they are given, which TensorFlow cannot take of bools.
        """
        if iterator is not None and (strategy := strategy_of(self)) is not None:
            data_batch = part_of_a_replica(strategy, iterator)
            iterator = None
        super()._maybe_symbolic_build(iterator, data_batch)

    def _prepare(self, x, y=None, sample_weight=None, labelled=True):
        """Data that are ready and checked."""
        return prepared_data.prepare(self, x, y, sample_weight, labelled)

    def as_labels(self, y):
        """Return labels as the compiled loss is trained on them; see `label_checks.as_labels`.

        Args:
            y: labels as a user has them, or a dict of them by output, or None.
        """
        outputs = self._trained_outputs
        if isinstance(y, dict):
            known = {name: (kind, targets.axes) for name, (targets, kind) in outputs.items()}
            return {name: as_labels(one, *known.get(name, (None,))) for name, one in y.items()}
        if len(outputs) != 1:
            return y
        ((targets, kind),) = outputs.values()
        return as_labels(y, kind, targets.axes)

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

    def _trainer(self, x):
        """Whose loop it is: KerasHub's for Grain datasets, else Keras's (it shuffles arrays)."""
        ready = x is None or isinstance(x, (dict, types.GeneratorType, keras.utils.PyDataset))
        return keras.Model if ready or is_tf_dataset(x) else keras_hub.models.Task

    def _purge_model_variables(self, **kinds):
        """Keep what JAX's trainer would take out of the variables while it runs.

        It gives nothing back when its first step fails. No memory is lost: it donates the
        values to the step, which deletes them.
        """


def _num_shared_weights(layers):
    """How many weights of layers are those of another layer too."""
    weights = [id(weight) for layer in layers for weight in layer.weights]
    return len(weights) - len(set(weights))


def _is_auto(value):
    """Whether an argument of `compile` is left to the heads."""
    return isinstance(value, str) and value == "auto"


@contextlib.contextmanager
def weights_kept(model):
    """Bring a model's variables up to date if an exception ends its run.

    JAX's trainer holds the newest values itself while it runs, and the variables the values
    before the first step (see `Task._purge_model_variables`).

    Args:
        model: the Keras model that is about to run.
    """
    try:
        yield
    except BaseException:
        if keras.backend.backend() == "jax":
            model.jax_state_sync()
            model._jax_state = None  # a later failure must not bring these values back
        raise
