"""Datasets of strings whose batches are made ready, in Python, as they are read."""

import keras
import numpy as np

from keras_plm.checks import check_rectangular
from keras_plm.tasks.training.label_kinds import NUMBERS, SHARES, SOFT, YES_NO

PREFETCHED = 4  # batches


class ReadyPyDataset(keras.utils.PyDataset):
    """A user's `PyDataset`, each batch made ready when it is asked for.

    Args:
        batches: `keras.utils.PyDataset`, whose number of batches, workers and hooks stay.
        make_ready: function of a batch, to a tuple of features, labels and weights.
    """

    def __init__(self, batches, make_ready):
        super().__init__(batches.workers, batches.use_multiprocessing, batches.max_queue_size)
        self.batches, self.make_ready = batches, make_ready

    @property
    def num_batches(self):
        return self.batches.num_batches

    def __len__(self):
        return self.num_batches

    def __getitem__(self, index):
        return self.make_ready(self.batches[index])

    def on_epoch_begin(self):
        self.batches.on_epoch_begin()

    def on_epoch_end(self):
        self.batches.on_epoch_end()


def is_tf_dataset(data):
    """Whether this is a `tf.data.Dataset`, which no other package is imported to say.

    Args:
        data: anything.

    Returns:
        bool.
    """
    return type(data).__module__.startswith("tensorflow.") and hasattr(data, "element_spec")


def has_strings(dataset):
    """Whether batches of a `tf.data.Dataset` hold strings, in texts or in labels.

    Args:
        dataset: `tf.data.Dataset`.

    Returns:
        bool.
    """
    import tensorflow as tf

    return any(spec.dtype == tf.string for spec in tf.nest.flatten(dataset.element_spec))


def ready_tf_dataset(dataset, make_ready):
    """A `tf.data.Dataset` of what another one's batches are made into, of as many batches.

    The tokenizer runs in Python, outside the graph.

    Args:
        dataset: `tf.data.Dataset` of batches.
        make_ready: as for `ReadyPyDataset`.

    Returns:
        `tf.data.Dataset`.

    Raises:
        ValueError: if its elements are single texts, or there is none.
    """
    import tensorflow as tf

    if any(spec.shape.rank == 0 for spec in tf.nest.flatten(dataset.element_spec)):
        raise ValueError(
            "A dataset must have batches of texts, not single ones: add `.batch(32)`. "
            f"Received: elements {dataset.element_spec}."
        )
    first = [make_ready(batch) for batch in dataset.take(2)]
    if not first:
        raise ValueError("There is no data. Received: a `tf.data.Dataset` without any batch.")
    flat, others = keras.tree.flatten(first[0]), keras.tree.flatten(first[-1])
    shapes = [  # an axis in which the first two batches differ is free, and so is that of the rows
        [None, *tf.TensorShape(array.shape).most_specific_compatible_shape(other.shape)[1:]]
        for array, other in zip(flat, others)
    ]

    @tf.autograph.experimental.do_not_convert
    def load(*batch):
        """The batch as arrays, in the structure of the first one."""

        def arrays(*parts):
            return keras.tree.flatten(make_ready(tf.nest.pack_sequence_as(batch, parts)))

        types = [array.dtype for array in flat]
        found = tf.py_function(arrays, tf.nest.flatten(batch), types)
        for array, shape in zip(found, shapes):
            array.set_shape(shape)
        return keras.tree.pack_sequence_as(first[0], found)

    return dataset.map(load).prefetch(PREFETCHED)


def python_batch(batch):
    """A batch of a dataset as texts, labels and weights in the form of lists and arrays.

    Args:
        batch: tuple or list (x, y, sample_weight), the last ones may be missing, or x. A list of
            nothing but strings is x.

    Returns:
        Tuple (x, y, sample_weight).
    """
    if isinstance(batch, list) and all(isinstance(text, (str, bytes)) for text in batch):
        batch = (batch,)
    return tuple(_python(part) for part in keras.utils.unpack_x_y_sample_weight(batch))


def _python(value):
    """Tensors of TensorFlow as arrays, and those of strings as lists."""
    if isinstance(value, tuple):
        return tuple(_python(one) for one in value)
    if isinstance(value, dict):
        return {name: _python(one) for name, one in value.items()}
    if type(value).__module__.startswith("tensorflow."):
        value = value.to_list() if hasattr(value, "to_list") else value.numpy()
    strings = isinstance(value, np.ndarray) and value.dtype.kind in "SUO"
    return _decoded(value.tolist()) if strings else _decoded(value)


def _decoded(value):
    """Bytes of UTF-8 as strings, in lists of any depth; what is none stays, for the checks."""
    if isinstance(value, list):
        return [_decoded(one) for one in value]
    try:
        return value.decode("utf-8") if isinstance(value, bytes) else value
    except UnicodeDecodeError as error:
        raise ValueError(f"Texts of bytes must be UTF-8. Received: {error}.") from error


def of_one_type(array, kinds=()):
    """Labels or weights in the type that all batches of a dataset have, whatever their values.

    Args:
        array: array, or anything else, which stays what it is.
        kinds: the kinds of all labels, see `label_kinds.label_kind`.

    Returns:
        int32, float32 or `array`.
    """
    if not isinstance(array, np.ndarray):
        return array
    numbers = len(kinds) > 0 and set(kinds) <= {NUMBERS, YES_NO, SHARES, SOFT}
    if array.dtype.kind == "f" or numbers and array.dtype.kind in "iub":
        return array.astype("float32")
    return array.astype("int32") if array.dtype.kind in "iu" else array


def array_of_list(value, kinds=()):
    """Labels or weights as an array if they are a list, which Keras would take for many arrays.

    Args:
        value: list or tuple of numbers; anything else stays what it is.
        kinds: as for `of_one_type`.

    Returns:
        Array, or `value`.
    """
    if not isinstance(value, (list, tuple)):
        return value
    return of_one_type(check_rectangular("Labels and weights", value), kinds)
