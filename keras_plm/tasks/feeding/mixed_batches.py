"""Batches of several tasks, of one task each, that all are of one form."""

import keras
import numpy as np

from keras_plm import features as contract
from keras_plm.tasks.feeding.prepared_data import unless_none
from keras_plm.tasks.feeding.ready_datasets import of_one_type
from keras_plm.tasks.feeding.row_lengths import row_lengths, whole_length
from keras_plm.tasks.feeding.shuffled_batches import ShuffledBatches

TASK_NUMBER = "task_number"


class TaskBatches:
    """Full batches of one task: what the last one of a pass lacks is filled up with weight 0.

    An example of several rows, such as of choices, has them behind each other.

    Args:
        name: str. The task.
        task: `Task`.
        batch: tuple (x, y, sample_weight), as `Task._prepare` returns it.
        num_rows: int. How many rows R each batch has.
        seed: int. Decides the order of the examples in each pass.

    Attributes:
        several: int. How many rows each example has.
        num_examples: int. How many examples a batch has, R // several.

    Raises:
        ValueError: if a batch has fewer rows than an example.
    """

    def __init__(self, name, task, batch, num_rows, seed):
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(batch)
        kinds = list(task._label_kinds.values())
        x, y, weight = (
            keras.tree.map_structure(unless_none(np.asarray), one) for one in (x, y, sample_weight)
        )
        y = keras.tree.map_structure(lambda one: of_one_type(one, kinds), y)
        count = len(x["token_ids"])
        if weight is None:
            weight = np.ones(count)
        if not task.labels_are_weighted:
            weight = np.reshape(weight, (-1,))
        weight = keras.tree.map_structure(unless_none(lambda one: one.astype("float32")), weight)
        self.name, self.task, self.arrays = name, task, (x, y, weight)
        self.several = rows_per_example(x)
        self.num_rows, self.num_examples = num_rows, num_rows // self.several
        if not self.num_examples:
            raise ValueError(
                f"A batch must hold an example of each task; one of {name!r} has {self.several} "
                f"rows. Received: batch_size={num_rows}."
            )
        self.seed, self._batches = seed, None
        self.whole = whole_length(x)

    @property
    def lengths(self):
        """int array: how long the rows of examples are, or None if they cannot be cut."""
        lengths, at_left = row_lengths(self.arrays[0])
        moved = self.task.labels_are_positions or not self.task._cuts_left
        return None if lengths is None or at_left and moved else lengths

    def sort(self, length_buckets):
        """Decide the lengths that batches have.

        Args:
            length_buckets: list of int, or None: rows stay whole.
        """
        if self.lengths is None:
            length_buckets = None
        self._batches = ShuffledBatches(
            *(self.arrays, self.num_examples, length_buckets),
            labels_of_tokens=self.task.outputs_of_tokens,
        )
        self._batches.seed = self.seed

    @property
    def num_batches(self):
        """How many batches a pass has."""
        return self._batches.num_steps

    def __getitem__(self, index):
        """Batch `index`, counted over all passes: features of rows, labels, weights."""
        batch = self._batches[index]
        return self.as_rows(batch)

    def as_rows(self, batch):
        """Fill a batch up, and lay the rows of its examples behind each other.

        Args:
            batch: tuple (x, y, sample_weight) of at most `num_examples` examples.

        Returns:
            The same: features (R, ...), labels and weights (R // several, ...).
        """
        x, y, weight = batch
        count = len(x["token_ids"])
        take = np.resize(np.arange(count), self.num_examples)
        real = np.arange(self.num_examples) < count
        # Losses that divide by all examples count those that are real as if there were no others.
        share = real.astype("float32") * (self.num_examples / count)
        y = keras.tree.map_structure(lambda one: one[take], y)
        weight = keras.tree.map_structure(
            lambda one: one[take] * share.reshape(-1, *[1] * (one.ndim - 1)), weight
        )
        x = {name: self._rows(one[take]) for name, one in x.items()}
        return x, y, weight

    def _rows(self, array):
        """The rows of examples behind each other, and again the first ones if there is room."""
        if self.several > 1:
            array = array.reshape(-1, *array.shape[2:])
        return np.resize(array, (self.num_rows, *array.shape[1:]))

    def idle(self, length):
        """Labels and weights of a batch that is not of this task: zeros.

        Args:
            length: int. How long the rows of the batch are.
        """

        def zeros(array):
            shape = list(array.shape[1:])
            if self.task.outputs_of_tokens and shape[:1] == [self.whole]:
                shape[0] = length
            return np.zeros((self.num_examples, *shape), array.dtype)

        return keras.tree.map_structure(zeros, self.arrays[1:])


class MixedBatches(keras.utils.PyDataset):
    """Batches of several tasks without end, each of one task, and all with the same arrays.

    Args:
        parts: list of `TaskBatches`, sorted.
        numbers: list of int. The number of each of their tasks in the model.
        mix: `keras_plm.data.Mix` of the parts.
        features: dict of the features that the model takes, to their Keras tensors.
        start: int. The number of the first batch.

    Raises:
        ValueError: if the rows of the tasks have several lengths, or several numbers of targets.
    """

    num_batches = None

    def __init__(self, parts, numbers, mix, features, start=0):
        super().__init__()
        self.parts, self.numbers, self.mix, self.start = parts, numbers, mix, start
        self.features = [name for name in features if name != TASK_NUMBER]
        for what, sizes in (
            ("rows of one length: set one `sequence_length`", {p.name: p.whole for p in parts}),
            ("one number of targets: set one `num_predict`", _targets(parts)),
        ):
            if len(set(sizes.values())) > 1:
                raise ValueError(
                    f"All tasks that train together need {what} for all. Received: {sizes}."
                )
        self.num_targets = next(iter(_targets(parts).values()), 1)

    def __getitem__(self, index):
        part, number = self.mix(self.start + index)
        return self.complete(part, self.parts[part][number])

    def complete(self, part, batch):
        """A batch of one task with zeros for all that the others have.

        Args:
            part: int. Which of the parts it is of.
            batch: tuple (x, y, sample_weight), as `TaskBatches.as_rows` gives it.

        Returns:
            Tuple (x, y, sample_weight), the last two dicts by task.
        """
        x, y, weight = batch
        rows, length = x["token_ids"].shape
        shapes = {"BT": (rows, length), "BP": (rows, self.num_targets), "B": (rows,)}
        x = {name: x[name] for name in self.features if name in x}
        for name in set(self.features) - set(x):
            feature = contract.FEATURES[name]
            x[name] = np.zeros(shapes[feature.shape], feature.dtype)
        x[TASK_NUMBER] = np.full(rows, self.numbers[part], "int32")
        all_y, all_weight = {}, {}
        for place, one in enumerate(self.parts):
            own = (y, weight) if place == part else one.idle(length)
            all_y[one.name], all_weight[one.name] = own
        return x, all_y, all_weight


def rows_per_example(x):
    """How many rows each example has.

    Args:
        x: dict of arrays, features (N, T), or (N, C, T).

    Returns:
        int.
    """
    shape = np.shape(x["token_ids"])
    return shape[1] if len(shape) == 3 else 1


def _targets(parts):
    """dict of the tasks that have targets to how many of them."""
    found = {part.name: part.arrays[0].get("target_positions") for part in parts}
    return {name: one.shape[1] for name, one in found.items() if one is not None}
