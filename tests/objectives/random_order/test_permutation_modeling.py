"""PermutationModeling: the literal example, the original's masks, statistics, bad settings."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from keras_plm.objectives import PermutationModeling
from keras_plm.objectives.random_order.permutation_modeling import local_permutation

FIXTURE = Path(__file__).parents[2] / "fixtures" / "xlnet_local_perm.npz"
TINY = dict(sequence_length=32, reuse_length=16, num_predict=9, permutation_size=16)


def make_batch(num_rows, length=32, seed=0, backward=None, functional=True):
    rng = np.random.default_rng(seed)
    token_ids = rng.integers(9, 100, (num_rows, length)).astype("int32")
    is_functional = np.zeros((num_rows, length), bool)
    if functional:
        is_functional[:, -2:] = True
        is_functional[np.arange(num_rows), rng.integers(length // 2 + 1, length - 3, num_rows)] = 1
    return {
        "token_ids": token_ids,
        "segment_ids": rng.integers(0, 3, (num_rows, length)).astype("int32"),
        "word_starts": (rng.random((num_rows, length)) < 0.6) | is_functional,
        "functional": is_functional,
        "fresh": np.zeros(num_rows, bool),
        "backward": np.zeros(num_rows, bool) if backward is None else np.asarray(backward),
    }


def sees(order):
    """Who sees whom, (B, T, T): content rows and query rows."""
    content = order[:, None, :] <= order[:, :, None]
    return content, order[:, None, :] <= order[:, :, None] - 1


def original_rule(selected, functional, place):
    """Blocked pairs of the released `_local_perm`, written from its description."""
    context = ~selected & ~functional
    target = selected & ~functional
    key = np.where(context, -1, place)
    query = np.where(target, key, key + 1)
    return (query[:, None] <= key[None, :]) & ~context[None, :]


def test_literal_example(monkeypatch):
    """The example of the module's docstring."""
    the, cat, sat, on, sep, mats, cls = 10, 11, 12, 13, 4, 14, 3
    batch = {
        "token_ids": np.array([[the, cat, sat, on, sep, mats, sep, cls]], "int32"),
        "segment_ids": np.array([[0, 0, 0, 0, 0, 1, 1, 2]], "int32"),
        "word_starts": np.ones((1, 8), bool),
        "functional": np.array([[0, 0, 0, 0, 1, 0, 1, 1]], bool),
        "fresh": np.array([True]),
        "backward": np.array([False]),
    }
    selections = iter([np.array([[False, True]]), np.array([[0, 1, 0, 0, 0, 0]], bool)])
    monkeypatch.setattr(PermutationModeling, "_select", lambda *arguments: next(selections))

    class Draws:
        """Uniform numbers that make every permutation (1, 0)."""

        def random(self, shape):
            uniform = np.zeros(shape)
            uniform[:, [4, 14]] = 0.9  # the first place of each permutation, see draws_per_row
            return uniform

    objective = PermutationModeling(8, 2, 2, 2)
    x, y, sample_weight = objective(batch, Draws())
    assert x["order"].tolist() == [[0, 1, 3, 4, 7, 3, 9, 8]]
    assert x["target_positions"].tolist() == [[1, 3]]
    assert y["tokens"].tolist() == [[cat, on]]
    assert sample_weight["tokens"].tolist() == [[1, 1]]
    content, query = sees(x["order"])
    assert np.flatnonzero(query[0, 3]).tolist() == [0, 1, 2, 5]  # the, cat, sat, mats predict on
    assert np.flatnonzero(~content[0, 7]).tolist() == [6]  # CLS sees all but the last SEP


@pytest.mark.parametrize("case", range(3))
def test_fixture_of_the_original(case):
    with np.load(FIXTURE) as data:
        get = {name: data[f"{case}/{name}"] for name in ("inputs", "is_masked", "order")}
        blocked = data[f"{case}/perm_mask"].astype(bool)
        target = data[f"{case}/target_mask"].astype(bool)
    functional = np.isin(get["inputs"], (3, 4))
    selected = get["is_masked"]
    order = local_permutation(selected[None], functional[None], get["order"][None])
    content, query = sees(order)
    assert (target == (selected & ~functional)).all()
    assert (query[0][target] == ~blocked[target]).all()
    # the content stream is the same mask, in which every token sees itself
    assert (content[0] == (~blocked | np.eye(len(target), dtype=bool))).all()


def test_rule_of_the_original_over_random_cases():
    rng = np.random.default_rng(0)
    for _ in range(400):
        size = int(rng.choice([1, 2, 4, 8]))
        length = size * int(rng.integers(1, 5))
        selected = rng.random(length) < rng.random()
        functional = rng.random(length) < 0.2
        permutation = rng.permutation(size)
        order = local_permutation(selected[None], functional[None], permutation[None])
        place = np.concatenate([chunk + permutation for chunk in range(0, length, size)])
        blocked = original_rule(selected, functional, place)
        content, query = sees(order)
        target = selected & ~functional
        assert (query[0][target] == ~blocked[target]).all()
        assert (content[0] == (~blocked | np.eye(length, dtype=bool))).all()


@pytest.mark.parametrize("size", [16, 4])
def test_both_halves_together(size):
    objective = PermutationModeling(**{**TINY, "permutation_size": size})
    batch = make_batch(200)
    x, y, sample_weight = objective(batch, np.random.default_rng(0))
    weights, positions = sample_weight["tokens"], x["target_positions"]
    functional, order = batch["functional"], x["order"]
    content, query = sees(order)
    assert not content[:, :16, 16:].any() and content[:, 16:, :16].all()
    context = np.isin(order, (0, 17))
    for half in (slice(0, 16), slice(16, 32)):  # context sees context only
        blind = context[:, half, None] & ~context[:, None, half]
        assert not content[:, half, half][blind].any()
    np.testing.assert_array_equal(weights.sum(axis=1), (~context & ~functional).sum(axis=1))
    rows, slots = np.nonzero(weights)
    at = positions[rows, slots]
    assert not functional[rows, at].any() and not context[rows, at].any()
    assert (y["tokens"][rows, slots] == batch["token_ids"][rows, at]).all()
    assert not query[rows, at, at].any() and query[rows, at].any(axis=1).all()
    for array in (positions, y["tokens"]):
        assert array.dtype == np.int32 and (array[weights == 0] == 0).all()
    used = np.where(weights > 0, positions, 99)
    assert (np.diff(used, axis=1)[weights[:, 1:] > 0] > 0).all()  # ascending, unused at the end
    assert (np.diff(weights, axis=1) <= 0).all()
    assert ((~context[:, :16]).sum(axis=1) == 5).all()  # the odd one in the first half
    real = weights.sum(axis=1)
    assert real.max() <= 9 and real.min() >= 9 - 3


def test_keys_shapes_and_dtypes():
    plain, both = PermutationModeling(**TINY), PermutationModeling(**TINY, bidirectional=True)
    for objective in (plain, both):
        x, y, sample_weight = objective(make_batch(3), np.random.default_rng(0))
        assert tuple(x) == objective.feature_names
        assert set(y) == set(sample_weight) == {"tokens"}
        shapes = {"order": (3, 32), "target_positions": (3, 9), "fresh": (3,), "token_ids": (3, 32)}
        assert all(x[name].shape == shape for name, shape in shapes.items())
        assert x["order"].dtype == x["token_ids"].dtype == x["segment_ids"].dtype == np.int32
        assert sample_weight["tokens"].dtype == np.float32
    assert "backward" in both.feature_names and "backward" not in plain.feature_names


def test_without_reuse_half():
    objective = PermutationModeling(32, 0, 8, 16)
    x, y, sample_weight = objective(make_batch(100), np.random.default_rng(0))
    assert ((x["order"] == 0).any(axis=1)).all() and x["order"].max() <= 32
    assert (sample_weight["tokens"].sum(axis=1) >= 5).all()


def test_backward_rows_are_sampled_in_reading_order():
    objective = PermutationModeling(512, 256, 85, 256, bidirectional=True)
    backward = np.arange(4_000) % 2 == 1
    batch = make_batch(4_000, 512, backward=backward, functional=False)
    x, *_ = objective(batch, np.random.default_rng(0))
    chosen = ~np.isin(x["order"], (0, 257))
    halves = chosen.reshape(-1, 2, 16, 16).mean(axis=(1, 3))  # (rows, 16 blocks of a half)
    forward, mirrored = halves[~backward].mean(axis=0), halves[backward].mean(axis=0)[::-1]
    np.testing.assert_allclose(forward, mirrored, atol=0.01)
    assert forward[-1] < forward[:-1].min() and mirrored[-1] < mirrored[:-1].min()
    # spans start at word starts as they are read: the first of a run, from the left or the right
    starts = batch["word_starts"]
    first = chosen & ~np.pad(chosen, ((0, 0), (1, 0)))[:, :-1]
    last = chosen & ~np.pad(chosen, ((0, 0), (0, 1)))[:, 1:]
    assert starts[~backward][first[~backward]].mean() > 0.8
    assert starts[backward][last[backward]].mean() > 0.8
    assert starts[backward][first[backward]].mean() < 0.8


def test_permutations_are_uniform():
    objective = PermutationModeling(16, 8, 8, 8)
    batch = make_batch(10_000, 16)
    batch["functional"][:] = False
    batch["functional"][:, [0, 1, 2, 8, 9, 10]] = True  # the order of these shows their place
    x, *_ = objective(batch, np.random.default_rng(0))
    place = x["order"][:, :3] - 1
    counts = np.stack([np.bincount(place[:, k], minlength=8) for k in range(3)])
    chi_squared = ((counts - 1_250) ** 2 / 1_250).sum()
    assert chi_squared < 21 + 5 * np.sqrt(2 * 21)  # 3 x 7 degrees of freedom, 5 deviations
    pairs = np.bincount(place[:, 0] * 8 + place[:, 1], minlength=64).reshape(8, 8)
    assert (np.diag(pairs) == 0).all()
    assert abs(pairs[~np.eye(8, dtype=bool)] - 10_000 / 56).max() < 5 * np.sqrt(10_000 / 56)
    first, second = x["order"][:, 0] - 1, x["order"][:, 8] - 10  # the halves are independent
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.05


def test_a_row_depends_on_its_own_numbers_only():
    objective, batch = PermutationModeling(**TINY), make_batch(8)
    whole, *_ = objective(batch, np.random.default_rng(0))
    bits = np.random.PCG64(0).advance(5 * objective.draws_per_row)
    part, *_ = objective({k: v[5:] for k, v in batch.items()}, np.random.Generator(bits))
    for name in whole:
        np.testing.assert_array_equal(whole[name][5:], part[name])


@pytest.mark.parametrize(
    "settings, expected",  # reuse_length, num_predict, permutation_size
    [
        (dict(), (256, 85, 256)),  # XLNet's
        (dict(sequence_length=64), (32, 10, 32)),
        (dict(sequence_length=64, reuse_length=24), (24, 10, 8)),  # 24 and 40
        (dict(sequence_length=16, reuse_length=0), (0, 4, 8)),
        (dict(reuse_length=0), (0, 85, 256)),
        (dict(sequence_length=64, num_predict=7, permutation_size=4), (32, 7, 4)),
    ],
)
def test_what_is_not_given_follows_from_the_length(settings, expected):
    found = PermutationModeling(**settings)
    assert (found.reuse_length, found.num_predict, found.permutation_size) == expected
    assert PermutationModeling.from_config(found.get_config()) == found


@pytest.mark.parametrize(
    "settings, message",
    [
        (dict(sequence_length=33), "sequence_length must be even"),
        (dict(permutation_size=32), "permutation_size must not exceed reuse_length"),
        (dict(permutation_size=5), "permutation_size must divide"),
        (dict(reuse_length=28, permutation_size=4), "must exceed reuse_length by 5"),
        (dict(num_predict=32), "num_predict is too large"),
        (dict(num_predict=0), "`num_predict` must be an integer of at least 1"),
        (dict(num_predict=2.0), "`num_predict` must be an integer"),
        (dict(reuse_length=0, num_predict=3), "num_predict must exceed 3"),
        (dict(reuse_length=0, num_predict=29), "num_predict is too large"),
        (dict(reuse_length=-1), "`reuse_length` must be an integer of at least 0"),
        (dict(span_unit="sentence"), "`span_unit` must be one of"),
        (dict(alpha=1, beta=2), "alpha must be at least beta"),
        (dict(max_ngram=True), "`max_ngram` must be an integer"),
        (dict(bidirectional=1), "`bidirectional` must be True or False"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message) as error:
        PermutationModeling(**{**TINY, **settings})
    assert "Received: " in str(error.value)


def test_bad_batches():
    objective, rng = PermutationModeling(**TINY), np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"must have the shape \(B, sequence_length\)"):
        objective(make_batch(2, 64), rng)
    with pytest.raises(ValueError, match="right to left"):
        objective(make_batch(2, backward=[False, True]), rng)
    batch = make_batch(2)
    batch["functional"][1] = True
    with pytest.raises(ValueError, match=r"no real target.*1 such rows, the first is row 1"):
        objective(batch, rng)
    batch = make_batch(2)
    batch["functional"][0, :16] = np.arange(16) != 3  # one token besides functional ones
    for _ in range(500):  # whenever it comes first in the order, it sees nothing
        try:
            objective(batch, rng)
        except ValueError as error:
            assert "sees no token" in str(error)
            break
    else:
        pytest.fail("a target without any visible token was accepted")


def test_heads_are_named_like_the_targets():
    keras = pytest.importorskip("keras")
    backbone = SimpleNamespace(token_embedding=keras.layers.ReversibleEmbedding(10, 4))
    heads = PermutationModeling(**TINY).heads(backbone)
    assert set(heads) == {"tokens"} and heads["tokens"].name == "tokens"
