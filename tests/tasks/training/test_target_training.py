import numpy as np
import pytest
from keras import ops

from keras_plm.tasks.training.defaults import target_losses, target_metrics

LOGITS = np.random.default_rng(0).normal(size=(2, 3, 5)).astype("float32")
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


def test_a_head_without_targets_costs_nothing(gradient):
    loss = target_losses(["tokens"])["tokens"]
    for jit in (False, True):
        none = gradient(lambda x: loss(TARGETS, x, sample_weight=0 * WEIGHTS), LOGITS, jit=jit)
        some = gradient(lambda x: loss(TARGETS, x, sample_weight=WEIGHTS), LOGITS, jit=jit)
        assert not none.any() and some[0, 0].any() and not some[0, 2].any()
    assert float(loss(TARGETS, LOGITS, sample_weight=0 * WEIGHTS)) == 0.0
    for metric in target_metrics({"tokens": LOGITS})["tokens"]:
        metric.update_state(TARGETS, LOGITS, sample_weight=0 * WEIGHTS)
        assert float(metric.result()) == 0.0


def test_heads_over_whole_examples():
    outputs = {"tokens": LOGITS, "sentence_pair": LOGITS[:, 0]}
    names = {name: [m.name for m in metrics] for name, metrics in target_metrics(outputs).items()}
    assert names == {"tokens": ["accuracy", "perplexity"], "sentence_pair": ["accuracy"]}
    chances = np.exp(LOGITS[:, 0]) / np.exp(LOGITS[:, 0]).sum(-1, keepdims=True)
    loss = target_losses(outputs)["sentence_pair"]
    found = loss(TARGETS[:, 0], LOGITS[:, 0], sample_weight=np.array([1.0, 1.0], "float32"))
    expected = -np.log([chances[0, 1], chances[1, 2]]).mean()
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_accuracy_and_perplexity_over_real_targets():
    metrics = target_metrics({"tokens": LOGITS})["tokens"]
    for metric in metrics:
        metric.update_state(TARGETS, LOGITS, sample_weight=WEIGHTS)
    accuracy, perplexity = (float(metric.result()) for metric in metrics)
    right = LOGITS.argmax(-1) == TARGETS
    np.testing.assert_allclose(accuracy, right[WEIGHTS > 0].mean(), rtol=1e-5)
    np.testing.assert_allclose(perplexity, np.exp(cross_entropy()), rtol=1e-4)
