"""XLNet's answer head: ends depend on starts, and a third part says whether there is an answer."""

import keras
from keras import ops

from keras_plm.checks import check_arguments, integer, number
from keras_plm.heads.end_logits import EndLogits
from keras_plm.heads.head import (
    Head,
    Targets,
    class_accuracy,
    class_loss,
    yes_no_accuracy,
)
from keras_plm.heads.span_head import masked_logits, with_mask
from keras_plm.layers.composite_layer import CompositeLayer
from keras_plm.layers.initializer import initializer
from keras_plm.layers.replayable_dropout import ReplayableDropout
from keras_plm.layers.sequence_layer import SequenceLayer
from keras_plm.ops import gather_rows, summary_row


@keras.saving.register_keras_serializable(package="keras_plm")
class AnswerClass(CompositeLayer):
    """A logit of "there is no answer", from the expected start row and the row's summary.

    Args:
        hidden_dim: int. The width D.
        dropout: float. Dropout rate between the two dense layers.
        kernel_initializer: initializer of both kernels.

    Call arguments:
        start_row: tensor of shape (B, D), the rows weighted by the start probabilities.
        summary_row: tensor of shape (B, D), the vector that stands for the whole row.

    Returns:
        Tensor of shape (B, 1), float32.

    Example:
    ```python
    import numpy as np
    from keras_plm.heads import AnswerClass

    rows = np.zeros((2, 8), "float32")
    assert tuple(AnswerClass(hidden_dim=8)(rows, rows).shape) == (2, 1)
    ```

    Source: the released `function_builder.py` of XLNet (`get_qa_outputs`, "answer_class").
    """

    @check_arguments
    def __init__(
        self,
        hidden_dim: integer(1),
        dropout: number(0, 1) = 0.1,
        kernel_initializer: initializer() = "glorot_uniform",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.hidden_dim = hidden_dim
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.dense_0 = keras.layers.Dense(
            hidden_dim,
            activation="tanh",
            kernel_initializer=self.kernel_initializer.clone(),
            dtype=self.dtype_policy,
            name="dense_0",
        )
        self.dropout = ReplayableDropout(dropout, dtype=self.dtype_policy, name="dropout")
        self.dense_1 = keras.layers.Dense(
            1,
            use_bias=False,
            kernel_initializer=self.kernel_initializer.clone(),
            dtype=self.dtype_policy,
            name="dense_1",
        )

    def build(self, start_row_shape, summary_row_shape=None):
        self.dense_0.build((None, 2 * start_row_shape[-1]))
        self.dense_1.build((None, self.hidden_dim))

    def call(self, start_row, summary_row, training=None):
        hidden = self.dense_0(ops.concatenate([start_row, summary_row], axis=-1))  # (B, D)
        logits = self.dense_1(self.dropout(hidden, training=training))  # (B, 1)
        return ops.cast(logits, "float32")

    def compute_output_spec(self, start_row, summary_row, training=None):
        return keras.KerasTensor((start_row.shape[0], 1), dtype="float32")

    def get_config(self):
        return {
            **super().get_config(),
            "hidden_dim": self.hidden_dim,
            "dropout": self.dropout.rate,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }


@keras.saving.register_keras_serializable(package="keras_plm")
class BeamSpanHead(SequenceLayer, Head):
    """Starts, ends given the start, and whether there is an answer at all.

    `end` is given one start, that of the label where it is known, else the best one: training
    reads it. The beam, which prediction reads, holds the ends of each of the best starts; a graph
    that only trains never computes it.

    Args:
        hidden_dim: int. The width D.
        start_top: int. How many starts the beam has.
        end_top: int. How many ends each start of the beam has.
        dropout: float. Dropout rate in the part that says whether there is an answer.
        layer_norm_epsilon: float.
        kernel_initializer: initializer of all kernels.

    Call arguments:
        rows: tensor of shape (B, T, D).
        answer_mask: bool tensor of shape (B, T). Where an answer may start or end; elsewhere
            logits are -1e30.
        start_positions: int tensor of shape (B,). The start of the label; -1 = not known.
        summary: tensor of shape (B, D), the vector that stands for the whole row, or None: the
            last of the rows that is not masked, which is XLNet's CLS.
        rows_mask: bool tensor of shape (B, T) or None: the implicit mask, as Keras hands it over;
            no answer starts or ends at padding.

    Returns:
        dict, all floats float32: `start` (B, T) logits; `end` (B, T) logits given one start;
        `impossible` (B, 1) logit of "no answer"; and the beam, log-probabilities from the
        highest down: `start_top_log_probs` and `start_top_index` (B, start_top),
        `end_top_log_probs` and `end_top_index` (B, start_top, end_top).

    Example:
    ```python
    import numpy as np
    from keras_plm.heads import BeamSpanHead

    head = BeamSpanHead(hidden_dim=8, start_top=3, end_top=2)
    rows = np.zeros((4, 6, 8), "float32")
    outputs = head(rows, np.ones((4, 6), bool), np.full(4, -1, "int32"))
    assert tuple(outputs["start"].shape) == tuple(outputs["end"].shape) == (4, 6)
    assert tuple(outputs["end_top_index"].shape) == (4, 3, 2)
    ```

    Source: the released `function_builder.py` of XLNet (`get_qa_outputs`). (`transformers` calls
    probabilities `log_probs`, lays the beam out flat, and trains `impossible` on the row of the
    label's start, which prediction does not have.)
    """

    targets = {
        "start": Targets("B", "T"),
        "end": Targets("B", "T"),
        "impossible": Targets("B", 1),
    }
    loss_weights = {name: 0.5 for name in targets}
    masked_outputs = (False,)  # they are over positions: a position is a class

    @check_arguments
    def __init__(
        self,
        hidden_dim: integer(1),
        start_top: integer(1) = 5,
        end_top: integer(1) = 5,
        dropout: number(0, 1) = 0.1,
        layer_norm_epsilon: number(0) = 1e-12,
        kernel_initializer: initializer() = "glorot_uniform",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.hidden_dim = hidden_dim
        self.start_top = start_top
        self.end_top = end_top
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.start_logits = keras.layers.Dense(
            1,
            kernel_initializer=self.kernel_initializer.clone(),
            dtype=self.dtype_policy,
            name="start_logits",
        )
        self.end_logits = EndLogits(
            hidden_dim,
            layer_norm_epsilon=layer_norm_epsilon,
            kernel_initializer=self.kernel_initializer.clone(),
            dtype=self.dtype_policy,
            name="end_logits",
        )
        self.answer_class = AnswerClass(
            hidden_dim,
            dropout=dropout,
            kernel_initializer=self.kernel_initializer.clone(),
            dtype=self.dtype_policy,
            name="answer_class",
        )

    @property
    def loss(self):
        """Cross-entropy over the positions of a row; of `impossible` that of yes and no."""
        no_answer = keras.losses.BinaryCrossentropy(from_logits=True)
        return {"start": class_loss(), "end": class_loss(), "impossible": no_answer}

    def new_metrics(self):
        """Accuracy of each."""
        accuracies = {"start": [class_accuracy()], "end": [class_accuracy()]}
        return {**accuracies, "impossible": [yes_no_accuracy()]}

    def build(
        self, rows_shape, answer_mask_shape=None, start_positions_shape=None, summary_shape=None
    ):
        row_shape = (rows_shape[0], rows_shape[-1])
        self.start_logits.build(rows_shape)
        self.end_logits.build(rows_shape, rows_shape)
        self.answer_class.build(row_shape, row_shape)

    def call(self, rows, answer_mask, start_positions, summary=None, training=None, rows_mask=None):
        rows = ops.cast(rows, self.compute_dtype)
        answer_mask = with_mask(answer_mask, rows_mask)
        if summary is None:
            summary = summary_row(rows, rows_mask, "last")  # (B, D)
        start = ops.squeeze(self.start_logits(rows), -1)
        start = masked_logits(start, answer_mask)  # (B, T)

        best = ops.cast(ops.argmax(start, axis=-1), "int32")  # (B,)
        start_positions = ops.cast(start_positions, "int32")
        known = ops.where(start_positions >= 0, start_positions, best)[:, None]  # (B, 1)
        end = self._ends(rows, known, answer_mask)[:, 0]  # (B, T)

        probabilities = ops.softmax(start, axis=-1)  # (B, T)
        expected = ops.einsum("bt,btd->bd", ops.cast(probabilities, rows.dtype), rows)
        impossible = self.answer_class(expected, summary, training=training)  # (B, 1)

        start_log_probs, start_index = ops.top_k(
            ops.log_softmax(start, axis=-1), self.start_top
        )  # (B, start_top)
        start_index = ops.cast(start_index, "int32")
        ends = ops.log_softmax(self._ends(rows, start_index, answer_mask), axis=-1)
        end_log_probs, end_index = ops.top_k(ends, self.end_top)  # (B, start_top, end_top)
        return {
            "start": start,
            "end": end,
            "impossible": impossible,
            "start_top_log_probs": start_log_probs,
            "start_top_index": start_index,
            "end_top_log_probs": end_log_probs,
            "end_top_index": ops.cast(end_index, "int32"),
        }

    def _ends(self, rows, starts, answer_mask):
        """Logits of the ends given starts (B, S): (B, S, T)."""
        logits = self.end_logits(rows, gather_rows(rows, starts))
        return masked_logits(logits, answer_mask[:, None])

    def compute_output_spec(self, rows, *args, **kwargs):
        batch, length, _ = rows.shape
        beam = (batch, self.start_top, self.end_top)
        return {
            "start": keras.KerasTensor((batch, length), dtype="float32"),
            "end": keras.KerasTensor((batch, length), dtype="float32"),
            "impossible": keras.KerasTensor((batch, 1), dtype="float32"),
            "start_top_log_probs": keras.KerasTensor(beam[:2], dtype="float32"),
            "start_top_index": keras.KerasTensor(beam[:2], dtype="int32"),
            "end_top_log_probs": keras.KerasTensor(beam, dtype="float32"),
            "end_top_index": keras.KerasTensor(beam, dtype="int32"),
        }

    def get_config(self):
        return {
            **super().get_config(),
            "hidden_dim": self.hidden_dim,
            "start_top": self.start_top,
            "end_top": self.end_top,
            "dropout": self.answer_class.dropout.rate,
            "layer_norm_epsilon": self.end_logits.layer_norm_epsilon,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }
