"""planned_rows.py: passes of planned rows as batches: fixed, repeatable, wrapped around."""

import pickle

import numpy as np
import pytest

from keras_plm.data.rows.planned_rows import PlannedRows, RowTable


def each_token(stream, text_length, rng):
    """A row for every token of the stream but the last few, fewer in some passes."""
    places = np.arange(stream.num_tokens - rng.integers(0, 4))
    return RowTable(np.stack([places, places + 1], axis=1)[:, None], (places % 2).astype("int32"))


def nothing(stream, text_length, rng):
    return RowTable(np.zeros((0, 1, 2), "int64"))


def make_rows(corpus, batch_size=4, seed=0, training=True, plan=each_token):
    return PlannedRows(corpus, batch_size, seed, training, False, 3, 1, plan)


def tokens_of(rows, number):
    """Tokens and labels of a pass, (2, rows that are used)."""
    batches = [rows(number * rows.steps_per_pass + step) for step in range(rows.steps_per_pass)]
    return np.concatenate(
        [[batch["token_ids"][:, 1], batch["sentence_pair"]] for batch in batches], axis=1
    )


def test_evaluation_is_in_order(make_random_corpus):
    corpus = make_random_corpus(5)
    rows = make_rows(corpus, training=False)
    tokens, labels = tokens_of(rows, 0)
    stream = rows._passes(0)[0]
    expected = stream.read(np.arange(len(tokens)))["token_ids"]
    assert tokens.tolist() == expected.tolist()
    assert labels.tolist() == (np.arange(len(tokens)) % 2).tolist()
    assert tokens_of(rows, 3).tolist() == [tokens.tolist(), labels.tolist()]


def test_training_is_shuffled_anew_in_every_pass(make_random_corpus):
    corpus = make_random_corpus(5)
    rows = make_rows(corpus)
    passes = [tokens_of(rows, number)[0].tolist() for number in range(3)]
    assert len({tuple(tokens) for tokens in passes}) == 3
    again = make_rows(corpus)
    assert tokens_of(again, 1)[0].tolist() == passes[1]
    assert tokens_of(make_rows(corpus, seed=1), 1)[0].tolist() != passes[1]


def test_rows_and_documents_are_shuffled_apart(make_random_corpus):
    """With a row per document, the order of rows says nothing about the order of documents."""
    documents, passes = 30, 20

    def each_document(stream, text_length, rng):
        ends = stream.sentence_bounds[stream.document_sentences[:, 1] + 1]
        return RowTable(np.stack([ends - 1, ends], axis=1)[:, None])

    orders = []

    def select(corpus, order):
        orders.append(order)
        return order

    corpus = make_random_corpus(documents)
    rows = PlannedRows(corpus, 1, 0, True, False, 3, 1, each_document, select=select)
    same = 0
    for number in range(passes):
        _, _, order = rows._passes(number)
        assert sorted(order) == sorted(orders[-1]) == list(range(documents))
        same += (order == orders[-1]).sum()
    # By chance once in a pass: the places at which two orders agree are about Poisson.
    assert same < passes + 5 * np.sqrt(passes)


def test_every_pass_has_as_many_batches(make_random_corpus):
    rows = make_rows(make_random_corpus(5), batch_size=1)
    counts = [len(rows._passes(number)[2]) for number in range(12)]
    assert rows.steps_per_pass == counts[0] and len(set(counts)) > 1
    for number, count in enumerate(counts):
        steps = [number * counts[0] + step for step in range(counts[0])]
        tokens = [rows(step)["token_ids"][0, 1] for step in steps]
        for step in range(count, counts[0]):  # it starts over with its first rows
            assert tokens[step] == tokens[step - count]


def test_selected_documents_make_the_stream(make_random_corpus):
    corpus = make_random_corpus(5)

    def whole_stream(stream, text_length, rng):
        begins = np.arange(stream.num_tokens)
        texts = np.stack([begins, begins + 1], axis=1)[:, None]
        return RowTable(texts, languages=np.full((len(begins), 1), 7))

    def last_first(corpus, documents):
        return documents[::-1][:2]

    rows = PlannedRows(
        corpus, 1, 0, False, False, 3, 1, whole_stream, apart=True, select=last_first
    )
    bounds = corpus.document_offsets
    expected = [
        *corpus.token_ids[bounds[4] : bounds[5]],
        7,
        *corpus.token_ids[bounds[3] : bounds[4]],
    ]
    batches = [rows(step) for step in range(rows.steps_per_pass)]
    assert [batch["token_ids"][0, 1] for batch in batches] == [*expected, 7]
    assert all((batch["language_ids"] == 7).all() for batch in batches)
    assert all(batch["position_ids"].tolist() == [[0, 1, 2]] for batch in batches)


def test_shards_are_slices(make_random_corpus):
    rows = make_rows(make_random_corpus(5))
    for step in (0, 1, rows.steps_per_pass * 2 + 1):
        whole = rows(step)
        for part in (slice(0, 2), slice(2, 4), slice(3, 4)):
            made = rows(step, part)
            assert made.keys() == whole.keys()
            for name in whole:
                np.testing.assert_array_equal(made[name], whole[name][part])


def test_a_copy_makes_the_same(make_random_corpus):
    rows = make_rows(make_random_corpus(5))
    copy = pickle.loads(pickle.dumps(rows))
    np.testing.assert_array_equal(copy(7)["token_ids"], rows(7)["token_ids"])


def test_bad_input(make_random_corpus):
    corpus = make_random_corpus(5)
    with pytest.raises(ValueError, match="too small for one batch: its 5 documents make .* rows"):
        make_rows(corpus, batch_size=10_000)
    with pytest.raises(ValueError, match="make 0 rows.*Received: batch_size=1, sequence_length=3"):
        make_rows(corpus, batch_size=1, plan=nothing)
    with pytest.raises(ValueError, match="left to right only. Received: bidirectional=True"):
        PlannedRows(corpus, 1, 0, True, True, 3, 1, each_token)
