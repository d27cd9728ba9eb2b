"""TextClassifier(pooling="concat") is fastai's classifier over an AWD-LSTM; presets, long texts."""

import keras
import numpy as np
import pytest
from awd_lstm_reference import assign, reference
from keras import ops

from keras_plm import data, families, models
from keras_plm.backbones import AWDLSTMBackbone
from keras_plm.heads import ConcatPoolingHead
from keras_plm.tasks import (
    CausalLM,
    MultipleChoice,
    TextClassifier,
    TextPreprocessor,
    TextRegressor,
)

TEXTS = ["The cat sat .", "the DOG sat sat sat !", "a cat and a dog", "sat"]


@pytest.mark.parametrize("gradient_length", [None, 4])
def test_logits_of_fastai(gradient_length, quick):
    arrays, meta = reference("classifier")
    backbone = AWDLSTMBackbone(meta["vocab"], meta["n_layers"], meta["emb_sz"], meta["n_hid"])
    options = {"pooling": "concat", "gradient_length": gradient_length}
    model = TextClassifier(backbone, meta["classes"], **options)
    (dense,) = meta["lin_ftrs"]
    head = model.heads["label"]
    assert head.intermediate_dims == (50,)
    if dense != 50:  # the fixture's is narrower
        head = ConcatPoolingHead(meta["classes"], meta["emb_sz"], (dense,))
        head.build((None, 3 * meta["emb_sz"]))
    for layer in (backbone, head):
        assign(layer, arrays)
    real = np.arange(arrays["token_ids"].shape[1]) < arrays["lengths"][:, None]
    features = {"token_ids": arrays["token_ids"].astype("int32"), "padding_mask": real}
    pooled = keras.Model(model.input, head(model.heads["label"].input))(features)
    got, expected = ops.convert_to_numpy(pooled), arrays["eval/logits"]
    assert np.abs(got - expected).max() <= 1e-5 * max(1.0, np.abs(expected).max())


@pytest.fixture(scope="module")
def tokenizer():
    return data.train_tokenizer(data.Texts(TEXTS), 40, model="word", layout="ulmfit")


def made(tokenizer, cls=TextClassifier, length=8, **options):
    backbone = AWDLSTMBackbone(
        tokenizer.vocabulary_size, 1, 4, 4, **families.AWD_LSTM["classifier"]
    )
    options = {"num_classes": 2, **options} if cls is TextClassifier else options
    return cls(backbone, preprocessor=TextPreprocessor(tokenizer, length), **options)


def test_training_and_presets(tokenizer, quick, tmp_path):
    """The running means of the norms are saved and read too."""
    model = made(tokenizer, pooling="concat", gradient_length=3, dropout=0.4)
    assert isinstance(model.heads["label"], ConcatPoolingHead)
    model.compile(**quick)
    history = model.fit(TEXTS, [0, 1, 1, 0], batch_size=4, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert np.abs(model.heads["label"].steps[0][0].moving_mean).max() > 0
    model.save_to_preset(tmp_path / "preset")
    again = TextClassifier.from_preset(tmp_path / "preset")
    assert again.settings() == model.settings() and again.gradient_length == 3
    other = TextClassifier.from_preset(tmp_path / "preset", gradient_length=None)
    for one in (again, other):
        one.compile(**quick)
        expected = model.predict(TEXTS, verbose=0)
        np.testing.assert_allclose(one.predict(TEXTS, verbose=0), expected, atol=1e-6)


def test_numbers(tokenizer, quick):
    model = made(tokenizer, TextRegressor, pooling="concat", gradient_length=3)
    model.compile(**quick)
    assert model.fit(TEXTS, [0.0, 1.0, 2.0, 3.0], verbose=0).history["mse"][0] > 0
    assert model.predict(TEXTS, verbose=0).shape == (4, 1)


def test_what_does_not_fit(tokenizer, make_transformer):
    for options, message in (
        ({"gradient_length": 3}, 'needs pooling="concat".*pooling=None'),
        ({"gradient_length": 3, "pooling": "concat", "auxiliary_lm": 0.5}, "auxiliary_lm=0.5"),
        ({"gradient_length": 0, "pooling": "concat"}, "gradient_length"),
        ({"pooling": "concat", "summarise": True}, "a head of its own.*True"),
        ({"pooling": "concat", "logits_bias": False}, "a head of its own.*False"),
    ):
        with pytest.raises(ValueError, match=message):
            made(tokenizer, **options)
    plain = make_transformer(tokenizer.vocabulary_size)
    with pytest.raises(ValueError, match="carries a state"):
        TextClassifier(plain, 2, pooling="concat", gradient_length=3)
    choices = MultipleChoice(plain, pooling="concat")
    assert choices.heads["choice"].labels == "choice"


# === The language model, and texts from their ends ===


def test_the_language_model_writes_and_scores(tokenizer, quick, tmp_path):
    """Of a preset of `models.ulmfit`; scores by numpy from the rows of `encode`."""
    model = models.ulmfit(tokenizer, "tiny", 14, num_layers=2, hidden_dim=4, lstm_dim=6)
    for weight in model.backbone.weights:
        weight.assign(np.random.default_rng(1).normal(size=weight.shape))
    model.save_to_preset(tmp_path / "preset")
    writer = CausalLM.from_preset(tmp_path / "preset")
    writer.compile(**quick)
    (text,) = writer.generate(["The cat"], 8, "greedy", stop_token_ids=None)
    assert text.startswith("The cat") and len(text) > len("The cat")
    ids = [tokenizer.special_token_ids["bos"], *tokenizer.encode("the dog sat")]
    (score,) = writer.score([ids[1:]], prefix=ids[:1])
    rows = writer.backbone.encode({"token_ids": np.array([ids], "int32")})["sequence_output"]
    logits = ops.convert_to_numpy(writer.heads["tokens"].logits(rows))[0].astype("float64")
    log_probabilities = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    expected = [row[following] for row, following in zip(log_probabilities, ids[1:])]
    np.testing.assert_allclose(score.tokens[-len(expected) :], expected, atol=1e-4)


def test_texts_from_their_ends(tokenizer, quick, tmp_path):
    """A row is xxbos and the words from the last to the first, as in pretraining."""
    plain, backward = (TextPreprocessor(tokenizer, 6, backward=one) for one in (False, True))
    ids = tokenizer.encode("a cat and a dog")
    bos = tokenizer.special_token_ids["bos"]
    assert plain.rows(["a cat and a dog"])[0][0] == [bos, *ids[:5]]
    assert backward.rows(["a cat and a dog"])[0][0] == [bos, *ids[::-1][:5]]
    model = models.ulmfit(tokenizer, "tiny", 14, True, num_layers=1, hidden_dim=4, lstm_dim=4)
    corpus = data.Corpus.build(data.Texts(["a cat and a dog"] * 8), tokenizer, tmp_path / "corpus")
    x, _, _ = data.examples(corpus, model.objective, 1, training=False).batch_at(0)
    assert x["token_ids"][0, : len(ids) + 1].tolist() == [*ids[::-1], bos]
    model.save_to_preset(tmp_path / "preset")
    classifier = TextClassifier.from_preset(tmp_path / "preset", num_classes=2, pooling="concat")
    assert classifier.preprocessor.backward
    with pytest.raises(ValueError, match="left to right.*backward=True"):
        CausalLM.from_preset(tmp_path / "preset")
