"""planned_rows.py: passes of planned rows as batches: fixed, repeatable, wrapped around."""

import pickle

import numpy as np
import pytest

from keras_plm.data.rows.passes import RowRequest
from keras_plm.data.rows.planned_rows import PlannedRows, RowTable, row_plan


def each_token(stream, text_length, rng):
    """A row for every token of the stream but the last few, fewer in some passes."""
    places = np.arange(stream.num_tokens - rng.integers(0, 4))
    texts = np.stack([places, places + 1], axis=1)[:, None]
    return RowTable(texts, {"odd": (places % 2).astype("int32")})


def nothing(stream, text_length, rng):
    return RowTable(np.zeros((0, 1, 2), "int64"))


def make_rows(corpus, batch_size=4, seed=0, training=True, plan=each_token):
    return PlannedRows(RowRequest(corpus, batch_size, seed, training), plan, 3)


def tokens_of(rows, number):
    """Tokens and labels of a pass, (2, rows that are used)."""
    batches = [rows(number * rows.steps_per_pass + step) for step in range(rows.steps_per_pass)]
    return np.concatenate([[batch["token_ids"][:, 1], batch["odd"]] for batch in batches], axis=1)


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

    @row_plan(select=lambda corpus, order: select(corpus, order))
    def each_document(stream, text_length, rng):
        ends = stream.sentence_bounds[stream.document_sentences[:, 1] + 1]
        return RowTable(np.stack([ends - 1, ends], axis=1)[:, None])

    orders = []

    def select(corpus, order):
        orders.append(order)
        return order

    corpus = make_random_corpus(documents)
    rows = PlannedRows(RowRequest(corpus, 1), each_document, 3)
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

    def last_first(corpus, documents):
        return documents[::-1][:2]

    @row_plan(apart=True, select=last_first)
    def whole_stream(stream, text_length, rng):
        begins = np.arange(stream.num_tokens)
        texts = np.stack([begins, begins + 1], axis=1)[:, None]
        return RowTable(texts, languages=np.full((len(begins), 1), 7))

    rows = PlannedRows(RowRequest(corpus, 1, training=False), whole_stream, 3)
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


def beginnings(stream, room, rng):
    """The plan of the module's docstring, of rows of one text."""
    begins = stream.sentence_begin(stream.document_sentences[:, 0])
    return RowTable(np.stack([begins, begins + 2], axis=1)[:, None])


def test_literal_example(make_random_corpus):
    """The example of the module's docstring."""
    corpus = make_random_corpus(2)
    corpus.token_ids = np.array([10, 11, 12, 13, 14, 15, 16])
    corpus.word_starts = np.ones(7, bool)
    corpus.sentence_offsets = corpus.document_offsets = np.array([0, 3, 7])
    rows = PlannedRows(RowRequest(corpus, 2, training=False), beginnings, 4)
    assert rows(0)["token_ids"][:, 1:3].tolist() == [[10, 11], [13, 14]]


@pytest.mark.parametrize(
    "table, message",
    [
        (np.zeros((1, 1, 2), int), r"must return a RowTable.*Received: ndarray"),
        (RowTable(np.zeros((4, 2), int)), r"texts \(R, K, 2\).*Received: RowTable of \(4, 2\)"),
        (RowTable(np.zeros((4, 2, 2), int)), r"@row_plan\(num_texts=K\).*K=1"),
        (RowTable(np.zeros((4, 1, 2))), "Received: RowTable of .* float64"),
        (RowTable(np.full((4, 1, 2), [[0, 2]])), "have 1 tokens per row at most.*rows of 2"),
        (RowTable(np.full((4, 1, 2), [[-1, 0]])), "must lie in the stream.*Received: -1 to 0"),
        (RowTable(np.full((4, 1, 2), [[10**6, 10**6]])), "must lie in the stream"),
        (RowTable(np.full((4, 1, 2), [[3, 2]])), "begin before they end"),
        (
            RowTable(np.zeros((4, 1, 2), int), {"odd": np.zeros(3)}),
            r"\(4,\). Received: odd of \(3,",
        ),
    ],
)
def test_what_a_plan_must_return(make_random_corpus, table, message):
    with pytest.raises(ValueError, match=message):
        make_rows(make_random_corpus(5), plan=lambda *_: table)
