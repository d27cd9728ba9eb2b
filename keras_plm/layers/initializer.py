"""Initializers as arguments of layers."""

import functools
from typing import Annotated

import keras
import numpy as np
from keras import ops


def check_initializer(name, value, none=False):
    """Return an initializer, or refuse what is none.

    Args:
        name: str. The argument.
        value: a Keras initializer, its name, or its config.
        none: bool. Whether None is allowed, and returned.

    Returns:
        `keras.initializers.Initializer`, or None.

    Raises:
        ValueError: naming the argument, and what it is.
    """
    if none and value is None:
        return None
    try:
        found = keras.initializers.get(value)
    except (TypeError, ValueError):
        found = None
    if not isinstance(found, keras.initializers.Initializer):
        raise ValueError(
            f"`{name}` must be a Keras initializer or the name of one, such as 'glorot_uniform'"
            f"{', or None' if none else ''}. Received: {name}={value!r:.200}."
        )
    return found


def initializer(none=False):
    """Declare an argument that is an initializer; see `keras_plm.checks.check_arguments`."""
    return Annotated[object, functools.partial(check_initializer, none=none)]


def in_float32(initializer):
    """Return a function that draws as an initializer does in float32, and casts.

    An orthogonal one decomposes a matrix, which no backend does in half precision.
    """

    def draw(shape, dtype=None):
        return ops.cast(initializer(shape, dtype="float32"), dtype or keras.config.floatx())

    return draw


class _DrawnByNumpy:
    """Draws where an initializer of Keras would have a program compiled for each shape."""

    def __call__(self, shape, dtype=None, **kwargs):
        if not isinstance(self.seed, int):
            return super().__call__(shape, dtype=dtype, **kwargs)
        numbers = self.draw(np.random.default_rng(self.seed), shape)
        numbers = (self.mean + self.stddev * numbers).astype("float32")
        return ops.convert_to_tensor(numbers, dtype or keras.config.floatx())


@keras.saving.register_keras_serializable(package="keras_plm")
class Normal(_DrawnByNumpy, keras.initializers.RandomNormal):
    """`keras.initializers.RandomNormal`, of the same numbers on each backend for an int seed.

    Example:
    ```python
    import numpy as np
    from keras_plm.layers.initializer import Normal

    table = np.asarray(Normal(stddev=0.02, seed=1)((100, 50)))
    assert abs(table.std() - 0.02) < 0.001
    ```
    """

    @staticmethod
    def draw(rng, shape):
        """Standard normal numbers of a shape."""
        return rng.standard_normal(shape, "float32")


@keras.saving.register_keras_serializable(package="keras_plm")
class TruncatedNormal(_DrawnByNumpy, keras.initializers.TruncatedNormal):
    """`keras.initializers.TruncatedNormal`, of the same numbers on each backend for an int seed.

    What lies beyond two deviations is drawn anew.

    Example:
    ```python
    import numpy as np
    from keras_plm.layers.initializer import TruncatedNormal

    table = np.asarray(TruncatedNormal(stddev=0.02, seed=1)((100, 50)))
    assert abs(table).max() <= 0.04
    ```
    """

    @staticmethod
    def draw(rng, shape):
        """Standard normal numbers of a shape, those within [-2, 2]."""
        numbers = rng.standard_normal(shape, "float32").reshape(-1)
        beyond = np.flatnonzero(np.abs(numbers) > 2)
        while beyond.size:
            numbers[beyond] = rng.standard_normal(beyond.size, "float32")
            beyond = beyond[np.abs(numbers[beyond]) > 2]
        return numbers.reshape(shape)


@keras.saving.register_keras_serializable(package="keras_plm")
class ZeroRow(keras.initializers.Initializer):
    """Draws a table as another initializer does, but for one row, which is 0.

    Args:
        initializer: initializer of the other rows.
        row: int.

    Example:
    ```python
    import numpy as np
    from keras_plm.layers.initializer import ZeroRow

    table = ZeroRow("ones", row=1)((3, 2))
    assert np.asarray(table).tolist() == [[1, 1], [0, 0], [1, 1]]
    ```
    """

    def __init__(self, initializer, row):
        self.initializer = check_initializer("initializer", initializer)
        self.row = row

    def __call__(self, shape, dtype=None, **kwargs):
        table = self.initializer(shape, dtype=dtype, **kwargs)
        is_zero = ops.arange(shape[0])[:, None] == self.row  # (V, 1)
        return ops.where(is_zero, ops.zeros_like(table), table)

    def get_config(self):
        return {"initializer": keras.initializers.serialize(self.initializer), "row": self.row}


@keras.saving.register_keras_serializable(package="keras_plm")
class ForgetBias(keras.initializers.Initializer):
    """The biases of an LSTM's gates (4C,): 1 for the second quarter, the forget gate, else 0.

    Example:
    ```python
    import numpy as np
    from keras_plm.layers.initializer import ForgetBias

    assert np.asarray(ForgetBias()((8,))).tolist() == [0, 0, 1, 1, 0, 0, 0, 0]
    ```

    Source: Jozefowicz et al. 2015, section 2.2; `forget_bias` of TensorFlow's `LSTMCell`.
    """

    def __call__(self, shape, dtype=None, **kwargs):
        quarter = ops.arange(shape[0]) // (shape[0] // 4)
        return ops.cast(quarter == 1, dtype or "float32")

    def get_config(self):
        return {}
