"""From the features of texts to one vector each, read whole or, if they are long, in windows."""

from keras_plm.layers import LongTextPooling
from keras_plm.layers.float_policy import float_policy
from keras_plm.tasks.task_graph import encode_texts, text_summary, with_auxiliary_loss


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
