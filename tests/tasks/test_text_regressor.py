import logging

import keras
import numpy as np
import pytest

from keras_plm.metrics import PearsonCorrelation, SpearmanCorrelation
from keras_plm.tasks import TextPreprocessor, TextRegressor

BATCH = 4
WORDS = "the a was and of".split()


def scored_texts(count, seed=0):
    """Texts of five words, and how many of them are "dog"."""
    random = np.random.default_rng(seed)
    scores = random.integers(0, 6, count)
    texts = [
        " ".join(random.permutation(["dog"] * score + list(random.choice(WORDS, 5 - score))))
        for score in scores
    ]
    return texts, scores.astype("float32")


TEXTS, SCORES = scored_texts(32)


@pytest.fixture(scope="module")
def regressor(make_backbone, tokenizer, graph):
    backbone = make_backbone(num_layers=1)
    model = TextRegressor(backbone, TextPreprocessor(tokenizer, 24), dropout=0.0)
    metrics = [PearsonCorrelation(), SpearmanCorrelation(64)]
    model.compile(keras.optimizers.Adam(5e-3), metrics=metrics, **graph)
    return model


@pytest.mark.slow
def test_learns_from_raw_strings(regressor):
    regressor.fit(TEXTS, SCORES, batch_size=BATCH, epochs=10, verbose=0)
    texts, scores = scored_texts(32, seed=1)
    logs = regressor.evaluate(texts, scores, batch_size=BATCH, verbose=0, return_dict=True)
    assert logs["spearman"] > 0.8 and logs["loss"] < 0.5 * np.var(scores)
    predictions = regressor.predict(texts, batch_size=BATCH, verbose=0)
    assert predictions.shape == (32, 1)
    expected = np.corrcoef(predictions[:, 0], scores)[0, 1]
    np.testing.assert_allclose(logs["pearson"], expected, atol=1e-5)


def test_the_loss_compares_each_with_its_own(regressor):
    errors = regressor.predict(TEXTS, batch_size=BATCH, verbose=0)[:, 0] - SCORES
    for scores in (SCORES, SCORES[:, None], SCORES.tolist(), SCORES.astype("int64")):
        logs = regressor.evaluate(TEXTS, scores, BATCH, verbose=0, return_dict=True)
        np.testing.assert_allclose(logs["loss"], np.mean(errors**2), rtol=1e-4)
    weights = np.random.default_rng(0).random(32)
    logs = regressor.evaluate(TEXTS, SCORES, BATCH, weights, verbose=0, return_dict=True)
    np.testing.assert_allclose(logs["loss"], np.mean(weights * errors**2), rtol=1e-4)


def test_neither_batch_mates_nor_padding_matter(regressor, tmp_path, graph, caplog):
    regressor.save_to_preset(str(tmp_path / "preset"))
    with caplog.at_level(logging.WARNING, "keras_plm"):
        longer = TextRegressor.from_preset(str(tmp_path / "preset"), sequence_length=32)
    assert not caplog.records  # the head was there
    longer.compile(**graph)
    expected = regressor.predict(TEXTS[:4], batch_size=BATCH, verbose=0)
    for texts, model in ((TEXTS[3::-1], regressor), (TEXTS[3::-1], longer)):
        got = model.predict(texts, batch_size=BATCH, verbose=0)[::-1]
        np.testing.assert_allclose(got, expected, atol=2e-4)
    alone = regressor.predict(TEXTS[:1], batch_size=BATCH, verbose=0)
    np.testing.assert_allclose(alone, expected[:1], atol=2e-4)


BAD_LABELS = {
    "not a number": ([np.nan] * 32, "finite numbers"),
    "infinite": ([np.inf] * 32, "finite numbers"),
    "strings": (["1"] * 32, "finite numbers"),
    "too few": (SCORES[1:], r"one label per example.*\(32,\).*\(31,\)"),
    "a row": (SCORES[None], r"one label per example.*\(1, 32\)"),
    "several": (np.ones((32, 2)), r"one label per example"),
    "one": (3.0, "one label per example"),
}


@pytest.mark.parametrize("case", BAD_LABELS)
def test_bad_labels(case, regressor, values, same):
    labels, message = BAD_LABELS[case]
    before = values(regressor)
    for call in (regressor.fit, regressor.evaluate):
        with pytest.raises(ValueError, match=message):
            call(TEXTS, labels, verbose=0)
    with pytest.raises(ValueError, match="weight of at least 0"):
        regressor.fit(TEXTS, SCORES, sample_weight=[-1.0] * 32, verbose=0)
    assert same(values(regressor), before)


def test_from_a_pretrainer(make_pretrainer, tmp_path, caplog):
    pretrainer = make_pretrainer(num_layers=1)
    pretrainer.save_to_preset(str(tmp_path / "preset"))
    with caplog.at_level(logging.WARNING, "keras_plm"):
        model = TextRegressor.from_preset(str(tmp_path / "preset"))
    assert "start new: ['score']" in caplog.text
    weights = pretrainer.backbone.get_weights()
    assert all(map(np.array_equal, weights, model.backbone.get_weights()))
