import keras
import numpy as np
import pytest
from keras import ops

from keras_plm.heads import NegativeSamplingHead
from keras_plm.heads.vocabulary.negative_sampling_head import NegativeSamplingLoss

BATCH, SLOTS, NEGATIVES, WIDTH, VOCABULARY = 4, 3, 5, 8, 11
rng = np.random.default_rng(0)
ROWS = rng.normal(size=(BATCH, SLOTS, WIDTH)).astype("float32")
TABLE = rng.normal(size=(VOCABULARY, WIDTH)).astype("float32")
IDS = rng.integers(0, VOCABULARY, (BATCH, SLOTS, NEGATIVES + 1)).astype("int32")
LABELS = np.full((BATCH, SLOTS), NEGATIVES, "int32")
WEIGHTS = (rng.random((BATCH, SLOTS)) < 0.7).astype("float32")


def sigmoid(values):
    return 1 / (1 + np.exp(np.minimum(-values.astype("float64"), 700)))


def made():
    head = NegativeSamplingHead(VOCABULARY, NEGATIVES)
    head.build(ROWS.shape, IDS.shape)
    assert not ops.convert_to_numpy(head.context_embedding.embeddings).any()
    head.context_embedding.embeddings.assign(TABLE)
    return head


def expected_loss():
    """Equation 4 as it stands, negatives that are the context skipped as in word2vec.c."""
    total = 0.0
    for row in range(BATCH):
        for slot in range(SLOTS):
            *negatives, context = IDS[row, slot]
            state = ROWS[row, slot]
            loss = -np.log(sigmoid(TABLE[context] @ state))
            for word in negatives:
                if word != context:
                    loss -= np.log(sigmoid(-(TABLE[word] @ state)))
            total += WEIGHTS[row, slot] * loss
    return total / WEIGHTS.sum()


def test_loss_is_equation_4():
    assert (IDS[..., :-1] == IDS[..., -1:]).any()  # some negatives are left out
    head = made()
    logits = head.read({"target_output": ROWS}, {"candidate_ids": IDS})
    loss = head.loss(LABELS, logits, sample_weight=WEIGHTS)
    np.testing.assert_allclose(float(loss), expected_loss(), rtol=1e-5)


def test_loss_begins_at_the_number_of_candidates_times_log_2():
    loss = NegativeSamplingLoss()(LABELS, np.zeros((BATCH, SLOTS, NEGATIVES + 1), "float32"))
    np.testing.assert_allclose(float(loss), 4.158883, rtol=1e-6)


def test_context_at_any_place_and_far_from_zero():
    """softplus(x) for negatives, softplus(-x) for the context: also where exp would overflow."""
    logits = np.array([[[200.0, -200.0, 30.0]], [[-200.0, 200.0, -30.0]]], "float32")
    labels = np.array([[1], [1]], "int32")
    (first, second) = ops.convert_to_numpy(NegativeSamplingLoss(reduction=None)(labels, logits))
    np.testing.assert_allclose(first, [430.0], rtol=1e-6)
    np.testing.assert_allclose(second, [np.log1p(np.exp(-30.0))], rtol=1e-4)


def test_gradient(gradient):
    """sigmoid(x) - 1 for the context, sigmoid(x) for a negative, 0 for what is left out."""
    logits = rng.normal(size=(1, 1, 4), scale=3).astype("float32")
    logits[0, 0, 1] = -1e9
    loss = NegativeSamplingLoss()
    found = gradient(lambda values: loss(np.array([[3]]), values), logits)
    expected = sigmoid(logits) - [0, 0, 0, 1]
    expected[0, 0, 1] = 0
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


def test_accuracy_counts_nothing_where_all_are_equal():
    (metric,) = made().new_metrics()
    metric.update_state(LABELS, np.zeros((BATCH, SLOTS, NEGATIVES + 1), "float32"))
    assert float(metric.result()) == 0


def test_saved_loss_is_the_same():
    config = keras.saving.serialize_keras_object(NegativeSamplingLoss())
    again = keras.saving.deserialize_keras_object(config)
    assert type(again) is NegativeSamplingLoss and again.reduction == "mean_with_sample_weight"


@pytest.mark.parametrize("options", [dict(vocabulary_size=0), dict(num_negatives=0)])
def test_wrong_numbers(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        NegativeSamplingHead(**{"vocabulary_size": 3, **options})
