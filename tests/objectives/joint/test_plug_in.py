"""Plug-ins: the literal example, what they are told, alone and in sums of sums."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from keras_plm.objectives import (
    ALL_MASK,
    MaskedModeling,
    ObjectiveSum,
    PlugIn,
    SentencePair,
    SpanBoundary,
    SpanSelection,
)

MASKED = MaskedModeling(50, 4, (0, 1, 2), SpanSelection(rate=0.3), sequence_length=16, rows="r")
ROWS = replace(MASKED, rows="sentence_pair")


@dataclass(frozen=True)
class Replaced(PlugIn):
    """Whether each token differs from the text."""

    target_axes = {"replaced": "BT"}
    feature_names = ("token_ids", "padding_mask")

    def heads(self, backbone):
        return {}

    def __call__(self, batch, rng, hidden):
        replaced = hidden.token_ids != batch["token_ids"]
        x = {"token_ids": batch["token_ids"], "padding_mask": batch["padding_mask"]}
        weight = batch["padding_mask"].astype("float32")
        return x, {"replaced": replaced.astype("int32")}, {"replaced": weight}


@dataclass(frozen=True)
class Told(Replaced):
    """Keeps what it was told, and draws numbers of its own."""

    target_axes = {"told": "BP"}
    draws_per_row = 2

    def __call__(self, batch, rng, hidden):
        numbers = rng.random((len(batch["token_ids"]), 2))
        object.__setattr__(self, "told", (numbers, hidden))
        return {}, {"told": hidden.tokens}, {"told": hidden.weights}


def make_batch(num_rows=3, length=16, seed=0):
    rng = np.random.default_rng(seed)
    functional = np.zeros((num_rows, length), bool)
    functional[:, [0, 7, -1]] = True
    return {
        "token_ids": rng.integers(5, 50, (num_rows, length)).astype("int32"),
        "padding_mask": np.ones((num_rows, length), bool),
        "functional": functional,
        "word_starts": rng.random((num_rows, length)) < 0.7,
        "segment_ids": np.tile(np.arange(length) > 7, (num_rows, 1)).astype("int32"),
        "sentence_pair": np.arange(num_rows) % 2,
    }


@pytest.mark.parametrize("first", [True, False])
def test_literal_example(first):
    """The example of the module's docstring, whichever stands first."""
    objectives = (MASKED, Replaced()) if first else (Replaced(), MASKED)
    both, batch = ObjectiveSum(objectives), make_batch()
    x, y, weight = both(batch, np.random.default_rng(0))
    alone, alone_y, _ = MASKED(batch, np.random.default_rng(0))
    np.testing.assert_array_equal(x["token_ids"], alone["token_ids"])  # no plug-in shows the text
    np.testing.assert_array_equal(y["replaced"], alone["token_ids"] != batch["token_ids"])
    assert y["replaced"].any() and set(y) == set(weight) == set(both.head_names)
    assert both.target_shape("replaced") == (16,) == y["replaced"].shape[1:]
    assert both.rows == "r" and both.sequence_length == 16 and both.tells_hidden


def test_what_a_plug_in_is_told():
    plug_in, batch = Told(), make_batch()
    both = ObjectiveSum((plug_in, replace(MASKED, corrupt=ALL_MASK)))
    assert both.draws_per_row == 2 + MASKED.draws_per_row
    assert both.target_shape("told") == (MASKED.num_predict,)
    x, y, weight = both(batch, np.random.default_rng(5))
    numbers, hidden = plug_in.told
    uniform = np.random.default_rng(5).random((3, both.draws_per_row))
    np.testing.assert_array_equal(numbers, uniform[:, :2])
    np.testing.assert_array_equal(hidden.positions, x["target_positions"])
    np.testing.assert_array_equal(hidden.tokens, y["tokens"])
    np.testing.assert_array_equal(hidden.weights, weight["tokens"])
    np.testing.assert_array_equal(hidden.token_ids, x["token_ids"])
    units = MASKED.select(batch, uniform[:, 2:][:, : MASKED.select.draws(16)], MASKED.num_predict)
    used = hidden.weights > 0
    rows, _ = np.nonzero(used)
    np.testing.assert_array_equal(hidden.units[used], units[rows, hidden.positions[used]])
    assert not hidden.units[~used].any() and hidden.units.max() > 1 and not used.all()


def test_in_a_sum_of_a_sum():
    inner = ObjectiveSum((ROWS, SpanBoundary(4)))
    flat = ObjectiveSum((ROWS, SpanBoundary(4), SentencePair(16), Replaced()))
    nested = ObjectiveSum((inner, SentencePair(16), Replaced()))
    assert nested.target_shape("replaced") == flat.target_shape("replaced") == (16,)
    assert nested.target_shape("span_boundary") == (5,) and nested.num_predict == 5
    batch = make_batch(40)
    made = [one(batch, np.random.default_rng(1)) for one in (flat, nested)]
    for first, second in zip(*made):
        assert tuple(first) == tuple(second)
        for name, array in first.items():
            np.testing.assert_array_equal(array, second[name])
    bits = np.random.PCG64(1).advance(25 * flat.draws_per_row)
    shard = nested({k: v[25:] for k, v in batch.items()}, np.random.Generator(bits))
    for first, second in zip(made[0], shard):
        for name, array in first.items():
            np.testing.assert_array_equal(array[25:], second[name])
