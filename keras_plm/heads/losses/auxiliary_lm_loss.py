"""GPT-1's auxiliary loss of fine-tuning: the tokens of the texts themselves are predicted."""

import keras
from keras import ops

from keras_plm.checks import check_arguments, kind, number
from keras_plm.heads.vocabulary.masked_lm_head import MaskedLMHead
from keras_plm.layers.float_policy import float_policy
from keras_plm.layers.sequence_layer import SequenceLayer


@keras.saving.register_keras_serializable(package="keras_plm")
class AuxiliaryLMLoss(SequenceLayer):
    """Adds the loss of a causal language model to that of a task, and changes nothing else.

    Every real token is predicted from the row of the token to its left, with the token embedding
    as output matrix and without a bias. The cross-entropy is averaged over the predicted tokens of
    each row, then over the rows, as in the released code: a short text counts as much as a long
    one. What is added to the loss of a training step, or of `evaluate`, is the weight times that.

    Args:
        token_embedding: `keras.layers.ReversibleEmbedding` of shape (V, D), the backbone's.
        weight: float. The weight of this loss at first; that of the task has 1.

    Attributes:
        current_weight: variable, float32, not trained: the weight now. It may be assigned to
            between batches or epochs, as `keras_plm.transfer.AuxiliaryLossDecay` does, and is
            saved with the weights of the model.

    Call arguments:
        summary: tensor of shape (B, D), which is returned as it is.
        rows: tensor of shape (B, T, D), the last of a causal backbone.
        token_ids: int tensor of shape (B, T).
        padding_mask: bool tensor of shape (B, T). Padding is neither predicted nor predicts.
        rows_mask: bool tensor of shape (B, T) or None: the implicit mask, as Keras hands it over:
            what it leaves out is padding, besides.

    Returns:
        `summary`.

    Example:
    ```python
    import keras
    import numpy as np
    from keras_plm.heads import AuxiliaryLMLoss

    embedding = keras.layers.ReversibleEmbedding(10, 4)
    layer = AuxiliaryLMLoss(embedding, weight=0.5)
    rows, ids = np.zeros((2, 3, 4), "float32"), np.array([[7, 8, 9], [7, 9, 0]])
    layer(rows[:, -1], rows, ids, ids > 0)
    (loss,) = layer.losses  # all of the 10 tokens are as likely
    np.testing.assert_allclose(keras.ops.convert_to_numpy(loss), 0.5 * np.log(10), rtol=1e-5)
    ```

    Source: GPT-1 (Radford et al. 2018), section 3.2, equation 5 (weight 0.5: section 4.1); the
    released `train.py` (`lm_losses`).
    """

    @check_arguments
    def __init__(
        self, token_embedding: kind(keras.layers.Embedding), weight: number(0) = 0.5, **kwargs
    ):
        kwargs.setdefault("dtype", float_policy(token_embedding.dtype_policy))
        super().__init__(**kwargs)
        self.token_embedding = token_embedding
        self.weight = weight
        self.head = MaskedLMHead(
            token_embedding, transform=False, use_bias=False, dtype=self.dtype_policy, name="tokens"
        )

    def build(self, summary_shape, rows_shape, token_ids_shape, padding_mask_shape):
        self.head.build(rows_shape)
        self.current_weight = self.add_weight(
            name="current_weight",
            shape=(),
            initializer=keras.initializers.Constant(self.weight),
            dtype="float32",
            trainable=False,
            autocast=False,
        )

    def load_own_variables(self, store):
        """Read the weight; files from before it could change have none."""
        if len(store.keys()):
            super().load_own_variables(store)

    def call(self, summary, rows, token_ids, padding_mask, rows_mask=None):
        logits = self.head(rows[:, :-1])  # (B, T - 1, V)
        losses = ops.sparse_categorical_crossentropy(token_ids[:, 1:], logits, from_logits=True)
        real = ops.cast(padding_mask, "float32")
        if rows_mask is not None:
            real = real * ops.cast(rows_mask, "float32")
        real = real[:, 1:] * real[:, :-1]  # (B, T - 1)
        counts = ops.maximum(ops.sum(real, axis=1), 1.0)  # (B,)
        extra = ops.mean(ops.sum(losses * real, axis=1) / counts)
        self.add_loss(ops.convert_to_tensor(self.current_weight) * extra)
        return summary

    def compute_output_spec(self, summary, *args, **kwargs):
        return keras.KerasTensor(summary.shape, dtype=summary.dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "token_embedding": keras.saving.serialize_keras_object(self.token_embedding),
            "weight": self.weight,
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        embedding = keras.saving.deserialize_keras_object(config.pop("token_embedding"))
        return cls(embedding, **config)
