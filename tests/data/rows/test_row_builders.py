"""row_builders.py: every builder keeps the contract; mixtures of them."""

import inspect
import pickle

import numpy as np
import pytest

from keras_plm.data.rows.row_builders import ROW_BUILDERS

PLAIN = {"sequence_length": 24}
SETTINGS = {
    "dialogue": {**PLAIN, "negative": "reply", "short_rate": 0.1},
    "doc_sentences": PLAIN,
    "full_sentences": PLAIN,
    "language_stream": {**PLAIN, "language_exponent": 0.5},
    "mixture": {"parts": (("packed", PLAIN), ("full_sentences", PLAIN)), "weights": (1, 2)},
    "packed": PLAIN,
    "segment_pair": {**PLAIN, "reuse_length": 8},
    "sentence_pair": {**PLAIN, "negative": "swapped", "short_rate": 0.1},
    "stream": PLAIN,
    "text_pair": PLAIN,
    "translation_pair": PLAIN,
}
LANGUAGES = ("language_stream", "translation_pair")


def corpus_for(name, make_random_corpus, make_language_corpus):
    """A corpus whose documents are what the rows need."""
    if name == "text_pair":
        return make_language_corpus({})  # pairs alone
    return make_language_corpus() if name in LANGUAGES else make_random_corpus(60)


def make(name, corpus, training=True):
    return ROW_BUILDERS[name](corpus, 4, 3, training, False, **SETTINGS[name])


def test_arguments():
    assert SETTINGS.keys() == ROW_BUILDERS.keys()
    for builder in ROW_BUILDERS.values():
        names = list(inspect.signature(builder).parameters)[:5]
        assert names == ["corpus", "batch_size", "seed", "training", "bidirectional"]


@pytest.mark.parametrize("name", ROW_BUILDERS)
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


@pytest.mark.parametrize("name", sorted(set(ROW_BUILDERS) - {"segment_pair", "stream"}))
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
            pairs = name in ("sentence_pair", "dialogue")
            assert set(batch) == keys | ({"sentence_pair"} if pairs else set())


def test_equal_parts_share_their_rows(make_random_corpus):
    parts = (("packed", PLAIN), ("sentence_pair", PLAIN), ("packed", dict(PLAIN)))
    rows = ROW_BUILDERS["mixture"](make_random_corpus(), 4, 0, True, False, parts, (1, 1, 1))
    first, second, third = rows.builders
    assert first is third and first is not second
