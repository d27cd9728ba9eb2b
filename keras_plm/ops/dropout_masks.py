"""Dropout that draws no more random bits than it needs."""

import math

import keras
from keras import ops

from keras_plm.ops.keras_internals import compiled_by_xla

STEPS = 2**16  # of the rate, where 16 bits decide


def dropout(inputs, rate, seed_generator):
    """Set entries to 0, each by itself, and scale up the others.

    Keras's random numbers take a tenth of a training on a CPU on JAX, which draws 32 bits for each
    entry and computes 64, and most of it on TensorFlow under XLA, whose compiler makes slow code of
    Philox. There 16 bits of Threefry decide, all of which are used: the rate is exact to 1/131072,
    and the scale is that of the exact rate, so that the expectation is right. Elsewhere (other
    backends, TensorFlow's graphs, its GPUs and TPUs, models that Keras distributes over devices)
    this is `keras.random.dropout`.

    Args:
        inputs: float tensor of any shape.
        rate: float in [0, 1]. The share of entries that are set to 0.
        seed_generator: `keras.random.SeedGenerator`; gives one seed.

    Returns:
        Tensor of the shape of `inputs`.

    Source: Dropout, Srivastava et al. 2014; Threefry, Salmon et al. 2011.
    """
    dropped = round(rate * STEPS)
    draw = _drawn_here()
    is_distributed = keras.distribution.distribution() is not None
    if draw is None or is_distributed or not 0 < dropped < STEPS:
        return keras.random.dropout(inputs, rate, seed=seed_generator)
    shape = ops.shape(inputs)
    size = math.prod(shape)
    halves = draw(seed_generator.next(), -(-size // 2))  # (words, 2): a word for two entries
    keep = ops.reshape(ops.reshape(halves, (-1,))[:size], shape) >= dropped
    return ops.where(keep, inputs * (STEPS / (STEPS - dropped)), ops.zeros_like(inputs))


def _drawn_here():
    """What draws the bits, `(seed, words)` to (words, 2) uint16, or None: Keras does."""
    if keras.backend.backend() == "jax":
        return _drawn_by_jax
    if keras.backend.backend() == "tensorflow" and compiled_by_xla() and _has_only_cpus():
        return _drawn_by_tensorflow
    return None


def _drawn_by_jax(seed, words):
    import jax
    from jax.extend.random import threefry_2x32

    count = jax.lax.iota("uint32", words)
    return jax.lax.bitcast_convert_type(threefry_2x32((seed[0], seed[1]), count), "uint16")


def _drawn_by_tensorflow(seed, words):
    """Threefry, which TensorFlow has under XLA alone."""
    import tensorflow as tf

    seed, whole = tf.bitcast(tf.cast(seed, "uint32"), "int32"), {"minval": None, "maxval": None}
    drawn = tf.random.stateless_uniform((words,), seed, **whole, dtype="uint32", alg="threefry")
    return tf.bitcast(drawn, "uint16")


def _has_only_cpus():
    import tensorflow as tf

    return all(device.device_type == "CPU" for device in tf.config.list_logical_devices())
