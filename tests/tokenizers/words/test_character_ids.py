"""character_ids.py: the rows of bilm-tf; how corpora, objectives and preprocessors have them."""

import json
import pickle

import numpy as np
import pytest

from keras_plm import data
from keras_plm.objectives import CausalModeling
from keras_plm.preprocessing import TextPreprocessor, WordPreprocessor
from keras_plm.tokenizers import WordTokenizer
from keras_plm.tokenizers.words.character_ids import UnknownWord, character_ids

BEGIN, END, REST = 259, 260, 261
CAT = [BEGIN, 100, 98, 117, END] + [REST] * 45  # c, a, t are 99, 97, 116, one more here
SENTENCE_BEGIN = [BEGIN, 257, END] + [REST] * 47
SENTENCE_END = [BEGIN, 258, END] + [REST] * 47
DOG = [BEGIN, 101, 112, 104, END] + [REST] * 45


def test_the_rows_of_bilm():
    """`Batcher` of bilm-tf: 258 begins a word, 259 ends it, 260 fills it up, 256 and 257 are marks
    of a sentence, and 1 is added to all."""
    rows = character_ids(["<S>", "cat", "</S>", "<s>", "é", ""])
    assert rows.shape == (6, 50) and rows.dtype == "int32"
    assert rows[:3].tolist() == [SENTENCE_BEGIN, CAT, SENTENCE_END]
    assert rows[3, :6].tolist() == [BEGIN, 61, 116, 63, END, REST]  # case matters
    assert rows[4, :5].tolist() == [BEGIN, 0xC3 + 1, 0xA9 + 1, END, REST]  # bytes, not characters
    assert rows[5, :3].tolist() == [BEGIN, END, REST]
    assert character_ids(["<S>"], None)[0, :5].tolist() == [BEGIN, 61, 84, 63, END]


@pytest.mark.parametrize(
    ("word", "last"), [("x" * 48, 121), ("x" * 90, 121), ("x" * 47 + "é", 196)]
)
def test_long_words(word, last):
    """48 bytes have room; a character of two may lose its second."""
    (row,) = character_ids([word])
    assert row[0] == BEGIN and row[48] == last and row[49] == END
    assert (row[1:48] == 121).all()


@pytest.fixture(scope="module")
def tokenizer():
    words = ["<S>", "</S>", "<UNK>", "<PAD>", "the", "cat"]
    special = {"bos": "<S>", "eos": "</S>", "unk": "<UNK>", "pad": "<PAD>"}
    return WordTokenizer(words, special, layout="elmo", characters=True)


def test_ids_of_unknown_words(tokenizer):
    ids = tokenizer.encode("cat dog <S>")
    assert ids == [5, 2, 2] and [type(one) for one in ids] == [int, UnknownWord, UnknownWord]
    assert (
        pickle.loads(pickle.dumps(ids))[1].word == "dog"
        and tokenizer.decode(ids[:2]) == "cat <UNK>"
    )
    rows = tokenizer.character_ids([0, *ids, 1, 3, 2])
    expected = [SENTENCE_BEGIN, CAT, DOG, character_ids(["<S>"], None)[0].tolist(), SENTENCE_END]
    assert rows[:5].tolist() == expected and not rows[5].any()
    assert rows[6].tolist() == character_ids(["<UNK>"])[0].tolist()
    plain = WordTokenizer(tokenizer.words, tokenizer.special_tokens, layout="elmo")
    assert [type(one) for one in plain.encode("dog")] == [int] and plain != tokenizer
    trained = data.train_tokenizer(data.Texts(["a b c"]), 9, model="word", layout="elmo")
    assert trained.characters and not plain.characters


@pytest.fixture(scope="module")
def corpus(tokenizer, tmp_path_factory):
    texts = data.Texts(["the dog cat\nthe bird", "dog the"])
    directory = tmp_path_factory.mktemp("corpus") / "corpus"
    return data.Corpus.build(texts, tokenizer, directory, split_sentences=None)


def test_a_corpus_keeps_unknown_words(corpus, tokenizer, tmp_path):
    assert corpus.token_ids.tolist() == [4, 2, 5, 4, 2, 2, 4]
    assert corpus.unknown_words.tolist() == [0, 1, 0, 0, 2, 1, 0]
    assert corpus.word_characters.shape == (8, 50) and corpus.word_characters.dtype == "uint16"
    assert corpus.word_characters[[0, 5, 6]].tolist() == [SENTENCE_BEGIN, CAT, DOG]
    other = data.Corpus.build(
        data.Texts(["the dog cat\nthe bird", "dog the"]),
        tokenizer,
        tmp_path / "corpus",
        split_sentences=None,
        split_words=str.split,
        find_spans=lambda sentence: [(0, 3)],
    )
    assert other.span_marks.tolist() == [1, 0, 0, 1, 0, 1, 0]
    np.testing.assert_array_equal(other.unknown_words, corpus.unknown_words)
    again = pickle.loads(pickle.dumps(corpus))
    np.testing.assert_array_equal(again.word_characters, corpus.word_characters)


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ("sentence_stream", ["the dog cat </S>", "bird </S> dog the"]),
        ("doc_sentences", ["<S> the dog cat the bird </S>", "<S> dog the </S>"]),
    ],
)
def test_rows_have_the_words_of_the_text(corpus, rows, text):
    length = 8 if rows == "doc_sentences" else 4
    objective = CausalModeling(length, rows=rows, documents_apart=False, characters=True)
    x, _, _ = data.examples(corpus, objective, 2, training=False).batch_at(0)
    assert set(x) == set(objective.feature_names)
    expected = np.zeros((2, length, 50), "int32")
    for row, words in zip(expected, text):
        row[: len(words.split())] = character_ids(words.split())
    np.testing.assert_array_equal(x["character_ids"], expected)
    assert x["character_ids"].dtype == "int32"


def test_padding_has_none(tmp_path):
    """Of a tokenizer without padding rows are filled with the end of a sentence, which has some."""
    tokenizer = data.train_tokenizer(data.Texts(["a b"]), 9, model="word", layout="elmo")
    corpus = data.Corpus.build(data.Texts(["a b c", "b a"]), tokenizer, tmp_path / "corpus")
    objective = CausalModeling(5, rows="doc_sentences", documents_apart=False, characters=True)
    x, _, _ = data.examples(corpus, objective, 2, training=False).batch_at(0)
    assert x["padding_mask"].tolist() == [[True] * 5, [True] * 4 + [False]]
    assert x["character_ids"][1, 3].tolist() == SENTENCE_END
    assert not x["character_ids"][1, 4].any() and x["character_ids"][0].all()
    features = TextPreprocessor(tokenizer, 4)(["a"])
    assert not features["character_ids"][0, 3].any()


def test_corpora_without_characters(corpus, tokenizer, tmp_path):
    plain = WordTokenizer(tokenizer.words, tokenizer.special_tokens, layout="elmo")
    other = data.Corpus.build(data.Texts(["the dog " * 9]), plain, tmp_path / "corpus")
    assert other.word_characters is None and other.unknown_words is None
    objective = CausalModeling(4, documents_apart=False, characters=True)
    with pytest.raises(ValueError, match='layout="elmo"'):
        data.examples(other, objective, 1).batch_at(0)
    without = CausalModeling(4, documents_apart=False)
    assert "character_ids" not in data.examples(corpus, without, 1).batch_at(0)[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table, numbers: (table[:, :49], numbers), "rows of 50 numbers below 262"),
        (lambda table, numbers: (table + np.uint16(1), numbers), "rows of 50 numbers below 262"),
        (lambda table, numbers: (table, numbers * 2), "numbers of the 2 last rows"),
        (lambda table, numbers: (table[:7], numbers), "expected sizes"),
    ],
)
def test_damaged_characters(tokenizer, tmp_path, change, message):
    corpus = data.Corpus.build(data.Texts(["the dog bird cat"]), tokenizer, tmp_path / "corpus")
    arrays = [np.array(corpus.word_characters), np.array(corpus.unknown_words)]
    for name, array in zip(("word_characters", "unknown_words"), change(*arrays)):
        np.save(tmp_path / "corpus" / f"{name}.npy", array)
    with pytest.raises(ValueError, match=message):
        data.Corpus.open(tmp_path / "corpus")


@pytest.mark.parametrize("size", [3, "8", 2**60])
def test_damaged_numbers_of_words(tokenizer, tmp_path, size):
    data.Corpus.build(data.Texts(["the dog cat"]), tokenizer, tmp_path / "corpus")
    path = tmp_path / "corpus" / "corpus.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "num_spelled_words": size}))
    with pytest.raises(ValueError, match="num_spelled_words"):
        data.Corpus.open(tmp_path / "corpus")


def test_preprocessors_read_any_word(tokenizer):
    features = TextPreprocessor(tokenizer, sequence_length=6)(["dog cat", "the"])
    assert features["token_ids"].tolist() == [[0, 2, 5, 1, 3, 3], [0, 4, 1, 3, 3, 3]]
    first, second = features["character_ids"]
    expected = [SENTENCE_BEGIN, DOG, CAT, SENTENCE_END, [0] * 50, [0] * 50]
    assert first.tolist() == expected and second[2].tolist() == SENTENCE_END
    assert not second[3:].any()
    words, _ = WordPreprocessor(tokenizer, 6).features_and_words([["dog", "cat"]])
    assert words["character_ids"][0].tolist() == expected
