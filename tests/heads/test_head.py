import keras
import numpy as np
import pytest
from keras import ops

from keras_plm.heads import (
    BeamSpanHead,
    Head,
    MaskedLMHead,
    SentencePairHead,
    SpanBoundaryHead,
    SpanHead,
    SummaryHead,
    Targets,
    TokenHead,
)
from keras_plm.heads.head import as_head, class_accuracy, targets_of
from keras_plm.ops.keras_internals import compute_output_spec

LOGITS = np.random.default_rng(0).normal(size=(2, 3, 5)).astype("float32")
TARGETS = np.array([[1, 4, 0], [2, 0, 0]])
WEIGHTS = np.array([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]], "float32")  # unused slots count nothing


def cross_entropy():
    """The mean over the three real targets, by hand."""
    chances = np.exp(LOGITS) / np.exp(LOGITS).sum(-1, keepdims=True)
    return -np.log([chances[0, 0, 1], chances[0, 1, 4], chances[1, 0, 2]]).mean()


@pytest.fixture
def tokens():
    return MaskedLMHead(keras.layers.ReversibleEmbedding(5, 4), name="tokens")


def test_the_loss_is_the_mean_over_real_targets(tokens):
    found = tokens.loss(TARGETS, LOGITS, sample_weight=WEIGHTS)
    np.testing.assert_allclose(ops.convert_to_numpy(found), cross_entropy(), rtol=1e-5)


def test_a_head_without_targets_costs_nothing(gradient, tokens):
    loss = tokens.loss
    for jit in (False, True):
        none = gradient(lambda x: loss(TARGETS, x, sample_weight=0 * WEIGHTS), LOGITS, jit=jit)
        some = gradient(lambda x: loss(TARGETS, x, sample_weight=WEIGHTS), LOGITS, jit=jit)
        assert not none.any() and some[0, 0].any() and not some[0, 2].any()
    assert float(loss(TARGETS, LOGITS, sample_weight=0 * WEIGHTS)) == 0.0
    for metric in tokens.new_metrics():
        metric.update_state(TARGETS, LOGITS, sample_weight=0 * WEIGHTS)
        assert float(metric.result()) == 0.0


def test_heads_over_whole_examples():
    chances = np.exp(LOGITS[:, 0]) / np.exp(LOGITS[:, 0]).sum(-1, keepdims=True)
    loss = SentencePairHead().loss
    found = loss(TARGETS[:, 0], LOGITS[:, 0], sample_weight=np.array([1.0, 1.0], "float32"))
    expected = -np.log([chances[0, 1], chances[1, 2]]).mean()
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_accuracy_and_perplexity_over_real_targets(tokens):
    metrics = tokens.new_metrics()
    for metric in metrics:
        metric.update_state(TARGETS, LOGITS, sample_weight=WEIGHTS)
    accuracy, perplexity = (float(metric.result()) for metric in metrics)
    right = LOGITS.argmax(-1) == TARGETS
    np.testing.assert_allclose(accuracy, right[WEIGHTS > 0].mean(), rtol=1e-5)
    np.testing.assert_allclose(perplexity, np.exp(cross_entropy()), rtol=1e-4)


def test_accuracy_of_candidates_whose_number_differs_by_batch():
    """An entity's candidates are those of its batch: nothing about their shape is known."""
    metric = class_accuracy()
    types = ((TARGETS, "int32"), (LOGITS, "float32"), (WEIGHTS, "float32"))
    unknown = [keras.KerasTensor([None] * array.ndim, dtype) for array, dtype in types]
    compute_output_spec(metric.update_state, *unknown)
    for classes in (5, 3):
        metric.update_state(np.minimum(TARGETS, 2), LOGITS[..., :classes], WEIGHTS)
    right = [LOGITS[..., :n].argmax(-1) == np.minimum(TARGETS, 2) for n in (5, 3)]
    assert float(metric.result()) == pytest.approx(np.mean(np.stack(right)[:, WEIGHTS > 0]))


NAMES = ["O", "B-a", "I-a"]
CE, BCE, MSE = "SparseCategoricalCrossentropy", "BinaryCrossentropy", "MeanSquaredError"


@pytest.mark.parametrize(
    "make, targets, loss, metrics",
    [
        (
            lambda: MaskedLMHead(keras.layers.ReversibleEmbedding(5, 4)),
            ("BP", 5),
            CE,
            ["accuracy", "perplexity"],
        ),
        (
            lambda: SpanBoundaryHead(keras.layers.ReversibleEmbedding(5, 4)),
            ("BP", 5),
            CE,
            ["accuracy", "perplexity"],
        ),
        (SentencePairHead, ("B", 2), CE, ["accuracy"]),
        (lambda: TokenHead(3), ("BT", 3), CE, ["accuracy"]),
        (lambda: TokenHead(3, class_names=NAMES), ("BT", 3), CE, ["accuracy", "entity_f1"]),
        (lambda: SummaryHead(3, 4), ("B", 3), CE, ["accuracy"]),
        (lambda: SummaryHead(3, 4, labels="classes"), ("B", 3), BCE, ["accuracy"]),
        (lambda: SummaryHead(1, 4, labels="choice"), ("B", "C"), CE, ["accuracy"]),
        (
            lambda: SummaryHead(1, 4, labels="number"),
            ("B", None),
            MSE,
            ["mse", "pearson", "spearman"],
        ),
    ],
)
def test_what_each_head_is_trained_on(make, targets, loss, metrics):
    head = make()
    assert targets_of(head) == targets
    assert type(head.loss).__name__ == loss
    assert [metric.name for metric in head.new_metrics()] == metrics
    assert head.loss is not head.loss  # each task has its own
    assert targets_of(type(head).from_config(head.get_config())) == targets


@pytest.mark.parametrize("make", [SpanHead, lambda: BeamSpanHead(4)])
def test_heads_with_several_outputs(make):
    head = make()
    assert targets_of(head).keys() == head.loss.keys() == head.new_metrics().keys()
    assert head.loss_weights == {name: 0.5 for name in head.loss}
    assert head.loss["start"].reduction == "sum_over_batch_size"


def test_heads_of_a_users_own():
    class Number(Head):
        pass

    assert targets_of(Number()) == Targets("B", None)
    assert type(Number().loss).__name__ == MSE
    assert [metric.name for metric in Number().new_metrics()] == ["mse"]
    with pytest.raises(NotImplementedError, match="Number has no `read`"):
        Number().read({}, {})

    class Classes(Head):
        targets = ("BT", 7)  # a plain tuple does

    assert targets_of(Classes()) == Targets("BT", 7)
    assert Classes().loss.reduction == "mean_with_sample_weight"
    assert [metric.name for metric in Classes().new_metrics()] == ["accuracy"]


def test_a_layer_that_is_no_head_has_classes():
    layer = keras.layers.Dense(5, name="other")
    for shape, targets in (((None, None, 5), ("BP", 5)), ((None, 2), ("B", 2))):
        head = as_head(layer, keras.KerasTensor(shape))
        assert targets_of(head) == targets and head.name == "other"
    head = SentencePairHead()
    assert as_head(head, None) is head


def test_unknown_labels():
    with pytest.raises(ValueError, match="`labels` must be one of.*Received: labels='rank'"):
        SummaryHead(3, 4, labels="rank")
