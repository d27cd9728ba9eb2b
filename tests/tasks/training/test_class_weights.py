import keras
import numpy as np
import pytest
from keras import ops

from keras_plm.heads import Targets
from keras_plm.tasks import TextRegressor, TokenClassifier, WordPreprocessor
from keras_plm.tasks.training.class_weights import (
    check_class_weight,
    class_weights,
    weighted_by_class,
)

TEXTS = ["the red boat", "a fish", "to be or not", "he ran home"]
LABELS = np.array([0, 2, 1, 0])
WEIGHTS = {0: 2.0, 2: 0.5}  # class 1 counts 1


@pytest.mark.parametrize(
    "class_weight, message",
    [
        ({"cat": 1.0}, r"of classes in \[0, 3\). Received: \['cat'\]"),
        ({3: 1.0}, r"Received: \[3\]"),
        ({-1: 1.0}, r"Received: \[-1\]"),
        ({True: 1.0}, r"Received: \[True\]"),
        ({0: float("nan")}, "finite numbers of at least 0"),
        ({0: -1.0}, "finite numbers of at least 0"),
        ({0: "2"}, "finite numbers of at least 0"),
        ({0: [1.0]}, "finite numbers of at least 0"),
        ({0: 0.0, 1: 0, 2: 0.0}, "must not all be 0"),
    ],
)
def test_class_weights_that_cannot_be_used(class_weight, message):
    with pytest.raises(ValueError, match=message):
        check_class_weight(class_weight, 3)


def test_class_weights_that_can_be_used():
    for class_weight in ({}, {0: 0.0, 2: 5}, {np.int64(1): np.float32(0.5)}):
        check_class_weight(class_weight, 3)
    check_class_weight({70: 2.0})  # of a task that does not know how many classes there are


def test_weights_by_output():
    classes = {"label": (Targets("B", 3), "ids")}
    assert class_weights(None, classes) == {}
    assert class_weights(WEIGHTS, classes) == {"label": WEIGHTS}
    two = {**classes, "pair": (Targets("B", 2), "ids")}
    assert class_weights({"pair": {1: 3.0}}, two) == {"pair": {1: 3.0}}
    for given, outputs, message in (
        ([1.0, 2.0], classes, "must be a dict"),
        (WEIGHTS, two, r"a dict by output.*\['label', 'pair'\]"),
        ({"other": {0: 1.0}}, two, r"among \['label', 'pair'\]. Received: \['other'\]"),
        ({0: 1.0}, {"label": (Targets("B", 3), "yes_no")}, "a yes or no for each class"),
        ({0: 1.0}, {"start": (Targets("B", "T"), "ids")}, "labels that are positions"),
        ({3: 1.0}, classes, r"of classes in \[0, 3\)"),
    ):
        with pytest.raises(ValueError, match=message):
            class_weights(given, outputs)


@pytest.mark.parametrize(
    "y, kind",
    [
        (LABELS, "ids"),
        (LABELS[:, None], "numbers"),
        (np.eye(3, dtype="float32")[LABELS], "shares"),
    ],
)
@pytest.mark.parametrize("given", [None, np.array([1.0, 3.0, 1.0, 0.0], "float32")])
def test_weights_are_multiplied(y, kind, given):
    batch = ("x", ops.convert_to_tensor(y), None if given is None else ops.convert_to_tensor(given))
    _, labels, weight = weighted_by_class(batch, {"label": WEIGHTS}, {"label": kind})
    assert labels is batch[1]
    expected = np.array([2.0, 0.5, 1.0, 2.0]) * (1 if given is None else given)
    np.testing.assert_allclose(ops.convert_to_numpy(weight), expected)


def test_only_the_outputs_that_have_weights():
    y = {"tokens": ops.convert_to_tensor([[1, 2], [0, 9]]), "pair": ops.convert_to_tensor([1, 0])}
    kinds = {"tokens": "ids", "pair": "ids"}
    _, _, weight = weighted_by_class(("x", y), {"tokens": {2: 3.0}}, kinds)
    np.testing.assert_allclose(ops.convert_to_numpy(weight["tokens"]), [[1, 3], [1, 1]])
    np.testing.assert_allclose(ops.convert_to_numpy(weight["pair"]), [1, 1])


def weighted(task, texts, labels, how, graph):
    """The loss of a step of a task, by class weights or by the weights that they come to."""
    keras.utils.set_random_seed(0)
    task.compile(keras.optimizers.SGD(0.0), **graph)
    return task.fit(texts, labels, batch_size=4, shuffle=False, verbose=0, **how).history["loss"][0]


def test_fit_of_a_classifier(make_classifier, graph):
    task = make_classifier(num_classes=3, num_layers=1)
    table = np.array([2.0, 1.0, 0.5])
    by_class = weighted(task, TEXTS, LABELS, {"class_weight": WEIGHTS}, graph)
    by_text = weighted(task, TEXTS, LABELS, {"sample_weight": table[LABELS]}, graph)
    neither = weighted(task, TEXTS, LABELS, {}, graph)
    assert by_class == pytest.approx(by_text, rel=1e-6) and by_class != pytest.approx(neither)


def test_words_have_weights_of_their_own_already(tokenizer, make_backbone, graph):
    """Keras refuses class weights beside sample weights, which the user did not give here."""
    task = TokenClassifier(
        make_backbone(num_layers=1), 3, WordPreprocessor(tokenizer, 16), dropout=0.0
    )
    texts = [text.split() for text in TEXTS]
    labels = [[(3 * n + m) % 3 for m in range(len(text))] for n, text in enumerate(texts)]
    table = np.array([2.0, 1.0, 0.5])
    weights = [table[own].tolist() for own in labels]
    by_class = weighted(task, texts, labels, {"class_weight": WEIGHTS}, graph)
    by_word = weighted(task, texts, labels, {"sample_weight": weights}, graph)
    assert by_class == pytest.approx(by_word, rel=1e-6)


def test_weights_of_classes_leave_with_their_fit(make_classifier, graph):
    task = make_classifier(num_classes=3, num_layers=1)
    task.compile(keras.optimizers.SGD(0.0), **graph)
    first = task.fit(TEXTS, LABELS, verbose=0, class_weight=WEIGHTS).history["loss"]
    plain = task.fit(TEXTS, LABELS, verbose=0).history["loss"]
    again = task.fit(TEXTS, LABELS, verbose=0, class_weight=WEIGHTS).history["loss"]
    assert first == pytest.approx(again, rel=1e-5) and first != pytest.approx(plain, rel=1e-3)
    one = task.train_on_batch(TEXTS, LABELS, class_weight=WEIGHTS, return_dict=True)["loss"]
    assert float(one) == pytest.approx(first[0], rel=1e-5)


def test_a_dataset_of_features(make_classifier, graph):
    task = make_classifier(num_classes=3, num_layers=1)
    task.compile(keras.optimizers.SGD(0.0), **graph)
    expected = task.fit(TEXTS, LABELS, verbose=0, class_weight=WEIGHTS).history["loss"]
    features = task.keep_inputs(task.preprocessor(TEXTS))

    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 1

        def __getitem__(self, index):
            return features, LABELS

    import grain

    batches = grain.MapDataset.source([(features, LABELS)])
    found = task.fit(batches.to_iter_dataset(), verbose=0, class_weight=WEIGHTS).history["loss"]
    assert found == pytest.approx(expected, rel=1e-5)


def test_numbers_have_classes_as_in_keras(tokenizer, make_backbone, graph):
    from keras_plm.tasks import TextPreprocessor

    task = TextRegressor(make_backbone(num_layers=1), TextPreprocessor(tokenizer, 16), dropout=0.0)
    by_class = weighted(task, TEXTS, LABELS.astype("float32"), {"class_weight": WEIGHTS}, graph)
    table = np.array([2.0, 1.0, 0.5])
    by_text = weighted(
        task, TEXTS, LABELS.astype("float32"), {"sample_weight": table[LABELS]}, graph
    )
    assert by_class == pytest.approx(by_text, rel=1e-6)
