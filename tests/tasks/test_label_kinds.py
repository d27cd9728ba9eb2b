"""Labels of every form that Keras's losses take, in tasks that are made for one class each."""

import json

import keras
import numpy as np
import pytest

from keras_plm.presets import export_huggingface
from keras_plm.tasks import TextClassifier, TokenClassifier, WordPreprocessor

TEXTS = ["the red boat", "a fish", "to be or not", "he ran home"]
IDS = np.array([0, 2, 1, 0])
ONE_HOT = np.eye(3, dtype="float32")[IDS]
SOFT = np.array([[0.7, 0.2, 0.1], [0, 0, 1], [0.1, 0.9, 0], [1, 0, 0]], "float32")
SEVERAL = np.array([[1, 0, 1], [0, 0, 0], [1, 1, 1], [0, 1, 0]])


def log_softmax(logits):
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def binary(labels, logits):
    return np.mean(np.log1p(np.exp(logits)) - labels * logits)


CE = keras.losses.CategoricalCrossentropy
BCE = keras.losses.BinaryCrossentropy
SPARSE = keras.losses.SparseCategoricalCrossentropy
CASES = {  # name: (loss, labels, loss by hand, accuracy by hand)
    "ids": ("auto", IDS, lambda y, z: -(ONE_HOT * log_softmax(z)).sum(-1).mean()),
    "a column": ("auto", IDS[:, None], lambda y, z: -(ONE_HOT * log_softmax(z)).sum(-1).mean()),
    "floats": ("auto", IDS * 1.0, lambda y, z: -(ONE_HOT * log_softmax(z)).sum(-1).mean()),
    "a list": (
        SPARSE(from_logits=True),
        IDS.tolist(),
        lambda y, z: -(ONE_HOT * log_softmax(z)).sum(-1).mean(),
    ),
    "one-hot": (CE(from_logits=True), ONE_HOT, lambda y, z: -(y * log_softmax(z)).sum(-1).mean()),
    "soft": (CE(from_logits=True), SOFT, lambda y, z: -(y * log_softmax(z)).sum(-1).mean()),
    "smoothed": (
        CE(from_logits=True, label_smoothing=0.3),
        ONE_HOT,
        lambda y, z: -((0.7 * y + 0.1) * log_softmax(z)).sum(-1).mean(),
    ),
    "several": (BCE(from_logits=True), SEVERAL, binary),
    "several, bool": (BCE(from_logits=True), SEVERAL > 0, lambda y, z: binary(SEVERAL, z)),
    "several, a list": (BCE(from_logits=True), SEVERAL.tolist(), lambda y, z: binary(SEVERAL, z)),
}


@pytest.fixture(scope="module")
def classifier(make_classifier):
    return make_classifier(num_classes=3, num_layers=1)


@pytest.mark.parametrize("case", CASES)
def test_labels_follow_the_loss(case, classifier, graph):
    loss, labels, by_hand = CASES[case]
    classifier.compile(keras.optimizers.SGD(0.0), loss=loss, **graph)
    logits = classifier.predict(TEXTS, verbose=0)
    logs = classifier.evaluate(TEXTS, labels, verbose=0, return_dict=True)
    assert logs["loss"] == pytest.approx(by_hand(labels, logits), rel=1e-4)
    if "several" in case:
        accuracy = ((logits > 0) == SEVERAL).mean()
    else:
        accuracy = (logits.argmax(-1) == IDS).mean()
    assert logs["accuracy"] == pytest.approx(accuracy, rel=1e-5)
    assert np.isfinite(classifier.fit(TEXTS, labels, verbose=0).history["loss"]).all()


def test_labels_of_any_type_beside_features(classifier, graph):
    """Features take the labels that texts take."""
    classifier.compile(keras.optimizers.SGD(0.0), **graph)
    x = classifier.keep_inputs(classifier.preprocessor(TEXTS))
    expected = classifier.evaluate(x, IDS, verbose=0)
    for labels in (IDS * 1.0, (IDS * 1.0).tolist(), IDS[:, None] * 1.0):
        assert classifier.evaluate(x, labels, verbose=0) == pytest.approx(expected, rel=1e-6)
        assert np.isfinite(classifier.train_on_batch(x, labels)[0])
    yes = classifier.evaluate(x, IDS > 0, verbose=0)
    assert yes == pytest.approx(classifier.evaluate(x, (IDS > 0) * 1, verbose=0), rel=1e-6)
    with pytest.raises(ValueError, match="integers in"):
        classifier.fit(x, IDS + 0.5, verbose=0)


def test_true_and_false(make_classifier, graph):
    classifier = make_classifier(num_classes=2, num_layers=1)
    classifier.compile(keras.optimizers.SGD(0.0), **graph)
    labels = np.array([1, 0, 0, 1])
    expected = classifier.evaluate(TEXTS, labels, verbose=0)
    assert classifier.evaluate(TEXTS, labels > 0, verbose=0) == expected
    assert classifier.evaluate(TEXTS, (labels > 0).tolist(), verbose=0) == expected


def test_soft_labels_of_words(tokenizer, make_backbone, graph):
    task = TokenClassifier(
        make_backbone(num_layers=1), 3, WordPreprocessor(tokenizer, 16), dropout=0.0
    )
    loss = CE(from_logits=True, reduction="mean_with_sample_weight")
    task.compile(keras.optimizers.SGD(0.0), loss=loss, **graph)
    x, _, weight = task.features_and_labels(
        [t.split() for t in TEXTS], [[0] * 3, [0] * 2, [0] * 4, [0] * 3], None
    )
    x = task.keep_inputs(x)
    labels = np.random.default_rng(0).dirichlet(np.ones(3), weight.shape).astype("float32")
    logits = task.predict(x, verbose=0)
    losses = -(labels * log_softmax(logits)).sum(-1)
    found = task.evaluate(x, labels, sample_weight=weight, verbose=0, return_dict=True)
    assert found["loss"] == pytest.approx((losses * weight).sum() / weight.sum(), rel=1e-4)
    with pytest.raises(ValueError, match=r"a row of 3 numbers per token"):
        task.fit(x, labels[..., 0], sample_weight=weight, verbose=0)


def test_several_labels_by_names_through_a_preset(make_backbone, tokenizer, tmp_path, graph):
    """A two-label classifier of a user: the loss alone says that both may hold."""
    from keras_plm.tasks import TextPreprocessor

    names = ["rude", "wrong"]
    backbone = make_backbone(num_layers=1)
    model = TextClassifier(backbone, 2, TextPreprocessor(tokenizer, 16), class_names=names)
    model.compile("adam", loss=BCE(from_logits=True), **graph)
    model.fit(TEXTS, SEVERAL[:, :2], verbose=0)
    logits = model.predict(TEXTS, verbose=0)
    model.save_to_preset(str(tmp_path / "preset"))
    again = TextClassifier.from_preset(str(tmp_path / "preset"))
    assert again.class_names == names and again.multi_label and model.multi_label
    again.compile(keras.optimizers.SGD(0.0), **graph)
    again.fit(TEXTS, [["rude"], [], ["rude", "wrong"], ["wrong"]], verbose=0)
    export_huggingface(model, str(tmp_path / "exported"))
    config = json.loads((tmp_path / "exported" / "config.json").read_text("utf-8"))
    assert config["problem_type"] == "multi_label_classification"
    assert config["id2label"] == {"0": "rude", "1": "wrong"}
    other = TextClassifier.from_preset(str(tmp_path / "exported"))
    assert other.multi_label and other.class_names == names
    np.testing.assert_allclose(again.predict(TEXTS, verbose=0), logits, rtol=1e-5, atol=1e-6)
    model.save(tmp_path / "model.keras")
    whole = keras.saving.load_model(tmp_path / "model.keras")
    assert isinstance(whole.loss, BCE)
    whole.fit(TEXTS, SEVERAL[:, :2], verbose=0)
