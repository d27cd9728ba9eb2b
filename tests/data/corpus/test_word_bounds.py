"""word_bounds.py: given words and spans, on the tokens of every kind of tokenizer."""

from pathlib import Path

import numpy as np
import pytest

from keras_plm.data import train_tokenizer
from keras_plm.data.corpus.word_bounds import given_bounds, span_bounds, word_begins

BOTCHAN = Path(__file__).parents[2] / "fixtures" / "botchan.txt"
SENTENCE = "我爱北京大学"
WORDS = ["我", "爱", "北京大学"]


def characters(*sentences):
    """Offsets of one token per character."""
    return [np.stack([np.arange(len(one)), np.arange(len(one)) + 1], 1) for one in sentences]


def test_the_example():
    starts, marks = given_bounds(
        [SENTENCE], characters(SENTENCE), np.ones(6, bool), lambda _: WORDS, lambda _: [(2, 6)]
    )
    assert starts.tolist() == [1, 1, 1, 0, 0, 0]
    assert marks.tolist() == [0, 0, 1, 2, 2, 2]
    assert starts.dtype == bool and marks.dtype == np.uint8


def test_sentences_one_after_the_other():
    sentences = [SENTENCE, "", "北京"]
    starts, marks = given_bounds(
        sentences,
        characters(*sentences),
        np.zeros(8, bool),
        {SENTENCE: WORDS, "": [], "北京": ["北京"]}.get,
        {SENTENCE: [(4, 6), (0, 1)], "": [], "北京": [(0, 1), (1, 2)]}.get,
    )
    assert starts.tolist() == [1, 1, 1, 0, 0, 0, 1, 0]
    assert marks.tolist() == [1, 0, 0, 0, 1, 2, 1, 1]


def test_one_of_both():
    said = np.array([1, 0, 1, 0, 1, 0], bool)
    starts, marks = given_bounds([SENTENCE], characters(SENTENCE), said, lambda _: WORDS)
    assert starts.tolist() == [1, 1, 1, 0, 0, 0] and marks is None
    starts, marks = given_bounds(
        [SENTENCE], characters(SENTENCE), said, find_spans=lambda _: [(1, 3)]
    )
    assert marks.tolist() == [0, 1, 2, 0, 0, 0]
    assert starts.tolist() == said.tolist()


def test_tokens_across_bounds_belong_to_where_they_begin():
    offsets = [np.array([[0, 2], [2, 5], [5, 5], [5, 6]])]  # the third has no character
    words = ["我爱北", "京大", "学"]  # a b|ccc c|d: the second word has no token
    starts, marks = given_bounds(
        [SENTENCE], offsets, np.zeros(4, bool), lambda _: words, lambda _: [(1, 3), (5, 6)]
    )
    assert marks.tolist() == [0, 1, 1, 2]
    assert starts.tolist() == [1, 0, 1, 0]


@pytest.mark.parametrize("model", ["wordpiece", "bpe", "sentencepiece"])
def test_words_of_trained_tokenizers(model):
    """The words that whitespace separates, whatever their pieces."""
    tokenizer = train_tokenizer(BOTCHAN, 500, model=model)
    sentences = [line for line in BOTCHAN.read_text("utf-8").splitlines() if line.strip()][:40]
    rows, offsets = tokenizer.encode_with_offsets(sentences)
    starts, marks = given_bounds(
        sentences,
        offsets,
        np.zeros(sum(map(len, rows)), bool),
        str.split,
        lambda sentence: [(0, len(sentence.split()[0]))],
    )
    ends = np.cumsum([len(row) for row in rows])
    for sentence, row, first, mark in zip(
        sentences, rows, np.split(starts, ends[:-1]), np.split(marks, ends[:-1])
    ):
        pieces = np.split(row, np.flatnonzero(first)[1:])
        decoded = [tokenizer.decode(piece).replace(" ", "") for piece in pieces]
        assert decoded == [tokenizer.decode(tokenizer.encode(word)).replace(" ", "") for word in sentence.split()]  # fmt: skip # noqa: E501
        assert mark.tolist() == [1] + [2] * (len(pieces[0]) - 1) + [0] * (len(row) - len(pieces[0]))


def test_pre_segmented_chinese(subword_tokenizers):
    tokenizer = subword_tokenizers["bert_uncased"]
    sentence = "日本 and 日 the"
    row, offsets = tokenizer.encode_with_offsets(sentence)
    starts, _ = given_bounds([sentence], [offsets], tokenizer.starts_words(row), str.split)
    assert offsets[starts][:, 0].tolist() == [0, 3, 7, 9]
    assert tokenizer.starts_words(row).sum() > 4  # by the tokenizer each character is a word


def test_word_begins():
    assert word_begins("a  bc d ", ["a", "bc", "d"]) == [0, 3, 6]
    assert word_begins("a b", ["a", " ", "b"]) == word_begins("a b", ["a ", " b"]) == [0, 2]
    assert word_begins("New York", ["New York"]) == [0] and word_begins(" ", []) == []


@pytest.mark.parametrize(
    "words, error, message",
    [
        (["我", "爱"], ValueError, "must cover the sentence. Received: nothing for '北京大学'"),
        (["我", "北京大学"], ValueError, "must cover .* Received: '北京大学' where .*'爱北京大学'"),
        (["我", "爱", "北京大学", "。"], ValueError, "must cover"),
        (["我", "", "爱", "北京大学"], ValueError, "not empty. Received: an empty word for '我爱"),
        (SENTENCE, TypeError, "split_words must return a list"),
        (None, TypeError, "split_words must return a list"),
        ([1, 2], TypeError, "a list of strings. Received: 1 for '我爱"),
    ],
)
def test_bad_words(words, error, message):
    with pytest.raises(error, match=message):
        word_begins(SENTENCE, words)


@pytest.mark.parametrize(
    "spans, error, message",
    [
        ([(0, 7)], ValueError, r"end <= 6. Received: \(0, 7\) for '我爱北京大学'"),
        ([(-1, 2)], ValueError, "0 <= begin"),
        ([(2, 2)], ValueError, "must have a character"),
        ([(3, 2)], ValueError, "begin < end"),
        ([(2, 6), (0, 3)], ValueError, r"must not overlap. Received: \(0, 3\) and \(2, 6\) for"),
        ([(0, 1, 2)], TypeError, "pairs"),
        ([(0.0, 1.0)], TypeError, "pairs .* of integers"),
        ([(False, True)], TypeError, "pairs .* of integers"),
        ([3], TypeError, "pairs"),
        ("ab", TypeError, "find_spans must return a list"),
    ],
)
def test_bad_spans(spans, error, message):
    with pytest.raises(error, match=message):
        span_bounds(SENTENCE, spans)


def test_spans_in_any_order():
    assert span_bounds("abcd", [[2, 4], (np.int64(0), 2)]).tolist() == [[0, 2], [2, 4]]
    assert span_bounds("abcd", []).shape == (0, 2)
