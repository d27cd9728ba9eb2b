"""What the heads of pretraining are trained and judged by, unless something else is given."""

import keras
import keras_hub


def target_losses(outputs):
    """The mean cross-entropy of each head over its targets of a batch, by their weights.

    Without any target the loss of a head is 0.

    Args:
        outputs: iterable of str. The names of heads that give logits.

    Returns:
        dict of a head's name to a `keras.losses.Loss`.
    """
    return {
        name: keras.losses.SparseCategoricalCrossentropy(
            from_logits=True, reduction="mean_with_sample_weight"
        )
        for name in outputs
    }


def target_metrics(outputs):
    """Accuracy of each head over its targets, and perplexity of those over tokens.

    Args:
        outputs: dict of a head's name to its logits, tensors of shape (B, P, V) for tokens and
            (B, number of classes) for whole examples.

    Returns:
        dict of a head's name to a list of `keras.metrics.Metric`, for `weighted_metrics`.
    """
    metrics = {name: [keras.metrics.SparseCategoricalAccuracy(name="accuracy")] for name in outputs}
    for name, logits in outputs.items():
        if len(logits.shape) == 3:
            perplexity = keras_hub.metrics.Perplexity(from_logits=True, name="perplexity")
            metrics[name].append(perplexity)
    return metrics
