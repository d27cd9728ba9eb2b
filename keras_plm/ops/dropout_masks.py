"""Dropout that draws no more random bits than it needs."""

import math

import keras
from keras import ops

STEPS = 2**16  # of the rate, on JAX


def dropout(inputs, rate, seed_generator):
    """Set entries to 0, each by itself, and scale up the others.

    Keras draws 32 random bits for each entry, and on JAX computes 64 for that; on a CPU a training
    spends a tenth of its time there. Here 16 bits decide on JAX, all of which are used: the rate is
    exact to 1/131072, and the scale is that of the exact rate, so that the expectation is right.
    On other backends, and where Keras distributes a model over devices, this is
    `keras.random.dropout`.

    Args:
        inputs: float tensor of any shape.
        rate: float in [0, 1]. The share of entries that are set to 0.
        seed_generator: `keras.random.SeedGenerator`; gives one seed.

    Returns:
        Tensor of the shape of `inputs`.

    Source: Dropout, Srivastava et al. 2014; Threefry, Salmon et al. 2011.
    """
    dropped = round(rate * STEPS)
    is_whole = keras.distribution.distribution() is None and None not in inputs.shape
    if keras.backend.backend() != "jax" or not is_whole or not 0 < dropped < STEPS:
        return keras.random.dropout(inputs, rate, seed=seed_generator)
    keep = _sixteen_bits(seed_generator.next(), inputs.shape) >= dropped
    return ops.where(keep, inputs * (STEPS / (STEPS - dropped)), ops.zeros_like(inputs))


def _sixteen_bits(seed, shape):
    """Uniform random numbers from 0 to 65535, of a shape, from a seed of JAX, (2,) uint32."""
    import jax
    from jax.extend.random import threefry_2x32

    size = math.prod(shape)
    count = jax.lax.iota("uint32", -(-size // 2))
    words = threefry_2x32((seed[0], seed[1]), count)  # a word for two entries
    halves = jax.lax.bitcast_convert_type(words, "uint16")  # (words, 2)
    return halves.reshape(-1)[:size].reshape(shape)
