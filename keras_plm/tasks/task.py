"""What every task has: raw strings in, checked batches, and presets with heads."""

import contextlib
import inspect
import logging
import os

import keras
import keras_hub
import numpy as np

from keras_plm import features as contract
from keras_plm import files
from keras_plm.backbones import Backbone
from keras_plm.backbones.preset_directory import CONFIG_FILE, write_json
from keras_plm.tasks.heads_file import read_heads, write_heads
from keras_plm.tasks.text_preprocessor import PREPROCESSOR_FILE, TextPreprocessor

TASK_FILE = "task.json"
HEADS_FILE = "heads.safetensors"

logger = logging.getLogger("keras_plm")


class Task(keras_hub.models.Task):
    """Abstract base of the tasks: a backbone, a preprocessor and heads, generic over backbones.

    A concrete task builds its Functional graph by calling `backbone.encode` on the features that
    it needs, and sets `heads`, a dict of head layers by name. Its default `compile` turns XLA on:
    Keras's own default leaves it off for TensorFlow on a CPU.
    """

    def settings(self):
        """The constructor arguments beside backbone and preprocessor, as plain JSON values."""
        raise NotImplementedError(f"{type(self).__name__} has no `settings`.")

    @classmethod
    def read_settings(cls, settings):
        """Constructor arguments from what `settings` returned, as JSON gives it back.

        Args:
            settings: dict of plain values.
        """
        return settings

    def check_x(self, x):
        """Refuse a batch that the model cannot take, before a backend sees it.

        Args:
            x: dict of arrays, the features of one batch.

        Raises:
            ValueError: naming the feature and what is wrong.
        """
        contract.check_batch(
            {name: np.asarray(value) for name, value in x.items()},
            names=self.input_names_of_task(),
            vocabulary_size=self.backbone.vocabulary_size,
        )

    def input_names_of_task(self):
        """The features that the graph of this task takes."""
        return [tensor.name for tensor in self.inputs]

    def compile_from_config(self, config):
        """Compile as a saved model was compiled, its optimizer ready to be loaded."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.optimizer is not None and self.built:
            self.optimizer.build(self.trainable_variables)

    def get_config(self):
        return {**super().get_config(), **self.settings()}

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        parts = {
            name: keras.saving.deserialize_keras_object(config.pop(name))
            for name in ("backbone", "preprocessor")
        }
        return cls(**parts, name=config.pop("name"), **cls.read_settings(config))

    # === Presets ===

    def write_preset(self, directory):
        """Write backbone, tokenizer, heads and settings into a directory that is there.

        Args:
            directory: str.
        """
        self.backbone.write_preset(directory)
        if self.preprocessor is not None:
            self.preprocessor.write_preset(directory)
        write_heads(os.path.join(directory, HEADS_FILE), self.heads, self.backbone)
        settings = {"class": type(self).__name__, "settings": self.settings()}
        write_json(os.path.join(directory, TASK_FILE), settings)

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
    def from_preset(cls, preset, load_weights=True, **kwargs):
        """Load a task from the preset of this or of any other task, or of a backbone.

        Heads are taken by name where the preset has them in this task's shape; a head that it
        has not starts new, which is said once, in the log "keras_plm".

        Args:
            preset: str. A directory that `save_to_preset` wrote.
            load_weights: bool. False leaves all weights random.
            kwargs: arguments of this task, such as `num_classes`; `sequence_length` of the
                preprocessor; any other replaces a saved argument of the backbone.

        Raises:
            FileNotFoundError: if there is no such preset.
            ValueError: if a file is not what it should be, or an argument is unknown.
        """
        own = inspect.signature(cls.__init__).parameters
        arguments = {name: kwargs.pop(name) for name in list(kwargs) if name in own}
        length = {n: kwargs.pop(n) for n in list(kwargs) if n == "sequence_length"}
        backbone = Backbone.from_preset(preset, load_weights, **kwargs)
        if "preprocessor" not in arguments and _has(preset, PREPROCESSOR_FILE):
            arguments["preprocessor"] = TextPreprocessor.from_preset(preset, **length)
        if _has(preset, TASK_FILE):
            saved = files.read_json(files.file_inside(preset, TASK_FILE))
            files.check_config(saved)
            if saved.get("class") == cls.__name__:
                arguments = {**cls.read_settings(saved["settings"]), **arguments}
        missing = [
            name
            for name, parameter in own.items()
            if name not in ("self", "backbone", "kwargs", *arguments)
            and parameter.default is inspect.Parameter.empty
        ]
        if missing:
            raise ValueError(
                f"The preset {preset} does not say {missing}. Give them: "
                f"`{cls.__name__}.from_preset(preset, {missing[0]}=...)`."
            )
        task = cls(backbone, **arguments)
        if load_weights and _has(preset, HEADS_FILE):
            path = files.file_inside(preset, HEADS_FILE)
            new = read_heads(path, task.heads, backbone)
        else:
            new = sorted(task.heads) if load_weights else []
        if new:
            logger.warning("%s: the preset has no such heads, they start new: %s", cls.__name__, new)
        return task

    # === Training ===

    def preprocess_samples(self, x, y=None, sample_weight=None):
        """Turn strings into features; features stay what they are."""
        if not isinstance(x, dict):
            if self.preprocessor is None:
                raise ValueError(
                    f"{type(self).__name__} has no preprocessor: give a dict of the features "
                    f"{self.input_names_of_task()}. Received: {type(x).__name__}."
                )
            x = self.preprocessor(x)
        return keras.utils.pack_x_y_sample_weight(x, y, sample_weight)

    def fit(self, x=None, y=None, batch_size=None, sample_weight=None, validation_data=None, **kw):
        """Train on raw strings, on features, or on a dataset of either.

        Lists are tokenised once and shuffled anew in every epoch; other arguments are those of
        `keras.Model.fit`.

        Args:
            x: list of str, a pair of such lists, a dict of features, or a dataset.
            y: labels of lists and features.
            batch_size: int. The batch size B of lists and features.
            sample_weight: weights of lists and features.
            validation_data: dataset, or tuple (x, y) or (x, y, sample_weight).

        Raises:
            ValueError: if the first batch is not what the model takes; the model is unchanged.
        """
        x, y, sample_weight = self._prepare(x, y, sample_weight)
        if isinstance(validation_data, (tuple, list)):
            parts = keras.utils.unpack_x_y_sample_weight(validation_data)
            validation_data = keras.utils.pack_x_y_sample_weight(*self._prepare(*parts))
        with weights_kept(self):
            return self._trainer(x).fit(
                self,
                x=x,
                y=y,
                batch_size=batch_size,
                sample_weight=sample_weight,
                validation_data=validation_data,
                **kw,
            )

    def evaluate(self, x=None, y=None, batch_size=None, sample_weight=None, **kw):
        """Evaluate on what `fit` takes; see `keras.Model.evaluate`."""
        if not kw.get("_use_cached_eval_dataset"):
            x, y, sample_weight = self._prepare(x, y, sample_weight)
        with weights_kept(self):
            return self._trainer(x).evaluate(
                self, x=x, y=y, batch_size=batch_size, sample_weight=sample_weight, **kw
            )

    def predict(self, x, batch_size=None, **kw):
        """Predict for what `fit` takes; see `keras.Model.predict`."""
        x, _, _ = self._prepare(x, None, None)
        with weights_kept(self):
            return self._trainer(x).predict(self, x=x, batch_size=batch_size, **kw)

    def _prepare(self, x, y, sample_weight):
        """Tokenise lists and check them, or check the first batch of a dataset."""
        if isinstance(x, dict) or not hasattr(x, "__iter__") or isinstance(x, (list, tuple)):
            parts = self.preprocess_samples(x, y, sample_weight)
            x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(parts)
            y = np.asarray(y) if isinstance(y, (list, tuple)) else y
            self.check_x(x)
            self.check_y(y, len(next(iter(x.values()))))
        elif not hasattr(x, "__next__"):  # an iterator could not be looked at without loss
            parts = keras.utils.unpack_x_y_sample_weight(next(iter(x)))
            if type(x).__module__.startswith("tensorflow") and not isinstance(parts[0], dict):
                raise ValueError(
                    "The tokenizer runs in Python, which a `tf.data` pipeline of strings cannot "
                    "call. Give lists of strings, or a Grain dataset of them. "
                    f"Received: {type(x).__name__}."
                )
            self.check_x(keras.utils.unpack_x_y_sample_weight(self.preprocess_samples(*parts))[0])
        return x, y, sample_weight

    def check_y(self, y, count):
        """Refuse labels that the model cannot take. The base checks nothing.

        Args:
            y: labels, or None.
            count: int. How many rows x has.
        """

    def _trainer(self, x):
        """Whose loop it is: Keras's for arrays (it shuffles), KerasHub's for datasets of text."""
        return keras.Model if isinstance(x, dict) or x is None else keras_hub.models.Task


@contextlib.contextmanager
def weights_kept(model):
    """Put a model's variables back if an exception leaves them empty.

    JAX's trainer takes the values out of the variables while it runs. After an exception the
    newest values are in the trainer's state, or, before the first step, in our hands.

    Args:
        model: the Keras model that is about to run.
    """
    variables = [*model.variables, *(model.optimizer.variables if model.optimizer else ())]
    values = [variable.value for variable in variables]
    try:
        yield
    except BaseException:
        if keras.backend.backend() == "jax":
            model.jax_state_sync()
            for variable, value in zip(variables, values):
                if variable._value is None:
                    variable.assign(value)
        raise


def _has(directory, name):
    return os.path.lexists(os.path.join(directory, name))
