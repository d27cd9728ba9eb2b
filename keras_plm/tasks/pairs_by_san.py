"""Pairs of texts that `SANHead` classifies: the graph, and what their features must be."""

import keras
import numpy as np

from keras_plm.tasks.task_graph import encode_texts


def pairs_by_san(backbone, head, inputs, others):
    """Read pairs by `SANHead`, which must know which tokens are of the second text.

    Args:
        backbone: a backbone of this package.
        head: `SANHead`.
        inputs: dict of Keras tensors, those of `text_inputs`.
        others: tuple. Arguments of the task that ask for what this head does not do.

    Returns:
        Pair: the inputs, with `segment_ids` whether the backbone takes them or not, and Keras
        tensor of shape (B, num_classes).

    Raises:
        ValueError: if one of the others is given.
    """
    if any(others):
        raise ValueError(
            '`pooling="san"` reads one row of each pair and gives it one class: leave out '
            "`both_orders`, `multi_label`, `auxiliary_lm` and `gradient_length`. "
            f"Received: {others!r:.200}."
        )
    encoded = encode_texts(backbone, inputs)
    if "segment_ids" not in inputs:
        inputs = {**inputs, "segment_ids": keras.Input((None,), dtype="int32", name="segment_ids")}
    return inputs, head.read(encoded, inputs)


def check_pairs(x):
    """Refuse rows that have no second text: `SANHead` would have nothing to ask with.

    Args:
        x: dict of features, checked.

    Raises:
        ValueError: naming the first of them.
    """
    second = (np.asarray(x["segment_ids"]) == 1) & np.asarray(x["padding_mask"], bool)
    alone = np.flatnonzero(~second.any(axis=1))
    if len(alone):
        raise ValueError(
            '`pooling="san"` classifies pairs of texts: give a tuple of two lists, or features '
            "with tokens of segment 1 in each row, as the layouts of BERT and XLNet make them; "
            "RoBERTa's has none. "
            f"Received: {len(alone)} of {len(second)} rows without any, the first of them row "
            f"{alone[0]}."
        )
