"""The loss of a student, against its formulas."""

import numpy as np
import pytest

from keras_plm.heads import SoftLabelLoss
from keras_plm.heads.losses.soft_label_loss import accuracy_of_soft_labels

RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.normal(0, 2, (4, 3)).astype("float32")
SOFT = RANDOM.dirichlet(np.ones(3), 4).astype("float32")
CLASSES = np.array([2, 0, 1, 1])
LABELS = np.concatenate([CLASSES[:, None], SOFT], axis=1).astype("float32")
LOG_PROBS = LOGITS - np.log(np.exp(LOGITS).sum(axis=1, keepdims=True))
HARD = -LOG_PROBS[np.arange(4), CLASSES]


@pytest.mark.parametrize(
    "soft_loss, soft",
    [
        ("cross_entropy", -(SOFT * LOG_PROBS).sum(axis=1)),
        ("mse", ((LOGITS - SOFT) ** 2).mean(axis=1)),
    ],
)
def test_is_the_sum_of_both(soft_loss, soft):
    weights = np.array([1.0, 0.0, 2.0, 0.5], "float32")
    found = SoftLabelLoss(soft_loss)(LABELS, LOGITS, sample_weight=weights)
    np.testing.assert_allclose(found, ((HARD + soft) * weights).sum() / 3.5, rtol=1e-5)


def test_log_probabilities_are_taken_as_they_are():
    halved = LOG_PROBS - np.float32(np.log(2))  # rows sum to 1/2
    found = SoftLabelLoss(from_logits=False)(LABELS, halved)
    expected = (HARD - (SOFT * LOG_PROBS).sum(axis=1)).mean() + 2 * np.log(2)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_teachers_who_are_sure_count_the_label_twice():
    sure = np.concatenate([CLASSES[:, None], np.eye(3)[CLASSES]], axis=1)
    np.testing.assert_allclose(SoftLabelLoss()(sure, LOGITS), 2 * HARD.mean(), rtol=1e-5)


def test_accuracy_is_that_of_the_class():
    metric = accuracy_of_soft_labels()
    metric.update_state(LABELS, LOGITS)
    np.testing.assert_allclose(metric.result(), (LOGITS.argmax(axis=1) == CLASSES).mean())


def test_config_and_what_it_cannot_take():
    loss = SoftLabelLoss("mse", from_logits=False)
    again = SoftLabelLoss.from_config(loss.get_config())
    assert (again.soft_loss, again.from_logits, again.reduction) == (
        *("mse", False, "mean_with_sample_weight"),
    )
    with pytest.raises(ValueError, match="`soft_loss` must be one of"):
        SoftLabelLoss("kl")
