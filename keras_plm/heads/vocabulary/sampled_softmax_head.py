"""A softmax over a large vocabulary, of which training computes a sample."""

import math

import keras
from keras import ops

from keras_plm.checks import check_arguments, integer, kind, number, text
from keras_plm.heads.head import Head, Targets
from keras_plm.heads.vocabulary.adaptive_softmax_head import AdaptiveSoftmaxLoss, Perplexity
from keras_plm.layers.initializer import Normal
from keras_plm.layers.sequence_layer import SequenceLayer
from keras_plm.ops import draw_candidates, sampled_softmax_losses


@keras.saving.register_keras_serializable(package="keras_plm")
class SoftmaxTable(SequenceLayer):
    """An output matrix and a bias for each token, which several heads may share.

    Args:
        vocabulary_size: int. V.
        width: int. D, that of the rows that it is multiplied by.

    Call arguments:
        rows: tensor of shape (..., D).

    Returns:
        Tensor of shape (..., V), float32: logits.

    Source: ELMo (Peters et al. 2018), `_build_loss` of the released bilm-tf (`training.py`).
    """

    @check_arguments
    def __init__(self, vocabulary_size: integer(1), width: integer(1), **kwargs):
        super().__init__(**kwargs)
        self.vocabulary_size = vocabulary_size
        self.width = width

    def build(self, rows_shape=None):
        deviation = 1 / math.sqrt(self.width)
        self.table = self.add_weight(
            name="table",
            shape=(self.vocabulary_size, self.width),
            initializer=Normal(stddev=deviation),
        )
        self.bias = self.add_weight(name="bias", shape=(self.vocabulary_size,), initializer="zeros")

    def call(self, rows):
        table = ops.cast(self.table, self.compute_dtype)
        logits = ops.matmul(ops.cast(rows, self.compute_dtype), ops.transpose(table))
        return ops.cast(logits, "float32") + ops.cast(self.bias, "float32")

    def compute_output_spec(self, rows):
        return keras.KerasTensor((*rows.shape[:-1], self.vocabulary_size), dtype="float32")

    def get_config(self):
        sizes = {"vocabulary_size": self.vocabulary_size, "width": self.width}
        return {**super().get_config(), **sizes}


@keras.saving.register_keras_serializable(package="keras_plm")
class SampledSoftmaxHead(SequenceLayer, Head):
    """A softmax over a vocabulary, in training over the target and a sample of it.

    What the head gives in a graph are the rows as they came, and its loss knows the rest; the
    vocabulary is written out by `logits`, and for the loss of evaluation, which is that of the
    whole softmax. Ids must be in the order of frequency.

    Args:
        softmax: `SoftmaxTable`, which heads may share.
        num_sampled: int. How many tokens are drawn anew for each batch of training; 0, or as many
            as there are: the softmax is a whole one there, too.
        output: str. Which of the backbone's outputs the head reads.
        loss_weight: float. The share of its loss in that of a model.

    Call arguments:
        rows: tensor of shape (B, T, D).

    Returns:
        Tensor of shape (B, T, D), float32: the rows that the loss reads.

    Raises:
        ValueError: if a number is out of range.

    Example:
    ```python
    import numpy as np
    from keras_plm.heads import SampledSoftmaxHead, SoftmaxTable

    head = SampledSoftmaxHead(SoftmaxTable(vocabulary_size=50, width=8), num_sampled=10)
    rows = head(np.ones((2, 3, 8), "float32"))
    assert tuple(head.logits(rows).shape) == (2, 3, 50)
    losses = np.array(head.losses_of(rows, np.full((2, 3), 40)))  # no training: all of the 50
    assert losses.shape == (2, 3)
    ```

    Source: ELMo, arXiv:1802.05365, section 3.4, and the released bilm-tf; sampling Jean et al.,
    arXiv:1412.2007, section 3.
    """

    @check_arguments
    def __init__(
        self,
        softmax: kind(SoftmaxTable),
        num_sampled: integer(0) = 0,
        output: text() = "target_output",
        loss_weight: number(above=0) = 1.0,
        **kwargs,
    ):
        kwargs.setdefault("dtype", softmax.dtype_policy)
        super().__init__(**kwargs)
        self.softmax = softmax
        self.num_sampled = num_sampled
        self.output_name = output
        self.loss_weight = loss_weight
        self.seed_generator = keras.random.SeedGenerator()
        self.perplexity = Perplexity(name=f"{self.name}_perplexity")
        self._is_training = False  # as the forward pass was, right before the loss

    def build(self, rows_shape):
        if not self.softmax.built:
            self.softmax.build(rows_shape)

    @property
    def targets(self):
        """One token of the vocabulary for each row."""
        return Targets("BT", self.softmax.vocabulary_size)

    @property
    def loss(self):
        """The cross-entropy of the targets, which also counts the head's `perplexity`."""
        return AdaptiveSoftmaxLoss(self)

    @property
    def loss_weights(self):
        """The share of its loss."""
        return {self.name: self.loss_weight}

    def new_metrics(self):
        """None: `perplexity` is the head's own, and counted by its loss.

        In training with a sample it is that of the sampled softmax, lower than that of the whole.
        """
        return []

    def losses_of(self, rows, token_ids):
        """The cross-entropy of tokens given rows: sampled, if the rows were made in training.

        Args:
            rows: tensor of shape (..., D).
            token_ids: int tensor of shape (...,), in [0, V).

        Returns:
            Tensor of shape (...,), float32.
        """
        size = self.softmax.vocabulary_size
        if not (self._is_training and 0 < self.num_sampled < size):
            logits = self.softmax(rows)
            return ops.sparse_categorical_crossentropy(token_ids, logits, from_logits=True)
        uniform = keras.random.uniform((size,), dtype="float32", seed=self.seed_generator)
        losses = sampled_softmax_losses(
            ops.reshape(ops.cast(rows, self.compute_dtype), (-1, rows.shape[-1])),
            ops.cast(self.softmax.table, self.compute_dtype),
            self.softmax.bias,
            ops.reshape(ops.cast(token_ids, "int32"), (-1,)),
            *draw_candidates(uniform, self.num_sampled),
        )
        return ops.reshape(losses, ops.shape(token_ids))

    def logits(self, rows):
        """The logits of the vocabulary.

        Args:
            rows: tensor of shape (..., D).

        Returns:
            Tensor of shape (..., V), float32.
        """
        return self.softmax(rows)

    def call(self, rows, training=False):
        self._is_training = bool(training)
        return 1.0 * ops.cast(rows, "float32")

    def read(self, encoded, features):
        """The rows that predict.

        Args:
            encoded: dict, what a backbone's `encode` returned.
            features: dict of the features, not used.

        Returns:
            Tensor of shape (B, T, D).
        """
        return self(encoded[self.output_name])

    def compute_output_spec(self, rows, training=False):
        return keras.KerasTensor(rows.shape, dtype="float32")

    def get_config(self):
        return {
            **super().get_config(),
            "softmax": keras.saving.serialize_keras_object(self.softmax),
            "num_sampled": self.num_sampled,
            "output": self.output_name,
            "loss_weight": self.loss_weight,
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        return cls(keras.saving.deserialize_keras_object(config.pop("softmax")), **config)
