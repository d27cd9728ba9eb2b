"""A softmax over a vocabulary in clusters, which training never writes out."""

import keras
from keras import ops

from keras_plm.checks import check_arguments, choice, flag, integer, kind
from keras_plm.heads.head import Head, Targets
from keras_plm.layers.embedding.adaptive_embedding import (
    AdaptiveEmbedding,
    check_cutoffs,
    kernel_of,
    table_of,
)
from keras_plm.layers.float_policy import float_policy
from keras_plm.layers.initializer import initializer
from keras_plm.layers.sequence_layer import SequenceLayer
from keras_plm.ops import Cluster, clustered_log_probs, clustered_losses
from keras_plm.ops.keras_internals import get_keras_mask

TIED_PROJECTIONS = ("all", "all_but_first", "none")


@keras.saving.register_keras_serializable(package="keras_plm")
class AdaptiveSoftmaxHead(SequenceLayer, Head):
    """A softmax in clusters: frequent tokens first, then one probability for each rarer cluster.

        p(token) = softmax(head)[token]                                   in the first cluster
        p(token) = softmax(head)[cluster] * softmax(tail)[token]          in any other

    Training computes a tail for those rows alone whose target may be in it: what the head gives in
    a graph are the rows as they came, and its loss knows the rest. The vocabulary is written out
    by `logits`.

    Args:
        token_embedding: `AdaptiveEmbedding`, which brings the clusters and the widths of their
            tables; or `keras.layers.ReversibleEmbedding` of shape (V, D).
        cutoffs: tuple of int, or None. The first ids of the clusters behind the first, ascending,
            over a `ReversibleEmbedding`; None: those of the `AdaptiveEmbedding`.
        tie_weights: bool. Whether the output matrices are the tables of the embedding.
        tie_projections: str. Which projections from the width of a table are those of the
            embedding: "all", "all_but_first" (Transformer-XL) or "none" (as it was for One Billion
            Word). Where the embedding has none, there is none.
        num_chunks: int. Into how many chunks the rows of a batch are sorted: with more of them
            fewer rows meet a tail for nothing, and the first step compiles longer.
        kernel_initializer: initializer of matrices of the head's own.

    Call arguments:
        rows: tensor of shape (B, P, D).

    Returns:
        Tensor of shape (B, P, D): the rows that the loss reads.

    Raises:
        ValueError: if cutoffs do not ascend within the vocabulary, are given twice, or there is
            no such choice.

    Example:
    ```python
    import numpy as np
    from keras_plm.heads import AdaptiveSoftmaxHead
    from keras_plm.layers import AdaptiveEmbedding

    embedding = AdaptiveEmbedding(vocabulary_size=50, output_dim=8, cutoffs=(10, 30), div_val=2)
    head = AdaptiveSoftmaxHead(embedding)
    rows = head(np.ones((2, 3, 8), "float32"))
    log_probs = np.array(head.logits(rows))  # (2, 3, 50)
    np.testing.assert_allclose(np.exp(log_probs).sum(-1), 1, rtol=1e-5)
    losses = np.array(head.losses_of(rows, np.full((2, 3), 40)))
    np.testing.assert_allclose(losses, -log_probs[..., 40], rtol=1e-5)
    ```

    Source: Grave et al., arXiv:1609.04309, section 4; Transformer-XL, arXiv:1901.02860, section
    4.1, and its released `model.py` (`mask_adaptive_logsoftmax`), whose order the clusters have.
    """

    @check_arguments
    def __init__(
        self,
        token_embedding: kind(keras.layers.Layer),
        cutoffs=None,
        tie_weights: flag() = True,
        tie_projections: choice(TIED_PROJECTIONS) = "all_but_first",
        num_chunks: integer(1) = 4,
        kernel_initializer: initializer() = "glorot_uniform",
        **kwargs,
    ):
        kwargs.setdefault("dtype", float_policy(token_embedding.dtype_policy))
        super().__init__(**kwargs)
        self.token_embedding = token_embedding
        if self._is_adaptive and cutoffs is not None:
            raise ValueError(
                "`cutoffs` are those of the `AdaptiveEmbedding`, leave them out. "
                f"Received: cutoffs={cutoffs!r:.100}."
            )
        self.vocabulary_size = sum(table.input_dim for table in self.tables)
        if cutoffs is None:
            cutoffs = token_embedding.cutoffs if self._is_adaptive else ()
        self.cutoffs = check_cutoffs(cutoffs, self.vocabulary_size)
        self.tie_weights = tie_weights
        self.tie_projections = tie_projections
        self.num_chunks = num_chunks
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.perplexity = Perplexity(name="perplexity")

    @property
    def _is_adaptive(self):
        return isinstance(self.token_embedding, AdaptiveEmbedding)

    @property
    def tables(self):
        """The tables of the embedding: one, or one for each cluster."""
        return self.token_embedding.tables if self._is_adaptive else [self.token_embedding]

    @property
    def projections(self):
        """The embedding's projection for each cluster, all of which may have one; or None."""
        projections = self.token_embedding.projections if self._is_adaptive else [None]
        return projections * (len(self.cutoffs) + 1) if len(projections) == 1 else projections

    def build(self, rows_shape):
        if not self.token_embedding.built:
            self.token_embedding.build((None, None))
        initializer, width = self.kernel_initializer, self.tables[0].output_dim
        self.cluster_kernel = self.cluster_bias = None
        if self.cutoffs:
            self.cluster_kernel = self.add_weight(
                name="cluster_kernel",
                shape=(len(self.cutoffs), width),
                initializer=initializer.clone(),
            )
            self.cluster_bias = self.add_weight(
                name="cluster_bias", shape=(len(self.cutoffs),), initializer="zeros"
            )
        self.biases = [
            self.add_weight(name=f"bias_{n}", shape=(table.input_dim,), initializer="zeros")
            for n, table in enumerate(self.tables)
        ]
        self.own_tables = []
        if not self.tie_weights:
            self.own_tables = [
                self.add_weight(
                    name=f"table_{n}",
                    shape=(table.input_dim, table.output_dim),
                    initializer=initializer.clone(),
                )
                for n, table in enumerate(self.tables)
            ]
        self.own_projections = [
            None
            if projection is None or self._ties_projection(n)
            else self.add_weight(
                name=f"projection_{n}",
                shape=(projection.input_spec.axes[-1], projection.units),
                initializer=initializer.clone(),
            )
            for n, projection in enumerate(self.projections)
        ]

    def _ties_projection(self, number):
        """Whether the projection of a cluster is the embedding's."""
        tied = self.tie_projections
        return tied == "all" or tied == "all_but_first" and number > 0

    @property
    def targets(self):
        """One token of the vocabulary for each slot."""
        return Targets("BP", self.vocabulary_size)

    @property
    def loss(self):
        """The cross-entropy of the targets, which also counts the head's `perplexity`."""
        return AdaptiveSoftmaxLoss(self)

    def new_metrics(self):
        """None: `perplexity` is the head's own, and counted by its loss.

        A metric that comes afterwards would compute the softmax again, from weights that JAX's
        trainer does not hand to metrics. Accuracy would need the whole vocabulary.
        """
        return []

    def losses_of(self, rows, token_ids):
        """The cross-entropy of tokens given rows, without writing the vocabulary out.

        Args:
            rows: tensor of shape (..., D).
            token_ids: int tensor of shape (...,), in [0, V).

        Returns:
            Tensor of shape (...,), float32: minus the log-probability of each token.
        """
        rows = ops.cast(rows, self.compute_dtype)
        losses = clustered_losses(
            ops.reshape(rows, (-1, rows.shape[-1])),
            ops.reshape(token_ids, (-1,)),
            self._clusters(),
            self.num_chunks,
        )
        return ops.reshape(losses, ops.shape(token_ids))

    def logits(self, rows):
        """The log-probabilities of the vocabulary, which generation samples from.

        Args:
            rows: tensor of shape (..., D), token states.

        Returns:
            Tensor of shape (..., V), float32, in the order of the ids.
        """
        return clustered_log_probs(ops.cast(rows, self.compute_dtype), self._clusters())

    def _clusters(self):
        """The output matrices as they are now, a list of `Cluster`."""
        tables = self.own_tables or [table_of(table) for table in self.tables]
        tables = self._in_clusters([self._cast(table) for table in tables])
        biases = self._in_clusters([self._cast(bias) for bias in self.biases])
        if self.cutoffs:
            tables[0] = ops.concatenate([tables[0], self._cast(self.cluster_kernel)])
            biases[0] = ops.concatenate([biases[0], self._cast(self.cluster_bias)])
        projections = [
            kernel_of(tied) if own is None else own
            for own, tied in zip(self.own_projections, self.projections)
        ]
        projections = [one if one is None else self._cast(one) for one in projections]
        return list(map(Cluster, tables, biases, projections))

    def _in_clusters(self, parts):
        """A list of one tensor for each cluster, where all of them may share one."""
        shared = self.cutoffs and len(parts) == 1
        return list(ops.split(parts[0], self.cutoffs)) if shared else parts

    def _cast(self, weight):
        return ops.cast(weight, self.compute_dtype)

    def call(self, rows):
        return 1.0 * ops.cast(rows, self.compute_dtype)

    def read(self, encoded, features):
        """The rows of the targets.

        Args:
            encoded: dict, what a backbone's `encode` returned, with `target_output` (B, P, D).
            features: dict of the features, not used.

        Returns:
            Tensor of shape (B, P, D).
        """
        return self(encoded["target_output"])

    def compute_output_spec(self, rows):
        return keras.KerasTensor(rows.shape, dtype=self.compute_dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "token_embedding": keras.saving.serialize_keras_object(self.token_embedding),
            "cutoffs": None if self._is_adaptive else list(self.cutoffs),
            "tie_weights": self.tie_weights,
            "tie_projections": self.tie_projections,
            "num_chunks": self.num_chunks,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        embedding = keras.saving.deserialize_keras_object(config.pop("token_embedding"))
        return cls(embedding, **config)


class AdaptiveSoftmaxLoss(keras.losses.Loss):
    """The mean cross-entropy of targets (B, P) given rows (B, P, D), by weight.

    Args:
        head: `AdaptiveSoftmaxHead`, whose `perplexity` it counts as well.
    """

    def __init__(self, head):
        super().__init__(name="adaptive_softmax", reduction="mean_with_sample_weight")
        self.head = head

    def __call__(self, y_true, y_pred, sample_weight=None):
        losses = self.head.losses_of(y_pred, y_true)  # (B, P)
        weights = ops.ones_like(losses)
        for given in (sample_weight, get_keras_mask(y_pred)):
            if given is not None:
                given = ops.cast(given, losses.dtype)
                weights *= given if len(given.shape) == 2 else ops.reshape(given, (-1, 1))
        flat = (ops.reshape(one, (-1,)) for one in (losses, weights))
        self.head.perplexity.update_state(*flat)
        return super().__call__(y_true, losses, weights)

    def call(self, y_true, losses):
        return losses


class Perplexity(keras.metrics.Mean):
    """The exponential of the mean cross-entropy, by weight; 0 where nothing was counted."""

    def result(self):
        return ops.where(self.count > 0, ops.exp(super().result()), 0.0)
