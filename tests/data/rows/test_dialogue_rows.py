"""dialogue_rows.py: threes of turns, half of them with a turn from elsewhere."""

import numpy as np
import pytest

from keras_plm.data.rows.passes import RowRequest
from keras_plm.data.rows.row_plans import make_rows

CLS, SEP = 3, 4
FIRST = 10


def make(corpus, length=60, batch_size=1, seed=0, training=True, **settings):
    request = RowRequest(corpus, batch_size, seed, training)
    return make_rows("dialogue", request, {"sequence_length": length, **settings})


@pytest.fixture
def corpus(make_random_corpus):
    """A corpus with another id for every token."""
    corpus = make_random_corpus(300)
    count = len(corpus.token_ids)
    corpus.token_ids = np.arange(FIRST, FIRST + count).astype("int32")
    corpus.vocabulary_size = FIRST + count
    return corpus


def turns_of(rows, corpus, number):
    """The turns of each row of a pass (R, 3), as numbers of sentences, and the labels."""
    stream, table, _ = rows._passes(number)
    ids = stream.read(table.texts[:, :, 0])["token_ids"] - FIRST
    return np.searchsorted(corpus.sentence_offsets, ids, "right") - 1, table.labels["sentence_pair"]


def test_the_batch(corpus):
    rows = make(corpus, batch_size=4)
    batch = rows(1)
    stream, table, order = rows._passes(0)
    for b, row in enumerate(order[4:8]):
        first, second, third = (
            stream.read(np.arange(*text))["token_ids"].tolist() for text in table.texts[row]
        )
        ids = [CLS, *first, SEP, *second, SEP, *third, SEP]
        real = batch["padding_mask"][b]
        assert batch["token_ids"][b][real].tolist() == ids
        roles = [0] * (len(first) + 2) + [1] * (len(second) + 1) + [0] * (len(third) + 1)
        assert batch["segment_ids"][b][real].tolist() == roles
        assert batch["sentence_pair"][b] == table.labels["sentence_pair"][row]


def test_real_rows_are_threes_that_share_no_turn(corpus):
    rows = make(corpus)
    document = np.searchsorted(corpus.document_offsets, corpus.sentence_offsets, "right") - 1
    skipped = set()
    for number in range(3):
        turns, labels = turns_of(rows, corpus, number)
        real = turns[labels == 0]
        assert np.all(np.diff(real, axis=1) == 1)
        assert np.all(document[real] == document[real[:, :1]])
        assert len(np.unique(real)) == real.size
        begin = np.searchsorted(corpus.sentence_offsets, corpus.document_offsets)
        skipped |= {int(t - begin[document[t]]) % 3 for t in real[:, 0]}
    assert skipped == {0, 1, 2}


def test_one_turn_of_the_others_is_of_another_dialogue(corpus):
    """Over 10,000 rows; tolerances of four standard deviations."""
    rows = make(corpus)
    document = np.searchsorted(corpus.document_offsets, corpus.sentence_offsets, "right") - 1
    places, drawn, labels, number = [], [], [], 0
    while len(labels) < 10_000:
        turns, label = turns_of(rows, corpus, number)
        labels += label.tolist()
        false = turns[label == 1]
        near = np.diff(false, axis=1)
        strange = np.stack([near[:, 1] == 1, false[:, 2] - false[:, 0] == 2, near[:, 0] == 1], 1)
        strange &= document[false] != document[np.roll(false, 1, axis=1)]
        assert np.all(strange.sum(axis=1) == 1)
        places += strange.argmax(axis=1).tolist()
        drawn += false[strange].tolist()
        number += 1
    deviation = 0.5 / np.sqrt(len(labels))
    assert abs(np.mean(labels) - 0.5) < 4 * deviation
    expected = len(places) / 3
    assert np.all(abs(np.bincount(places) - expected) < 4 * np.sqrt(expected * 2 / 3))
    counts = np.bincount(drawn, minlength=len(corpus.sentence_offsets) - 1)
    degrees = len(counts) - 1
    chi_square = ((counts - counts.mean()) ** 2 / counts.mean()).sum()
    assert abs(chi_square - degrees) < 4 * np.sqrt(2 * degrees) * 1.1


def test_turns_are_cut_at_their_end(corpus):
    rows = make(corpus, length=4 + 9)
    stream, table, _ = rows._passes(0)
    lengths = np.diff(table.texts, axis=-1)[:, :, 0]
    assert lengths.sum(axis=1).max() == 9 and lengths.min() == 1
    begins = stream.read(table.texts[:, :, 0])["token_ids"] - FIRST
    assert np.isin(begins, corpus.sentence_offsets).all()
    assert rows(0)["token_ids"].shape == (1, 13)


def test_bad_input(make_random_corpus):
    corpus = make_random_corpus(8)
    with pytest.raises(ValueError, match='must be "reply". Received: negative='):
        make(corpus, negative="random")
    with pytest.raises(ValueError, match="each of its 3 texts"):
        make(corpus, length=6)
    corpus.sentence_offsets = corpus.document_offsets
    with pytest.raises(ValueError, match="3 turns at least.*Received: documents of 1 turns"):
        make(corpus)
    corpus.documents = corpus.documents[:1]
    with pytest.raises(ValueError, match="only one.*Received: 1 document"):
        make(corpus)
