"""Mixture: the literal example, idle heads, shards, what does not fit."""

import json
from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest

from keras_plm.objectives import (
    Corruption,
    MaskedModeling,
    Mixture,
    ObjectiveSum,
    RandomSelection,
    SentencePair,
    SpanBoundary,
    SpanSelection,
    TokenLabel,
)

MASKED = MaskedModeling(
    50, 4, (0, 1, 2), sequence_length=16, rows="packed", segments=True, num_predict=3
)
PAIRED = ObjectiveSum(
    (
        replace(MASKED, rows="sentence_pair", select=RandomSelection("word"), num_predict=3),
        SentencePair(16),
    )
)
MIXTURE = Mixture((MASKED, PAIRED), (2, 1))


def make_batch(num_rows, part, length=16, seed=0):
    rng = np.random.default_rng(seed)
    functional = np.zeros((num_rows, length), bool)
    functional[:, [0, 7, -1]] = True
    batch = {
        "token_ids": rng.integers(5, 50, (num_rows, length)).astype("int32"),
        "padding_mask": np.ones((num_rows, length), bool),
        "functional": functional,
        "word_starts": (rng.random((num_rows, length)) < 0.7) | functional,
        "segment_ids": np.tile(np.arange(length) > 7, (num_rows, 1)).astype("int32"),
        "part": part,
    }
    if part == 1:
        batch["sentence_pair"] = np.arange(num_rows, dtype="int32") % 2
    return batch


def test_literal_example():
    """The example of the module's docstring."""
    made = [MIXTURE(make_batch(3, part), np.random.default_rng(0)) for part in (0, 1)]
    (_, idle, idle_weight), (_, busy, busy_weight) = made
    assert idle["sentence_pair"].tolist() == idle_weight["sentence_pair"].tolist() == [0, 0, 0]
    assert busy["sentence_pair"].tolist() == [0, 1, 0]
    assert busy_weight["sentence_pair"].tolist() == [1, 1, 1]
    for one in made:  # one graph for both: the same keys, shapes and dtypes
        for first, second in zip(one, made[0]):
            described = {name: (array.shape, array.dtype) for name, array in first.items()}
            assert described == {name: (array.shape, array.dtype) for name, array in second.items()}
    assert tuple(made[1][0]) == MIXTURE.feature_names


@pytest.mark.parametrize("part", [0, 1, np.int64(1)])
def test_each_part_does_what_it_does_alone(part):
    batch = make_batch(6, part)
    x, y, _ = MIXTURE(batch, np.random.default_rng(0))
    objective = MIXTURE.objectives[part]
    uniform = np.random.default_rng(0).random((6, MIXTURE.draws_per_row))
    numbers = SimpleNamespace(random=lambda shape: uniform[: shape[0], : shape[1]])
    alone, alone_y, _ = objective({k: v for k, v in batch.items() if k != "part"}, numbers)
    for name in alone:
        np.testing.assert_array_equal(x[name], alone[name])
    np.testing.assert_array_equal(y["tokens"], alone_y["tokens"])


@pytest.mark.parametrize("part", [0, 1])
def test_shards(part):
    batch = make_batch(20, part)
    whole = MIXTURE(batch, np.random.default_rng(3))
    bits = np.random.PCG64(3).advance(12 * MIXTURE.draws_per_row)
    rows = {name: value if name == "part" else value[12:] for name, value in batch.items()}
    shard = MIXTURE(rows, np.random.Generator(bits))
    for first, sliced in zip(whole, shard):
        for name, array in first.items():
            np.testing.assert_array_equal(array[12:], sliced[name])


def test_settings_for_the_rows():
    assert MIXTURE.rows == "mixture" and MIXTURE.sequence_length == 16
    assert MIXTURE.weights == (2.0, 1.0) and MIXTURE.hides
    assert MIXTURE.row_settings == {
        "parts": (
            ("packed", {"sequence_length": 16}),
            ("sentence_pair", dict(sequence_length=16, negative="random", short_rate=0.1)),
        ),
        "weights": (2.0, 1.0),
    }
    assert MIXTURE.draws_per_row == max(MASKED.draws_per_row, PAIRED.draws_per_row)
    assert MIXTURE.head_names == ("tokens", "sentence_pair")
    assert MIXTURE.target_shape("tokens") == (3,) and MIXTURE.target_shape("sentence_pair") == ()
    assert MIXTURE.samples_per_row == MIXTURE.static_passes == 0
    corpus = replace(MASKED, corrupt=Corruption(random_ids="corpus"))
    assert Mixture((MASKED, corpus), (1, 1)).samples_per_row == 3


def test_heads_once_each():
    keras = pytest.importorskip("keras")
    backbone = SimpleNamespace(
        dtype_policy=keras.DTypePolicy("float32"),
        token_embedding=keras.layers.ReversibleEmbedding(50, 4),
        reads={"pooler"},
        activation="gelu",
        layer_norm_epsilon=1e-12,
        kernel_initializer=keras.initializers.RandomNormal,
    )
    assert tuple(MIXTURE.heads(backbone)) == ("tokens", "sentence_pair")


SPANS = replace(MASKED, select=SpanSelection())
LONG, SHORT = (ObjectiveSum((SPANS, SpanBoundary(length))) for length in (30, 10))


@pytest.mark.parametrize(
    "objectives, weights, message",
    [
        ((MASKED,), (1,), "Mixture takes a tuple of two or more objectives"),
        ((MASKED, MASKED), (1,), "weights must be 2 positive numbers"),
        ((MASKED, MASKED), (1, 0), "weights must be 2 positive numbers"),
        ((MASKED, MASKED), (1, -1), "weights must be 2 positive numbers"),
        ((MASKED, MASKED), (1, float("inf")), "weights must be 2 positive numbers"),
        ((MASKED, MASKED), (1, float("nan")), "weights must be 2 positive numbers"),
        ((MASKED, MASKED), (1, "1"), "weights must be 2 positive numbers"),
        ((MASKED, MASKED), (1, True), "weights must be 2 positive numbers"),
        ((MASKED, MASKED), 1, "weights must be 2 positive numbers"),
        ((MASKED, replace(MASKED, sequence_length=32)), (1, 1), "same sequence_length"),
        ((MASKED, replace(MASKED, segments=False)), (1, 1), "must make the same features"),
        ((MASKED, replace(MASKED, num_predict=4)), (1, 1), r"targets of the head 'tokens'.*\(3,\)"),
        ((MASKED, replace(MASKED, static_passes=2)), (1, 1), r"static_passes. Received: \[0, 2\]"),
        ((LONG, SHORT), (1, 1), r"share the head 'span_boundary'.*max_length=30.*max_length=10"),
        ((LONG, SPANS), (1, 1), "must make the same features"),
        ((SPANS, SpanBoundary()), (1, 1), r"A plug-in stands in an ObjectiveSum.*SpanBoundary\("),
    ],
)
def test_what_does_not_fit(objectives, weights, message):
    with pytest.raises(ValueError, match=message) as error:
        Mixture(objectives, weights)
    assert "Received: " in str(error.value)


@pytest.mark.parametrize("part", [None, 2, -1, 0.0, "0"])
def test_bad_part(part):
    with pytest.raises(ValueError, match='"part" must say which objective'):
        MIXTURE(make_batch(2, part), np.random.default_rng(0))


# === Sizes and stages ===


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "either `weights` or `stages`"),
        ({"weights": (1, 1), "stages": ((1, 1),)}, "either `weights` or `stages`"),
        ({"weights": "size"}, "weights must be 2 positive numbers"),
        ({"stages": ()}, "stages must be tuples of 2 integers"),
        ({"stages": (1, 2)}, "stages must be tuples of 2 integers"),
        ({"stages": ((1, 2), (1,))}, "stages must be tuples of 2 integers"),
        ({"stages": ((1, -1),)}, "stages must be tuples of 2 integers"),
        ({"stages": ((1, 0.5),)}, "stages must be tuples of 2 integers"),
        ({"stages": ((1, 1), (0, 0))}, "and not all 0"),
    ],
)
def test_bad_schedules(settings, message):
    with pytest.raises(ValueError, match=message):
        Mixture((MASKED, PAIRED), **settings)


def test_stages_do_not_go_with_passes_that_come_again():
    static = [replace(MASKED, static_passes=2, num_predict=n) for n in (3, 3)]
    with pytest.raises(ValueError, match="static_passes=0"):
        Mixture(tuple(static), stages=((1, 1),))


@pytest.mark.parametrize("settings", [{"weights": "sizes"}, {"stages": ((4, 0), (1, 3))}])
def test_schedules_are_saved(settings):
    mixture = Mixture((MASKED, PAIRED), **settings)
    again = Mixture.from_config(json.loads(json.dumps(mixture.get_config())))
    assert again == mixture and again.row_settings == mixture.row_settings


def test_examples_of_stages(corpora, tokenizers):
    """Resumed too, each batch is of the part that the table says; evaluation is of the last."""
    from keras_plm import data

    masked = MaskedModeling.for_tokenizer(
        tokenizers["bert"], sequence_length=16, rows="sentence_pair", segments=True
    )
    parts = (masked, ObjectiveSum((masked, SentencePair(16))))
    mixture = Mixture(parts, stages=((3, 0), (1, 3)))
    whole = data.examples(corpora["bert"], mixture, 4, seed=1)
    asks = [whole.batch_at(n)[2]["sentence_pair"].any() for n in range(11)]
    assert asks[:3] == [False] * 3 and sum(asks[3:7]) == 3 and sum(asks[7:]) == 3
    later = next(iter(data.examples(corpora["bert"], mixture, 4, seed=1, start=5)))
    for name, array in whole.batch_at(5)[0].items():
        np.testing.assert_array_equal(later[0][name], array)
    evaluated = data.examples(corpora["bert"], mixture, 4, training=False)
    assert sum(evaluated.batch_at(n)[2]["sentence_pair"].any() for n in range(4)) == 3
    sizes = data.examples(corpora["bert"], Mixture(parts, "sizes"), 4)
    drawn = [sizes.batch_at(n)[2]["sentence_pair"].any() for n in range(200)]
    assert 60 < sum(drawn) < 140  # both read the same rows


# === Task ids ===


@dataclass(frozen=True)
class Turned(TokenLabel):
    """A label of tokens, over the same features but for slots."""

    label = "turned"
    classes = ("no", "yes")


LABELLED = Turned(16, "packed", segments=True)
WITH_IDS = Mixture((MASKED, LABELLED, PAIRED), stages=((2, 0, 0), (1, 2, 2)), task_ids=True)


def test_task_ids_are_the_part():
    """The same for all tokens of a batch, padding too; idle slots are 0, of weight 0."""
    shapes = []
    for part, heads in enumerate([{"tokens"}, {"turned"}, {"tokens", "sentence_pair"}]):
        batch = make_batch(4, part)
        batch["turned"] = np.ones((4, 16), "int8")
        batch["sentence_pair"] = np.ones(4, "int32")
        batch["padding_mask"][:, 12:] = False
        x, y, weight = WITH_IDS(batch, np.random.default_rng(0))
        assert tuple(x) == WITH_IDS.feature_names and tuple(x)[-1] == "task_ids"
        assert (x["task_ids"] == part).all() and x["task_ids"].dtype == np.int32
        assert {name for name, own in weight.items() if own.any()} == heads
        assert x["target_positions"].any() == ("tokens" in heads)
        shapes.append({name: (one.shape, one.dtype) for name, one in {**x, **y}.items()})
    assert shapes[0] == shapes[1] == shapes[2]
    assert shapes[0]["target_positions"] == ((4, 3), np.int32)
    assert "task_ids" not in MIXTURE.feature_names


def test_slots_of_a_first_part_that_hides_nothing():
    mixture = Mixture((LABELLED, MASKED), (1, 1))
    batch = {**make_batch(2, 0), "turned": np.zeros((2, 16), "int8")}
    x, _, weight = mixture(batch, np.random.default_rng(0))
    assert x["target_positions"].shape == (2, 3) and not x["target_positions"].any()
    assert not weight["tokens"].any() and weight["turned"].any()
    assert "target_positions" not in Mixture((LABELLED, LABELLED), (1, 1)).feature_names


@pytest.mark.parametrize("rows", [0, 2])
def test_task_ids_need_as_many_tasks(rows):
    backbone = SimpleNamespace(bounds={"task_ids": rows} if rows else {}, reads={"pooler"})
    message = f"make it with num_tasks=3 or more. Received: SimpleNamespace with {rows} tasks"
    with pytest.raises(ValueError, match=message):
        WITH_IDS.heads(backbone)


def test_bad_task_ids():
    with pytest.raises(ValueError, match="`task_ids` must be True or False"):
        Mixture((MASKED, PAIRED), (1, 1), task_ids=1)
    with pytest.raises(ValueError, match=r"segments=True.*task_ids=True"):
        Mixture((MASKED, replace(LABELLED, segments=False)), (1, 1), task_ids=True)


def test_configs_from_before():
    """Those of weights alone, and those without task ids."""
    config = MIXTURE.get_config()
    assert config.pop("task_ids") is False
    assert Mixture.from_config(config) == MIXTURE
    assert config.pop("stages") is None
    assert Mixture.from_config(config) == MIXTURE


def test_a_training_of_stages_goes_on_to_the_bit(corpora, tokenizers):
    """Batch n is the same from any start, and in any shard; no task comes before its stage."""
    from keras_plm import data
    from keras_plm.objectives import SentenceDistance, TokenDocument, continual_stages

    masked = MaskedModeling.for_tokenizer(
        tokenizers["bert"], sequence_length=24, rows="doc_sentences", segments=True
    )
    parts = (masked, TokenDocument(24, segments=True), SentenceDistance(24))
    stages = continual_stages(3, 8)
    mixture = Mixture(parts, stages=stages, task_ids=True)
    whole = data.examples(corpora["bert"], mixture, 4, seed=1)
    resumed = iter(data.examples(corpora["bert"], mixture, 4, seed=1, start=9))
    shard = data.examples(corpora["bert"], mixture, 4, seed=1, shard=(1, 2))
    seen = []
    for number in range(24):
        batch = whole.batch_at(number)
        seen.append(int(batch[0]["task_ids"][0, 0]))
        assert (batch[0]["task_ids"] == seen[-1]).all()
        weights = {name: one.any() for name, one in batch[2].items()}
        names = ("tokens", "token_document", "sentence_distance")
        assert weights == {name: seen[-1] == part for part, name in enumerate(names)}
        others = [next(resumed)] if number >= 9 else []
        for other in [*others, shard.batch_at(number)]:
            for first, second in zip(batch, other):
                for name, array in first.items():
                    np.testing.assert_array_equal(array[-len(second[name]) :], second[name])
    ends = np.cumsum(np.sum(stages, axis=1))
    for counts, stage in zip(stages, np.split(seen, ends[:-1])):
        assert np.bincount(stage, minlength=3).tolist() == list(counts)
