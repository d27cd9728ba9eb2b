"""Norms by name."""

import keras

from keras_plm.checks import check_choice

NORMS = ("layer", "rms")


@keras.saving.register_keras_serializable(package="keras_plm")
class RMSNorm(keras.layers.RMSNormalization):
    """Keras's, but its gain is called `gamma`, as that of other norms: by that name none decays.

    Example:
    ```python
    from keras_plm.layers.norm import RMSNorm

    layer = RMSNorm()
    layer.build((None, 4))
    assert [weight.name for weight in layer.weights] == ["gamma"]
    ```

    Source: Zhang and Sennrich, arXiv:1910.07467, section 4.
    """

    def add_weight(self, *args, name=None, **kwargs):
        return super().add_weight(*args, name="gamma" if name == "scale" else name, **kwargs)


def make_norm(kind, epsilon, dtype, name):
    """Make the norm of token states.

    Args:
        kind: str. "layer": mean and deviation are taken out, and a trained gain and offset put in;
            or "rms": the root of the mean square is taken out, and a gain put in (T5).
        epsilon: float. What is added to the mean square.
        dtype: str or `keras.DTypePolicy`. Both compute in float32.
        name: str.

    Returns:
        `keras.layers.LayerNormalization` or `RMSNorm`.

    Raises:
        ValueError: if there is no such kind.

    Source: Ba et al., arXiv:1607.06450; Zhang and Sennrich, arXiv:1910.07467.
    """
    check_choice("norm", kind, NORMS)
    layer = {"layer": keras.layers.LayerNormalization, "rms": RMSNorm}[kind]
    return layer(epsilon=epsilon, dtype=dtype, name=name)
