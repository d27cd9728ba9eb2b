import logging

import grain
import keras
import numpy as np
import pytest

from keras_plm.tasks import TokenClassifier, WordPreprocessor

BATCH = 4
NAMES = ["O", "B-person", "I-person"]
PEOPLE = "Botchan Kiyo Clown Redshirt".split()


def tagged_texts(count, seed=0):
    """Texts with people of one or two words."""
    random = np.random.default_rng(seed)
    texts, labels = [], []
    for _ in range(count):
        words, tags = [], []
        for _ in range(3):
            words.append(str(random.choice(["the", "was", "understand"])))
            tags.append("O")
            people = int(random.integers(0, 3))
            words += [str(one) for one in random.choice(PEOPLE, people)]
            tags += NAMES[1:][:people]
        texts.append(words)
        labels.append(tags)
    return texts, labels


TEXTS, LABELS = tagged_texts(32)


@pytest.fixture(scope="module")
def tagger(make_backbone, tokenizer, graph):
    keras.utils.set_random_seed(0)  # made before the seed of any test is set
    preprocessor = WordPreprocessor(tokenizer, 48)
    model = TokenClassifier(
        make_backbone(num_layers=1), 3, preprocessor, class_names=NAMES, dropout=0.0
    )
    model.compile(keras.optimizers.Adam(5e-3), **graph)
    return model


@pytest.mark.slow
def test_learns_from_words(tagger):
    tagger.fit(*tagged_texts(64), batch_size=BATCH, epochs=15, verbose=0)
    texts, labels = tagged_texts(32, seed=1)
    logs = tagger.evaluate(texts, labels, batch_size=BATCH, verbose=0, return_dict=True)
    assert logs["entity_f1"] > 0.8 and logs["accuracy"] > 0.9
    tags = tagger.tag(texts, batch_size=BATCH, verbose=0)
    assert [len(one) for one in tags] == [len(one) for one in texts]
    right = [a == b for one, other in zip(tags, labels) for a, b in zip(one, other)]
    np.testing.assert_allclose(np.mean(right), logs["accuracy"], atol=1e-5)


def test_each_word_counts_the_same_in_the_accuracy(tagger):
    """Batches have rows of several lengths; Keras's metric would weigh words by them."""
    texts, labels = tagged_texts(32, seed=1)
    assert len({len(text) for text in texts}) > 3
    tags = tagger.tag(texts, batch_size=BATCH, verbose=0)
    words = sum(map(len, texts))
    for number in (0, 5, 11, 30):
        wrong = [list(own) for own in tags]
        wrong[number][0] = NAMES[(NAMES.index(wrong[number][0]) + 1) % len(NAMES)]
        logs = tagger.evaluate(texts, wrong, batch_size=BATCH, verbose=0, return_dict=True)
        assert logs["accuracy"] == pytest.approx(1 - 1 / words, abs=1e-6)


def word_losses(model, texts, labels):
    features, positions = model.preprocessor.features_and_words(texts)
    logits = model.predict(features, batch_size=BATCH, verbose=0)
    logits = logits.astype("float64")
    log_softmax = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return [
        [-one[place, NAMES.index(tag)] for place, tag in zip(places, tags)]
        for one, places, tags in zip(log_softmax, positions, labels)
    ]


def test_the_loss_is_the_mean_over_words(tagger):
    texts, labels = TEXTS[:BATCH], LABELS[:BATCH]
    losses = word_losses(tagger, texts, labels)
    assert len({len(one) for one in losses}) > 1
    ids = [[NAMES.index(tag) for tag in own] for own in labels]
    for same_labels in (labels, ids):
        loss = tagger.evaluate(texts, same_labels, BATCH, verbose=0, return_dict=True)["loss"]
        np.testing.assert_allclose(loss, np.mean(np.concatenate(losses)), rtol=1e-4, atol=1e-6)
    weights = [1.0, 0.0, 2.0, 0.5]
    expected = sum(w * sum(own) for w, own in zip(weights, losses))
    expected /= sum(w * len(own) for w, own in zip(weights, losses))
    per_word = [[w] * len(own) for w, own in zip(weights, losses)]
    for sample_weight in (weights, per_word):
        loss = tagger.evaluate(
            texts, labels, BATCH, sample_weight=sample_weight, verbose=0, return_dict=True
        )["loss"]
        np.testing.assert_allclose(loss, expected, rtol=1e-4, atol=1e-6)


def test_neither_batch_mates_nor_padding_matter(tagger, tmp_path, graph, caplog):
    tagger.save_to_preset(str(tmp_path / "preset"))
    with caplog.at_level(logging.WARNING, "keras_plm"):
        longer = TokenClassifier.from_preset(str(tmp_path / "preset"), sequence_length=56)
    assert not caplog.records and longer.class_names == NAMES
    longer.compile(**graph)

    def logits(model, texts):
        features, positions = model.preprocessor.features_and_words(texts)
        rows = model.predict(features, batch_size=BATCH, verbose=0)
        return [row[places] for row, places in zip(rows, positions)]

    expected = logits(tagger, TEXTS[:4])
    for got in (
        logits(tagger, TEXTS[3::-1])[::-1],
        [logits(tagger, [text])[0] for text in TEXTS[:4]],
        logits(longer, TEXTS[:4]),
    ):
        for one, other in zip(got, expected):
            # A trained model has sharp attention, which rounds by 1e-5 (against 64 bits); a
            # word of padding more is a difference of .1 to .3.
            np.testing.assert_allclose(one, other, atol=2e-4)


def test_words_beyond_the_length(tagger, caplog):
    texts = [["the"] * 60, ["Kiyo"]]
    with caplog.at_level(logging.WARNING, "keras_plm"):
        tags = tagger.tag(texts, batch_size=BATCH, verbose=0)
    assert [len(one) for one in tags] == [60, 1]
    missing = tags[0].count(None)
    assert 0 < missing < 60 and tags[0][60 - missing :] == [None] * missing
    assert f"{missing} words lie beyond sequence_length=48" in caplog.text
    tagger.evaluate(texts, [["O"] * 60, ["O"]], batch_size=BATCH, verbose=0)


def test_grain_dataset_of_words(tagger):
    rows = list(zip(TEXTS[:8], LABELS[:8]))
    dataset = grain.MapDataset.source(rows).batch(
        BATCH, batch_fn=lambda batch: tuple(list(part) for part in zip(*batch))
    )
    expected = tagger.evaluate(TEXTS[:8], LABELS[:8], BATCH, verbose=0, return_dict=True)
    logs = tagger.evaluate(dataset, verbose=0, return_dict=True)
    np.testing.assert_allclose(logs["entity_f1"], expected["entity_f1"], rtol=1e-5)


BAD_LABELS = {
    "unknown name": ([["X"] * len(text) for text in TEXTS], "among.*Received: 'X' in text 0"),
    "too large": ([[3] * len(text) for text in TEXTS], r"integers in \[0, 3\).*3"),
    "negative": ([[-1] * len(text) for text in TEXTS], r"integers in \[0, 3\).*-1"),
    "parts": ([[0.5] * len(text) for text in TEXTS], "integers.*float"),
    "too few": ([[1] * (len(text) - 1) for text in TEXTS], "one label per word"),
    "of texts": ([0] * 32, "one label per word"),
    "of fewer texts": (LABELS[1:], "31 for 32 texts"),
    "none": (None, "need labels"),
    "a number": (3, "Received: .* for 32 texts"),
}


@pytest.mark.parametrize("case", BAD_LABELS)
def test_bad_labels(case, tagger, values, same):
    labels, message = BAD_LABELS[case]
    before = values(tagger)
    for call in (tagger.fit, tagger.evaluate):
        with pytest.raises(ValueError, match=message):
            call(TEXTS, labels, verbose=0)
    assert same(values(tagger), before)


def test_bad_weights_and_features(tagger):
    for weights, message in (([-1.0], "at least 0"), ([0.0], "not all 0"), ([np.nan], "finite")):
        with pytest.raises(ValueError, match=message):
            tagger.fit(TEXTS, LABELS, sample_weight=weights * 32, verbose=0)
    x = tagger.preprocessor(TEXTS)
    y = np.zeros(x["token_ids"].shape, "int32")
    with pytest.raises(ValueError, match="need a `sample_weight`"):
        tagger.fit(x, y, verbose=0)
    with pytest.raises(ValueError, match=r"one label per token: labels of shape \(32, 48\)"):
        tagger.fit(x, y[:, 0], sample_weight=y[:, 0], verbose=0)


@pytest.mark.parametrize(
    "number, names, message",
    [
        (1, None, "`num_classes` must be an integer"),
        (3, ["O", "B-a"], "3 different strings"),
        (2, ["O", "O"], "2 different strings"),
        (2, ["O", 1], "2 different strings"),
    ],
)
def test_bad_classes(number, names, message, make_backbone):
    with pytest.raises(ValueError, match=message):
        TokenClassifier(make_backbone(num_layers=1), number, class_names=names)


def test_names_need_names(make_backbone, tokenizer):
    preprocessor = WordPreprocessor(tokenizer, 24)
    model = TokenClassifier(make_backbone(num_layers=1), 3, preprocessor)
    with pytest.raises(ValueError, match="need `class_names`. Received: 'O'"):
        model.fit([["a"]], [["O"]], verbose=0)


def test_from_a_pretrainer(make_pretrainer, tmp_path, caplog):
    pretrainer = make_pretrainer(num_layers=1)
    pretrainer.save_to_preset(str(tmp_path / "preset"))
    with caplog.at_level(logging.WARNING, "keras_plm"):
        model = TokenClassifier.from_preset(str(tmp_path / "preset"), num_classes=2)
    assert "start new: ['token_label']" in caplog.text
    weights = pretrainer.backbone.get_weights()
    assert all(map(np.array_equal, weights, model.backbone.get_weights()))
    assert model.preprocessor.sequence_length == pretrainer.preprocessor.sequence_length
