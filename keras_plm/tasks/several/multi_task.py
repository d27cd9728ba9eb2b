"""One model for several tasks: they share a backbone, and each has a head of its own."""

import keras

from keras_plm import features as contract
from keras_plm.backbones import Backbone
from keras_plm.checks import check_arguments, check_choice, kind
from keras_plm.preprocessing.preprocessor import Preprocessor
from keras_plm.presets import open_preset
from keras_plm.tasks.feeding.mixed_batches import TASK_NUMBER
from keras_plm.tasks.several import parts_of_tasks
from keras_plm.tasks.several.data_of_tasks import FittedMultiTask
from keras_plm.tasks.task_graph import encode_texts, text_inputs


@keras.saving.register_keras_serializable(package="keras_plm")
class MultiTask(FittedMultiTask):
    """Trains several tasks on one backbone, in batches of one task each.

    The backbone reads a batch; the head of its task, and the loss, are chosen while the compiled
    program runs. An idle head takes no time and stands still whole, with its moments and its own
    count of steps. There is one program for each length of rows, however many tasks there are.

    What is shared is the form of a batch: all tasks have rows of one `sequence_length`, and
    batches of `batch_size` rows. An example of several rows, such as one with C choices, takes as
    many of them: a batch has `batch_size // C` such examples. Labels of all tasks stand in each
    batch, zeros for those that it is not of.

    Each task is one of this package, or a user's own with a `read`, and has its own labels, checks
    and metrics. `multi.task("cola")` is that task, over the same weights: it predicts, is tuned
    alone and is saved as any other.

    Args:
        backbone: a backbone of this package.
        tasks: dict of the name of a task to a dict of "class", the task's class or its name, and
            of arguments of its constructor and of its preprocessor, such as
            `{"class": "TextClassifier", "num_classes": 2}`. Ranking is a `MultipleChoice`; pairs
            by MT-DNN's answer module are a `TextClassifier` with `pooling="san"`. Names consist of
            letters, digits, "_" and "-".
        preprocessor: `TextPreprocessor` or None: then features are given, not strings. The tasks'
            preprocessors have its tokenizer, length and language.

    Call arguments:
        inputs: dict of the features that the backbone takes of texts, such as `token_ids`,
            `segment_ids` and `padding_mask`, each (R, T); of those that only a head takes; and of
            `task_number` (R,), the same in all rows.

    Returns:
        dict of what the backbone's `encode` returns. `predict` gives the outputs of tasks.

    Raises:
        ValueError: if there is no such task, a name or argument is none, or a task adds a language
            model (`auxiliary_lm`) or cuts gradients (`gradient_length`).

    Example:
    ```python
    from keras_plm.backbones import TransformerBackbone
    from keras_plm.data import train_tokenizer
    from keras_plm.tasks import MultiTask, TextPreprocessor

    def train(path, texts, labels, pairs, scores):
        tokenizer = train_tokenizer([path], 1000, model="wordpiece", lowercase=True)
        backbone = TransformerBackbone(tokenizer.vocabulary_size, 2, 2, 32, 64)
        kinds = {
            "cola": {"class": "TextClassifier", "num_classes": 2},
            "stsb": {"class": "TextRegressor"},
        }
        multi = MultiTask(backbone, kinds, TextPreprocessor(tokenizer, sequence_length=64))
        multi.fit({"cola": (texts, labels), "stsb": (pairs, scores)}, epochs=3)
        return multi.task("cola").classify(texts)
    ```

    Source: MT-DNN, arXiv:1901.11504, section 3 and algorithm 1.
    """

    @check_arguments
    def __init__(
        self,
        backbone: kind(Backbone),
        tasks,
        preprocessor: kind(Preprocessor, none=True) = None,
        **kwargs,
    ):
        compiles = kwargs.pop("compile", True)

        # === Layers ===
        self.backbone = backbone
        self.preprocessor = preprocessor
        made = parts_of_tasks.make_tasks(backbone, tasks, preprocessor)

        # === Functional model ===
        inputs = text_inputs(backbone)
        read = set(inputs) | {"target_positions"}
        names = {tensor.name for task in made.values() for tensor in task.inputs}
        for name in sorted(names - set(inputs)) + [TASK_NUMBER]:
            feature = contract.FEATURES[name]
            shape = (None,) * (len(feature.shape) - 1)
            inputs[name] = keras.Input(shape, dtype=feature.dtype, name=name)
        encoded = encode_texts(backbone, {n: one for n, one in inputs.items() if n in read})
        outputs = {name: one for name, one in encoded.items() if isinstance(one, keras.KerasTensor)}
        super().__init__(inputs=inputs, outputs=outputs, compile=False, **kwargs)

        # === Config ===
        self.set_tasks(made)
        if compiles:
            self.compile()

    def task(self, name):
        """Return one of the tasks, over the same weights.

        It is an ordinary task: `save_to_preset` writes a preset of its own. It is compiled, for
        evaluation and for being tuned alone, with its own optimizer.

        Args:
            name: str.

        Returns:
            `Task`.

        Raises:
            ValueError: if there is no such task.
        """
        return self.members[check_choice("name", name, list(self.members))]

    @property
    def tasks(self):
        """What the tasks are made of, as the constructor takes it, as plain JSON values."""
        return parts_of_tasks.descriptions(self.members, self.preprocessor)

    def settings(self):
        return {"tasks": self.tasks}

    # === Files ===

    def clone(self):
        new = super().clone()
        for mine, theirs in zip(self.members.values(), new.members.values()):
            if mine.preprocessor is not None:
                theirs.preprocessor.tokenizer = mine.preprocessor.tokenizer
        return new

    def _run_through_graph(self, inputs, *args, **kwargs):
        operation_fn = kwargs.get("operation_fn")
        if getattr(operation_fn, "__module__", None) == keras.models.clone_model.__module__:
            raise ValueError(
                "`keras.models.clone_model` copies the graph alone, without the tasks. Use "
                f"`task.clone()`, and `set_weights` for the same weights. Received: {self.name!r}."
            )
        return super()._run_through_graph(inputs, *args, **kwargs)

    def write_preset(self, directory):
        super().write_preset(directory)
        parts_of_tasks.write_heads_of_tasks(self.members, directory)

    @classmethod
    def from_preset(cls, preset, load_weights=True, custom_objects=None, strict=False, **kwargs):
        """Load the tasks of a preset, or start them on the backbone of any preset.

        Args:
            preset, load_weights, custom_objects, strict: see `Task.from_preset`.
            kwargs: `tasks`, in place of those that the preset has, and see there.

        Raises:
            FileNotFoundError, ValueError: see there.
        """
        preset = open_preset(preset)
        model = super().from_preset(preset, load_weights, custom_objects, strict, **kwargs)
        if load_weights:
            parts_of_tasks.read_heads_of_tasks(model.members, preset)
        return model
