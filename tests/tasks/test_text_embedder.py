import logging

import numpy as np
import pytest
from keras import ops

from keras_plm.tasks import TextEmbedder, TextPreprocessor

TEXTS = ["the dog was red", "a fish", "I went to the boat of the red fish"]


@pytest.fixture(scope="module")
def embedders(make_backbone, make_transformer, tokenizer, wordpiece, quick):
    made = {
        "xlnet": TextEmbedder(make_backbone(num_layers=1), TextPreprocessor(tokenizer, 48)),
        "transformer": TextEmbedder(
            make_transformer(wordpiece.vocabulary_size, num_layers=1, pooler=True),
            TextPreprocessor(wordpiece, 48),
        ),
    }
    for model in made.values():
        model.compile(**quick)
    return made


@pytest.fixture(scope="module")
def hidden_states(embedders):
    """For each kind and text the real tokens' rows of every layer, a list of (n, D)."""
    found = {}
    for kind, model in embedders.items():
        features = model.preprocessor.call(TEXTS)
        tensors = {name: ops.convert_to_tensor(value) for name, value in features.items()}
        states = model.backbone.encode(tensors)["hidden_states"]
        states = [ops.convert_to_numpy(state) for state in states]
        real = features["padding_mask"]
        found[kind] = [[state[n][real[n]] for state in states] for n in range(len(TEXTS))]
    return found


POOL = {
    "mean": lambda rows: rows.mean(axis=0),
    "max": lambda rows: rows.max(axis=0),
    "first": lambda rows: rows[0],
    "last": lambda rows: rows[-1],
    "none": lambda rows: rows,
}
CASES = [
    ("xlnet", -1, "mean"),
    ("xlnet", (-2, -1), "last"),
    ("transformer", -1, "mean"),
    ("transformer", [0, 1], "max"),
    ("transformer", 1, "first"),
    ("transformer", -1, "none"),
]


@pytest.mark.parametrize("kind, layers, pooling", CASES)
def test_embed_is_what_numpy_computes(kind, layers, pooling, embedders, hidden_states):
    model = embedders[kind]
    got = model.embed(TEXTS, layers=layers, pooling=pooling, batch_size=4)
    assert len(got) == 3
    for states, vector in zip(hidden_states[kind], got):
        chosen = [states[i] for i in (layers if isinstance(layers, (list, tuple)) else [layers])]
        expected = POOL[pooling](np.mean(chosen, axis=0))
        assert vector.dtype == "float32"
        np.testing.assert_allclose(vector, expected, atol=2e-5)
    (alone,) = model.embed(TEXTS[:1], layers=layers, pooling=pooling, batch_size=4)
    np.testing.assert_allclose(alone, got[0], atol=2e-5)


def test_normalized_vectors_and_pairs(embedders):
    model = embedders["transformer"]
    plain = model.embed(TEXTS, batch_size=4)
    assert plain.shape == (3, 16)
    vectors = model.embed(TEXTS, batch_size=4, normalize=True)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    np.testing.assert_allclose(vectors * np.linalg.norm(plain, axis=1)[:, None], plain, atol=1e-5)
    assert model.embed((TEXTS, TEXTS), batch_size=4).shape == (3, 16)
    np.testing.assert_allclose(model.predict(TEXTS, batch_size=4, verbose=0), plain, atol=2e-5)


def test_no_weights_of_its_own(embedders):
    for model in embedders.values():
        model.embed(TEXTS, layers=0, pooling="first", batch_size=4)
        assert len(model.weights) == len(model.backbone.weights)


def test_settings_of_a_preset(embedders, tmp_path, caplog):
    model = TextEmbedder(
        embedders["transformer"].backbone, embedders["transformer"].preprocessor, (0, 1), "max"
    )
    model.save_to_preset(str(tmp_path / "preset"))
    with caplog.at_level(logging.WARNING, "keras_plm"):
        again = TextEmbedder.from_preset(str(tmp_path / "preset"))
        other = TextEmbedder.from_preset(str(tmp_path / "preset"), pooling="none", layers=-1)
    assert not caplog.records
    assert again.settings() == {"layers": [0, 1], "pooling": "max"} == model.settings()
    assert other.settings() == {"layers": 1, "pooling": "none"}


def test_it_is_not_trained(embedders):
    model = embedders["xlnet"]
    with pytest.raises(NotImplementedError, match="TextClassifier"):
        model.fit(TEXTS, [0, 1, 1])
    with pytest.raises(NotImplementedError, match="no labels"):
        model.evaluate(TEXTS, [0, 1, 1])


BAD = {
    "too deep": ({"layers": 3}, r"integers in \[-2, 1\].*Received: layers=3"),
    "no number": ({"layers": "last"}, "layers='last'"),
    "none": ({"layers": []}, r"layers=\[\]"),
    "pooling": ({"pooling": "average"}, "pooling='average'"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arguments(case, embedders):
    arguments, message = BAD[case]
    model = embedders["transformer"]
    with pytest.raises(ValueError, match=message):
        TextEmbedder(model.backbone, **arguments)
    with pytest.raises(ValueError, match=message):
        model.embed(TEXTS, **arguments)
    with pytest.raises(ValueError, match="need a preprocessor"):
        TextEmbedder(model.backbone).embed(TEXTS)
