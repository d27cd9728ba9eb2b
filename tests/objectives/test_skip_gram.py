"""Skip-gram: the literal example, the rule written out, what is drawn how often."""

import numpy as np
import pytest

from keras_plm.objectives import CausalModeling, Mixture, SkipGram
from keras_plm.objectives.skip_gram import NOISE_POWER, context_pairs, keep_chances

THE, CAT, SAT, ON, MAT, A, UNKNOWN = range(7)


class Given:
    """Numbers in place of random ones."""

    def __init__(self, *parts):
        self.numbers = np.concatenate(parts)[None]

    def random(self, shape):
        assert shape == self.numbers.shape
        return self.numbers


def batch_of(token_ids, counts, functional=None):
    token_ids = np.atleast_2d(token_ids).astype("int32")
    batch = {"token_ids": token_ids, "padding_mask": np.ones(token_ids.shape, bool)}
    batch["functional"] = np.zeros(token_ids.shape, bool) if functional is None else functional
    return {**batch, "token_counts": np.asarray(counts)}


def test_literal_example():
    """The example of the module's docstring."""
    objective = SkipGram(6, (), 5, window=2, num_negatives=1, threshold=None, num_pairs=8)
    batch = batch_of([THE, CAT, SAT, ON, THE], np.ones(6))
    batch["padding_mask"][0, 4] = False
    batch["functional"][0, 4] = True
    negatives = (np.array([MAT, THE, SAT, A, THE, ON, CAT, THE]) + 0.5) / 6
    windows = np.array([0.1, 0.9, 0.1, 0.1, 0.1])
    x, y, weight = objective(batch, Given(np.zeros(5), windows, np.zeros(20), negatives))
    assert x["target_positions"].tolist() == [[0, 1, 1, 1, 2, 2, 3, 0]]
    assert x["candidate_ids"][0, :, 0].tolist() == [MAT, THE, SAT, A, THE, ON, CAT, 0]
    assert x["candidate_ids"][0, :, 1].tolist() == [CAT, THE, SAT, ON, CAT, ON, SAT, 0]
    assert y["context"].tolist() == [[1] * 7 + [0]] == weight["context"].tolist()
    assert set(x) == set(objective.feature_names) and objective.target_shape("context") == (8,)
    assert {one.dtype.name for one in x.values()} == {"int32", "bool"}
    assert y["context"].dtype == np.int32 and weight["context"].dtype == np.float32


def test_worked_row_of_no_shrinking():
    """ "the cat sat on" with a window of 2: cat has the, sat and on; the has cat and sat."""
    kept, window = np.ones((1, 4), bool), np.full((1, 4), 2)
    centres, contexts, pairs = context_pairs(kept, np.zeros((1, 4), int), window, 2)
    found = list(zip(centres[pairs].tolist(), contexts[pairs].tolist()))
    assert found[:5] == [(0, 1), (0, 2), (1, 0), (1, 2), (1, 3)] and len(found) == 10


def test_the_rule_over_random_rows():
    rng = np.random.default_rng(0)
    for longest in (1, 3, 12):
        kept = rng.random((200, 9)) < 0.6
        document = np.cumsum(rng.random((200, 9)) < 0.15, axis=1)
        window = rng.integers(1, longest + 1, (200, 9))
        centres, contexts, pairs = context_pairs(kept, document, window, longest)
        for row in range(200):
            (left,) = np.nonzero(kept[row])
            expected = [
                (centre, context)
                for i, centre in enumerate(left)
                for j, context in enumerate(left)
                if i != j
                and abs(i - j) <= window[row, centre]
                and document[row, centre] == document[row, context]
            ]
            own = pairs[row]
            assert list(zip(centres[row, own], contexts[row, own])) == expected


def test_what_is_neither_centre_nor_context_nor_negative():
    """Special tokens and the unknown word are gone, separators part documents."""
    token_ids = np.array([[0, 3, 1, 4, 9, 5, 3, 6]] * 50)
    functional = np.zeros(token_ids.shape, bool)
    functional[:, 4] = True
    objective = SkipGram(10, (3, 9), 8, window=2, threshold=None)
    batch = batch_of(token_ids, np.full(10, 5), functional)
    x, _, weight = objective(batch, np.random.default_rng(0))
    used = weight["context"] > 0
    centres = np.take_along_axis(token_ids, x["target_positions"], axis=1)[used]
    contexts = x["candidate_ids"][..., -1][used]
    found = {frozenset(pair) for pair in zip(centres.tolist(), contexts.tolist())}
    assert found == {frozenset(pair) for pair in ((0, 1), (1, 4), (0, 4), (5, 6))}
    assert not set(x["candidate_ids"][used].ravel().tolist()) & {3, 9}
    assert all((one[~used] == 0).all() for one in (x["target_positions"], x["candidate_ids"]))


# === What is drawn how often: 20,000 draws each ===

DRAWS = 20_000


def near(found, expected, draws=DRAWS):
    """Whether a share is as expected, within four deviations."""
    expected = np.asarray(expected)
    return (np.abs(found - expected) < 4 * np.sqrt(expected * (1 - expected) / draws) + 1e-9).all()


def test_windows_are_drawn_uniformly():
    """A context at the distance d is one with the chance (W - d + 1) / W."""
    length, window = 41, 4
    objective = SkipGram(50, (), length, window, 1, None, num_pairs=length * 2 * window)
    batch = batch_of(np.tile(np.arange(length), (DRAWS, 1))[:500], np.ones(50))
    x, _, weight = objective(batch, np.random.default_rng(1))
    used = weight["context"] > 0
    away = (x["candidate_ids"][..., -1] - x["target_positions"])[used]
    inside = 500 * (length - np.arange(1, window + 1))  # centres with a token at that distance
    assert inside.min() * 2 > 1.8 * DRAWS
    for sign in (-1, 1):
        found = np.array([(away == sign * d).sum() for d in range(1, window + 1)]) / inside
        assert near(found, [1, 0.75, 0.5, 0.25], inside.min())


def test_frequent_words_are_dropped():
    """Shares .5, .4, .09, .01 and t = .04: sqrt(t / share), at most 1."""
    counts = np.array([50, 40, 9, 1])
    chances = keep_chances(counts, 0.04)
    np.testing.assert_allclose(chances, [np.sqrt(0.08), np.sqrt(0.1), 2 / 3, 1], rtol=1e-12)
    np.testing.assert_allclose(keep_chances(np.array([1, 99]), 1e-3)[0], 0.316, atol=5e-4)
    objective = SkipGram(4, (), 4, 1, 1, threshold=0.04)
    batch = batch_of(np.tile(np.arange(4), (DRAWS, 1)), counts)
    x, _, weight = objective(batch, np.random.default_rng(2))
    used = weight["context"] > 0
    kept = np.zeros((DRAWS, 4), bool)
    rows = np.nonzero(used)[0]
    kept[rows, x["target_positions"][used]] = True
    alone = [  # a word that is kept shows as a centre, unless no other one is kept
        1 - np.prod([1 - other for place, other in enumerate(chances) if place != word])
        for word in range(4)
    ]
    assert near(kept.mean(axis=0), chances * alone)


def test_negatives_are_drawn_by_counts():
    """Counts of 8 and 1: .826 and .174, the powers of .75."""
    objective = SkipGram(4, (3,), 2, 1, 10, None)
    batch = batch_of(np.tile([0, 1], (DRAWS // 20, 1)), [8, 1, 0, 1000])
    x, _, weight = objective(batch, np.random.default_rng(3))
    drawn = x["candidate_ids"][..., :-1][weight["context"] > 0]
    assert drawn.size == DRAWS
    found = np.bincount(drawn.ravel(), minlength=4) / DRAWS
    assert found[2] == found[3] == 0 and near(found[0], 0.826317) and NOISE_POWER == 0.75


def test_pairs_that_are_left_out_are_drawn():
    """Of 6 pairs 4 remain, each as often."""
    objective = SkipGram(5, (), 4, 1, 1, None, num_pairs=4)
    batch = batch_of(np.tile(np.arange(4), (DRAWS, 1)), np.ones(5))
    x, _, weight = objective(batch, np.random.default_rng(4))
    assert (weight["context"] == 1).all()
    assert (np.diff(x["target_positions"], axis=1) >= 0).all()
    pair = x["target_positions"] * 4 + x["candidate_ids"][..., -1]
    found = np.array([(pair == one).sum() for one in (1, 4, 6, 9, 11, 14)])
    assert found.sum() == 4 * DRAWS and near(found / DRAWS, 2 / 3)


def test_a_row_does_not_depend_on_the_others():
    objective = SkipGram(9, (8,), 12, 3, 2, 0.05)
    batch = batch_of(np.random.default_rng(5).integers(0, 9, (6, 12)), np.arange(1, 10))
    whole, _, _ = objective(batch, np.random.default_rng(6))
    rng = np.random.Generator(np.random.PCG64(6))
    rng.bit_generator.advance(4 * objective.draws_per_row)
    batch = {name: one if name == "token_counts" else one[4:] for name, one in batch.items()}
    part, _, _ = objective(batch, rng)
    for name, array in part.items():
        np.testing.assert_array_equal(array, whole[name][4:])


# === Settings and bad input ===


def test_settings(wordpiece):
    objective = SkipGram.for_tokenizer(wordpiece, sequence_length=20, window=3)
    special_ids = tuple(sorted(set(wordpiece.special_token_ids.values())))
    assert objective.special_token_ids == special_ids and objective.num_pairs == 80
    assert objective == SkipGram.from_config(objective.get_config())
    assert not objective.hides and objective.token_counts and objective.num_predict == 80
    for settings in (
        dict(window=0),
        dict(num_negatives=0),
        dict(threshold=0),
        dict(num_pairs=0),
        dict(special_token_ids=(300,)),
        dict(special_token_ids=("a",)),
        dict(rows=3),
    ):
        with pytest.raises(ValueError, match=next(iter(settings))):
            SkipGram(**{"vocabulary_size": 300, **settings})


def test_parts_of_a_mixture_share_the_counts():
    one, other = SkipGram(5, (4,), 3, window=2), SkipGram(5, (4,), 3, window=1, num_pairs=9)
    mixture = Mixture((one, other), (1, 1))
    assert mixture.token_counts and mixture.target_shape("context") == (9,)
    assert not Mixture((CausalModeling(4), CausalModeling(4)), (1, 1)).token_counts
    with pytest.raises(ValueError, match="context"):
        Mixture((one, SkipGram(5, (4,), 3, window=2, num_negatives=2)), (1, 1))


def test_bad_batches():
    objective, rng = SkipGram(5, (4,), 3), np.random.default_rng(0)
    good = batch_of([[0, 1, 2]], np.ones(5))
    for changes, message in (
        (dict(token_counts=None), r"token_counts of the shape \(5,\).*Received: shape \(\)"),
        (dict(token_counts=np.ones(4)), r"Received: shape \(4,\)"),
        (dict(token_counts=[0, 0, 0, 0, 7]), "tokens that are not special ones"),
        (dict(token_ids=np.array([[0, 1, 5]])), "token_ids must lie in the vocabulary"),
        (dict(token_ids=np.array([[0, 1]])), "needs token_ids of the shape"),
    ):
        with pytest.raises(ValueError, match=message):
            objective({**good, **changes}, rng)
    del good["token_counts"]
    with pytest.raises(ValueError, match="Received: none"):
        objective(good, rng)
