"""Norms by name."""

import keras

from keras_plm.checks import check_choice

NORMS = ("layer", "rms")


def make_norm(kind, epsilon, dtype, name):
    """Make the norm of token states.

    Args:
        kind: str. "layer": mean and deviation are taken out, and a trained gain and offset put in;
            or "rms": the root of the mean square is taken out, and a gain put in (T5).
        epsilon: float. What is added to the mean square.
        dtype: str or `keras.DTypePolicy`. Both compute in float32.
        name: str.

    Returns:
        `keras.layers.LayerNormalization` or `keras.layers.RMSNormalization`.

    Raises:
        ValueError: if there is no such kind.

    Source: Ba et al., arXiv:1607.06450; Zhang and Sennrich, arXiv:1910.07467.
    """
    check_choice("norm", kind, NORMS)
    layer = {"layer": keras.layers.LayerNormalization, "rms": keras.layers.RMSNormalization}[kind]
    return layer(epsilon=epsilon, dtype=dtype, name=name)
