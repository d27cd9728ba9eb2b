"""The parts that the graphs of tasks share: what comes in, and what stands for a whole text."""

from keras_plm.heads import SummaryHead
from keras_plm.layers.float_policy import float_policy
from keras_plm.ops import summary_row


def text_inputs(backbone):
    """The inputs of a backbone that texts have values for.

    Args:
        backbone: a backbone of this package.

    Returns:
        dict of str to Keras tensor: the backbone's own inputs without `task_ids`, which a
        backbone fills with 0.
    """
    return {name: tensor for name, tensor in backbone.input.items() if name != "task_ids"}


def text_summary(backbone, encoded, padding_mask):
    """The vector that stands for each text.

    Args:
        backbone: a backbone of this package.
        encoded: dict, what its `encode` returned.
        padding_mask: bool tensor of shape (B, T).

    Returns:
        Tensor of shape (B, D): the pooled output, if the backbone has a pooler; else the output
        at the real token, first or last, that `backbone.summary_row` names.
    """
    if backbone.pooler:
        return encoded["pooled_output"]
    return summary_row(encoded["sequence_output"], padding_mask, backbone.summary_row)


def summary_head(backbone, num_classes, dropout, name, summarise=None):
    """A new head over `text_summary`.

    Args:
        backbone: a backbone of this package. One with a pooler has made the summary already.
        num_classes: int. How many logits.
        dropout: float. Dropout rate before the logits.
        name: str. The head's name.
        summarise: bool or None. Whether a dense layer with tanh stands before the logits; None:
            unless the backbone has a pooler.

    Returns:
        `SummaryHead`.

    Raises:
        ValueError: if `summarise` is none of these.
    """
    if summarise is not None and not isinstance(summarise, bool):
        raise ValueError(
            f"`summarise` must be True, False or None. Received: summarise={summarise!r}."
        )
    return SummaryHead(
        num_classes,
        backbone.hidden_dim,
        dropout=dropout,
        summarise=not backbone.pooler if summarise is None else summarise,
        kernel_initializer=backbone.kernel_initializer(),
        dtype=float_policy(backbone.dtype_policy),
        name=name,
    )
