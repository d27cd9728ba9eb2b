import numpy as np
from keras import ops

from keras_plm.tasks.target_training import target_losses, target_metrics

rng = np.random.default_rng(0)
LOGITS = rng.normal(size=(2, 3, 5)).astype("float32")
TARGETS = np.array([[1, 4, 0], [2, 0, 0]])
WEIGHTS = np.array([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]], "float32")  # unused slots count nothing


def cross_entropy():
    """The mean over the three real targets, by hand."""
    chances = np.exp(LOGITS) / np.exp(LOGITS).sum(-1, keepdims=True)
    return -np.log([chances[0, 0, 1], chances[0, 1, 4], chances[1, 0, 2]]).mean()


def test_the_loss_is_the_mean_over_real_targets():
    losses = target_losses(["tokens", "boundary"])
    assert set(losses) == {"tokens", "boundary"}
    found = losses["tokens"](TARGETS, LOGITS, sample_weight=WEIGHTS)
    np.testing.assert_allclose(ops.convert_to_numpy(found), cross_entropy(), rtol=1e-5)


def test_accuracy_and_perplexity_over_real_targets():
    metrics = target_metrics(["tokens"])["tokens"]
    for metric in metrics:
        metric.update_state(TARGETS, LOGITS, sample_weight=WEIGHTS)
    accuracy, perplexity = (float(metric.result()) for metric in metrics)
    right = LOGITS.argmax(-1) == TARGETS
    np.testing.assert_allclose(accuracy, right[WEIGHTS > 0].mean(), rtol=1e-5)
    np.testing.assert_allclose(perplexity, np.exp(cross_entropy()), rtol=1e-4)
