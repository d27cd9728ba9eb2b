"""The language model's loss beside that of a task."""

import math
import numbers

from keras_plm.heads import AuxiliaryLMLoss


def with_auxiliary_loss(summary, weight, backbone, encoded, features):
    """Let the loss of a graph include that of a language model over its texts.

    Args:
        summary: Keras tensor of shape (B, D), which the outputs are made of.
        weight: float. The weight of the language model's loss; 0: there is none.
        backbone: a causal backbone.
        encoded: dict, what its `encode` returned.
        features: dict of `token_ids` and `padding_mask`, Keras tensors of shape (B, T).

    Returns:
        Keras tensor of shape (B, D), equal to `summary`.

    Raises:
        ValueError: if the weight is negative or no number, or the backbone is not causal.
    """
    number = isinstance(weight, numbers.Real) and not isinstance(weight, bool)
    if not number or not math.isfinite(weight) or weight < 0:
        raise ValueError(
            f"`auxiliary_lm` must be a number of at least 0. Received: auxiliary_lm={weight!r}."
        )
    if not weight:
        return summary
    if not getattr(backbone, "causal", False):
        raise ValueError(
            "`auxiliary_lm` needs a backbone with causal=True: one that reads in both directions "
            f"has seen what it would predict. Received: {type(backbone).__name__}, "
            f"auxiliary_lm={weight}. Leave it 0."
        )
    layer = AuxiliaryLMLoss(backbone.token_embedding, float(weight), name="auxiliary_lm")
    rows = encoded["sequence_output"]
    return layer(summary, rows, features["token_ids"], features["padding_mask"])
