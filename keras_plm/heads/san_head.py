"""MT-DNN's answer module: a pair of texts is read in several turns, of which some are left out."""

import math

import keras
from keras import ops

from keras_plm.checks import check_arguments, integer, number
from keras_plm.heads.head import Head, Targets, class_accuracy
from keras_plm.heads.losses.negative_log_likelihood import NegativeLogLikelihood
from keras_plm.heads.span_head import NEVER, masked_logits, with_mask
from keras_plm.layers.initializer import initializer
from keras_plm.layers.replayable_dropout import ReplayableDropout
from keras_plm.layers.sequence_layer import SequenceLayer


@keras.saving.register_keras_serializable(package="keras_plm")
class SANHead(SequenceLayer, Head):
    """Class log-probabilities of a pair, by a stochastic answer network over its token states.

    The premise is the first text of a pair, with the special tokens of its segment; the
    hypothesis is the second one. A query is made of the hypothesis, and asks the premise once in
    each turn:

        q_0 = sum_j softmax_j(v . h_j + c) h_j                           h: hypothesis
        m_t = sum_p softmax_p(x_p . (W q_t + b)) x_p                     x: premise
        s_t = U [m_t; q_t; |m_t - q_t|; m_t * q_t] + d
        q_{t+1} = GRU(input m_t, state q_t)
        P = mean_t softmax(s_t)

    In training each turn is kept with the probability 1 - p, and what is kept is divided by it; a
    turn of each pair, drawn evenly, is kept in any case. So rows of P sum to 1 in evaluation alone.

    Args:
        num_classes: int. How many classes K, 2 at least.
        turns: int. How many turns.
        dropout: float. Dropout rate of what the attentions read, of the queries between turns, and
            of what the scores are made of; for token states one draw for all tokens of a text.
        turn_dropout: float below 1. p, see above.
        kernel_initializer: initializer of the kernels.

    Call arguments:
        rows: tensor of shape (B, T, D), token states.
        premise: bool tensor of shape (B, T), the tokens of the first text.
        hypothesis: bool tensor of shape (B, T), those of the second one. A row without any reads
            the mean of all tokens; the tasks refuse it.
        rows_mask: bool tensor of shape (B, T) or None: the implicit mask, as Keras hands it over.

    Returns:
        Tensor of shape (B, num_classes), float32: log-probabilities. Their loss is
        `NegativeLogLikelihood`: no softmax is taken of them.

    Raises:
        ValueError: if a setting is out of range.

    Example:
    ```python
    import numpy as np
    from keras_plm.heads import SANHead

    rows = np.random.default_rng(0).normal(size=(2, 5, 8)).astype("float32")
    premise = np.arange(5) < np.array([[3], [2]])
    log_probs = SANHead(num_classes=3)(rows, premise, ~premise)
    np.testing.assert_allclose(np.exp(log_probs).sum(axis=1), 1, rtol=1e-5)
    ```

    Source: Liu, Duh and Gao, arXiv:1804.07888, section 2 (stochastic answer networks); MT-DNN,
    arXiv:1901.11504, section 3, equations 3 to 6; `module/san.py` of namisan/mt-dnn, whose
    settings (5 turns, rates of 0.1) are the defaults, and which keeps one turn in any case.
    """

    masked_outputs = (False,)

    @check_arguments
    def __init__(
        self,
        num_classes: integer(2),
        turns: integer(1) = 5,
        dropout: number(0, 1) = 0.1,
        turn_dropout: number(0, 0.99) = 0.1,
        kernel_initializer: initializer() = "glorot_uniform",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.num_classes = num_classes
        self.turns = turns
        self.turn_dropout = turn_dropout
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.row_dropout = keras.layers.Dropout(
            dropout, noise_shape=(None, 1, None), dtype=self.dtype_policy, name="row_dropout"
        )
        self.dropout = ReplayableDropout(dropout, dtype=self.dtype_policy, name="dropout")
        self.seed_generator = keras.random.SeedGenerator()
        self.summary = self._dense(1, "summary")
        self.logits = self._dense(num_classes, "logits")

    def _dense(self, units, name):
        kernel_initializer = self.kernel_initializer.clone()
        return keras.layers.Dense(
            units, kernel_initializer=kernel_initializer, dtype=self.dtype_policy, name=name
        )

    @property
    def targets(self):
        """One class for each pair."""
        return Targets("B", self.num_classes)

    @property
    def loss(self):
        """Minus the log-probability of the label."""
        return NegativeLogLikelihood()

    def new_metrics(self):
        """Accuracy."""
        return [class_accuracy()]

    def read(self, encoded, features):
        """The log-probabilities of pairs.

        Args:
            encoded: dict, what a backbone's `encode` returned, with `sequence_output` (B, T, D).
            features: dict with `segment_ids`, 0 for the first text and 1 for the second one, and
                `padding_mask`, (B, T) each.

        Returns:
            Tensor of shape (B, num_classes), float32.
        """
        real, segments = features["padding_mask"], features["segment_ids"]
        premise, hypothesis = (ops.logical_and(real, ops.equal(segments, n)) for n in (0, 1))
        return self(encoded["sequence_output"], premise, hypothesis)

    def build(self, rows_shape, premise_shape=None, hypothesis_shape=None):
        width = rows_shape[-1]
        self.query = self._dense(width, "query")
        self.gru = keras.layers.GRUCell(
            width,
            kernel_initializer=self.kernel_initializer.clone(),
            reset_after=True,
            dtype=self.dtype_policy,
            name="gru",
        )
        self.summary.build(rows_shape)
        self.query.build((None, width))
        self.gru.build((None, width))
        self.logits.build((None, 4 * width))

    def call(self, rows, premise, hypothesis, training=None, rows_mask=None):
        rows = ops.cast(rows, self.compute_dtype)
        premise, hypothesis = with_mask(premise, rows_mask), with_mask(hypothesis, rows_mask)

        def read(scores, mask):
            """What attention by scores (B, T) finds in the rows: (B, D)."""
            shares = ops.softmax(masked_logits(scores, mask), axis=-1)
            return ops.einsum("bt,btd->bd", ops.cast(shares, rows.dtype), rows)

        asked = self.row_dropout(rows, training=training)
        query = read(self.summary(asked)[..., 0], hypothesis)  # (B, D)
        turns = []
        for _ in range(self.turns):
            wanted = self.query(self.dropout(query, training=training))  # (B, D)
            asked = self.row_dropout(rows, training=training)
            memory = read(ops.einsum("btd,bd->bt", asked, wanted), premise)  # (B, D)
            both = [memory, query, ops.abs(memory - query), memory * query]
            both = self.dropout(ops.concatenate(both, axis=-1), training=training)
            turns.append(ops.log_softmax(ops.cast(self.logits(both), "float32"), axis=-1))
            query, _ = self.gru(memory, [self.dropout(query, training=training)])
        turns = ops.stack(turns, axis=1)  # (B, turns, K)
        if training and self.turn_dropout:
            turns = ops.where(self._kept(ops.shape(turns)[0])[..., None], turns, NEVER)
            turns = turns - math.log(1 - self.turn_dropout)
        return ops.logsumexp(turns, axis=1) - math.log(self.turns)

    def _kept(self, batch):
        """Which turns count (B, turns), one of each row in any case."""
        draws = keras.random.uniform((2, batch, self.turns), seed=self.seed_generator)
        always = ops.one_hot(ops.argmax(draws[0], axis=-1), self.turns, dtype="bool")
        return ops.logical_or(always, draws[1] >= self.turn_dropout)

    def compute_output_spec(self, rows, *args, **kwargs):
        return keras.KerasTensor((rows.shape[0], self.num_classes), dtype="float32")

    def get_config(self):
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "turns": self.turns,
            "dropout": self.dropout.rate,
            "turn_dropout": self.turn_dropout,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }
