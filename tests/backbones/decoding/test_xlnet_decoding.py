import keras
import numpy as np
import pytest
from keras import ops

from keras_plm.backbones import XLNetBackbone
from keras_plm.backbones.decoding.decoder import RecomputingQueries
from keras_plm.backbones.decoding.xlnet_decoding import known_rows, next_row

BATCH, LENGTH, SLOTS, VOCABULARY = 4, 9, 5, 40

pytestmark = pytest.mark.usefixtures("quick_compilation")


def made(**options):
    """A backbone with weights so large that scores matter."""
    sizes = dict(num_layers=2, num_heads=2, hidden_dim=8, intermediate_dim=16)
    return XLNetBackbone(VOCABULARY, **sizes, **{"initializer_range": 0.4, **options})


def canvas():
    """Rows with 5, 3, 1 and 4 targets in random order, the last slots; left and right padding."""
    rng = np.random.default_rng(0)
    order = np.zeros((BATCH, LENGTH), "int32")
    targets = np.zeros((BATCH, SLOTS), "int32")
    used = np.zeros((BATCH, SLOTS), "bool")
    padding_mask = np.ones((BATCH, LENGTH), "bool")
    padding_mask[1, :3] = padding_mask[3, 7:] = False
    for row, count in enumerate((5, 3, 1, 4)):
        slots = np.arange(SLOTS - count, SLOTS)
        chosen = rng.permutation(np.flatnonzero(padding_mask[row])[1:])[:count]
        targets[row, slots], order[row, chosen], used[row, slots] = chosen, slots + 1, True
    return {
        "token_ids": rng.integers(1, VOCABULARY, (BATCH, LENGTH)).astype("int32"),
        "padding_mask": padding_mask,
        "segment_ids": rng.integers(0, 2, (BATCH, LENGTH)).astype("int32"),
        "order": order,
        "target_positions": targets,
        "used": used,
    }


def without_used(features):
    return {name: value for name, value in features.items() if name != "used"}


def run(function, *arguments, compiled={}):
    """The result as numpy; compiled on JAX, where many small operations are slow."""
    if keras.backend.backend() == "jax":
        import jax

        function = compiled.setdefault(function, jax.jit(function))
    return keras.tree.map_structure(ops.convert_to_numpy, function(*arguments))


def walk(backbone):
    """A function of features and ids by slot: the query rows (B, P, D) of all slots, cached."""

    def walk(features, filled):
        projections, cache = known_rows(backbone, features)

        def step(slot, state):
            rows, cache = state
            last = ops.take(filled, ops.maximum(slot - 1, 0), axis=1)
            row, cache = next_row(backbone, projections, cache, slot, last)
            return ops.where(ops.arange(SLOTS)[:, None] == slot, row[:, None], rows), cache

        rows = ops.zeros((BATCH, SLOTS, backbone.hidden_dim))
        return ops.fori_loop(0, SLOTS, step, (rows, cache))[0]

    return lambda features, filled: run(walk, tensors(features), tensors(filled))


def tensors(arrays):
    return keras.tree.map_structure(ops.convert_to_tensor, arrays)


@pytest.mark.parametrize(
    "options",
    [{}, {"causal": True}, {"clamp_length": 2, "tied_biases": True}, {"position_dropout": 0.0}],
    ids=str,
)
def test_cached_equals_recomputed(options):
    backbone, features = made(**options), canvas()
    filled = np.take_along_axis(features["token_ids"], features["target_positions"], axis=1)
    expected = run(lambda x: backbone.encode(x)["target_output"], without_used(features))
    hidden = {**features, "token_ids": np.where(features["order"] > 0, 0, features["token_ids"])}
    rows = walk(backbone)(hidden, filled)
    used = features["used"]
    assert np.abs(expected[used]).max() > 0.5
    np.testing.assert_allclose(rows[used], expected[used], atol=1e-5 * np.abs(expected).max())


def test_a_slot_depends_on_no_later_one():
    """The ids at blanks count for nothing, and those filled in only for the slots after them."""
    backbone, features = made(), canvas()
    used, rng = features["used"], np.random.default_rng(1)
    filled = rng.integers(1, VOCABULARY, (BATCH, SLOTS)).astype("int32")
    cached = walk(backbone)
    rows = cached(features, filled)
    other = np.where(features["order"] > 0, 1, features["token_ids"])
    np.testing.assert_array_equal(cached({**features, "token_ids": other}, filled), rows)
    changed = filled.copy()
    changed[:, 2] = (changed[:, 2] + 7) % VOCABULARY
    after = cached(features, changed)
    np.testing.assert_array_equal(after[:, :3], rows[:, :3])
    moved = np.abs(after - rows)[:, 3:].max(axis=(1, 2)) > 1e-3
    np.testing.assert_array_equal(moved, used[:, 2])  # elsewhere slot 2 holds nothing


@pytest.mark.parametrize("slot", [0, 3])
def test_recomputed_sees_all_that_is_known(slot):
    backbone, features = made(), canvas()
    rng = np.random.default_rng(2)
    filled = rng.integers(1, VOCABULARY, (BATCH, SLOTS)).astype("int32")

    def recomputed(features, filled):
        decoder = RecomputingQueries(backbone)
        constants, cache = decoder.start(features)
        cache["filled"] = filled
        return decoder.step(constants, cache, filled[:, slot - 1 : slot or None], slot - 1)[0][:, 0]

    row = run(recomputed, tensors(features), tensors(filled))
    token_ids, unknown = features["token_ids"].copy(), features["order"] > slot
    for index in range(BATCH):
        for earlier in np.flatnonzero(features["used"][index, :slot]):
            token_ids[index, features["target_positions"][index, earlier]] = filled[index, earlier]
    inputs = {
        **without_used(features),
        "token_ids": np.where(unknown, 0, token_ids),
        "order": unknown.astype("int32"),
        "target_positions": features["target_positions"][:, slot : slot + 1],
    }
    expected = run(lambda x: backbone.encode(x)["target_output"][:, 0], inputs)
    used = features["used"][:, slot]
    np.testing.assert_allclose(row[used], expected[used], atol=1e-5)
