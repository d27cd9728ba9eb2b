"""The parts that the graphs of tasks share: what comes in, and what stands for a whole text."""

import numpy as np
from keras import ops

from keras_plm.heads import SummaryHead
from keras_plm.layers.float_policy import float_policy
from keras_plm.ops import summary_row

POOLINGS = ("first", "last", "mean")


def text_inputs(backbone):
    """The inputs of a backbone that texts have values for.

    Args:
        backbone: a backbone of this package.

    Returns:
        dict of str to Keras tensor: the backbone's own inputs without `task_ids`, which a
        backbone fills with 0.
    """
    return {name: tensor for name, tensor in backbone.input.items() if name != "task_ids"}


def text_summary(backbone, encoded, padding_mask, pooling=None):
    """The vector that stands for each text.

    Args:
        backbone: a backbone of this package.
        encoded: dict, what its `encode` returned.
        padding_mask: bool tensor of shape (B, T).
        pooling: str or None. "first" or "last": the output at that real token; "mean": the mean
            of those at all real tokens. None: the pooled output, if the backbone has a pooler;
            else the output at the real token, first or last, that `backbone.summary_row` names.

    Returns:
        Tensor of shape (B, D).

    Raises:
        ValueError: if `pooling` is none of these.
    """
    if pooling is not None and pooling not in POOLINGS:
        raise ValueError(
            f"`pooling` must be one of {POOLINGS} or None. Received: pooling={pooling!r}."
        )
    if pooling is None and backbone.pooler:
        return encoded["pooled_output"]
    rows = encoded["sequence_output"]  # (B, T, D)
    if pooling != "mean":
        return summary_row(rows, padding_mask, pooling or backbone.summary_row)
    real = ops.cast(padding_mask, "float32")[:, :, None]  # (B, T, 1)
    count = ops.maximum(ops.sum(real, axis=1), 1.0)  # (B, 1)
    return ops.sum(ops.cast(rows, "float32") * real, axis=1) / count


def summary_head(
    backbone,
    num_classes,
    dropout,
    name,
    summarise=None,
    pooling=None,
    summary_activation=None,
    logits_bias=True,
    summary_dim=None,
):
    """A new head over `text_summary`.

    Args:
        backbone: a backbone of this package. One with a pooler has made the summary already.
        num_classes: int. How many logits.
        dropout: float. Dropout rate before the logits.
        name: str. The head's name.
        summarise: bool or None. Whether a dense layer with tanh stands before the logits; None:
            unless the pooled output of a backbone with a pooler is read.
        pooling: see `text_summary`.
        summary_activation: str or None. Another activation than tanh; see `SummaryHead`.
        logits_bias: bool. Whether the logits have a bias.
        summary_dim: int or None. The width of that dense layer; None: that of the backbone.

    Returns:
        `SummaryHead`.

    Raises:
        ValueError: if an argument is none of these.
    """
    if summarise is not None and not isinstance(summarise, bool):
        raise ValueError(
            f"`summarise` must be True, False or None. Received: summarise={summarise!r}."
        )
    if not isinstance(logits_bias, bool):
        raise ValueError(f"`logits_bias` must be True or False. Received: {logits_bias!r}.")
    pooled = backbone.pooler and pooling is None
    summarise = not pooled if summarise is None else summarise
    whole = isinstance(summary_dim, (int, np.integer)) and not isinstance(summary_dim, bool)
    if summary_dim is not None and (not summarise or not whole or summary_dim < 1):
        raise ValueError(
            "`summary_dim` must be None, or an integer of at least 1 where there is a dense layer "
            f"before the logits. Received: summary_dim={summary_dim!r}, summarise={summarise}."
        )
    return SummaryHead(
        num_classes,
        summary_dim or backbone.hidden_dim,
        dropout=dropout,
        summarise=summarise,
        kernel_initializer=backbone.kernel_initializer(),
        activation=summary_activation,
        use_bias=logits_bias,
        dtype=float_policy(backbone.dtype_policy),
        name=name,
    )
