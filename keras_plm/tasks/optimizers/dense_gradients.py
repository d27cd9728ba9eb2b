"""Gradients of embedding tables, which TensorFlow has by the place, summed for an optimizer."""

import contextlib

import keras

from keras_plm.tasks.optimizers.replaced_methods import replaced


def dense_gradients(gradients):
    """Sum up what TensorFlow gives for the rows of a table, a row as often as it was read.

    Such a gradient (`tf.IndexedSlices`) has a value for each place of a token. Keras's optimizers
    square these values, or take their norm, before they are summed: without this the same training
    would be another one than on JAX, whose gradients are dense.

    Args:
        gradients: list of tensors or `tf.IndexedSlices`, or None where there is no gradient.

    Returns:
        list of tensors or None.
    """
    if keras.backend.backend() != "tensorflow":
        return gradients
    import tensorflow as tf

    sparse = tf.IndexedSlices
    return [tf.convert_to_tensor(one) if isinstance(one, sparse) else one for one in gradients]


def with_dense_gradients(pairs):
    """Sum up the gradients of pairs.

    Args:
        pairs: iterable of pairs (gradient, variable), as `apply_gradients` takes them.

    Returns:
        list of pairs.
    """
    gradients, variables = zip(*pairs)
    return list(zip(dense_gradients(gradients), variables))


def given_dense_gradients(optimizer):
    """Let TensorFlow's trainer give an optimizer dense gradients while a block runs.

    Args:
        optimizer: Keras optimizer of any kind.

    Returns:
        Context manager.
    """
    if keras.backend.backend() != "tensorflow":
        return contextlib.nullcontext()

    def apply_gradients(pairs):
        return type(optimizer).apply_gradients(optimizer, with_dense_gradients(pairs))

    return replaced(optimizer, {"apply_gradients": apply_gradients})
