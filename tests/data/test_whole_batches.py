"""What all rows of a batch share is made of the whole batch, whichever shard asks."""

import numpy as np
import pytest

from keras_plm.data.examples import examples
from keras_plm.data.rows.passes import RowRequest
from keras_plm.data.rows.row_plans import make_rows
from keras_plm.objectives import (
    EntityDenoising,
    MaskedModeling,
    Mixture,
    ObjectiveSum,
    SentencePair,
    TokenDocument,
)

LENGTH = 40
PAIR = SentencePair(LENGTH)
MASKED = MaskedModeling(500, 6, sequence_length=LENGTH, rows="sentence_pair", segments=True)
DENOISING = EntityDenoising(44, LENGTH, replaced=0.2, dropped=0.3)
SUM = ObjectiveSum((MASKED, PAIR, DENOISING))
STATIC = ObjectiveSum(
    (
        MaskedModeling(
            *(500, 6),
            sequence_length=LENGTH,
            rows="sentence_pair",
            segments=True,
            static_passes=2,
        ),
        DENOISING,
    )
)
TURNS = Mixture((DENOISING, ObjectiveSum((PAIR, DENOISING))), (1, 1))


@pytest.fixture
def make_entity_corpus(make_random_corpus):
    """A random corpus with entities at every fifth token or so; the last document has none."""

    def make(share=0.2, **options):
        corpus = make_random_corpus(**options)
        rng = np.random.default_rng(7)
        count = len(corpus.token_ids)
        entities = rng.integers(1, 90, count) * (rng.random(count) < share)
        entities[corpus.document_offsets[-2] :] = 0
        corpus.entities = entities.astype("int32")
        return corpus

    return make


def assert_same(left, right):
    for first, second in zip(left, right):
        assert first.keys() == second.keys()
        for name, values in first.items():
            np.testing.assert_array_equal(values, second[name], err_msg=name)
            assert values.dtype == second[name].dtype


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "objective", [DENOISING, SUM, STATIC, TURNS], ids="alone sum static turns".split()
)
def test_shards_together_are_the_whole_batch(make_entity_corpus, objective, training):
    corpus = make_entity_corpus()
    whole = examples(corpus, objective, 8, training=training)
    for count in (2, 4):
        shards = [
            examples(corpus, objective, 8, training=training, shard=(index, count))
            for index in range(count)
        ]
        for n in (0, 1, whole.steps_per_epoch - 1):
            parts = [shard.batch_at(n) for shard in shards]
            joined = [
                {name: np.concatenate([part[i][name] for part in parts]) for name in parts[0][i]}
                for i in range(3)
            ]
            assert_same(joined, whole.batch_at(n))
            x, y, weight = whole.batch_at(n)
            told = np.take_along_axis(x["candidate_entity_ids"], y["entities"], axis=1)
            assert (told[weight["entities"] > 0] > 0).all() and weight["entities"].any()
            alone = np.unique(told[: 8 // count])  # a shard's own entities are fewer
            assert len(alone) < len(np.unique(x["candidate_entity_ids"]))


def test_batch_n_is_the_same_whenever(make_entity_corpus):
    corpus = make_entity_corpus()
    dataset = examples(corpus, SUM, 4, seed=5)
    steps = dataset.steps_per_epoch
    resumed = iter(examples(make_entity_corpus(), SUM, 4, seed=5, start=steps + 1))
    for n in range(steps + 1, steps + 4):
        assert_same(next(resumed), dataset.batch_at(n))
    other = examples(corpus, SUM, 4, seed=6).batch_at(0)[0]["entity_ids"]
    assert (other != dataset.batch_at(0)[0]["entity_ids"]).any()
    again = examples(corpus, STATIC, 4)
    assert_same(again.batch_at(1), again.batch_at(1 + 2 * again.steps_per_epoch))


def test_rows_have_what_the_objective_makes_of_all_of_them(make_entity_corpus):
    dataset = examples(make_entity_corpus(), DENOISING, 4, shard=(1, 2))
    rows = dataset.rows_at(3)
    assert rows["entities"].shape == (2, LENGTH)
    shared = dataset.batch_at(3)[0]["candidate_entity_ids"]
    np.testing.assert_array_equal(rows["candidate_entity_ids"], shared[0])


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("rows", ["sentence_pair", "packed", "doc_sentences"])
def test_rows_with_few_entities_are_left_out(make_entity_corpus, rows, training):
    """The rows that are left are those of a plan without the rule, counted in the batches."""
    corpus = make_entity_corpus(share=0.15)
    settings = {"segments": rows == "sentence_pair", "rows": rows}
    every = EntityDenoising(24, LENGTH, min_entities=0, **settings)
    some = EntityDenoising(24, LENGTH, min_entities=6, **settings)
    found = []
    for objective in (every, some):
        dataset = examples(corpus, objective, 1, training=training)
        rows_of_pass = [dataset.rows_at(n) for n in range(dataset.steps_per_epoch)]
        found.append([(one["entities"] > 0).sum() for one in rows_of_pass])
    assert min(found[1]) == 6 and 0 < len(found[1]) < len(found[0])
    # in training the rows are shuffled; their numbers of entities are the same
    expected = [number for number in found[0] if number >= 6]
    assert sorted(found[1]) == sorted(expected) if training else found[1] == expected


def test_labels_stay_with_the_rows_that_are_left(make_entity_corpus):
    corpus = make_entity_corpus(share=0.15)
    every = ObjectiveSum((PAIR, EntityDenoising(24, LENGTH, min_entities=0)))
    some = ObjectiveSum((PAIR, EntityDenoising(24, LENGTH, min_entities=6)))
    kept = {}
    for objective in (every, some):
        dataset = examples(corpus, objective, 1, training=False)
        rows = [dataset.rows_at(n) for n in range(dataset.steps_per_epoch)]
        kept[objective] = [
            (one["token_ids"].tobytes(), int(one["sentence_pair"][0]))
            for one in rows
            if (one["entities"] > 0).sum() >= 6
        ]
    assert kept[every] == kept[some] and len({label for _, label in kept[some]}) == 2


def test_labels_of_tokens_stay_with_the_rows_that_are_left(make_entity_corpus):
    corpus, label = make_entity_corpus(share=0.15), TokenDocument(LENGTH)
    kept = []
    for least in (0, 6):
        settings = dict(rows=label.rows, segments=False, min_entities=least)
        entities = EntityDenoising(24, LENGTH, **settings)
        dataset = examples(corpus, ObjectiveSum((label, entities)), 1, training=False)
        rows = [dataset.rows_at(n) for n in range(dataset.steps_per_epoch)]
        kept.append(
            [
                (one["token_ids"].tobytes(), one["token_document"].tobytes())
                for one in rows
                if (one["entities"] > 0).sum() >= 6
            ]
        )
    assert kept[0] == kept[1] and 0 < len(kept[1])


def test_rows_without_entities_are_in_no_batch_and_a_corpus_without_is_refused(
    make_entity_corpus, make_random_corpus
):
    with pytest.raises(ValueError, match=r"make \d+ rows of 39 mentions or more. Lower min_entit"):
        examples(make_entity_corpus(), EntityDenoising(9, LENGTH, min_entities=39), 4)
    loose = EntityDenoising(9, LENGTH, min_entities=0)
    for objective in (DENOISING, SUM, loose):
        with pytest.raises(ValueError, match="needs the column 'entities'.*DictionaryLinker"):
            examples(make_random_corpus(), objective, 4)
    settings = {"sequence_length": LENGTH, "min_entities": 1}
    with pytest.raises(ValueError, match="needs the column 'entities'"):
        make_rows("packed", RowRequest(make_random_corpus(), 4, 0, True, False), settings)
    empty = make_entity_corpus(share=0.0)
    x, y, weight = examples(empty, loose, 4).batch_at(0)
    assert not any(one.any() for one in (x["entity_ids"], y["entities"], weight["entities"]))
    assert not x["candidate_entity_ids"].any()


def test_contiguous_rows_with_entities(make_entity_corpus):
    stream = EntityDenoising(9, LENGTH, rows="stream", segments=False, min_entities=0)
    x, _, weight = examples(make_entity_corpus(), stream, 4).batch_at(2)
    assert weight["entities"].any() and x["entity_ids"].shape == (4, LENGTH)
