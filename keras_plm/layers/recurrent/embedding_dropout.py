"""Dropout of whole rows of an embedding table: of words, not of tokens."""

import keras
from keras import ops

from keras_plm.checks import check_arguments, integer, number
from keras_plm.layers.sequence_layer import SequenceLayer


@keras.saving.register_keras_serializable(package="keras_plm")
class EmbeddingDropout(SequenceLayer):
    """Drops words of the vocabulary: all tokens of such a word become 0, in the whole batch.

    The table itself is left as it is, so that an output layer tied to it does not drop them.

    Args:
        vocabulary_size: int. The vocabulary size V.
        rate: float. The share of words that are dropped in training.

    Call arguments:
        rows: tensor of shape (B, T, D), the embeddings of the tokens.
        token_ids: int tensor of shape (B, T).

    Returns:
        Tensor of shape (B, T, D).

    Raises:
        ValueError: if a setting is out of range.

    Example:
    ```python
    import numpy as np
    from keras_plm.layers import EmbeddingDropout

    token_ids = np.array([[3, 5, 3], [5, 3, 5]])
    rows = EmbeddingDropout(10, 0.5)(np.ones((2, 3, 4), "float32"), token_ids, training=True)
    rows = np.asarray(rows)
    assert (rows[0, 0] == rows[0, 2]).all() and (rows[0, 0] == rows[1, 1]).all()
    ```

    Source: AWD-LSTM, arXiv:1708.02182, section 4.3; Gal and Ghahramani, arXiv:1512.05287.
    """

    @check_arguments
    def __init__(self, vocabulary_size: integer(1), rate: number(0, 1), **kwargs):
        super().__init__(**kwargs)
        self.vocabulary_size = vocabulary_size
        self.dropout = keras.layers.Dropout(rate, dtype=self.dtype_policy, name="dropout")

    def build(self, rows_shape):
        pass

    def call(self, rows, token_ids, training=None):
        if not training or self.dropout.rate == 0:
            return rows
        words = ops.ones((self.vocabulary_size, 1), rows.dtype)  # (V, 1)
        words = self.dropout(words, training=training)
        return rows * ops.take(words, token_ids, axis=0)

    def compute_output_spec(self, rows, token_ids, training=None):
        return keras.KerasTensor(rows.shape, dtype=self.compute_dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "rate": self.dropout.rate,
        }
