"""What heads over a vocabulary are trained and judged by, unless something else is given."""

import keras
import keras_hub


def target_losses(heads):
    """The mean cross-entropy of each head over the targets of a batch, by their weights.

    Args:
        heads: iterable of str. The names of heads that give logits (B, P, V).

    Returns:
        dict of a head's name to a `keras.losses.Loss`.
    """
    return {
        name: keras.losses.SparseCategoricalCrossentropy(
            from_logits=True, reduction="mean_with_sample_weight"
        )
        for name in heads
    }


def target_metrics(heads):
    """Accuracy and perplexity of each head over the targets, for `weighted_metrics`.

    Args:
        heads: iterable of str, as for `target_losses`.

    Returns:
        dict of a head's name to a list of `keras.metrics.Metric`.
    """
    return {
        name: [
            keras.metrics.SparseCategoricalAccuracy(name="accuracy"),
            keras_hub.metrics.Perplexity(from_logits=True, name="perplexity"),
        ]
        for name in heads
    }
