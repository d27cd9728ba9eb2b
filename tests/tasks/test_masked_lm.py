import logging

import keras
import numpy as np
import pytest
from keras import ops

from keras_plm.tasks import MaskedLM, TextPreprocessor

TEXTS = ["the dog was red", "a fish", "I went to the boat"]
MASKED = ["the [MASK] was red", "[MASK] fish [MASK]"]


@pytest.fixture(scope="module")
def model(make_transformer, wordpiece, quick):
    backbone = make_transformer(wordpiece.vocabulary_size + 3)
    model = MaskedLM(backbone, TextPreprocessor(wordpiece, 48))
    model.compile(**quick)
    return model


def log_probabilities(model, ids):
    """Of all tokens at all positions of one row, (n, V), by hand."""
    features = model.preprocessor.padded([(ids, [0] * len(ids))])
    rows = np.array(model.backbone.predict_on_batch(features))[0, : len(ids)]  # (n, D)
    head = model.heads["tokens"]
    kernel, bias = (np.array(weight) for weight in head.transform.get_weights())
    rows = np.array(keras.activations.gelu(rows @ kernel + bias, approximate=False))
    rows = (rows - rows.mean(-1, keepdims=True)) / rows.std(-1, keepdims=True)
    table = np.array(ops.convert_to_numpy(model.backbone.token_embedding.embeddings))
    return np.array(ops.log_softmax(rows @ table.T, axis=-1))


def test_fill_mask_is_what_a_hand_computes(model, wordpiece):
    filled = model.fill_mask(MASKED, top_k=4, batch_size=2)
    assert [len(masks) for masks in filled] == [1, 2]
    (mask,) = filled[0]
    assert len(mask) == 4
    the, rest = wordpiece.encode("the"), wordpiece.encode("was red")
    ids = [wordpiece.cls_token_id, *the, wordpiece.mask_token_id, *rest, wordpiece.sep_token_id]
    expected = np.exp(log_probabilities(model, ids)[1 + len(the)])
    best = np.argsort(-expected[: wordpiece.vocabulary_size])[:4]
    assert [one.token_id for one in mask] == best.tolist()
    assert [one.token for one in mask] == wordpiece.pieces(best)
    np.testing.assert_allclose([one.probability for one in mask], expected[best], atol=1e-5)


def test_fill_mask_alone_and_in_company(model):
    together = model.fill_mask(MASKED, top_k=2, batch_size=4)
    (alone,) = model.fill_mask(MASKED[1:], top_k=2, batch_size=4)
    assert len(alone) == 2
    for one, other in zip(alone, together[1]):
        assert [(a.token, a.token_id) for a in one] == [(b.token, b.token_id) for b in other]
        np.testing.assert_allclose(one[0].probability, other[0].probability, atol=1e-5)


def test_score_is_a_loop(model, wordpiece):
    scores = model.score(TEXTS, batch_size=4)
    assert scores.shape == (3,)
    for text, score in zip(TEXTS, scores):
        row = [wordpiece.cls_token_id, *wordpiece.encode(text), wordpiece.sep_token_id]
        expected = 0.0
        for place in range(1, len(row) - 1):
            masked = [*row[:place], wordpiece.mask_token_id, *row[place + 1 :]]
            expected += log_probabilities(model, masked)[place, row[place]]
        np.testing.assert_allclose(score, expected, rtol=1e-4)
    np.testing.assert_allclose(model.score(TEXTS[::-1], batch_size=4)[::-1], scores, rtol=1e-5)
    np.testing.assert_allclose(model.score(TEXTS[:1], batch_size=4), scores[:1], rtol=1e-5)


def features_of(model, texts, seed=0):
    """Features with one masked token per text, and their targets."""
    random = np.random.default_rng(seed)
    features = model.keep_inputs(model.preprocessor.call(texts))
    places = random.integers(1, 3, (len(texts), 1)).astype("int32")
    rows = np.arange(len(texts))[:, None]
    targets = features["token_ids"][rows, places]
    features["token_ids"][rows, places] = model.preprocessor.tokenizer.mask_token_id
    weights = np.ones(targets.shape, "float32")
    return {**features, "target_positions": places}, {"tokens": targets}, {"tokens": weights}


def test_learns_from_features(make_transformer, wordpiece, graph):
    preprocessor = TextPreprocessor(wordpiece, 16)
    model = MaskedLM(make_transformer(wordpiece.vocabulary_size), preprocessor)
    model.compile(keras.optimizers.Adam(1e-2), **graph)
    x, y, sample_weight = features_of(model, TEXTS * 4)
    before = model.evaluate(x, y, 4, sample_weight, verbose=0, return_dict=True)
    model.fit(x, y, 4, sample_weight=sample_weight, epochs=6, verbose=0)
    after = model.evaluate(x, y, 4, sample_weight, verbose=0, return_dict=True)
    assert after["loss"] < 0.5 * before["loss"]
    assert {"loss", "accuracy", "perplexity"} <= set(after)
    with pytest.raises(ValueError, match=r"integers in \[0, 300\)"):
        model.fit(x, {"tokens": y["tokens"] + 300}, sample_weight=sample_weight, verbose=0)
    with pytest.raises(ValueError, match="use `Pretrainer`"):
        model.fit(TEXTS, verbose=0)


def test_a_head_without_transform_is_found_by_what_it_is(make_transformer, tmp_path, caplog):
    """The preset of another task says how its head was made."""
    plain = MaskedLM(make_transformer(20), None, False, "relu", use_bias=False)
    plain.save_to_preset(str(tmp_path / "preset"))
    path = tmp_path / "preset" / "task.json"
    text = path.read_text("utf-8")
    assert '"class": "MaskedLM"' in text
    path.write_text(text.replace('"class": "MaskedLM"', '"class": "Pretrainer"'), "utf-8")
    with caplog.at_level(logging.WARNING, "keras_plm"):
        again = MaskedLM.from_preset(str(tmp_path / "preset"))
    assert not caplog.records
    expected = {"transform": False, "head_activation": "relu", "use_bias": False}
    assert again.settings() == expected


def test_backbones_that_predict_otherwise(make_backbone, make_transformer):
    with pytest.raises(TypeError, match="use PermutationLM. Received: XLNetBackbone"):
        MaskedLM(make_backbone(num_layers=1))
    with pytest.raises(ValueError, match="causal=True"):
        MaskedLM(make_transformer(20, causal=True))


def test_bad_arguments(model, make_transformer):
    with pytest.raises(ValueError, match="top_k=0"):
        model.fill_mask(MASKED, top_k=0)
    with pytest.raises(ValueError, match="batch_size=0"):
        model.score(TEXTS, batch_size=0)
    with pytest.raises(TypeError, match="a tuple"):
        model.score((TEXTS, TEXTS))
    with pytest.raises(ValueError, match="need a preprocessor"):
        MaskedLM(make_transformer(20)).fill_mask(MASKED)
