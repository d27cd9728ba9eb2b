"""What every task has: raw strings in, checked batches, and presets with heads."""

import logging

import keras
import numpy as np

from keras_plm import features as contract
from keras_plm import files
from keras_plm.backbones.preset_files.preset_directory import CONFIG_FILE
from keras_plm.backbones.preset_files.quantization import check_saveable
from keras_plm.checks import check_names, constructor_arguments
from keras_plm.preprocessing.text_preprocessor import TextPreprocessor
from keras_plm.tasks.preset_files import task_preset
from keras_plm.tasks.preset_files.head_states import (
    give_head_states,
    head_states,
    take_head_states,
)
from keras_plm.tasks.training.fitted_task import FittedTask

logger = logging.getLogger("keras_plm")


class Task(FittedTask):
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

    def read(self, encoded, features, several=1):
        """The outputs that this task is trained on, of rows that its backbone has read.

        So a task stands beside others in a `MultiTask`, all of which share the reading.

        Args:
            encoded: dict, what the backbone's `encode` returned for R rows.
            features: dict of the features of these rows.
            several: int. How many rows each example has, such as of choices.

        Returns:
            Tensor or dict of tensors, the outputs of R / several examples.
        """
        raise NotImplementedError(f"{type(self).__name__} has no `read`.")

    def keep_inputs(self, features):
        """Those of a preprocessor's features that the graph of this task takes.

        Args:
            features: dict of arrays. A preprocessor makes all that may be known of a text, such
                as `segment_ids`; not every backbone has a table for them.

        Returns:
            dict of arrays; where nobody looked for entities, `entity_ids` are 0.
        """
        names = set(self.input_names_of_task())
        kept = {name: value for name, value in features.items() if name in names}
        if "entity_ids" in names and "entity_ids" not in kept:
            kept["entity_ids"] = np.zeros_like(kept["token_ids"])
        return kept

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

    def get_config(self):
        heads = getattr(self, "heads", None) or {}
        states = head_states(heads, self.backbone)
        return {**super().get_config(), **self.settings(), **states}

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        parts = {
            name: keras.saving.deserialize_keras_object(config.pop(name))
            for name in ("backbone", "preprocessor")
        }
        states = take_head_states(config)
        task = cls(**parts, name=config.pop("name"), **cls.read_settings(config))
        give_head_states(task.heads, task.backbone, states)
        return task

    # === Copies ===

    def clone(self):
        """Make a new task of the same class, settings and compilation, with new weights.

        Layers that are frozen here are so there. `clone.set_weights(task.get_weights())` gives it
        the same weights; the tokenizer is shared, and so is a linker.

        Returns:
            `Task`, of this class.
        """
        with self.backbone.copy_scope():
            new = type(self).from_config(self.get_config())
        if self.preprocessor is not None:
            new.preprocessor.tokenizer = self.preprocessor.tokenizer
            if hasattr(self.preprocessor, "linker"):  # no config has a function
                new.preprocessor.linker = self.preprocessor.linker
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
            ValueError: see `keras_plm.backbones.preset_files.quantization.check_saveable`.
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


def _num_shared_weights(layers):
    """How many weights of layers are those of another layer too."""
    weights = [id(weight) for layer in layers for weight in layer.weights]
    return len(weights) - len(set(weights))
