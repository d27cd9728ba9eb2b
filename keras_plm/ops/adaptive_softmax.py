"""A softmax in clusters: a short head for all rows, and tails for the rows that need them."""

from typing import Any, NamedTuple

import keras
from keras import ops


class Cluster(NamedTuple):
    """The output matrix of a part of the vocabulary.

    Args:
        table: tensor of shape (V_i, K_i). The first cluster has a row more for each tail, whose
            probability as a whole it gives.
        bias: tensor of shape (V_i,).
        projection: tensor of shape (K_i, D), from the width of the table to that of the rows; or
            None, where both are one.
    """

    table: Any
    bias: Any
    projection: Any = None

    def logits(self, rows):
        """The logits of the cluster's tokens.

        Args:
            rows: tensor of shape (..., D).

        Returns:
            Tensor of shape (..., V_i), float32.
        """
        if self.projection is not None:
            rows = ops.matmul(rows, ops.transpose(self.projection))  # (..., K_i)
        logits = ops.cast(ops.matmul(rows, ops.transpose(self.table)), "float32")
        return logits + ops.cast(self.bias, "float32")


def clustered_log_probs(rows, clusters):
    """Return the log-probabilities of the whole vocabulary.

    Args:
        rows: tensor of shape (..., D).
        clusters: list of `Cluster`, the head first.

    Returns:
        Tensor of shape (..., V), float32, in the order of the ids.
    """
    head, tails = clusters[0], clusters[1:]
    in_head = ops.log_softmax(head.logits(rows), axis=-1)
    first = head.table.shape[0] - len(tails)
    parts = [in_head[..., :first]]
    for column, tail in enumerate(tails, first):
        within = ops.log_softmax(tail.logits(rows), axis=-1)
        parts.append(in_head[..., column : column + 1] + within)
    return ops.concatenate(parts, axis=-1)


def clustered_losses(rows, targets, clusters, num_chunks):
    """Return the cross-entropy of one token for each row, without writing the vocabulary out.

    Rows are sorted by the cluster of their target and cut into chunks. Each chunk computes the
    tails that its targets are in, and no others: shapes are static, and the result is exact
    whatever the targets are. What lies inside a tail is computed again in the backward pass.

    Args:
        rows: tensor of shape (N, D).
        targets: int tensor of shape (N,), in [0, V).
        clusters: list of `Cluster`, the head first.
        num_chunks: int. How many chunks; every chunk is compiled with every tail.

    Returns:
        Tensor of shape (N,), float32.
    """
    head, tails = clusters[0], clusters[1:]
    first = head.table.shape[0] - len(tails)
    targets = ops.cast(targets, "int32")
    cluster, start = ops.zeros_like(targets), ops.zeros_like(targets)  # (N,): which; its first id
    begin = first
    for tail in tails:
        behind = targets >= begin
        cluster, start = cluster + ops.cast(behind, "int32"), ops.where(behind, begin, start)
        begin += tail.table.shape[0]
    columns = ops.where(cluster == 0, targets, first - 1 + cluster)
    losses = _cross_entropy(head.logits(rows), columns)  # (N,)
    if not tails:
        return losses
    order = ops.argsort(cluster)
    count = ops.shape(targets)[0]
    size = (count + num_chunks - 1) // num_chunks  # rows of a chunk; the last repeat the last row
    places = ops.minimum(ops.arange(size * num_chunks, dtype="int32"), count - 1)
    picked = ops.take(order, places)
    in_chunks = (num_chunks, size)
    sorted_rows = ops.reshape(ops.take(rows, picked, axis=0), (*in_chunks, rows.shape[-1]))
    within = ops.reshape(ops.take(targets - start, picked), in_chunks)
    which = ops.reshape(ops.take(cluster, picked), in_chunks)
    found = [
        _losses_in_tails(sorted_rows[n], within[n], which[n], tails) for n in range(num_chunks)
    ]
    return losses + ops.take(ops.concatenate(found), ops.argsort(order))


def _losses_in_tails(rows, within, which, tails):
    """The cross-entropy within the tails of a chunk, 0 for targets in the head."""
    losses = ops.zeros_like(within, dtype="float32")
    for number, tail in enumerate(tails, 1):
        here = which == number

        def in_tail(tail=tail, here=here):
            return ops.where(here, _losses_in_tail(rows, ops.where(here, within, 0), tail), 0.0)

        losses = losses + ops.cond(ops.any(here), in_tail, lambda: ops.zeros_like(losses))
    return losses


def _losses_in_tail(rows, indices, tail):
    """The cross-entropy within one tail, of which nothing is kept for the backward pass."""

    def losses(rows, *tail):  # TensorFlow warns of integers among the arguments
        return _cross_entropy(Cluster(*tail).logits(rows), indices)

    return keras.remat(losses)(rows, *(part for part in tail if part is not None))


def _cross_entropy(logits, indices):
    """The cross-entropy of one class for each row of logits (N, V)."""
    of_target = ops.take_along_axis(logits, indices[:, None], axis=-1)[:, 0]
    return ops.logsumexp(logits, axis=-1) - of_target
