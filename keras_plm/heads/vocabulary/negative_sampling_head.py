"""Which of several words stands beside a word; the others are noise."""

import keras
from keras import ops

from keras_plm.checks import check_arguments, integer
from keras_plm.heads.head import Head, Targets, class_accuracy
from keras_plm.layers.sequence_layer import SequenceLayer

LEFT_OUT = -1e9  # a logit that adds nothing to the loss of what is no context


@keras.saving.register_keras_serializable(package="keras_plm")
class NegativeSamplingHead(SequenceLayer, Head):
    """A logit for each candidate: the vector of the word times the candidate's own vector.

    Words have other vectors as contexts, a table of this head, which begins at 0. A negative that
    is the context itself is left out: its logit is -1e9.

    Args:
        vocabulary_size: int. V.
        num_negatives: int. How many candidates stand before the context.

    Call arguments:
        rows: tensor of shape (B, P, D), the states of the words.
        candidate_ids: int tensor of shape (B, P, num_negatives + 1): negatives, and the context.

    Returns:
        Tensor of shape (B, P, num_negatives + 1), float32.

    Raises:
        ValueError: if a number is below 1.

    Example:
    ```python
    import numpy as np
    from keras_plm.heads import NegativeSamplingHead

    head = NegativeSamplingHead(vocabulary_size=10, num_negatives=2)
    logits = head(np.ones((1, 1, 4), "float32"), np.array([[[3, 5, 5]]]))  # 5 is the context
    np.testing.assert_allclose(logits, [[[0, -1e9, 0]]])
    ```

    Source: Mikolov et al. (arXiv:1310.4546), equation 4; where tables begin and which negatives
    are left out: the released word2vec.c, `InitNet` and `TrainModelThread`.
    """

    @check_arguments
    def __init__(self, vocabulary_size: integer(1), num_negatives: integer(1) = 5, **kwargs):
        super().__init__(**kwargs)
        self.vocabulary_size = vocabulary_size
        self.num_negatives = num_negatives

    def build(self, rows_shape, candidate_ids_shape):
        self.context_embedding = keras.layers.Embedding(
            self.vocabulary_size,
            rows_shape[-1],
            embeddings_initializer="zeros",
            dtype=self.dtype_policy,
            name="context_embedding",
        )
        self.context_embedding.build(candidate_ids_shape)

    @property
    def targets(self):
        """The number of the context among the candidates of each slot."""
        return Targets("BP", self.num_negatives + 1)

    @property
    def loss(self):
        """The yes or no of each candidate, added."""
        return NegativeSamplingLoss()

    def new_metrics(self):
        """Accuracy: how often the context has the largest logit; if all are one, it has not."""
        return [class_accuracy()]

    def call(self, rows, candidate_ids):
        candidates = self.context_embedding(candidate_ids)  # (B, P, C, D)
        rows = ops.cast(rows, candidates.dtype)[:, :, None]
        logits = ops.sum(ops.cast(rows * candidates, "float32"), axis=-1)  # (B, P, C)
        is_context = ops.equal(candidate_ids, candidate_ids[..., -1:])
        is_negative = ops.arange(self.num_negatives + 1) < self.num_negatives  # (C,)
        return ops.where(ops.logical_and(is_context, is_negative), LEFT_OUT, logits)

    def read(self, encoded, features):
        """The logits of the candidates of each pair.

        Args:
            encoded: dict, what a backbone's `encode` returned, with `target_output` (B, P, D).
            features: dict with `candidate_ids` (B, P, C).

        Returns:
            Tensor of shape (B, P, C), float32.
        """
        return self(encoded["target_output"], features["candidate_ids"])

    def compute_output_spec(self, rows, candidate_ids):
        return keras.KerasTensor((*rows.shape[:-1], self.num_negatives + 1), dtype="float32")

    def get_config(self):
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "num_negatives": self.num_negatives,
        }


@keras.saving.register_keras_serializable(package="keras_plm")
class NegativeSamplingLoss(keras.losses.Loss):
    """-log sigmoid(logit of the context) - the sum of log sigmoid(-logit) of the negatives.

    It begins at (num_negatives + 1) log 2, where all logits are 0.

    Call arguments:
        y_true: int tensor of shape (B, P), the number of the context among the candidates.
        y_pred: tensor of shape (B, P, C), logits.

    Source: Mikolov et al. (arXiv:1310.4546), equation 4.
    """

    def __init__(
        self, reduction="mean_with_sample_weight", name="negative_sampling_loss", **kwargs
    ):
        super().__init__(name=name, reduction=reduction, **kwargs)

    def call(self, y_true, y_pred):
        y_true = ops.cast(y_true, "int32")
        if len(y_true.shape) < len(y_pred.shape):
            y_true = y_true[..., None]  # (B, P, 1)
        logits = ops.cast(y_pred, "float32")
        is_context = ops.equal(ops.arange(y_pred.shape[-1]), y_true)  # (B, P, C)
        return ops.sum(ops.softplus(ops.where(is_context, -logits, logits)), axis=-1)
