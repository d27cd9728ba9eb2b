"""What an ensemble makes of texts, and how a student is given it."""

import keras
import numpy as np
import pytest

from keras_plm.heads import SoftLabelLoss
from keras_plm.tasks import TextClassifier, TextPreprocessor
from keras_plm.transfer import mean_probabilities, with_soft_labels

TEXTS = ["the dog was red", "a fish", "he was there"]


@pytest.fixture
def make(tokenizers, make_transformer, quick):
    def make(num_classes=3, **options):
        tokenizer = tokenizers["bert"]
        backbone = make_transformer(tokenizer.vocabulary_size)
        task = TextClassifier(backbone, num_classes, TextPreprocessor(tokenizer, 16), **options)
        task.compile(**quick)
        return task

    return make


def test_an_ensemble_teaches_a_student(make, graph):
    teachers = [make(), make()]
    soft = mean_probabilities(teachers, TEXTS)
    logits = [one.predict(TEXTS, verbose=0) for one in teachers]
    rows = [np.exp(one) / np.exp(one).sum(axis=1, keepdims=True) for one in logits]
    np.testing.assert_allclose(soft, np.mean(rows, axis=0), atol=1e-6)
    student = make()
    student.compile(keras.optimizers.Adam(1e-2), loss=SoftLabelLoss(), **graph)
    labels = with_soft_labels([0, 1, 2], soft)
    before = student.evaluate(TEXTS, labels, return_dict=True, verbose=0)
    student.fit(TEXTS, labels, epochs=20, verbose=0, length_buckets=None)
    after = student.evaluate(TEXTS, labels, return_dict=True, verbose=0)
    assert after["loss"] < before["loss"] and "accuracy" in after
    plain = student.evaluate(TEXTS, [0, 1, 2], return_dict=True, verbose=0)
    sure = with_soft_labels([0, 1, 2], np.eye(3))
    assert plain == student.evaluate(TEXTS, sure, return_dict=True, verbose=0)
    with pytest.raises(ValueError, match="`class_weight` needs labels of one class"):
        student.fit(TEXTS, labels, class_weight={0: 2.0}, verbose=0)


@pytest.mark.parametrize(
    "labels, rows, message",
    [
        ([0, 1], [[0.5, 0.5]], "a row of probabilities for each label"),
        ([0, 2], [[0.5, 0.5]] * 2, "among the 2 classes"),
        ([0, 1], [[0.5, 0.5], [0.5, 0.6]], "sum to 1 in each row. Received: row 1"),
        ([0, 1], [[1.5, -0.5], [0.5, 0.5]], "Received: row 0"),
        ([0, 1], [[np.nan, 0.5], [0.5, 0.5]], "Received: row 0"),
        ([0.5, 1.0], [[0.5, 0.5]] * 2, "numbers of classes"),
        ([0, 1], [0.5, 0.5], "rows \\(N, K\\)"),
    ],
)
def test_what_are_no_soft_labels(labels, rows, message):
    with pytest.raises(ValueError, match=message):
        with_soft_labels(labels, rows)


def test_what_is_no_ensemble(make):
    for teachers, message in (
        ([], "one at least"),
        ([make(), make(2)], "the same classes"),
        ([make(multi_label=True)], "one of which each text has"),
    ):
        with pytest.raises(ValueError, match=message):
            mean_probabilities(teachers, TEXTS)
