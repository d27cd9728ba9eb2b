"""contiguous_rows.py: the rows of all batches of a pass, joined, are the stream itself."""

from types import SimpleNamespace

import numpy as np
import pytest

from keras_plm.data.rows.contiguous_rows import ContiguousRows
from keras_plm.data.rows.passes import RowRequest

A, B, C, D, E, EOD = 10, 11, 12, 13, 14, 7


def make(corpus, length, training=False, seed=0, batch_size=2):
    return ContiguousRows(RowRequest(corpus, batch_size, seed, training), length)


def a_corpus(**changes):
    arrays = dict(
        token_ids=np.array([A, A, A, B, C, D, D, E, E]),
        word_starts=np.array([1, 0, 0, 1, 1, 1, 0, 1, 0], bool),
        span_marks=np.array([1, 2, 2, 0, 0, 1, 2, 0, 0], "uint8"),
        sentence_offsets=np.array([0, 3, 4, 5, 7, 9]),
        document_offsets=np.array([0, 4, 9]),
        documents=np.arange(2),
        vocabulary_size=20,
        special_token_ids={"eod": EOD},
        layout="plain",
    )
    return SimpleNamespace(**{**arrays, **changes})


def test_the_example():
    """Its 11 tokens in two rows of 5."""
    rows = make(a_corpus(), 2)
    assert rows.steps_per_pass == 2 and rows.row_length == 5
    first, second, again = rows(0), rows(1), rows(2)
    assert first["token_ids"].tolist() == [[A, A], [C, D]]
    assert second["token_ids"].tolist() == [[A, B], [D, E]]
    assert first["next_token_ids"].tolist() == [A, D]
    assert second["next_token_ids"].tolist() == [EOD, E]
    assert [batch["fresh"].tolist() for batch in (first, second, again)] == [
        [True, True],
        [False, False],
        [True, True],
    ]
    np.testing.assert_array_equal(again["token_ids"], first["token_ids"])
    # What is cut begins anew: a word, and a span.
    assert second["word_starts"].tolist() == [[True, True], [True, True]]
    assert second["span_marks"].tolist() == [[1, 0], [1, 0]]


@pytest.mark.parametrize("training", [True, False])
def test_rows_go_on(make_random_corpus, training):
    corpus, length, batch_size = make_random_corpus(), 7, 3
    rows = make(corpus, length, training, seed=5, batch_size=batch_size)
    assert rows.steps_per_pass > 5
    for number in (0, 2):
        order = np.asarray(corpus.documents)
        if training:
            order = np.random.default_rng((5, 0, number)).permutation(order)
        texts = [corpus.token_ids[slice(*corpus.document_offsets[d : d + 2])] for d in order]
        stream = np.concatenate([part for text in texts for part in (text, [EOD])])
        first = number * rows.steps_per_pass
        batches = [rows(first + step) for step in range(rows.steps_per_pass)]
        joined = np.concatenate([batch["token_ids"] for batch in batches], axis=1)
        functional = np.concatenate([batch["functional"] for batch in batches], axis=1)
        for row in range(batch_size):
            begin = row * (len(stream) // batch_size)
            expected = stream[begin : begin + joined.shape[1] + 1]
            np.testing.assert_array_equal(joined[row], expected[:-1])
            np.testing.assert_array_equal(functional[row], expected[:-1] == EOD)
            behind = [batch["next_token_ids"][row] for batch in batches]
            np.testing.assert_array_equal(behind, expected[length::length])
        assert [batch["fresh"].all() for batch in batches] == [True] + [False] * (len(batches) - 1)
        assert all(batch["padding_mask"].all() for batch in batches)


def test_evaluation_is_the_same_in_every_pass(make_random_corpus):
    rows = make(make_random_corpus(), 7, training=False)
    for name, value in rows(1).items():
        np.testing.assert_array_equal(rows(1 + 3 * rows.steps_per_pass)[name], value)


def test_what_is_refused():
    with pytest.raises(ValueError, match="too small.*2 rows of 5.*need 12"):
        make(a_corpus(), 5)
    assert make(a_corpus(), 4).steps_per_pass == 1
    with pytest.raises(ValueError, match="between them"):
        make(a_corpus(special_token_ids={"pad": 1}), 2)


def test_sentences_that_are_separated():
    """The example of the module, of the documents 1 and 0: c | d d | e e | a a a | b |."""
    corpus = a_corpus(documents=np.array([1, 0]))
    rows = ContiguousRows(RowRequest(corpus, 1, 0, False), 6, sentence_ends=True)
    assert rows.row_length == 14 and rows.steps_per_pass == 2
    assert rows(0)["token_ids"].tolist() == [[C, EOD, D, D, EOD, E]]
    assert rows(1)["token_ids"].tolist() == [[E, EOD, A, A, A, EOD]]
    assert rows(1)["next_token_ids"].tolist() == [B]
    assert rows(0)["functional"].tolist() == [[False, True, False, False, True, False]]
    assert rows(0)["span_marks"].tolist() == [[0, 0, 1, 2, 0, 0]]


# === Lengths that vary, and documents from their ends ===


def rows_of(corpus, training=True, seed=0, batch_size=3, **settings):
    return ContiguousRows(RowRequest(corpus, batch_size, seed, training), 14, **settings)


def test_batches_of_several_lengths_join_without_gap(make_random_corpus):
    """The tokens of all batches of three passes are the streams of the passes, from their start."""
    corpus = make_random_corpus(num_documents=200)
    varying, plain = (rows_of(corpus, variable_length=one) for one in (True, False))
    step, lengths = 0, set()
    for number in range(3):
        first, batches = step, []
        while step == first or not varying(step)["fresh"].any():
            batches.append(varying(step))
            step += 1
        assert batches[0]["fresh"].all()
        whole = [plain(number * plain.steps_per_pass + one) for one in range(plain.steps_per_pass)]
        joined, expected = (
            np.concatenate([batch["token_ids"] for batch in found], axis=1)
            for found in (batches, whole)
        )
        shared = min(joined.shape[1], expected.shape[1])
        np.testing.assert_array_equal(joined[:, :shared], expected[:, :shared])
        assert varying.row_length - joined.shape[1] <= 17  # no batch more has room
        for one, after in zip(batches, batches[1:]):
            np.testing.assert_array_equal(one["next_token_ids"], after["token_ids"][:, 0])
        lengths |= {batch["token_ids"].shape[1] for batch in batches}
    assert lengths == {7, 12, 13, 14, 15, 16}


def test_a_batch_depends_on_its_number_alone(make_random_corpus):
    """Also of a later pass, asked for first; and a shard is a slice."""
    corpus = make_random_corpus(num_documents=60)
    one, other = (rows_of(corpus, variable_length=True, batch_size=4) for _ in range(2))
    last = 5 * one.steps_per_pass
    late = one(last)
    for step in (3, 0, last):
        for name, value in other(step).items():
            np.testing.assert_array_equal(value, one(step)[name])
    halves = [other(last, slice(begin, begin + 2)) for begin in (0, 2)]
    for name, value in late.items():
        np.testing.assert_array_equal(np.concatenate([half[name] for half in halves]), value)
    third = rows_of(corpus, variable_length=True, batch_size=4, seed=1)
    several = [[rows(step)["token_ids"].shape for step in range(40)] for rows in (one, third)]
    assert several[0] != several[1]


def test_evaluation_has_one_length(make_random_corpus):
    corpus = make_random_corpus(num_documents=60)
    varying, plain = (rows_of(corpus, False, variable_length=one) for one in (True, False))
    assert varying.steps_per_pass == plain.steps_per_pass
    np.testing.assert_array_equal(varying(3)["token_ids"], plain(3)["token_ids"])


def test_documents_from_their_ends():
    """The example of the module: b a a a | e e d d c |, two rows of 5."""
    rows = ContiguousRows(RowRequest(a_corpus(), 2, 0, False), 2, backward=True)
    assert rows(0)["token_ids"].tolist() == [[B, A], [E, E]]
    assert rows(1)["token_ids"].tolist() == [[A, A], [D, D]]
    assert rows(1)["next_token_ids"].tolist() == [EOD, C]
