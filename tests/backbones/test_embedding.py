import logging

import keras
import numpy as np
import pytest
from keras import ops

from keras_plm import data
from keras_plm.backbones import Backbone, EmbeddingBackbone
from keras_plm.tasks import (
    CausalLM,
    TextClassifier,
    TextEmbedder,
    TextPreprocessor,
    TokenClassifier,
)
from keras_plm.tokenizers import WordTokenizer

IDS = np.array([[0, 1, 2], [1, 2, 2]], "int32")
REAL = np.array([[True, True, False], [True, False, False]])
TABLE = np.array([[1, 1], [3, 5], [9, 9]], "float32")
WORDS = ["the", "cat", "sat", "cat", "new york"]
VECTORS = np.array([[1, 2], [3, -4], [0.5, 6], [9, 9], [7, 7]], "float32")


@pytest.fixture(scope="module")
def tokenizer():
    words = ["<pad>", "<unk>", "sat", "the", "dog", "cat"]
    return WordTokenizer(words, {"pad": "<pad>", "unk": "<unk>"}, lowercase=True, layout="gpt")


def numbers(tensor):
    return np.asarray(ops.convert_to_numpy(tensor), "float32")


@pytest.mark.parametrize(
    "pooling, expected",
    [
        ("mean", [[2, 3], [3, 5]]),
        ("max", [[3, 5], [3, 5]]),
        ("mean_max", [[2, 3, 3, 5], [3, 5, 3, 5]]),
    ],
)
def test_worked_rows(pooling, expected):
    backbone = EmbeddingBackbone(3, 2, pooling=pooling)
    backbone.token_embedding.embeddings.assign(TABLE)
    features = {"token_ids": IDS, "padding_mask": REAL}
    encoded = backbone.encode({**features, "target_positions": np.array([[1, 0]] * 2, "int32")})
    np.testing.assert_array_equal(numbers(encoded["pooled_output"]), expected)
    np.testing.assert_array_equal(numbers(encoded["sequence_output"]), TABLE[IDS])
    np.testing.assert_array_equal(numbers(encoded["target_output"]), TABLE[IDS[:, [1, 0]]])
    (rows,) = encoded["hidden_states"]
    assert rows is encoded["sequence_output"]
    np.testing.assert_array_equal(numbers(backbone(features)["pooled_output"]), expected)


def test_largest_of_values_below_zero_and_of_no_token():
    """Padding has no 0 in the maximum; a row of padding alone is 0."""
    backbone = EmbeddingBackbone(3, 2, pooling="mean_max")
    backbone.token_embedding.embeddings.assign(-TABLE)
    pooled = backbone.encode({"token_ids": IDS, "padding_mask": REAL & [[True], [False]]})
    expected = [[-2, -3, -1, -1], [0, 0, 0, 0]]
    np.testing.assert_array_equal(numbers(pooled["pooled_output"]), expected)
    without_mask = backbone.encode({"token_ids": IDS[:1]})["pooled_output"]
    np.testing.assert_allclose(numbers(without_mask)[0, :2], -TABLE.mean(axis=0), rtol=1e-6)


def test_initial_weights_are_those_of_word2vec():
    table = numbers(EmbeddingBackbone(500, 50).token_embedding.embeddings)
    assert np.abs(table).max() <= 0.01 and abs(table.std() * 50 - 1 / np.sqrt(12)) < 0.005


def test_word_dropout_takes_whole_words():
    backbone = EmbeddingBackbone(3, 4, word_dropout=0.25)
    backbone.token_embedding.embeddings.assign(np.ones((3, 4)))
    features = {"token_ids": np.zeros((50, 80), "int32"), "padding_mask": np.ones((50, 80), bool)}
    rows = numbers(backbone(features, training=True)["sequence_output"])
    assert (rows == rows[..., :1]).all() and np.allclose(np.unique(rows), [0, 4 / 3])
    share = (rows[..., 0] == 0).mean()  # of 4,000 draws
    assert abs(share - 0.25) < 4 * np.sqrt(0.25 * 0.75 / 4_000)
    assert (numbers(backbone(features)["sequence_output"]) == 1).all()


def test_what_it_reads():
    backbone = EmbeddingBackbone(3, 2)
    assert backbone.reads == {"causal", "alone", "pooler"} and backbone.num_layers == 0
    (group,) = backbone.layer_groups()
    assert [one.path for one in group] == [one.path for one in backbone.weights]
    with pytest.raises(ValueError, match="EmbeddingBackbone takes the features.*order"):
        backbone.encode({"token_ids": IDS, "order": IDS})
    for options in (dict(vocabulary_size=0), dict(pooling="sum"), dict(word_dropout=2)):
        with pytest.raises(ValueError, match=next(iter(options))):
            EmbeddingBackbone(**{"vocabulary_size": 3, "hidden_dim": 2, **options})


# === Given vectors ===


def test_vectors_in_the_order_of_the_tokenizer(tokenizer, caplog):
    with caplog.at_level(logging.INFO, "keras_plm"):
        backbone = EmbeddingBackbone.from_vectors(WORDS, VECTORS, tokenizer, pooling="max")
    assert "3 of the tokenizer's 6 pieces have a vector" in caplog.text
    table = numbers(backbone.token_embedding.embeddings)
    np.testing.assert_array_equal(table[[2, 3, 5]], VECTORS[[2, 0, 1]])  # the first "cat"
    assert (table[0] == 0).all() and backbone.pooling == "max"
    drawn = table[[1, 4]]
    assert (np.abs(drawn) <= 0.25).all() and np.abs(drawn).min() > 0
    again = EmbeddingBackbone.from_vectors(WORDS, VECTORS, tokenizer)
    np.testing.assert_array_equal(numbers(again.token_embedding.embeddings), table)
    plain = EmbeddingBackbone.from_vectors(WORDS, VECTORS)
    np.testing.assert_array_equal(numbers(plain.token_embedding.embeddings), VECTORS)


WRONG = {
    "one row less": ((WORDS, VECTORS[1:]), ValueError, "5 words and 4 rows"),
    "one axis": ((WORDS, VECTORS[:, 0]), ValueError, r"shape \(N, D\).*\(5,\)"),
    "not finite": ((WORDS[:1], [[np.nan, 1.0]]), ValueError, "finite.*'the'"),
    "beyond float32": ((WORDS[:1], [[1e39, 1.0]]), ValueError, "finite.*'the'"),
    "of two lengths": ((WORDS[:2], [[1.0], [1.0, 2.0]]), ValueError, "`vectors`.*rectangular"),
    "strings": ((WORDS[:1], [["a"]]), ValueError, "array of numbers"),
    "a text": (("the", VECTORS), TypeError, "`words` must be a list of strings"),
    "no tokenizer": ((WORDS, VECTORS, "the"), TypeError, "`tokenizer` must be"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_wrong_vectors(kind):
    arguments, error, message = WRONG[kind]
    with pytest.raises(error, match=message):
        EmbeddingBackbone.from_vectors(*arguments)


def test_no_word_of_the_tokenizer(tokenizer):
    with pytest.raises(ValueError, match="Some words must be pieces of the tokenizer.*'Cat'"):
        EmbeddingBackbone.from_vectors(["Cat", "The"], VECTORS[:2], tokenizer)


# === Tasks ===

TEXTS = ["the cat sat", "The dog", "sat sat bird the cat"]


@pytest.mark.parametrize("trainable", [True, False])
def test_a_classifier_of_texts(tokenizer, quick, tmp_path, trainable):
    """Logits are those of the masked mean; frozen vectors stay as they are, in a preset as well."""
    backbone = EmbeddingBackbone.from_vectors(WORDS, VECTORS, tokenizer, trainable=trainable)
    model = TextClassifier(backbone, 2, TextPreprocessor(tokenizer, 6), dropout=0.0)
    model.compile(keras.optimizers.SGD(0.1), **quick)
    table = numbers(backbone.token_embedding.embeddings)
    rows = [table[ids].mean(axis=0) for ids in tokenizer.encode(TEXTS)]
    (head,) = model.heads.values()
    kernel, bias = (numbers(one) for one in head.weights)
    logits = model.predict(TEXTS, verbose=0)
    np.testing.assert_allclose(logits, rows @ kernel + bias, rtol=1e-5, atol=1e-6)
    model.fit(TEXTS, [0, 1, 0], verbose=0)
    after = numbers(backbone.token_embedding.embeddings)
    assert (after == table).all() == (not trainable)
    assert (numbers(head.weights[0]) != kernel).any()
    model.save_to_preset(tmp_path / "preset")
    again = TextClassifier.from_preset(tmp_path / "preset")
    assert again.backbone.trainable == trainable
    assert len(again.trainable_weights) == len(model.trainable_weights) == 2 + trainable
    again.compile(**quick)
    np.testing.assert_array_equal(again.predict(TEXTS, verbose=0), model.predict(TEXTS, verbose=0))


def test_tags_vectors_and_words(tokenizer, quick):
    backbone = EmbeddingBackbone.from_vectors(WORDS, VECTORS, tokenizer)
    preprocessor = TextPreprocessor(tokenizer, 6)
    embedder = TextEmbedder(backbone, preprocessor)
    embedder.compile(**quick)
    found = embedder.embed(["The cat", "sat"], verbose=0)
    np.testing.assert_allclose(found, [[2, -1], [0.5, 6]], rtol=1e-6)
    (rows,) = embedder.embed(["sat the cat"], pooling="none", layers=0, verbose=0)
    np.testing.assert_array_equal(rows, VECTORS[[2, 0, 1]])
    tagger = TokenClassifier(
        backbone, 2, TokenClassifier.preprocessor_class(tokenizer, 6), class_names=["O", "N"]
    )
    tagger.compile(**quick)
    tagger.fit([["the", "cat"], ["dog"]], [["O", "N"], ["N"]], verbose=0)
    writer = CausalLM(backbone, preprocessor)
    (text,) = writer.generate(["the cat"], 5, "greedy", stop_token_ids=None)
    assert text.startswith("the cat")


def test_a_preset_of_the_backbone(tmp_path):
    backbone = EmbeddingBackbone.from_vectors(
        WORDS, VECTORS, trainable=False, pooling="mean_max", word_dropout=0.3
    )
    backbone.save_to_preset(tmp_path / "preset")
    again = Backbone.from_preset(str(tmp_path / "preset"))
    assert again.get_config() == backbone.get_config()
    assert not again.trainable and again.pooling == "mean_max" and again.word_dropout == 0.3
    np.testing.assert_array_equal(numbers(again.token_embedding.embeddings), VECTORS)


def test_a_file_becomes_a_classifier(tmp_path, quick):
    (tmp_path / "vectors.txt").write_text("the 1 2\ncat 3 -4\nsat .5 6\n")
    words, vectors = data.read_vectors(tmp_path / "vectors.txt")
    special_tokens = {"pad": "<pad>", "unk": "<unk>"}
    tokenizer = WordTokenizer(["<pad>", "<unk>", *words], special_tokens, layout="gpt")
    backbone = EmbeddingBackbone.from_vectors(words, vectors, tokenizer)
    embedder = TextEmbedder(backbone, TextPreprocessor(tokenizer, 4), pooling="max")
    embedder.compile(**quick)
    np.testing.assert_array_equal(embedder.embed(["cat sat"], verbose=0), [[3, 6]])
