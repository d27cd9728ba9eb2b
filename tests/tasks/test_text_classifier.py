import grain
import keras
import numpy as np
import pytest
from keras import ops

from keras_plm.metrics import LooseF1, StrictAccuracy
from keras_plm.tasks import TextClassifier, TextPreprocessor

BATCH = 4
ANIMALS, HOUSES = "dog cat bird fish horse".split(), "door room window roof wall".split()


def to_numpy(tensor):
    return np.array(ops.convert_to_numpy(tensor))


def labelled_texts(count, seed=0):
    """Texts about animals (0) and houses (1), among words that say nothing."""
    random = np.random.default_rng(seed)
    texts, labels = [], random.integers(0, 2, count)
    for label in labels:
        words = ["the", "a", str(random.choice((ANIMALS, HOUSES)[label])), "was"]
        texts.append(" ".join(random.permutation(words)))
    return texts, labels


TEXTS, LABELS = labelled_texts(32)


def with_a_loud_head(model):
    """The model, its logits far apart."""
    for weight in model.heads["label"].trainable_weights:
        weight.assign(np.random.default_rng(0).normal(size=weight.shape))
    return model


@pytest.fixture(scope="module")
def classifier(make_classifier, graph):
    """A classifier that many tests fit with batches of four rows, so that one graph will do."""
    model = make_classifier(num_layers=1)
    model.compile(keras.optimizers.Adam(5e-3), **graph)
    return model


@pytest.mark.slow
def test_learns_from_raw_strings(classifier):
    history = classifier.fit(
        TEXTS,
        LABELS,
        batch_size=BATCH,
        epochs=15,
        validation_data=labelled_texts(16, seed=1),
        verbose=0,
    )
    assert history.history["accuracy"][-1] == 1.0
    assert history.history["val_accuracy"][-1] == 1.0
    texts, labels = labelled_texts(24, seed=2)
    logits = classifier.predict(texts, batch_size=BATCH, verbose=0)
    assert logits.shape == (24, 2) and (logits.argmax(1) == labels).all()
    logs = classifier.evaluate(texts, labels, batch_size=BATCH, verbose=0, return_dict=True)
    assert logs["accuracy"] == 1.0


def test_lists_are_shuffled_anew_in_every_epoch(classifier):
    """Every text has a loss of its own weight, so that the losses tell their order."""
    model = classifier
    before = model.get_weights()
    for weight in model.heads["label"].logits.weights:
        weight.assign(np.zeros(weight.shape))
    model.optimizer.learning_rate = 0.0
    sums = []  # of an epoch so far
    log = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: sums.append(float(logs["loss"]) * (batch + 1))
    )
    weights = np.repeat(2.0 ** np.arange(8), BATCH)  # texts of one weight come in fours
    texts, labels = TEXTS[:1] * 32, [0] * 32
    model.fit(texts, labels, BATCH, sample_weight=weights, epochs=3, callbacks=[log], verbose=0)
    model.optimizer.learning_rate = 5e-3
    model.set_weights(before)
    losses = np.diff(np.reshape(sums, (3, 8)), prepend=0.0, axis=1) / np.log(2) * BATCH
    np.testing.assert_allclose(losses.sum(axis=1), weights.sum(), rtol=1e-4)  # each text once
    in_order = weights.reshape(8, BATCH).sum(axis=1)
    for epoch in range(3):
        assert np.abs(losses[epoch] - in_order).max() > 1  # not as they were given
        assert np.abs(losses[epoch] - losses[epoch - 1]).max() > 1  # nor as before


def test_neither_batch_mates_nor_padding_matter(make_classifier, graph, tmp_path):
    model = with_a_loud_head(make_classifier())
    model.save_to_preset(str(tmp_path / "preset"))
    longer = TextClassifier.from_preset(str(tmp_path / "preset"), sequence_length=24)
    for one in (model, longer):
        one.compile(**graph)
    texts = ["the dog", "a", "a cat was in the room and at the door", "fish"]
    expected = model.predict(texts, batch_size=BATCH, verbose=0)
    assert np.ptp(expected[:, 0]) > 0.1
    alone = [model.predict([text], batch_size=BATCH, verbose=0)[0] for text in texts]
    np.testing.assert_allclose(alone, expected, atol=2e-4)
    np.testing.assert_allclose(
        model.predict(texts[::-1], batch_size=BATCH, verbose=0)[::-1], expected, atol=2e-4
    )
    assert longer.preprocessor.sequence_length == 24
    wider = longer.predict(texts, batch_size=BATCH, verbose=0)
    short = [0, 1, 3]  # the third text is cut at 16
    np.testing.assert_allclose(wider[short], expected[short], atol=2e-4)


def test_pairs(classifier):
    first, second = ["dog"] * 4 + ["door"] * 4, ["a wall"] * 8
    logits = classifier.predict((first, second), batch_size=BATCH, verbose=0)
    assert logits.shape == (8, 2)
    swapped = classifier.predict((second, first), batch_size=BATCH, verbose=0)
    assert np.abs(logits - swapped).max() > 1e-3
    labels = [0] * 4 + [1] * 4
    history = classifier.fit(
        (first, second), labels, batch_size=BATCH, epochs=2, verbose=0, validation_split=0.5
    )
    assert np.isfinite(history.history["val_loss"]).all()


def test_arrays_of_strings_and_weights(classifier):
    expected = classifier.predict(TEXTS, batch_size=BATCH, verbose=0)
    for texts in (np.array(TEXTS), np.array(TEXTS, dtype=object)):
        got = classifier.predict(texts, batch_size=BATCH, verbose=0)
        np.testing.assert_array_equal(got, expected)
    log_softmax = expected - np.log(np.exp(expected).sum(1, keepdims=True))
    losses = -log_softmax[np.arange(32), LABELS]
    weights = np.random.default_rng(0).random(32)
    logs = classifier.evaluate(
        np.array(TEXTS), LABELS, BATCH, sample_weight=list(weights), verbose=0, return_dict=True
    )
    np.testing.assert_allclose(logs["loss"], np.mean(losses * weights), rtol=1e-4)


def test_features_instead_of_strings(classifier):
    x = classifier.preprocessor(TEXTS)
    np.testing.assert_array_equal(
        classifier.predict(x, batch_size=BATCH, verbose=0),
        classifier.predict(TEXTS, batch_size=BATCH, verbose=0),
    )
    classifier.fit(x, LABELS, batch_size=BATCH, verbose=0)
    logs = classifier.train_on_batch(TEXTS[:4], LABELS[:4], return_dict=True)
    assert np.isfinite(logs["loss"])


def strings(labels=LABELS, texts=TEXTS):
    return grain.MapDataset.source(list(zip(texts, labels))).batch(BATCH)


def test_grain_dataset_of_strings(classifier):
    expected = classifier.evaluate(TEXTS, LABELS, batch_size=BATCH, verbose=0, return_dict=True)
    logs = classifier.evaluate(strings(), verbose=0, return_dict=True)
    np.testing.assert_allclose(logs["loss"], expected["loss"], rtol=1e-5)
    history = classifier.fit(
        strings().shuffle(seed=1), epochs=2, validation_data=strings(), verbose=0
    )
    assert len(history.history["val_loss"]) == 2
    np.testing.assert_allclose(
        classifier.predict(strings(), verbose=0),
        classifier.predict(TEXTS, batch_size=BATCH, verbose=0),
        atol=5e-6,  # batches of other lengths are rounded otherwise
    )


def test_lists_beside_a_dataset(classifier):
    """Training on one kind of data and validating on the other."""
    expected = None
    for x, y, held_out in (
        (TEXTS, LABELS, (TEXTS, LABELS)),
        (TEXTS, LABELS, strings()),
        (strings(), None, (TEXTS, LABELS)),
    ):
        options = {} if y is None else dict(batch_size=BATCH)
        classifier.optimizer.learning_rate = 0.0
        history = classifier.fit(x, y, validation_data=held_out, verbose=0, **options).history
        expected = expected or history["val_accuracy"]
        np.testing.assert_allclose(history["val_accuracy"], expected)
    classifier.optimizer.learning_rate = 5e-3


def test_tf_data_of_features(classifier):
    tf = pytest.importorskip("tensorflow")
    x = classifier.preprocessor(TEXTS)
    features = tf.data.Dataset.from_tensor_slices((x, LABELS)).batch(BATCH)
    classifier.fit(features, verbose=0)
    np.testing.assert_allclose(
        classifier.predict(features, verbose=0),
        classifier.predict(x, batch_size=BATCH, verbose=0),
        atol=1e-6,
    )


BAD_DATA = {
    "label too large": (TEXTS, [2] * 32, ValueError, r"integers in \[0, 2\).*2"),
    "negative label": (TEXTS, [-1] * 32, ValueError, r"integers in \[0, 2\).*-1"),
    "parts": (TEXTS, [0.5] * 32, ValueError, "integers.*float"),
    "strings as labels": (TEXTS, ["no"] * 32, ValueError, "integers.*<U2"),
    "one-hot labels": (
        TEXTS,
        np.eye(2, dtype=int)[LABELS],
        ValueError,
        r"one label per example.*CategoricalCrossentropy",
    ),
    "too few labels": (TEXTS, LABELS[:-1], ValueError, r"of shape \(32,\).*\(31,\)"),
    "no texts": ([], [], ValueError, "no texts"),
    "numbers": ([1, 2], [0, 1], TypeError, "must be a string. Received: 1"),
    "one text": ("the dog", [0], TypeError, "list of texts. Received one text"),
    "unequal pair": ((TEXTS, TEXTS[1:]), LABELS, ValueError, "32 and 31 texts"),
    "an empty text": (["the dog", " "], [0, 1], ValueError, "empty text in row 1"),
    "nothing": (None, LABELS, TypeError, "list of texts. Received: None"),
}


@pytest.mark.parametrize("case", BAD_DATA)
def test_bad_data(case, classifier, values, same):
    x, y, error, message = BAD_DATA[case]
    before = values(classifier)
    for trial in (
        lambda: classifier.fit(x, y, verbose=0),
        lambda: classifier.evaluate(x, y, verbose=0),
        lambda: classifier.train_on_batch(x, y),
        lambda: classifier.fit(TEXTS, LABELS, validation_data=(x, y), verbose=0),
    ):
        with pytest.raises(error, match=message):
            trial()
        assert same(values(classifier), before)


def test_training_needs_labels(classifier, values, same):
    before = values(classifier)
    for trial in (
        lambda: classifier.fit(TEXTS, verbose=0),
        lambda: classifier.fit(strings().map(lambda batch: (batch[0],)), verbose=0),
        lambda: classifier.evaluate(TEXTS, verbose=0),
        lambda: classifier.train_on_batch(TEXTS),
    ):
        with pytest.raises(ValueError, match="[Ll]abels"):
            trial()
        assert same(values(classifier), before)


@pytest.mark.parametrize("weights", [np.ones(31), [-1.0] * 32, [np.nan] * 32, np.ones((32, 2))])
def test_bad_weights(weights, classifier):
    with pytest.raises(ValueError, match="weight of at least 0 per example.*Received"):
        classifier.fit(TEXTS, LABELS, sample_weight=weights, verbose=0)


def test_bad_numbers_of_rows_and_batches(classifier, values, same):
    before = values(classifier)
    for trial, message in (
        (lambda: classifier.fit(TEXTS, LABELS, batch_size=0), "`batch_size`.*batch_size=0"),
        (lambda: classifier.fit(TEXTS, LABELS, steps_per_epoch=-1), "steps_per_epoch=-1"),
        (lambda: classifier.fit(strings(), steps_per_epoch=np.nan), "steps_per_epoch=nan"),
        (lambda: classifier.fit(strings(), validation_steps=0), "validation_steps=0"),
        (lambda: classifier.evaluate(TEXTS, LABELS, steps=0), "`steps`.*steps=0"),
        (lambda: classifier.evaluate(TEXTS, LABELS, 0), "batch_size=0"),
        (lambda: classifier.predict(strings(), steps=-1), "steps=-1"),
        (lambda: classifier.predict(TEXTS, 0), "batch_size=0"),
    ):
        with pytest.raises(ValueError, match=f"{message}"):
            trial()
    assert same(values(classifier), before)


def test_bad_datasets(classifier, values, same):
    before = values(classifier)
    wrong = [1] * 4 + [7] * 28
    for first, message in ((strings(wrong[::-1]), r"integers in \[0, 2\).*7"),):
        with pytest.raises(ValueError, match=message):
            classifier.fit(first, verbose=0)
    with pytest.raises(Exception, match=r"integers in \[0, 2\).*7"):  # a later batch
        classifier.evaluate(strings(wrong), verbose=0)
    assert same(values(classifier), before)
    with pytest.raises(Exception, match=r"integers in \[0, 2\).*7"):
        classifier.fit(strings(wrong), verbose=0)
    assert all(np.isfinite(value).all() for value in values(classifier).values())
    with pytest.raises(ValueError, match="without any batch"):
        classifier.fit(strings([], []), verbose=0)


def test_bad_features(classifier, values, same):
    before = values(classifier)
    good = classifier.preprocessor(TEXTS)
    for changes, message in (
        ({"token_ids": good["token_ids"] + 300}, r"token_ids.*\[0, 300\)"),
        ({"padding_mask": good["padding_mask"] * 1}, "padding_mask.*dtype bool"),
        ({"segment_ids": good["segment_ids"][:, :8]}, "segment_ids.*T = 16"),
        ({"order": good["segment_ids"]}, "exactly the features"),
    ):
        with pytest.raises(ValueError, match=message):
            classifier.fit({**good, **changes}, LABELS, verbose=0)
    del good["padding_mask"]
    with pytest.raises(ValueError, match="exactly the features"):
        classifier.predict(good, verbose=0)
    assert same(values(classifier), before)


def test_strings_need_a_preprocessor(make_backbone):
    model = TextClassifier(make_backbone(num_layers=1), num_classes=2)
    with pytest.raises(ValueError, match="no preprocessor.*dict of the features"):
        model.fit(TEXTS, LABELS, verbose=0)


def test_labels_that_are_names(make_backbone, tokenizer, graph, tmp_path):
    names = ["animal", "house"]
    preprocessor = TextPreprocessor(tokenizer, 16)
    model = TextClassifier(make_backbone(num_layers=1), 2, preprocessor, class_names=names)
    model.compile(**graph)
    numbered = model.evaluate(TEXTS, LABELS, BATCH, verbose=0, return_dict=True)
    named = [names[label] for label in LABELS]
    features = preprocessor(TEXTS)
    for x, y in ((TEXTS, named), (TEXTS, np.array(named)), (features, named)):
        assert model.evaluate(x, y, BATCH, verbose=0, return_dict=True) == numbered
    assert model.evaluate(strings(named), verbose=0, return_dict=True) == pytest.approx(numbered)
    history = model.fit(TEXTS, named, BATCH, validation_data=(TEXTS, named), verbose=0).history
    assert np.isfinite(history["val_loss"]).all()
    with pytest.raises(ValueError, match=r"among \['animal', 'house'\]. Received: 'car' in text 3"):
        model.fit(TEXTS, [*named[:3], "car", *named[4:]], verbose=0)
    model.save_to_preset(str(tmp_path / "preset"))
    model.save(tmp_path / "model.keras")
    again = TextClassifier.from_preset(str(tmp_path / "preset"))
    for other in (again, keras.saving.load_model(tmp_path / "model.keras")):
        assert other.class_names == names and not other.multi_label
    assert TextClassifier.from_preset(str(tmp_path / "preset"), num_classes=3).class_names is None


def test_several_classes_at_once(make_backbone, tokenizer, graph, tmp_path):
    names = ["animal", "house", "I/O."]
    model = TextClassifier(
        make_backbone(num_layers=1),
        3,
        TextPreprocessor(tokenizer, 16),
        class_names=names,
        multi_label=True,
    )
    model.compile(**graph)
    several = [[names[0]], names[1:], [], names[::2]] * 8
    rows = np.array([[1, 0, 0], [0, 1, 1], [0, 0, 0], [1, 0, 1]] * 8)
    with_a_loud_head(model)
    logits = model.predict(TEXTS, BATCH, verbose=0).astype("float64")
    losses = np.log1p(np.exp(-np.abs(logits))) + np.maximum(logits, 0) - rows * logits
    expected = {"loss": losses.mean(), "accuracy": ((logits > 0) == rows).mean()}
    for labels in (several, rows, rows.tolist(), rows.astype(bool), rows.astype("float32")):
        logs = model.evaluate(TEXTS, labels, BATCH, verbose=0, return_dict=True)
        assert logs == pytest.approx(expected, rel=1e-4)
    model.compile(metrics=[StrictAccuracy(), LooseF1("micro")], **graph)
    logs = model.evaluate(TEXTS, several, BATCH, verbose=0, return_dict=True)
    predicted = logits > 0
    assert logs["strict_accuracy"] == pytest.approx((predicted == rows).all(axis=1).mean())
    right = (predicted * rows).sum()
    assert logs["loose_f1"] == pytest.approx(2 * right / (predicted.sum() + rows.sum()))
    model.compile(keras.optimizers.Adam(1e-2), **graph)
    model.fit(TEXTS, several, BATCH, epochs=4, verbose=0)
    logs = model.evaluate(TEXTS, several, BATCH, verbose=0, return_dict=True)
    assert logs["loss"] < expected["loss"]
    model.save_to_preset(str(tmp_path / "preset"))
    model.save(tmp_path / "model.keras")
    again = TextClassifier.from_preset(str(tmp_path / "preset"))
    for other in (again, keras.saving.load_model(tmp_path / "model.keras")):
        assert other.multi_label and other.class_names == names
        assert isinstance(other.loss, keras.losses.BinaryCrossentropy)
    for wrong, message in (
        (LABELS, "a row of 3 numbers per example"),
        (rows[:, :2], r"of shape \(32, 2\)"),
        (rows * 2, "from 0 to 1"),
        ([*several[:-1], ["cat"]], r"Received: 'cat' in text 31"),
    ):
        with pytest.raises(ValueError, match=message):
            model.fit(TEXTS, wrong, verbose=0)


def test_classify(make_backbone, tokenizer, quick):
    """Logits of which the probabilities are known: 1, 2 and 5 eighths; yes and no of each."""
    preprocessor, backbone = TextPreprocessor(tokenizer, 16), make_backbone(num_layers=1)
    names = ["low", "mid", "high"]
    for arguments, bias, expected, label in (
        ({}, np.log([1, 2, 5]), [1 / 8, 2 / 8, 5 / 8], 2),
        ({"class_names": names}, np.log([5, 2, 1]), [5 / 8, 2 / 8, 1 / 8], "low"),
        ({"class_names": names}, [1000, 0, -1000], [1, 0, 0], "low"),
        ({"multi_label": True}, np.log([4, 1, 9]), [4 / 5, 1 / 2, 9 / 10], [0, 2]),
        ({"multi_label": True, "class_names": names}, [-800, 800, 0], [0, 1, 0.5], ["mid"]),
        ({"multi_label": True, "class_names": names}, [-1, -1, -1], [0.26894142] * 3, []),
    ):
        model = TextClassifier(backbone, 3, preprocessor, **arguments)
        model.compile(**quick)
        kernel, offset = model.heads["label"].logits.weights
        kernel.assign(np.zeros(kernel.shape))
        offset.assign(bias)
        for texts in (TEXTS[:2], (TEXTS[:2], TEXTS[2:4])):
            found = model.classify(texts)
            assert [one.label for one in found] == [label, label]
            assert list(found[1].probabilities) == arguments.get("class_names", [0, 1, 2])
            np.testing.assert_allclose(list(found[1].probabilities.values()), expected, atol=1e-6)


def test_classify_keeps_the_order_of_texts(make_classifier, quick):
    model = with_a_loud_head(make_classifier(num_layers=1))
    model.compile(**quick)
    texts = [TEXTS[0], TEXTS[1] + " " + TEXTS[2], TEXTS[3]]
    logits, found = model.predict(texts, verbose=0), model.classify(texts, batch_size=2)
    shares = [one.probabilities[1] for one in found]
    np.testing.assert_allclose(shares, 1 / (1 + np.exp(logits[:, 0] - logits[:, 1])), atol=1e-5)
    assert np.ptp(shares) > 1e-3
    assert [one.label for one in found] == logits.argmax(axis=1).tolist()
    with pytest.raises(TypeError, match="one text"):
        model.classify("the dog")


def test_bad_names_of_classes(make_backbone):
    for arguments, message in (
        (dict(class_names=["one"]), "`class_names` must be 2 different strings"),
        (dict(multi_label=1), "`multi_label` must be True or False"),
    ):
        with pytest.raises(ValueError, match=message):
            TextClassifier(make_backbone(num_layers=1), 2, **arguments)


@pytest.mark.parametrize("num_classes", [1, 0, 2.0, "2", None])
def test_bad_number_of_classes(num_classes, make_backbone):
    with pytest.raises(ValueError, match="`num_classes` must be an integer.*Received"):
        TextClassifier(make_backbone(num_layers=1), num_classes)


def test_unknown_arguments(make_backbone, tokenizer):
    with pytest.raises(ValueError, match=r"TextClassifier has no arguments \['features_'\]"):
        TextClassifier(make_backbone(num_layers=1), 2, features_="top")


def test_the_query_vector_is_frozen(make_classifier, make_pretrainer):
    frozen, free = make_classifier(num_layers=1), make_pretrainer(num_layers=1)
    for model, trained in ((frozen, False), (free, True)):
        vector = model.backbone.embedding.query_vector
        assert any(one is vector for one in model.weights)
        assert any(one is vector for one in model.trainable_variables) == trained
    model = frozen
    assert len(model.trainable_variables) == len(free.trainable_variables) - 2 + 4


def test_default_compilation(make_classifier, with_xla):
    model = make_classifier(num_layers=1)
    assert model.jit_compile == (keras.backend.backend() == "jax")
    model.optimizer.build(model.trainable_variables)
    free = {v.name for v in model.trainable_variables if not model.optimizer._use_weight_decay(v)}
    assert free == {"bias", "beta", "gamma"}


def test_head_reads_the_last_token(make_classifier):
    """The logits are the head over the output at CLS."""
    model = make_classifier(num_layers=1)
    x = model.preprocessor(TEXTS[:2])
    rows = model.backbone.encode(x)["sequence_output"][:, -1]
    np.testing.assert_allclose(to_numpy(model.heads["label"](rows)), to_numpy(model(x)), atol=1e-5)
    assert (x["token_ids"][:, -1] == model.preprocessor.tokenizer.cls_token_id).all()
