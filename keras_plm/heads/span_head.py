"""Two logits per token: whether the answer starts, and whether it ends, there."""

import keras
from keras import ops

from keras_plm.checks import check_arguments
from keras_plm.heads.head import Head, Targets, class_accuracy, class_loss
from keras_plm.layers.initializer import initializer
from keras_plm.layers.sequence_layer import SequenceLayer

NEVER = -1e30  # the logit of a position that cannot be the answer


@keras.saving.register_keras_serializable(package="keras_plm")
class SpanHead(SequenceLayer, Head):
    """Start and end logits of every token, independent of each other.

    Args:
        kernel_initializer: initializer of the kernel.

    Call arguments:
        rows: tensor of shape (B, T, D).
        answer_mask: bool tensor of shape (B, T). Where an answer may start or end; elsewhere
            the logits are -1e30.
        rows_mask: bool tensor of shape (B, T) or None: the implicit mask, as Keras hands it over;
            no answer starts or ends at padding.

    Returns:
        dict of `start` and `end`, each of shape (B, T), float32.

    Example:
    ```python
    import numpy as np
    from keras_plm.heads import SpanHead

    logits = SpanHead()(np.zeros((2, 5, 8), "float32"), np.ones((2, 5), bool))
    assert tuple(logits["start"].shape) == tuple(logits["end"].shape) == (2, 5)
    ```

    Source: BERT, arXiv:1810.04805, section 4.2.
    """

    targets = {"start": Targets("B", "T"), "end": Targets("B", "T")}
    loss_weights = {"start": 0.5, "end": 0.5}
    masked_outputs = (False,)  # they are over positions: a position is a class

    @check_arguments
    def __init__(self, kernel_initializer: initializer() = "glorot_uniform", **kwargs):
        super().__init__(**kwargs)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.logits = keras.layers.Dense(
            2,
            kernel_initializer=self.kernel_initializer.clone(),
            dtype=self.dtype_policy,
            name="logits",
        )

    @property
    def loss(self):
        """Cross-entropy over the positions of a row, for the start and for the end."""
        return {name: class_loss() for name in self.targets}

    def new_metrics(self):
        """Accuracy of both."""
        return {name: [class_accuracy()] for name in self.targets}

    def read(self, encoded, features):
        """The logits of every position.

        Args:
            encoded: dict, what a backbone's `encode` returned, with `sequence_output` (B, T, D).
            features: dict with `answer_mask`, (B, T).

        Returns:
            dict of `start` and `end`, (B, T) each.
        """
        return self(encoded["sequence_output"], features["answer_mask"])

    def build(self, rows_shape, answer_mask_shape=None):
        self.logits.build(rows_shape)

    def call(self, rows, answer_mask, rows_mask=None):
        answer_mask = with_mask(answer_mask, rows_mask)
        logits = ops.cast(self.logits(rows), "float32")  # (B, T, 2)
        return {
            "start": masked_logits(logits[..., 0], answer_mask),  # (B, T)
            "end": masked_logits(logits[..., 1], answer_mask),
        }

    def compute_output_spec(self, rows, answer_mask, rows_mask=None):
        spec = keras.KerasTensor(rows.shape[:-1], dtype="float32")
        return {"start": spec, "end": keras.KerasTensor(rows.shape[:-1], dtype="float32")}

    def get_config(self):
        initializer = keras.initializers.serialize(self.kernel_initializer)
        return {**super().get_config(), "kernel_initializer": initializer}


def with_mask(answer_mask, rows_mask):
    """Leave out of where an answer may be what an implicit mask leaves out.

    Args:
        answer_mask: bool tensor of shape (B, T).
        rows_mask: bool tensor of shape (B, T) or None.

    Returns:
        Bool tensor of shape (B, T).
    """
    return answer_mask if rows_mask is None else ops.logical_and(answer_mask, rows_mask)


def masked_logits(logits, mask):
    """Set the logits of positions that cannot be the answer to -1e30.

    Args:
        logits: tensor of shape (B, ..., T).
        mask: bool tensor that broadcasts to it. True = keep.

    Returns:
        Tensor of the shape of `logits`, float32.
    """
    return ops.where(mask, ops.cast(logits, "float32"), NEVER)
