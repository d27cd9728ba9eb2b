"""Examples with several choices as rows, and back."""

import keras
from keras import ops

from keras_plm.layers.sequence_layer import SequenceLayer


@keras.saving.register_keras_serializable(package="keras_plm")
class ChoicesToRows(SequenceLayer):
    """Lays the C choices of every example under each other, a row each.

    Call arguments:
        inputs: tensor of shape (B, C, T).

    Returns:
        Tensor of shape (B * C, T).

    Example:
    ```python
    import numpy as np
    from keras_plm.layers import ChoicesToRows

    assert tuple(ChoicesToRows()(np.zeros((2, 4, 5), "int32")).shape) == (8, 5)
    ```
    """

    def __init__(self, **kwargs):
        super().__init__(autocast=False, **kwargs)  # ids and masks stay what they are

    def call(self, inputs):
        batch, choices, length = ops.shape(inputs)
        return ops.reshape(inputs, (batch * choices, length))

    def compute_mask(self, inputs, previous_mask):
        """Lay a mask of tokens (B, C, T) out as the tokens."""
        return None if previous_mask is None else self(previous_mask)

    def compute_output_spec(self, inputs):
        return keras.KerasTensor((None, inputs.shape[-1]), dtype=inputs.dtype)

    def get_config(self):
        config = super().get_config()
        config.pop("autocast", None)
        return config


@keras.saving.register_keras_serializable(package="keras_plm")
class RowsToChoices(SequenceLayer):
    """Brings the numbers of rows back into the shape of the choices that they belong to.

    Call arguments:
        inputs: tensor of shape (B * C, 1).
        choices: tensor of shape (B, C, T), what `ChoicesToRows` took.

    Returns:
        Tensor of shape (B, C).

    Example:
    ```python
    import numpy as np
    from keras_plm.layers import RowsToChoices

    choices = np.zeros((2, 4, 5), "int32")
    assert tuple(RowsToChoices()(np.zeros((8, 1), "float32"), choices).shape) == (2, 4)
    ```
    """

    masked_outputs = (False,)

    def call(self, inputs, choices):
        batch, number, _ = ops.shape(choices)
        return ops.reshape(inputs, (batch, number))

    def compute_output_spec(self, inputs, choices):
        return keras.KerasTensor(choices.shape[:2], dtype=inputs.dtype)
