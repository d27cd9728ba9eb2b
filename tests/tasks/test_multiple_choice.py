import logging

import keras
import numpy as np
import pytest

from keras_plm.tasks import ChoicePreprocessor, MultipleChoice

BATCH = 4
WORDS = "dog cat door room fish wall".split()


def questions(count, seed=0):
    """Which of three words does the context end with?"""
    random = np.random.default_rng(seed)
    contexts, choices, labels = [], [], []
    for _ in range(count):
        own = [str(word) for word in random.choice(WORDS, 3, replace=False)]
        label = int(random.integers(0, 3))
        contexts.append(f"the {own[label]}")
        choices.append(own)
        labels.append(label)
    return (contexts, choices), labels


X, LABELS = questions(32)


@pytest.fixture(scope="module")
def chooser(make_backbone, tokenizer, graph):
    backbone = make_backbone(num_layers=2, hidden_dim=32)
    model = MultipleChoice(backbone, ChoicePreprocessor(tokenizer, 20, 10), dropout=0.0)
    model.compile(keras.optimizers.Adam(5e-3), **graph)
    return model


@pytest.mark.slow
def test_learns_which_choice(chooser):
    chooser.fit(*questions(96), batch_size=BATCH, epochs=7, verbose=0)
    x, labels = questions(64, seed=1)
    logs = chooser.evaluate(x, labels, batch_size=BATCH, verbose=0, return_dict=True)
    assert logs["accuracy"] > 0.6
    logits = chooser.predict(x, batch_size=BATCH, verbose=0)
    assert logits.shape == (64, 3)
    np.testing.assert_allclose(np.mean(logits.argmax(1) == labels), logs["accuracy"], atol=1e-6)


def test_the_logit_of_a_choice_is_its_own(chooser, tmp_path, graph, caplog):
    """Neither the other choices, nor batch mates, nor padding matter."""
    chooser.save_to_preset(str(tmp_path / "preset"))
    with caplog.at_level(logging.WARNING, "keras_plm"):
        longer = MultipleChoice.from_preset(str(tmp_path / "preset"), sequence_length=24)
    assert not caplog.records and longer.preprocessor.max_choice_length == 10
    longer.compile(**graph)
    contexts, choices = X[0][:4], X[1][:4]

    def logits(model, *x):
        return model.predict(x, batch_size=BATCH, verbose=0)

    expected = logits(chooser, contexts, choices)
    assert np.ptp(expected) > 0.1
    turned = [own[::-1] for own in choices[::-1]]
    for got in (
        logits(chooser, contexts[::-1], turned)[::-1, ::-1],
        logits(longer, contexts, choices),
        np.concatenate([logits(chooser, [c], [own]) for c, own in zip(contexts, choices)]),
    ):
        np.testing.assert_allclose(got, expected, atol=2e-4)


def test_the_loss(chooser):
    logits = chooser.predict(X, batch_size=BATCH, verbose=0)
    losses = np.log(np.exp(logits).sum(1)) - logits[np.arange(32), LABELS]
    weights = np.random.default_rng(0).random(32)
    for sample_weight, expected in ((None, losses), (weights, weights * losses)):
        logs = chooser.evaluate(
            X, LABELS, BATCH, sample_weight=sample_weight, verbose=0, return_dict=True
        )
        np.testing.assert_allclose(logs["loss"], np.mean(expected), rtol=1e-4, atol=1e-6)


def test_features_instead_of_strings(chooser):
    x = chooser.preprocessor(X)
    expected = chooser.predict(X, batch_size=BATCH, verbose=0)
    np.testing.assert_array_equal(chooser.predict(x, batch_size=BATCH, verbose=0), expected)
    for changes, message in (
        ({"token_ids": x["token_ids"] + 300}, r"token_ids.*\[0, 300\)"),
        ({"token_ids": x["token_ids"][:, 0]}, r"same shape \(B, C, T\)"),
        ({"padding_mask": x["padding_mask"] * 1}, "padding_mask.*dtype bool"),
        ({"order": x["token_ids"]}, "exactly the features"),
    ):
        with pytest.raises(ValueError, match=message):
            chooser.predict({**x, **changes}, verbose=0)


BAD_DATA = {
    "label too large": (X, [3] * 32, ValueError, r"integers in \[0, 3\).*3"),
    "negative label": (X, [-1] * 32, ValueError, r"integers in \[0, 3\).*-1"),
    "choices as labels": (X, [own[0] for own in X[1]], ValueError, "integers"),
    "too few labels": (X, LABELS[1:], ValueError, "one label per example"),
    "no labels": (X, None, ValueError, "need labels"),
    "unequal choices": (
        (X[0], [["dog", "cat"], *X[1][1:]]),
        LABELS,
        ValueError,
        "same number of choices",
    ),
    "an empty choice": ((X[0], [["dog", "", "cat"]] * 32), LABELS, ValueError, "empty text"),
    "texts": (X[0], LABELS, ValueError, "must be a tuple"),
}


@pytest.mark.parametrize("case", BAD_DATA)
def test_bad_data(case, chooser, values, same):
    x, labels, error, message = BAD_DATA[case]
    before = values(chooser)
    for call in (chooser.fit, chooser.evaluate):
        with pytest.raises(error, match=message):
            call(x, labels, verbose=0)
    assert same(values(chooser), before)


def test_from_a_pretrainer(make_pretrainer, tmp_path, caplog):
    pretrainer = make_pretrainer(num_layers=1)
    pretrainer.save_to_preset(str(tmp_path / "preset"))
    with caplog.at_level(logging.WARNING, "keras_plm"):
        model = MultipleChoice.from_preset(str(tmp_path / "preset"))
    assert "start new: ['choice']" in caplog.text
    weights = pretrainer.backbone.get_weights()
    assert all(map(np.array_equal, weights, model.backbone.get_weights()))
