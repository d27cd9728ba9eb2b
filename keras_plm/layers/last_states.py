"""The memory of segment recurrence, moved on by a segment."""

import keras
from keras import ops

from keras_plm.checks import check_arguments, integer
from keras_plm.layers.sequence_layer import SequenceLayer


@keras.saving.register_keras_serializable(package="keras_plm")
class LastStates(SequenceLayer):
    """Keeps the last M states of a memory and of the segment behind it.

    Args:
        length: int. M, where there is no memory yet: then what is missing in front is 0.

    Call arguments:
        content: tensor of shape (B, T, ...). The segment.
        memory: tensor of shape (B, M, ...) or None. As many are kept as it has, whatever
            `length` is.

    Returns:
        Tensor of shape (B, M, ...); no gradient flows into it.

    Example:
    ```python
    import numpy as np
    from keras_plm.layers import LastStates

    memory = LastStates(3)(np.array([[1.0, 2.0]]))  # 0, 1, 2
    assert np.asarray(LastStates(3)(np.array([[4.0]]), memory)).tolist() == [[1.0, 2.0, 4.0]]
    ```

    Source: Transformer-XL, arXiv:1901.02860, section 3.2.
    """

    masked_outputs = (False,)

    @check_arguments
    def __init__(self, length: integer(0), **kwargs):
        super().__init__(**kwargs)
        self.length = length

    def build(self, content_shape):
        pass

    def call(self, content, memory=None, content_mask=None, memory_mask=None):
        if memory is None:
            memory = ops.zeros_like(ops.repeat(content[:, :1], self.length, axis=1))
        length = ops.shape(memory)[1]  # M
        whole = ops.concatenate([ops.cast(memory, content.dtype), content], axis=1)
        return ops.stop_gradient(whole[:, ops.shape(whole)[1] - length :])

    def compute_output_spec(self, content, memory=None, content_mask=None, memory_mask=None):
        length = self.length if memory is None else memory.shape[1]
        return keras.KerasTensor((content.shape[0], length, *content.shape[2:]), content.dtype)

    def get_config(self):
        return {**super().get_config(), "length": self.length}
