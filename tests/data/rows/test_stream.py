"""A stream of documents looked up by position against the same stream written out."""

import numpy as np
import pytest

from keras_plm.data.rows.stream import DocumentStream

EOD = 7


def written_out(corpus, documents):
    """token ids, word starts and sentence numbers of the stream, as lists."""
    tokens, starts, numbers, number = [], [], [], 0
    for document in documents:
        begin, end = corpus.document_offsets[document : document + 2]
        for left, right in zip(corpus.sentence_offsets, corpus.sentence_offsets[1:]):
            if begin <= left < end:
                tokens += corpus.token_ids[left:right].tolist()
                starts += corpus.word_starts[left:right].tolist()
                numbers += [number] * (right - left)
                number += 1
        tokens.append(EOD)
        starts.append(True)
        numbers.append(number)
        number += 1
    return np.array(tokens), np.array(starts), np.array(numbers)


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4, 5, 6, 7], [3, 1, 7, 0], [5]])
def test_lookups(make_random_corpus, order):
    corpus = make_random_corpus(8)
    stream = DocumentStream(corpus, order, EOD)
    tokens, starts, numbers = written_out(corpus, order)
    positions = np.arange(len(tokens))
    assert stream.num_tokens == len(tokens)
    ours = stream.read(positions)
    assert list(ours) == ["token_ids", "document_ends", "word_starts"]
    np.testing.assert_array_equal(ours["token_ids"], tokens)
    np.testing.assert_array_equal(ours["word_starts"], starts)
    np.testing.assert_array_equal(ours["document_ends"], tokens == EOD)
    np.testing.assert_array_equal(stream.sentence_number(positions), numbers)
    begins = np.flatnonzero(np.diff(numbers, prepend=-1))
    begins = np.append(begins, len(tokens))
    np.testing.assert_array_equal(stream.sentence_begin(np.arange(len(begins))), begins)
    np.testing.assert_array_equal(stream.sentence_bounds, begins)
    ends = numbers[tokens == EOD]
    firsts = np.append(0, ends[:-1] + 1)
    np.testing.assert_array_equal(stream.document_sentences, np.stack([firsts, ends], 1))
    square = positions[: len(positions) // 2 * 2].reshape(2, -1)
    assert stream.read(square)["token_ids"].shape == square.shape
    assert ours["token_ids"].dtype == np.int32 and ours["word_starts"].dtype == bool


def test_a_document_without_tokens_is_its_eod(make_random_corpus):
    corpus = make_random_corpus(3)
    corpus.document_offsets = np.insert(corpus.document_offsets, 1, corpus.document_offsets[1])
    stream = DocumentStream(corpus, [0, 1, 2, 3], EOD)
    tokens, starts, numbers = written_out(corpus, [0, 1, 2, 3])
    positions = np.arange(len(tokens))
    np.testing.assert_array_equal(stream.read(positions)["token_ids"], tokens)
    np.testing.assert_array_equal(stream.sentence_number(positions), numbers)


@pytest.mark.parametrize("backward", [False, True])
def test_whole_documents(make_random_corpus, backward):
    corpus, order = make_random_corpus(8), [3, 1, 7, 0]
    stream = DocumentStream(corpus, order, EOD, backward=backward)
    tokens = stream.read(np.arange(stream.num_tokens))["token_ids"]
    begin = 0
    for end in np.flatnonzero(tokens == EOD):
        for position in (begin, end - 1):
            document, before = stream.document_tokens(position)
            assert document.tolist() == tokens[begin:end].tolist()
            assert before == position - begin
        begin = end + 1
    assert begin == stream.num_tokens


def test_no_documents(make_random_corpus):
    assert DocumentStream(make_random_corpus(3), [], EOD).num_tokens == 0


def test_span_marks(make_random_corpus):
    corpus = make_random_corpus(3)
    corpus.span_marks = (np.arange(len(corpus.token_ids)) % 3).astype("uint8")
    stream = DocumentStream(corpus, [1, 0], EOD)
    found = stream.read(np.arange(stream.num_tokens))
    begin, end = corpus.document_offsets[1:3]
    expected = [*corpus.span_marks[begin:end], 0, *corpus.span_marks[:begin], 0]
    assert found["span_marks"].tolist() == expected and found["span_marks"].dtype == np.uint8


def test_languages_of_documents(make_language_corpus, make_random_corpus):
    corpus = make_language_corpus()
    order = np.random.default_rng(0).permutation(corpus.documents)[:40]
    languages = DocumentStream(corpus, order, EOD).document_languages
    for document, found in zip(order, languages):
        begin, end = np.searchsorted(
            corpus.sentence_offsets, corpus.document_offsets[[document, document + 1]]
        )
        assert found.tolist() == corpus.sentence_languages[[begin, end - 1]].tolist()
    assert {tuple(pair) for pair in languages.tolist()} == {(0, 0), (1, 1), (0, 1)}
    assert DocumentStream(make_random_corpus(3), [0, 2], EOD).document_languages is None
