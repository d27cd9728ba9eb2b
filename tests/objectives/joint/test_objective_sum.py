"""ObjectiveSum: the literal example, whose features count, shards, what does not fit."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from keras_plm.objectives import (
    ALL_MASK,
    Corruption,
    MaskedModeling,
    ObjectiveSum,
    PermutationModeling,
    RandomOrderMasking,
    RandomSelection,
    SentencePair,
    SpanBoundary,
    SpanSelection,
)

MASK = 4
MASKED = MaskedModeling(50, MASK, (0, 1, 2), sequence_length=16, rows="sentence_pair")
PAIR = SentencePair(16)


def make_batch(num_rows, length=16, seed=0):
    rng = np.random.default_rng(seed)
    functional = np.zeros((num_rows, length), bool)
    functional[:, [0, 7, -1]] = True
    return {
        "token_ids": rng.integers(5, 50, (num_rows, length)).astype("int32"),
        "padding_mask": np.ones((num_rows, length), bool),
        "functional": functional,
        "word_starts": np.ones((num_rows, length), bool),
        "segment_ids": np.tile(np.arange(length) > 7, (num_rows, 1)).astype("int32"),
        "sentence_pair": rng.integers(0, 2, num_rows).astype("int32"),
    }


@pytest.mark.parametrize("objectives", [(MASKED, PAIR), (PAIR, MASKED)])
def test_literal_example(objectives):
    """The example of the module's docstring: the order of the objectives does not matter."""
    both = ObjectiveSum(objectives)
    batch = make_batch(3)
    x, y, sample_weight = both(batch, np.random.default_rng(0))
    alone, alone_y, alone_weight = MASKED(batch, np.random.default_rng(0))
    assert set(x) == set(both.feature_names) == {*alone, "segment_ids"}
    assert len(both.feature_names) == len(set(both.feature_names))
    assert (x["token_ids"] == alone["token_ids"]).all()
    assert (x["token_ids"] != batch["token_ids"]).any()  # the masks, not the plain rows
    assert set(y) == set(sample_weight) == set(both.head_names) == {"tokens", "sentence_pair"}
    np.testing.assert_array_equal(y["tokens"], alone_y["tokens"])
    np.testing.assert_array_equal(sample_weight["tokens"], alone_weight["tokens"])
    np.testing.assert_array_equal(y["sentence_pair"], batch["sentence_pair"])


def test_settings_are_merged():
    static = replace(MASKED, static_passes=10, corrupt=Corruption(random_ids="corpus"))
    both = ObjectiveSum([static, SentencePair(16, "swapped", 0.3)])  # a list becomes a tuple
    assert isinstance(both.objectives, tuple) and both.rows == "sentence_pair" and both.hides
    assert both.sequence_length == 16 and both.static_passes == 10
    assert both.samples_per_row == static.num_predict
    assert both.row_settings == dict(sequence_length=16, negative="swapped", short_rate=0.3)
    assert both.draws_per_row == static.draws_per_row
    assert both.target_shape("tokens") == (static.num_predict,)
    assert both.target_shape("sentence_pair") == ()
    with pytest.raises(ValueError, match=r"has the heads .* Received: name='span_boundary'"):
        both.target_shape("span_boundary")
    assert not ObjectiveSum((PAIR, _Renamed(16))).hides


class _Renamed(SentencePair):
    """A second objective that hides nothing."""

    head_names = ("other",)


@pytest.mark.parametrize("select", [RandomSelection("word"), SpanSelection()], ids=str)
def test_shards(select):
    both = ObjectiveSum((PAIR, replace(MASKED, select=select)))
    batch = make_batch(40)
    whole = both(batch, np.random.default_rng(3))
    bits = np.random.PCG64(3).advance(25 * both.draws_per_row)
    shard = both({k: v[25:] for k, v in batch.items()}, np.random.Generator(bits))
    for first, sliced in zip(whole, shard):
        for name, array in first.items():
            np.testing.assert_array_equal(array[25:], sliced[name])


def test_heads_of_all():
    keras = pytest.importorskip("keras")
    backbone = SimpleNamespace(
        dtype_policy=keras.DTypePolicy("float32"),
        token_embedding=keras.layers.ReversibleEmbedding(50, 4),
        reads={"pooler"},
        activation="gelu",
        layer_norm_epsilon=1e-12,
        kernel_initializer=keras.initializers.RandomNormal,
    )
    heads = ObjectiveSum((MASKED, PAIR)).heads(backbone)
    assert {name: head.name for name, head in heads.items()} == {
        "tokens": "tokens",
        "sentence_pair": "sentence_pair",
    }


@pytest.mark.parametrize(
    "objectives, message",
    [
        ((MASKED,), "two or more objectives"),
        (MASKED, "two or more objectives"),
        ((MASKED, "pair"), "two or more objectives"),
        ((MASKED, SentencePair(32)), r"same sequence_length. Received: \[16, 32\]"),
        ((replace(MASKED, rows="packed"), PAIR), r"same rows.*\['packed', 'sentence_pair'\]"),
        ((MASKED, SentencePair(16, "reply")), "same rows"),
        ((MASKED, replace(MASKED, corrupt=ALL_MASK)), "Only one objective of a sum may hide"),
        ((PAIR, PAIR), r"different heads. Received: \['sentence_pair', 'sentence_pair'\]"),
        ((PAIR, SentencePair(16, "swapped")), "different heads"),
        ((PermutationModeling(16, 0, 5, 8), PAIR), "same rows"),
        ((PAIR, SpanBoundary()), r"\['SpanBoundary'\] ask about hidden tokens"),
        ((SpanBoundary(), SpanBoundary(3)), "ask about hidden tokens"),
        ((RandomOrderMasking(MASKED), SpanBoundary()), "ask about hidden tokens"),
        ((MASKED, SpanBoundary(), SpanBoundary(3)), "different heads"),
    ],
)
def test_what_does_not_fit(objectives, message):
    with pytest.raises(ValueError, match=message) as error:
        ObjectiveSum(objectives)
    assert "Received: " in str(error.value)


def test_conflicting_rows():
    class Other(_Renamed):
        """The same rows by other settings."""

    with pytest.raises(ValueError, match="agree on the settings of their rows.*short_rate=0.1 and"):
        ObjectiveSum((PAIR, Other(16, short_rate=0.2)))


def test_bad_batch():
    batch = make_batch(2)
    del batch["sentence_pair"]
    with pytest.raises(ValueError, match="SentencePair, whose rows are pairs, needs sentence_pair"):
        ObjectiveSum((MASKED, PAIR))(batch, np.random.default_rng(0))
