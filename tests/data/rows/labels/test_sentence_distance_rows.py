"""sentence_distance_rows.py: what each label says is so; each class and sentence as often."""

import numpy as np
import pytest

from keras_plm.data.rows.labels import sentence_distance_rows
from keras_plm.data.rows.passes import RowRequest
from keras_plm.data.rows.row_plans import ROW_PLANS, make_rows

CLS, SEP, FIRST = 3, 4, 10


def make(corpus, length=40, batch_size=1, seed=0, training=True):
    request = RowRequest(corpus, batch_size, seed, training)
    return make_rows("sentence_distance", request, {"sequence_length": length})


@pytest.fixture
def corpus(make_random_corpus):
    """A corpus with another id for every token."""
    corpus = make_random_corpus(200)
    count = len(corpus.token_ids)
    corpus.token_ids = np.arange(FIRST, FIRST + count).astype("int32")
    corpus.vocabulary_size = FIRST + count
    return corpus


def pairs_of(rows, corpus, number):
    """The sentences of each row of a pass (2, R), their documents, and the labels."""
    stream, table, _ = rows._passes(number)
    ids = stream.read(table.texts[:, :, 0])["token_ids"] - FIRST
    sentences = np.searchsorted(corpus.sentence_offsets, ids, "right") - 1
    documents = np.searchsorted(corpus.document_offsets, ids, "right") - 1
    return sentences.T, documents.T, table.labels["sentence_distance"]


def test_what_labels_say(corpus):
    rows, everything, places = make(corpus), [], []
    for number in range(12):
        (a, b), (of_a, of_b), labels = pairs_of(rows, corpus, number)
        assert (b[labels == 0] == a[labels == 0] + 1).all()
        assert (of_a == of_b)[labels < 2].all() and (of_a != of_b)[labels == 2].all()
        assert (b > a + 1)[labels == 1].all()  # in their order, and no neighbours
        everything.append(labels)
        last = np.searchsorted(corpus.sentence_offsets, corpus.document_offsets[of_a + 1]) - 1
        assert (a + 2 <= last).all() and len(np.unique(a)) == len(a)
        assert len(a) == sum(max(n - 2, 0) for n in np.diff(np.searchsorted(
            corpus.sentence_offsets, corpus.document_offsets)))  # fmt: skip
        several = (labels == 1) & (last - a == 4)  # three to choose from
        places.append((b - a - 2)[several])
    shares = np.bincount(np.concatenate(everything)) / len(np.concatenate(everything))
    assert np.abs(shares - 1 / 3).max() < 0.02
    places = np.bincount(np.concatenate(places))
    assert len(places) == 3 and np.abs(places / places.sum() - 1 / 3).max() < 0.1


def test_sentences_of_others_are_drawn_alike(make_random_corpus):
    """From the sentences of all other documents, not from the documents."""
    corpus = make_random_corpus(3, seed=4)
    offsets = np.arange(0, 37, 3)  # 12 sentences, in documents of 7, 1 and 4
    corpus.token_ids = np.arange(FIRST, FIRST + 36).astype("int32")
    corpus.word_starts, corpus.vocabulary_size = np.ones(36, bool), 100
    corpus.sentence_offsets, corpus.document_offsets = offsets, offsets[[0, 7, 8, 12]]
    rows, counts = make(corpus), np.zeros(12)
    for number in range(1500):
        (a, b), (of_a, _), labels = pairs_of(rows, corpus, number)
        counts += np.bincount(b[(labels == 2) & (of_a == 0)], minlength=12)
    assert not counts[:7].any() and counts.sum() > 1500
    assert np.abs(counts[7:] / counts.sum() - 1 / 5).max() < 0.03


def test_the_batch(corpus):
    rows = make(corpus, 20, batch_size=4)
    batch = rows(1)
    stream, table, order = rows._passes(0)
    assert table.texts[:, :, 1].max() <= stream.num_tokens
    for b, row in enumerate(order[4:8]):
        a, c = (stream.read(np.arange(*text))["token_ids"].tolist() for text in table.texts[row])
        real = batch["padding_mask"][b]
        assert batch["token_ids"][b][real].tolist() == [CLS, *a, SEP, *c, SEP]
        assert batch["sentence_distance"][b] == table.labels["sentence_distance"][row]


def test_what_does_not_fit(make_random_corpus):
    with pytest.raises(ValueError, match="A sentence of another document comes from.*1 document"):
        make(make_random_corpus(1))
    corpus = make_random_corpus(20)
    corpus.sentence_offsets = corpus.document_offsets
    with pytest.raises(ValueError, match="3 sentences at least.*Received: documents of 1"):
        make(corpus)
    assert ROW_PLANS["sentence_distance"] is sentence_distance_rows.sentence_distance
