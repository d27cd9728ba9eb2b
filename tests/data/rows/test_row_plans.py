"""row_plans.py: all rows keep the contract; mixtures of them, plans of a user's own."""

import json
import pickle

import numpy as np
import pytest

from keras_plm.data import RowTable, examples, row_plan
from keras_plm.data.rows.passes import RowRequest
from keras_plm.data.rows.row_plans import ROW_BUILDERS, ROW_PLANS, make_rows
from keras_plm.objectives import CausalModeling, MaskedModeling, ObjectiveSum, PairLabel

PLAIN = {"sequence_length": 24}
SETTINGS = {
    "dialogue": {**PLAIN, "negative": "reply", "short_rate": 0.1},
    "discourse_relation": PLAIN,
    "doc_sentences": PLAIN,
    "full_sentences": PLAIN,
    "language_stream": {**PLAIN, "language_exponent": 0.5},
    "mixture": {"parts": (("packed", PLAIN), ("full_sentences", PLAIN)), "weights": (1, 2)},
    "packed": PLAIN,
    "segment_pair": {**PLAIN, "reuse_length": 8},
    "sentence_stream": PLAIN,
    "sentence_distance": PLAIN,
    "sentence_pair": {**PLAIN, "negative": "swapped", "short_rate": 0.1},
    "sentence_reordering": {**PLAIN, "num_parts": 4},
    "source_target": {**PLAIN, "first_length": 10, "second_length": 14},
    "stream": PLAIN,
    "text_pair": PLAIN,
    "token_document": PLAIN,
    "translation_pair": PLAIN,
    "two_way_sentences": PLAIN,
}
LABELS = (
    "discourse_relation",
    "sentence_distance",
    "sentence_pair",
    "sentence_reordering",
    "token_document",
)
LANGUAGES = ("language_stream", "source_target", "translation_pair")


def corpus_for(name, make_random_corpus, make_language_corpus):
    """A corpus whose documents are what the rows need."""
    if name == "text_pair":
        return make_language_corpus({})  # pairs alone
    corpus = make_language_corpus() if name in LANGUAGES else make_random_corpus(60)
    if name == "discourse_relation":  # half of the tokens are of markers
        marks = np.random.default_rng(0).integers(-26, 27, len(corpus.token_ids))
        corpus.discourse_markers = np.maximum(marks, 0).astype("uint8")
    return corpus


def make(name, corpus, training=True):
    return make_rows(name, RowRequest(corpus, 4, 3, training), SETTINGS[name])


def test_the_tables():
    assert sorted(SETTINGS) == sorted([*ROW_PLANS, *ROW_BUILDERS])
    assert not ROW_PLANS.keys() & ROW_BUILDERS.keys()


@pytest.mark.parametrize("name", SETTINGS)
def test_batches_by_number_and_by_shard(make_random_corpus, make_language_corpus, name):
    corpus = corpus_for(name, make_random_corpus, make_language_corpus)
    rows, again = make(name, corpus), make(name, corpus)
    again(5 * again.steps_per_pass)  # in any order
    copy = pickle.loads(pickle.dumps(rows))
    shapes = {}
    for step in (0, rows.steps_per_pass - 1, rows.steps_per_pass, 3 * rows.steps_per_pass + 1):
        whole = rows(step)
        halves = [rows(step, slice(0, 2)), rows(step, slice(2, 4))]
        for key, array in whole.items():
            np.testing.assert_array_equal(again(step)[key], array)
            np.testing.assert_array_equal(copy(step)[key], array)
            if key != "part":
                assert shapes.setdefault(key, array.shape) == array.shape
                joined = np.concatenate([half[key] for half in halves])
                np.testing.assert_array_equal(joined, array)
        assert whole["token_ids"].shape == (4, 24)
    assert (make(name, corpus)(0)["token_ids"] != rows(1)["token_ids"]).any()


# Without a special token at the begin.
RUNNING = {"segment_pair", "stream", "sentence_stream", "two_way_sentences"}


@pytest.mark.parametrize("name", sorted(set(SETTINGS) - RUNNING))
def test_what_holds_for_every_row(make_random_corpus, make_language_corpus, name):
    corpus = corpus_for(name, make_random_corpus, make_language_corpus)
    corpus.token_ids = np.maximum(corpus.token_ids, 10)
    corpus.word_starts[corpus.document_offsets[:-1]] = True
    corpus.span_marks = np.where(corpus.word_starts, 1, 0).astype("uint8")
    for training in (True, False):
        rows = make(name, corpus, training)
        for step in range(rows.steps_per_pass):
            batch = rows(step)
            special = np.isin(batch["token_ids"], list(corpus.special_token_ids.values()))
            np.testing.assert_array_equal(batch["functional"], special)
            padding = batch["token_ids"] == corpus.special_token_ids["pad"]
            np.testing.assert_array_equal(batch["padding_mask"], ~padding)
            assert batch["word_starts"][special].all()
            assert not batch["span_marks"][special].any()
            assert (batch["token_ids"][:, 0] == corpus.special_token_ids["cls"]).all()
            after = special[:, :-1] & ~special[:, 1:]
            assert batch["word_starts"][:, 1:][after].all()
            keys = {"token_ids", "padding_mask", "functional", "word_starts", "span_marks"}
            keys |= {"segment_ids", *({"part"} if name == "mixture" else ())}
            keys |= {"position_ids", "language_ids"} if name in LANGUAGES else set()
            labels = {name} & set(LABELS) | ({"sentence_pair"} if name == "dialogue" else set())
            columns = {"discourse_markers"} if name == "discourse_relation" else set()
            assert set(batch) == keys | labels | columns


def test_equal_parts_share_their_rows(make_random_corpus):
    parts = (("packed", PLAIN), ("sentence_pair", PLAIN), ("packed", dict(PLAIN)))
    request = RowRequest(make_random_corpus(), 4)
    rows = make_rows("mixture", request, {"parts": parts, "weights": (1, 1, 1)})
    first, second, third = rows.builders
    assert first is third and first is not second


@pytest.mark.parametrize("name", sorted(set(SETTINGS) - {"segment_pair", "mixture"}))
def test_rows_of_one_direction(make_random_corpus, name):
    request = RowRequest(make_random_corpus(), 4, bidirectional=True)
    with pytest.raises(ValueError, match="left to right only. Received: bidirectional=True"):
        make_rows(name, request, SETTINGS[name])
    with pytest.raises(ValueError, match="left to right only"):
        make_rows(beginnings, request, PLAIN)


def beginnings(stream, room, rng):
    """A user's own plan: a row for the first tokens of each document."""
    begin, end = stream.sentence_begin(stream.document_sentences).T
    return RowTable(np.stack([begin, np.minimum(end, begin + room)], axis=1)[:, None])


@row_plan(num_texts=2)
def halves(stream, room, rng, shift=0):
    """A user's own plan of two texts, with a label of its own."""
    begin, end = stream.sentence_begin(stream.document_sentences).T
    middle = np.minimum((begin + end) // 2 + shift, end)
    texts = np.stack([begin, middle, middle, end], axis=1).reshape(-1, 2, 2)
    lengths = np.minimum(texts[:, :, 1] - texts[:, :, 0], room // 2)
    texts[:, :, 1] = texts[:, :, 0] + lengths
    coin = rng.random(len(texts)) < 0.5
    texts[coin] = texts[coin, ::-1]
    return RowTable(texts, {"turned": coin.astype("int32")})


class Turned(PairLabel):
    """Whether the halves of a document are in the other order."""

    label = "turned"
    classes = ("in order", "turned")
    rows = halves  # a function, no method

    @property
    def row_settings(self):
        return {**super().row_settings, "shift": 1}


def test_a_plan_of_a_users_own(make_random_corpus):
    corpus = make_random_corpus(60)
    objective = MaskedModeling(500, 6, (3, 4, 5, 7), sequence_length=24, rows=beginnings)
    whole = examples(corpus, objective, 4, seed=1)
    batch = whole.rows_at(3)
    offsets = corpus.document_offsets
    known = {tuple(corpus.token_ids[a:b][:22]) for a, b in zip(offsets, offsets[1:])}
    for ids, functional in zip(batch["token_ids"], batch["functional"]):
        assert tuple(ids[~functional]) in known
    resumed = examples(corpus, objective, 4, seed=1, start=3)
    for name, array in next(iter(resumed))[0].items():
        np.testing.assert_array_equal(array, whole.batch_at(3)[0][name])
    assert objective != MaskedModeling(500, 6, (3, 4, 5, 7), sequence_length=24)
    assert CausalModeling(24, beginnings).rows is beginnings
    for rows in (None, 3):
        with pytest.raises(ValueError, match="rows must name a row builder"):
            CausalModeling(24, rows)


def test_a_plan_with_labels_and_settings(make_random_corpus):
    corpus, turned = make_random_corpus(60), Turned(24)
    assert turned.rows is halves
    masked = MaskedModeling(500, 6, (3, 4, 5, 7), sequence_length=24, rows=halves, segments=True)
    both = ObjectiveSum((masked, turned))
    assert both.rows is halves and both.row_settings == {"sequence_length": 24, "shift": 1}
    rows, batch = examples(corpus, both, 4).rows_at(1), examples(corpus, both, 4).batch_at(1)
    np.testing.assert_array_equal(batch[1]["turned"], rows["turned"])
    assert set(rows["turned"]) <= {0, 1} and rows["segment_ids"].max() == 1
    with pytest.raises(ValueError, match="same rows.*'beginnings', 'halves'"):
        ObjectiveSum((MaskedModeling(500, 6, sequence_length=24, rows=beginnings), turned))


def test_a_plan_is_saved_by_its_registered_name():
    keras = pytest.importorskip("keras")
    objective = MaskedModeling(500, 6, (3, 4, 5, 7), sequence_length=24, rows=beginnings)
    config = json.loads(json.dumps(objective.get_config()))
    with pytest.raises(ValueError, match="function of your own must be registered"):
        MaskedModeling.from_config(config)
    with keras.saving.custom_object_scope({config["rows"]["function"]: beginnings}):
        assert MaskedModeling.from_config(config) == objective
