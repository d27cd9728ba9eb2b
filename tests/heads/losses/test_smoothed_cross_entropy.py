"""SmoothedCrossEntropy: the formulas, both kinds, weights, gradients, what it is saved as."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_plm.heads import MaskedLMHead, SmoothedCrossEntropy
from keras_plm.tasks.training.label_kinds import label_kind

LOGITS = np.array([[2.0, 1.0, 0.0, -1.0]], "float32")
SHARED_BY = ("others", "all")


def labels_of(target, classes, share, shared_by):
    """The smoothed labels, written out."""
    if shared_by == "all":
        smooth = np.full(classes, share / classes)
        smooth[target] += 1 - share
        return smooth
    smooth = np.full(classes, share / (classes - 1))
    smooth[target] = 1 - share
    return smooth


def expected(targets, logits, share, shared_by):
    """-sum of labels times log-probabilities, float64, of each target."""
    logits = np.asarray(logits, "float64")
    largest = logits.max(-1, keepdims=True)
    logs = logits - largest - np.log(np.exp(logits - largest).sum(-1, keepdims=True))
    labels = [labels_of(one, logits.shape[-1], share, shared_by) for one in np.ravel(targets)]
    return -(np.reshape(labels, logits.shape) * logs).sum(-1)


@pytest.mark.parametrize(
    "share, shared_by, value",
    [(0.0, "all", 0.440190), (0.1, "all", 0.590190), (0.1, "others", 0.640190)],
)
def test_the_numbers_of_four_logits(share, shared_by, value):
    loss = SmoothedCrossEntropy(share, shared_by)
    found = float(loss(np.array([0]), LOGITS))
    assert found == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize("shared_by", SHARED_BY)
@pytest.mark.parametrize("share", [0.0, 0.1, 0.7])
def test_against_the_formula(share, shared_by):
    rng = np.random.default_rng(0)
    logits = (10 * rng.normal(size=(4, 3, 11))).astype("float32")
    targets = rng.integers(0, 11, (4, 3))
    weights = rng.integers(0, 2, (4, 3)).astype("float32")
    values = expected(targets, logits, share, shared_by)
    each = SmoothedCrossEntropy(share, shared_by, reduction=None)
    np.testing.assert_allclose(ops.convert_to_numpy(each(targets, logits)), values, rtol=1e-5)
    loss = SmoothedCrossEntropy(share, shared_by)  # the mean over what counts
    mean = (values * weights).sum() / weights.sum()
    np.testing.assert_allclose(float(loss(targets, logits, weights)), mean, rtol=1e-5)
    assert float(loss(targets, logits, 0 * weights)) == 0
    columns = targets[..., None]  # labels with an axis more, as Keras takes them
    np.testing.assert_allclose(float(loss(columns, logits, weights)), mean, rtol=1e-5)


def test_all_is_what_keras_has():
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(5, 7)).astype("float32")
    targets = rng.integers(0, 7, 5)
    theirs = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.2)
    ours = SmoothedCrossEntropy(0.2, "all")
    one_hot = np.eye(7, dtype="float32")[targets]
    np.testing.assert_allclose(
        float(ours(targets, logits)), float(theirs(one_hot, logits)), rtol=1e-5
    )


@pytest.mark.parametrize("shared_by", SHARED_BY)
def test_gradients(shared_by, gradient):
    """Probabilities less labels, by weight; none where the weight is 0."""
    rng = np.random.default_rng(2)
    logits = (3 * rng.normal(size=(3, 6))).astype("float32")
    targets, weights = np.array([2, 0, 5]), np.array([1.0, 0.0, 1.0], "float32")
    loss = SmoothedCrossEntropy(0.3, shared_by)
    found = gradient(lambda given: loss(targets, given, weights), logits)
    labels = np.array([labels_of(one, 6, 0.3, shared_by) for one in targets])
    probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    wanted = (probabilities - labels) * weights[:, None] / 2
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_logits_of_half_precision_and_large_ones():
    logits = np.array([[300.0, -300.0, 0.0]], "float16")
    found = float(SmoothedCrossEntropy(0.1)(np.array([1]), logits))
    assert found == pytest.approx(expected([1], logits, 0.1, "others")[0], rel=1e-5)


def test_a_head_has_it():
    """The loss of a head is smoothed if it should be; its perplexity is not."""
    embedding = keras.layers.ReversibleEmbedding(6, 4)
    head = MaskedLMHead(embedding, label_smoothing=0.1, shared_by="all")
    head.build((None, None, 4))
    loss = head.loss
    assert isinstance(loss, SmoothedCrossEntropy)
    assert (loss.label_smoothing, loss.shared_by) == (0.1, "all")
    config = head.get_config()
    again = MaskedLMHead.from_config(config)
    assert again.label_smoothing == 0.1 and again.shared_by == "all"
    for name in ("label_smoothing", "shared_by"):
        del config[name]  # of an older file
    plain = MaskedLMHead.from_config(config)
    assert isinstance(plain.loss, keras.losses.SparseCategoricalCrossentropy)
    logits = np.array([[[2.0, 1.0, 0.0, -1.0, 0.0, 0.0]]], "float32")
    metric = head.new_metrics()[1]
    metric.update_state(np.array([[0]]), logits)
    nll = expected([0], logits, 0.0, "all").item()
    assert float(metric.result()) == pytest.approx(np.exp(nll), rel=1e-5)
    assert label_kind(loss) == "ids"


def test_a_model_is_trained_with_it():
    """A step of gradient descent on a bias: what is left of the labels."""
    dense = keras.layers.Dense(3, kernel_initializer="zeros")
    model = keras.Sequential([dense])
    model.compile(keras.optimizers.SGD(1.0), loss=SmoothedCrossEntropy(0.2))
    x, y = np.ones((4, 2, 1), "float32"), np.full((4, 2), 1)
    weight = np.array([[1, 0], [1, 1], [0, 0], [1, 0]], "float32")
    assert float(model.train_on_batch(x, y, weight)) == pytest.approx(np.log(3), rel=1e-5)
    found = ops.convert_to_numpy(dense.bias)
    np.testing.assert_allclose(found, np.array([0.1, 0.8, 0.1]) - 1 / 3, atol=1e-6)


def test_what_it_is_saved_as():
    loss = SmoothedCrossEntropy(0.2, "all", reduction="sum")
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert type(again) is SmoothedCrossEntropy
    assert again.get_config() == loss.get_config()
    assert (again.label_smoothing, again.shared_by, again.reduction) == (0.2, "all", "sum")


@pytest.mark.parametrize(
    "settings, message",
    [
        (dict(label_smoothing=1.0), "`label_smoothing` must be below 1"),
        (dict(label_smoothing=-0.1), "`label_smoothing` must be a number from 0 to 1"),
        (dict(shared_by="both"), "`shared_by` must be one of"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message) as error:
        SmoothedCrossEntropy(**settings)
    assert "Received: " in str(error.value)
    if "label_smoothing" in settings:
        with pytest.raises(ValueError, match=message):
            MaskedLMHead(keras.layers.ReversibleEmbedding(6, 4), **settings)


def test_one_class():
    with pytest.raises(ValueError, match="need two classes at least"):
        SmoothedCrossEntropy(0.1)(np.array([0]), LOGITS[:, :1])
