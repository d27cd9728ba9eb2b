"""packed_rows.py: full rows, and rows of whole sentences against a greedy loop."""

from types import SimpleNamespace

import numpy as np
import pytest

from keras_plm.data.rows.packed_rows import doc_sentences, full_sentences, packed
from keras_plm.data.rows.passes import RowRequest
from keras_plm.data.rows.planned_rows import PlannedRows

CLS, SEP, PAD, EOD = 3, 4, 5, 7
A, B, C = 10, 11, 12


def texts_of(rows, number=0):
    """The text of each row of a pass, as lists of ids."""
    batches = [rows(number * rows.steps_per_pass + step) for step in range(rows.steps_per_pass)]
    found = []
    for batch in batches:
        for ids, real in zip(batch["token_ids"], batch["padding_mask"]):
            ids = ids[real].tolist()
            assert ids[0] == CLS and ids[-1] == SEP
            found.append(ids[1:-1])
    return found


def make(plan, corpus, length, training=False, seed=0, batch_size=1):
    return PlannedRows(RowRequest(corpus, batch_size, seed, training), plan, length + 2)


def test_the_example():
    corpus = SimpleNamespace(
        token_ids=np.array([A, A, A, A, B, B, B, C, C]),
        word_starts=np.ones(9, bool),
        sentence_offsets=np.array([0, 4, 7, 9]),
        document_offsets=np.array([0, 4, 9]),
        documents=np.arange(2),
        vocabulary_size=20,
        special_token_ids={"cls": CLS, "sep": SEP, "pad": PAD, "eod": EOD},
        layout="bert",
    )
    assert texts_of(make(packed, corpus, 4)) == [[A, A, A, A], [EOD, B, B, B]]
    for plan in (full_sentences, doc_sentences):
        assert texts_of(make(plan, corpus, 4)) == [[A] * 4, [B] * 3, [C] * 2]
    assert texts_of(make(full_sentences, corpus, 8)) == [[A] * 4 + [EOD] + [B] * 3, [C] * 2]
    assert texts_of(make(doc_sentences, corpus, 8)) == [[A] * 4, [B] * 3 + [C] * 2]


def sentences_of(rows, number):
    """The sentences of the documents of a pass, each of them a list of ids."""
    stream = rows._passes(number)[0]
    bounds = stream.sentence_bounds
    return [
        [stream.read(np.arange(*bounds[s : s + 2]))["token_ids"].tolist() for s in range(*pair)]
        for pair in stream.document_sentences
    ]


def greedy(documents, length, across):
    """The rows by a loop over sentences."""
    rows, row = [], []

    def close():
        nonlocal row
        if row and row[-1] == EOD:
            row.pop()
        if row:
            rows.append(row)
        row = []

    for document in documents:
        for sentence in document:
            for start in range(0, len(sentence), length):
                piece = sentence[start : start + length]
                if len(row) + len(piece) > length:
                    close()
                row = row + piece
        if not across:
            close()
        elif row:
            row = row + [EOD]
    close()
    return rows


@pytest.mark.parametrize("length", [3, 7, 12, 13, 40, 1_000])
@pytest.mark.parametrize("plan", [full_sentences, doc_sentences])
def test_rows_are_those_of_a_greedy_loop(make_random_corpus, plan, length):
    across = plan is full_sentences
    for training in (False, True):
        rows = make(plan, make_random_corpus(15), length, training)
        for number in (0, 1) if not training else (0, 1, 2):
            stream, table, order = rows._passes(number if training else 0)
            documents = sentences_of(rows, number if training else 0)
            expected = greedy(documents, length, across)
            texts = [stream.read(np.arange(*text[0]))["token_ids"].tolist() for text in table.texts]
            assert texts == expected
            assert sorted(order) == list(range(len(expected)))
            if len(expected) == rows.steps_per_pass:
                assert texts_of(rows, number) == [expected[row] for row in order]
            whole = [token for document in documents for one in document for token in one]
            assert [token for text in texts for token in text if token != EOD] == whole


def test_packed_rows_are_full(make_random_corpus):
    corpus = make_random_corpus(15)
    rows = make(packed, corpus, 7, training=False)
    texts = texts_of(rows)
    assert {len(text) for text in texts} == {7}
    stream = rows._passes(0)[0]
    whole = stream.read(np.arange(stream.num_tokens))["token_ids"].tolist()
    joined = [token for text in texts for token in text]
    assert joined == whole[: len(joined)] and len(whole) - len(joined) < 7
    assert joined.count(EOD) == 15 - whole[len(joined) :].count(EOD)
    batch = rows(0)
    assert batch["padding_mask"].all()
    functional = np.isin(batch["token_ids"], (CLS, SEP, EOD))
    np.testing.assert_array_equal(batch["functional"], functional)


@pytest.mark.parametrize("length", [2, 3, 4, 6, 12])
def test_no_token_is_left_over_where_rows_divide_the_stream(length):
    lengths = [4, 6]  # and a separator behind each document: 12 tokens
    ids = np.arange(10, 20)
    corpus = SimpleNamespace(
        token_ids=ids,
        word_starts=np.ones(10, bool),
        sentence_offsets=np.cumsum([0, *lengths]),
        document_offsets=np.cumsum([0, *lengths]),
        documents=np.arange(2),
        vocabulary_size=20,
        special_token_ids={"cls": CLS, "sep": SEP, "pad": PAD, "eod": EOD},
        layout="bert",
    )
    rows = make(packed, corpus, length)
    assert rows.steps_per_pass == 12 // length
    stream = [10, 11, 12, 13, EOD, 14, 15, 16, 17, 18, 19, EOD]
    assert texts_of(rows) == [stream[begin : begin + length] for begin in range(0, 12, length)]


def test_passes_differ_in_what_stands_together(make_random_corpus):
    rows = make(packed, make_random_corpus(15), 7, training=True)
    first, second = ({tuple(text) for text in texts_of(rows, number)} for number in (0, 1))
    assert len(first & second) < len(first) / 2


def test_the_separator_is_the_one_there_is(make_random_corpus):
    corpus = make_random_corpus(15)
    names = corpus.special_token_ids
    for name, index in (("eod", 7), ("eos", 8), ("sep", 4)):
        corpus.special_token_ids = {**names, "eos": 8}
        for better in ("eod", "eos"):
            if better == name:
                break
            del corpus.special_token_ids[better]
        stream = make(packed, corpus, 7)._passes(0)[0]
        assert stream.end_of_document_id == index


def test_a_part_of_a_corpus(make_random_corpus):
    corpus = make_random_corpus(15, documents=[2, 4])
    texts = texts_of(make(full_sentences, corpus, 9))
    tokens = [token for text in texts for token in text if token != EOD]
    bounds = corpus.document_offsets
    assert tokens == [t for d in (2, 4) for t in corpus.token_ids[bounds[d] : bounds[d + 1]]]


def test_bad_input(make_random_corpus):
    corpus = make_random_corpus(15)
    corpus.special_token_ids, corpus.layout = {"pad": 5}, "gpt"
    for plan in (packed, full_sentences):
        with pytest.raises(ValueError, match="one of the special tokens.*Received"):
            make(plan, corpus, 7)
    assert make(doc_sentences, corpus, 7).steps_per_pass > 15
    with pytest.raises(ValueError, match="room for a token of each of its 1 texts"):
        make(doc_sentences, make_random_corpus(15), 0)
