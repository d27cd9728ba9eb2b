"""One vector for a text: its last token, and maximum and mean over all of them."""

import keras
from keras import ops

from keras_plm.layers.sequence_layer import SequenceLayer
from keras_plm.ops import real_tokens, summary_row


@keras.saving.register_keras_serializable(package="keras_plm")
class ConcatPooling(SequenceLayer):
    """Puts the state of the last real token, the maximum and the mean over real tokens together.

    Call arguments:
        rows: tensor of shape (B, T, D).
        padding_mask: bool tensor of shape (B, T) or None. True = a real token, on whatever side
            the others stand. A text without any gives 0.

    Returns:
        Tensor of shape (B, 3D).

    Example:
    ```python
    import numpy as np
    from keras_plm.layers import ConcatPooling

    rows = np.array([[[1.0], [5.0], [3.0], [9.0]]], "float32")
    pooled = ConcatPooling()(rows, np.array([[True, True, True, False]]))
    assert np.asarray(pooled).tolist() == [[3.0, 5.0, 3.0]]
    ```

    Source: ULMFiT, arXiv:1801.06146, section 3.3.
    """

    masked_outputs = (False,)

    def __init__(self, **kwargs):
        super().__init__(**kwargs)

    def build(self, rows_shape):
        pass

    def call(self, rows, padding_mask=None, mask=None, rows_mask=None):
        real = real_tokens(padding_mask, mask, rows_mask)
        if real is None:
            parts = rows[:, -1], ops.max(rows, axis=1), ops.mean(rows, axis=1)
            return ops.concatenate(parts, axis=-1)
        shown = real[..., None]  # (B, T, 1)
        zeros, counts = ops.zeros_like(rows), ops.sum(ops.cast(real, "float32"), axis=1)
        total = ops.sum(ops.cast(ops.where(shown, rows, zeros), "float32"), axis=1)  # (B, D)
        mean = ops.cast(total / ops.maximum(counts, 1.0)[:, None], rows.dtype)
        lowest = ops.min(rows, axis=1, keepdims=True)
        largest = ops.max(ops.where(shown, rows, lowest), axis=1)
        pooled = ops.concatenate([summary_row(rows, real, "last"), largest, mean], axis=-1)
        return ops.where((counts > 0)[:, None], pooled, ops.zeros_like(pooled))

    def compute_output_spec(self, rows, *args, **kwargs):
        return keras.KerasTensor((rows.shape[0], 3 * rows.shape[-1]), dtype=self.compute_dtype)

    def get_config(self):
        return {**super().get_config()}
