"""token_document_rows.py: the literal example, and each token against the rest of its document."""

from types import SimpleNamespace

import numpy as np
import pytest

from keras_plm.data.rows.labels import token_document_rows
from keras_plm.data.rows.passes import RowRequest
from keras_plm.data.rows.row_plans import ROW_PLANS, make_rows

SPECIAL = {"cls": 3, "sep": 4, "pad": 5, "mask": 6}


def make(corpus, length, batch_size=1, seed=0, training=True):
    request = RowRequest(corpus, batch_size, seed, training)
    return make_rows("token_document", request, {"sequence_length": length})


def written(documents):
    """A corpus of documents, lists of sentences, lists of ids."""
    sentences = [sentence for document in documents for sentence in document]
    ends = np.cumsum([0, *map(len, sentences)])
    tokens = np.concatenate(sentences)
    return SimpleNamespace(
        token_ids=tokens.astype("uint16"),
        word_starts=np.ones(len(tokens), bool),
        sentence_offsets=ends,
        document_offsets=ends[np.cumsum([0, *map(len, documents)])],
        documents=np.arange(len(documents)),
        vocabulary_size=500,
        special_token_ids=SPECIAL,
        layout="bert",
    )


THE, CAT, SAT, DOG, RAN = 10, 11, 12, 13, 14


def test_the_example():
    """A document of the rows `the cat sat` and `the dog ran`, another of one row."""
    corpus = written([[[THE, CAT, SAT], [THE, DOG, RAN]], [[THE, THE]]])
    rows = make(corpus, 6, 2, training=False)
    assert rows.steps_per_pass == 1
    batch = rows(0)
    assert batch["token_ids"].tolist() == [[3, THE, CAT, SAT, 4, 5], [3, THE, DOG, RAN, 4, 5]]
    expected = [[-1, 1, 0, 0, -1, -1]] * 2
    assert batch["token_document"].tolist() == expected
    assert batch["token_document"].dtype == np.int32
    assert ROW_PLANS["token_document"] is token_document_rows.token_document


@pytest.mark.parametrize("training", [True, False])
def test_each_token_against_the_rest_of_its_document(make_random_corpus, training):
    corpus = make_random_corpus(60, vocabulary_size=40)
    where = np.arange(len(corpus.token_ids))
    rows = make(corpus, 14, 4, seed=3, training=training)
    found = []
    for step in range(rows.steps_per_pass):
        batch = rows(step)
        stream, table, order = rows._passes(0)
        for b, row in enumerate(order[4 * step : 4 * step + 4]):
            ids = batch["token_ids"][b]
            text = ids[batch["padding_mask"][b] & ~batch["functional"][b]]
            begin, end = table.texts[row, 0]
            assert end - begin == len(text)
            document, offset = stream._locate(begin)
            start = stream._begins[document] + offset  # where the row lies in the corpus
            of = np.searchsorted(corpus.document_offsets, start, "right") - 1
            left, right = corpus.document_offsets[of : of + 2]
            others = (where >= left) & (where < right)
            others[start : start + len(text)] = False
            assert others.any() and (corpus.token_ids[start : start + len(text)] == text).all()
            expected = np.isin(text, corpus.token_ids[others])
            labels = batch["token_document"][b]
            assert labels[1 : len(text) + 1].tolist() == expected.tolist()
            assert (labels[len(text) + 1 :] == -1).all() and labels[0] == -1
            found += expected.tolist()
    assert 0.1 < np.mean(found) < 0.9


def test_documents_of_one_row_are_refused():
    corpus = written([[[10, 11]], [[12], [13]]])
    with pytest.raises(ValueError, match="documents of two rows or more.*Received: 2 documents"):
        make(corpus, 8)
