"""From the features of texts to one vector each, read whole or, if they are long, in windows."""

import keras
from keras import ops

from keras_plm.checks import check_choice
from keras_plm.layers import ConcatPooling, LongTextPooling
from keras_plm.layers.float_policy import float_policy
from keras_plm.ops import summary_row
from keras_plm.tasks.task_graph import (
    POOLINGS,
    encode_texts,
    sum_of_several,
    with_auxiliary_loss,
)


def pooled_texts(backbone, features, pooling, auxiliary_lm=0.0, gradient_length=None):
    """Read texts and make the vector that stands for each; see `text_summary`.

    Args:
        backbone: a backbone of this package.
        features: dict of Keras tensors, those of `text_inputs`.
        pooling: see `text_summary`.
        auxiliary_lm: float. See `with_auxiliary_loss`.
        gradient_length: int or None. How many of the last tokens of a text the gradient goes
            through; see `LongTextPooling`. None: all.

    Returns:
        Keras tensor of shape (B, D), or (B, 3D) of "concat".

    Raises:
        ValueError: if these do not fit each other.
    """
    if gradient_length is None:
        encoded = encode_texts(backbone, features)
        summary = text_summary(backbone, encoded, features["padding_mask"], pooling)
        return with_auxiliary_loss(summary, auxiliary_lm, backbone, encoded, features)
    if pooling != "concat" or auxiliary_lm:
        raise ValueError(
            '`gradient_length` needs pooling="concat", and no language model beside it. Received: '
            f"gradient_length={gradient_length}, pooling={pooling!r}, auxiliary_lm={auxiliary_lm}."
        )
    policy = float_policy(backbone.dtype_policy)
    pool = LongTextPooling(backbone, gradient_length, dtype=policy, name="long_text_pooling")
    return pool(features["token_ids"], features["padding_mask"])


def text_summary(backbone, encoded, padding_mask, pooling=None):
    """The vector that stands for each text.

    Args:
        backbone: a backbone of this package.
        encoded: dict, what its `encode` returned.
        padding_mask: bool tensor of shape (B, T).
        pooling: str or None. "first" or "last": the output at that real token; "mean": the mean
            of those at all real tokens; "concat": the last of them, and maximum and mean over all.
            None: the pooled output, if the backbone has a pooler; else the output at the real
            token, first or last, that `backbone.summary_row` names. Or a layer that takes the rows
            and the mask, see `pooling_of`.

    Returns:
        Tensor of shape (B, D), (B, 3D) of "concat", or what the layer makes.

    Raises:
        ValueError: if `pooling` is none of these.
    """
    if isinstance(pooling, keras.layers.Layer):
        return pooling(encoded["sequence_output"], padding_mask)
    check_choice("pooling", pooling, POOLINGS[:-1], none=True)
    if pooling is None and "pooler" in backbone.reads:
        return encoded["pooled_output"]
    rows = encoded["sequence_output"]  # (B, T, D)
    if pooling == "concat":
        policy = float_policy(backbone.dtype_policy)
        return ConcatPooling(dtype=policy, name="concat_pooling")(rows, padding_mask)
    if pooling != "mean":
        return summary_row(rows, padding_mask, pooling or backbone.summary_row)
    real = ops.cast(padding_mask, "float32")[:, :, None]  # (B, T, 1)
    count = ops.maximum(ops.sum(real, axis=1), 1.0)  # (B, 1)
    return ops.sum(ops.cast(rows, "float32") * real, axis=1) / count


def read_texts(backbone, head, pooling, encoded, padding_mask, several=1):
    """The outputs of a head of `summary_head` for texts that a backbone has read.

    Args:
        backbone: a backbone of this package.
        head: what `summary_head` made.
        pooling: str or None. What it was made for.
        encoded: dict, what the backbone's `encode` returned.
        padding_mask: bool tensor of shape (B * several, T).
        several: int. How many rows each example has, whose vectors are added.

    Returns:
        Tensor of shape (B, num_classes).
    """
    summary = text_summary(backbone, encoded, padding_mask, pooling_of(head, pooling))
    return head(summary if several == 1 else sum_of_several(summary, several))


def pooling_of(head, pooling):
    """What makes the vectors that a head of `summary_head` reads.

    Args:
        head: what `summary_head` made.
        pooling: str or None. What it was made for.

    Returns:
        `pooling`; of "attention" the head's layer of that.
    """
    return head.pooling if pooling == "attention" else pooling
