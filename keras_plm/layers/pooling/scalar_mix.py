"""A weighted sum of the layers of a backbone, whose weights a task learns."""

import keras
from keras import ops

from keras_plm.checks import check_arguments, flag, number
from keras_plm.layers.sequence_layer import SequenceLayer
from keras_plm.ops import real_tokens


@keras.saving.register_keras_serializable(package="keras_plm")
class ScalarMix(SequenceLayer):
    """gamma * sum over j of softmax(scores)_j * layer_j: what ELMo is to a task.

    A place that reads a backbone has its own: one at the input of a model and one at its output
    are two layers.

    Args:
        top_only: bool. Whether only gamma times the last layer is given; then there are no scores.
        batch_layer_norm: bool. Whether each layer has its mean taken out and its deviation divided
            by first: one number each for all real tokens of the batch. What an example gives then
            depends on the others.
        regularization: float. The weight of the sum of squares of the scores in the loss, which
            draws them to the mean of all layers (the paper: 1 nearly gives the mean, 0.001 lets
            them differ).

    Call arguments:
        hidden_states: list of L tensors of shape (B, T, D), bottom to top.
        padding_mask: bool tensor of shape (B, T) or None; only `batch_layer_norm` looks at it.

    Returns:
        Tensor of shape (B, T, D).

    Raises:
        ValueError: if the weight is negative, or there are no layers.

    Example:
    ```python
    import numpy as np
    from keras_plm.layers import ScalarMix

    low, high = np.zeros((2, 5, 8), "float32"), np.ones((2, 5, 8), "float32")
    np.testing.assert_allclose(ScalarMix()([low, high]), 0.5 * high)  # at first it is the mean
    ```

    Source: ELMo, arXiv:1802.05365, equation 1 and section 5.1; the released bilm-tf (`elmo.py`).
    """

    @check_arguments
    def __init__(
        self,
        top_only: flag() = False,
        batch_layer_norm: flag() = False,
        regularization: number(0) = 0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.top_only = top_only
        self.batch_layer_norm = batch_layer_norm
        self.regularization = regularization

    def build(self, hidden_states_shape):
        if not isinstance(hidden_states_shape, (list, tuple)) or not (
            hidden_states_shape and isinstance(hidden_states_shape[0], (list, tuple))
        ):
            raise ValueError(
                "`hidden_states` must be a list of tensors (B, T, D). Received: the shape "
                f"{hidden_states_shape}."
            )
        self.scores = None
        if not self.top_only:
            penalty = keras.regularizers.L2(self.regularization) if self.regularization else None
            self.scores = self.add_weight(
                name="scores",
                shape=(len(hidden_states_shape),),
                initializer="zeros",
                regularizer=penalty,
            )
        self.gamma = self.add_weight(name="gamma", shape=(), initializer="ones")

    def call(self, hidden_states, padding_mask=None, mask=None, hidden_states_mask=None):
        chosen = hidden_states[-1:] if self.top_only else hidden_states
        if self.batch_layer_norm:
            given = hidden_states_mask if hidden_states_mask is not None else mask
            real = real_tokens(padding_mask, *(given or ()))
            chosen = [_normalised(one, real) for one in chosen]
        if self.top_only:
            mixed = chosen[0]
        else:
            shares = ops.softmax(ops.cast(self.scores, "float32"))  # (L,)
            shares = ops.cast(shares, chosen[0].dtype)
            mixed = sum(shares[number] * one for number, one in enumerate(chosen))
        return ops.cast(self.gamma, mixed.dtype) * mixed  # (B, T, D)

    def compute_mask(self, hidden_states, previous_mask):
        return real_tokens(*(previous_mask or ()))

    def compute_output_spec(self, hidden_states, *args, **kwargs):
        return keras.KerasTensor(hidden_states[-1].shape, dtype=self.compute_dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "top_only": self.top_only,
            "batch_layer_norm": self.batch_layer_norm,
            "regularization": self.regularization,
        }


def _normalised(rows, real):
    """Rows (B, T, D) less the mean of all real ones, over their deviation."""
    values = ops.cast(rows, "float32")
    shown = ops.ones_like(values[..., :1])  # (B, T, 1)
    if real is not None:
        shown = ops.cast(real, "float32")[..., None]
    count = ops.maximum(ops.sum(shown), 1.0) * rows.shape[-1]
    centred = values - ops.sum(values * shown) / count
    variance = ops.sum(ops.square(centred * shown)) / count
    return ops.cast(centred / ops.sqrt(variance + 1e-12), rows.dtype)
