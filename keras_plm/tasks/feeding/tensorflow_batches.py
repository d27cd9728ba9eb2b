"""Batches as TensorFlow takes them, without two costs of how Keras would hand them over."""

import keras

from keras_plm.data import Examples
from keras_plm.tasks.feeding.length_batches import SortedBatches
from keras_plm.tasks.feeding.mixed_batches import MixedBatches
from keras_plm.tasks.feeding.shuffled_batches import ShuffledBatches

PREFETCHED = 4  # batches


def as_tf_dataset(batches):
    """The package's own batches as a `tf.data.Dataset`, where TensorFlow runs.

    Keras would make one too, but autotuned and from a generator. With TensorFlow 2.21 an autotuned
    iterator may have to wait for its tuning thread before it can end, up to as long again as it
    was in use: the thread sleeps for 10 ms, 20 ms, 40 ms and so on up to a minute. And the first
    generator sets the C library's trim threshold to 128 kB, after which every step asks the
    system for its memory anew (docs/performance.md has figures).

    Args:
        batches: what Keras would be given.

    Returns:
        A `tf.data.Dataset` for `Examples`, `ShuffledBatches` and `SortedBatches`; anything else,
        and all on other backends, as it is.
    """
    if keras.backend.backend() != "tensorflow":
        return batches
    if isinstance(batches, Examples):
        varies = batches.objective.variable_length
        return _dataset(batches.source, len(batches.source), varies)
    if isinstance(batches, SortedBatches):
        return _dataset(batches, len(batches))
    if isinstance(batches, ShuffledBatches):
        return _dataset(batches, -1)
    if isinstance(batches, MixedBatches):
        return _dataset(batches, -1, lengths_vary=True)
    return batches


def _dataset(source, count, lengths_vary=False):
    """`source[0]`, `source[1]` and so on, `count` of them, or without end if it is -1."""
    import tensorflow as tf

    first, second = source[0], source[0 if count == 1 else 1]
    flat = keras.tree.flatten(first)
    shapes = [  # an axis in which the first two batches differ is free, and so is that of the rows
        [None, *tf.TensorShape(array.shape).most_specific_compatible_shape(other.shape)[1:]]
        for array, other in zip(flat, keras.tree.flatten(second))
    ]
    if lengths_vary:
        shapes = [[None, None, *shape[2:]][: len(shape)] for shape in shapes]

    def load(index):
        """Batch `index`, in the structure of all."""
        arrays = tf.numpy_function(
            lambda index: keras.tree.flatten(source[int(index)]),
            [index],
            [array.dtype for array in flat],
        )
        for array, shape in zip(arrays, shapes):
            array.set_shape(shape)
        return keras.tree.pack_sequence_as(first, arrays)

    options = tf.data.Options()
    options.autotune.enabled = False
    dataset = tf.data.Dataset.counter().take(count).map(load)
    return dataset.prefetch(PREFETCHED).with_options(options)
