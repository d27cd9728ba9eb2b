"""MaskedPermutationModeling: the literal example, MPNet's two masks, leaks, bad input."""

from types import SimpleNamespace

import numpy as np
import pytest

from keras_plm import families
from keras_plm.objectives import (
    ALL_MASK,
    Corruption,
    MaskedModeling,
    MaskedPermutationModeling,
    RandomSelection,
)

CLS, SEP, MASK = 1, 2, 4


class Numbers:
    """A generator that gives the same row of numbers to every row."""

    def __init__(self, row):
        self.row = row

    def random(self, shape):
        assert shape[1] == len(self.row)
        return np.tile(self.row, (shape[0], 1))


def make_batch():
    """CLS the cat on mats SEP, one text."""
    return {
        "token_ids": np.array([[CLS, 10, 11, 12, 13, SEP]], "int32"),
        "padding_mask": np.ones((1, 6), bool),
        "functional": np.array([[1, 0, 0, 0, 0, 1]], bool),
        "word_starts": np.ones((1, 6), bool),
    }


def masking(rate=0.3, **settings):
    settings = {"sequence_length": 6, "num_predict": 3, "corrupt": ALL_MASK, **settings}
    return MaskedModeling(100, MASK, (0, 1, 2, 3), RandomSelection(rate=rate), **settings)


def literal_numbers(objective):
    """Select the second and fourth maskable token, and predict the fourth first."""
    numbers = np.zeros(objective.draws_per_row)
    numbers[:2] = 0.3, 0.9
    numbers[-3:] = 0.8, 0.1, 0.5
    return Numbers(numbers)


def sees(x):
    """Who sees whom by the rule: content rows (B, T + P, T + P), query rows (B, P, T + P)."""
    order, until, keys = x["order"], x["until"], x["padding_mask"][:, None]

    def at(step):
        step = step[:, :, None]
        return (order[:, None] <= step) & (step < until[:, None]) & keys

    query = at(np.take_along_axis(order, x["target_positions"], axis=1) - 1)
    return at(order) | np.eye(order.shape[1], dtype=bool), query


def as_text(visible):
    return ["".join(str(int(key)) for key in row) for row in visible]


def test_literal_example():
    """The example of the module's docstring."""
    objective = MaskedPermutationModeling(masking(), first_position=0)
    x, y, sample_weight = objective(make_batch(), literal_numbers(objective))
    assert x["token_ids"].tolist() == [[CLS, 10, 11, 12, 13, SEP, MASK, MASK, 0]]
    assert x["position_ids"].tolist() == [[0, 1, 2, 3, 4, 5, 4, 2, 0]]
    assert x["order"].tolist() == [[0, 0, 2, 0, 1, 0, 0, 0, 0]]
    assert x["until"].tolist() == [[4, 4, 4, 4, 4, 4, 1, 2, 0]]
    assert x["padding_mask"].tolist() == [[True] * 8 + [False]]
    assert x["target_positions"].tolist() == [[4, 2, 0]]
    assert x["target_token_ids"].tolist() == [[MASK, MASK, 0]]
    assert y["tokens"].tolist() == [[13, 11, 0]]
    assert sample_weight["tokens"].tolist() == [[1, 1, 0]]
    _, query = sees(x)
    assert as_text(query[0, :2]) == ["110101110", "110111010"]


# n = 5, c = 2: [context | targets in the order of prediction | their copies], figure 2 of the
# paper and the released code's two masks, by hand. Query rows are those of the targets.
PUBLISHED_CONTENT = [
    "11000111",  # context: all context, all masks
    "11000111",
    "11100011",  # target 1: itself, the masks of 2 and 3
    "11110001",
    "11111000",
    "11000111",  # masks: as the context
    "11000111",
    "11000111",
]
PUBLISHED_QUERY = ["11000111", "11100011", "11110001"]


def published(x, count, real):
    """The two masks of the rule with the keys in the released code's order."""
    order = x["order"][0]
    context = [i for i in range(real) if order[i] == 0]
    targets = x["target_positions"][0, :count].tolist()
    length = len(order) - x["target_positions"].shape[1]
    keys = context + targets + list(range(length, length + count))
    content, query = sees(x)
    return content[0][np.ix_(keys, keys)], query[0][:count, keys], keys


@pytest.mark.parametrize("seed", range(5))
def test_published_masks(seed):
    objective = MaskedPermutationModeling(masking(0.6, sequence_length=5), first_position=0)
    batch = {name: values[:, 1:] for name, values in make_batch().items()}
    batch["functional"][0, 0] = seed % 2  # context may be anywhere
    batch["padding_mask"] = np.ones((1, 5), bool)
    x, _, sample_weight = objective(batch, np.random.default_rng(seed))
    assert sample_weight["tokens"].all()
    content, query, _ = published(x, 3, 5)
    assert as_text(content) == PUBLISHED_CONTENT
    assert as_text(query) == PUBLISHED_QUERY


def test_the_rule_and_its_row_sums_over_random_rows(make_text_rows):
    """Every row sees one token of each position: position compensation."""
    batch = make_text_rows(np.random.default_rng(1), 200, 20)
    settings = dict(sequence_length=20, num_predict=8, corrupt=Corruption())
    objective = MaskedPermutationModeling(masking(0.4, **settings))
    x, _, sample_weight = objective(batch, np.random.default_rng(2))
    for row in range(200):
        one = {name: values[row : row + 1] for name, values in x.items()}
        real, count = int(batch["padding_mask"][row].sum()), int(sample_weight["tokens"][row].sum())
        content, query, keys = published(one, count, real)
        size, step = real - count, np.arange(count)
        i, j = step[:, None], step[None]
        context = np.ones((count, size), bool)
        np.testing.assert_array_equal(query, np.hstack([context, j < i, j >= i]))
        targets = content[size : size + count]
        np.testing.assert_array_equal(targets, np.hstack([context, j <= i, j > i]))
        rest = np.delete(content, np.s_[size : size + count], axis=0)
        assert rest[:, :size].all() and rest[:, size + count :].all()
        assert not rest[:, size : size + count].any()
        positions = one["position_ids"][0, keys]
        for seen in (*content, *query):
            assert sorted(positions[seen].tolist()) == list(range(2, real + 2))


def test_what_a_prediction_depends_on_by_gradient(reach):
    """Context, all copies (which context rows have read), targets before it; never itself."""
    objective = MaskedPermutationModeling(masking(0.5))
    x, _, _ = objective(make_batch(), np.random.default_rng(3))
    mpnet = {**families.MPNET["flags"], "relative_position_buckets": 8}
    content, query = reach(x, **mpnet)
    order, targets = x["order"][0], x["target_positions"][0]
    for slot in range(3):
        assert not query[slot, targets[slot:]].any()
        assert query[slot, targets[:slot]].all()
        assert query[slot, :6][order[:6] == 0].all() and query[slot, 6:].all()
    for row in range(9):  # content, too, never depends on what comes later
        assert not content[row, :6][order[:6] > order[row]].any()
    # one layer reads exactly what the rule says
    _, query = reach(x, num_layers=1, **mpnet)
    np.testing.assert_array_equal(query, sees(x)[1][0])


def test_with_one_target_it_is_a_masked_model(jitted, quick_compilation):
    """The row that predicts is the masked token's row of a masked model, to 1e-5."""
    keras = pytest.importorskip("keras")
    from keras_plm.backbones import TransformerBackbone

    backbone = TransformerBackbone(
        vocabulary_size=100,
        num_layers=2,
        num_heads=2,
        hidden_dim=8,
        intermediate_dim=16,
        max_sequence_length=7,  # copies make rows longer than that
        num_segments=0,
        positions_from_padding=True,
        relative_position_buckets=8,
        initializer_range=0.4,
    )
    masked = masking(0.2, num_predict=1)
    batch = make_batch()
    objective = MaskedPermutationModeling(masked)
    numbers = Numbers(np.full(objective.draws_per_row, 0.4))
    x, y, _ = objective(batch, numbers)
    plain, plain_y, _ = masked(batch, Numbers(np.full(masked.draws_per_row, 0.4)))
    assert y["tokens"].tolist() == plain_y["tokens"].tolist()

    def run(features):
        return backbone.encode(features)["target_output"]

    if keras.backend.backend() == "jax":  # many small operations are slow there
        run = jitted(run)
    left, right = (keras.ops.convert_to_numpy(run(features)) for features in (x, plain))
    np.testing.assert_allclose(left, right, atol=1e-5 * max(1, np.abs(right).max()))


def test_padding_and_segments(make_text_rows):
    batch = make_text_rows(np.random.default_rng(4), 50, 20)
    settings = dict(sequence_length=20, num_predict=6, segments=True)
    x, _, sample_weight = MaskedPermutationModeling(masking(0.2, **settings), 0)(
        batch, np.random.default_rng(5)
    )
    weights = sample_weight["tokens"] > 0
    np.testing.assert_array_equal(x["padding_mask"][:, 20:], weights)
    at_targets = np.take_along_axis(batch["segment_ids"], x["target_positions"], axis=1)
    np.testing.assert_array_equal(x["segment_ids"][:, 20:], at_targets)
    assert (x["position_ids"] >= 0).all() and not x["order"][~x["padding_mask"]].any()
    shifted = {name: values[:, ::-1] for name, values in batch.items()}  # padding at the left
    x, _, _ = MaskedPermutationModeling(masking(0.2, **settings))(shifted, np.random.default_rng(5))
    for row in range(50):
        real = shifted["padding_mask"][row]
        assert x["position_ids"][row, :20][real].tolist() == list(range(2, real.sum() + 2))
    assert (x["position_ids"][:, :20][~shifted["padding_mask"]] == 1).all()


def test_heads_check_the_first_position():
    keras = pytest.importorskip("keras")
    embedding = keras.layers.ReversibleEmbedding(100, 4)
    parts = {
        "token_embedding": embedding,
        "kernel_initializer": keras.initializers.RandomNormal,
        "activation": "gelu",
        "layer_norm_epsilon": 1e-12,
    }
    counting = SimpleNamespace(**parts, first_position=2)
    plain = SimpleNamespace(**parts, first_position=0)
    assert set(MaskedPermutationModeling(masking()).heads(counting)) == {"tokens"}
    assert set(MaskedPermutationModeling(masking(), 0).heads(plain)) == {"tokens"}
    with pytest.raises(ValueError, match="set first_position=0. Received: first_position=2"):
        MaskedPermutationModeling(masking()).heads(plain)
    with pytest.raises(ValueError, match="set first_position=2. Received: first_position=0"):
        MaskedPermutationModeling(masking(), 0).heads(counting)


@pytest.mark.parametrize("first", [-1, 1.0, True, None])
def test_bad_settings(first):
    with pytest.raises(ValueError, match="`first_position` must be an integer of at least 0"):
        MaskedPermutationModeling(masking(), first)
