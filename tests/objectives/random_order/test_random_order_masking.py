"""RandomOrderMasking: the literal example, what a mask depends on, and the naive form's leak."""

import numpy as np
import pytest

from keras_plm.objectives import ALL_MASK, MaskedModeling, RandomOrderMasking, RandomSelection

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
    return MaskedModeling(
        100,
        MASK,
        (0, 1, 2, 3),
        select=RandomSelection(rate=rate),
        corrupt=ALL_MASK,
        **{"sequence_length": 6, "num_predict": 3, **settings},
    )


def literal_numbers(objective):
    """Select the second and fourth maskable token, and predict the fourth first."""
    numbers = np.zeros(objective.draws_per_row)
    numbers[:2] = 0.3, 0.9
    numbers[-3:] = 0.8, 0.1, 0.5
    return Numbers(numbers)


def test_literal_example():
    """The example of the module's docstring."""
    objective = RandomOrderMasking(masking())
    x, y, sample_weight = objective(make_batch(), literal_numbers(objective))
    assert x["token_ids"].tolist() == make_batch()["token_ids"].tolist()
    assert x["order"].tolist() == [[0, 0, 2, 0, 1, 0]]
    assert x["target_positions"].tolist() == [[4, 2, 0]]
    assert x["target_token_ids"].tolist() == [[MASK, MASK, 0]]
    assert y["tokens"].tolist() == [[13, 11, 0]]
    assert sample_weight["tokens"].tolist() == [[1, 1, 0]]
    assert "segment_ids" not in x


def test_what_a_mask_depends_on_by_gradient(reach):
    """Never its own token nor a later one, at any depth: the gradient is exactly 0."""
    objective = RandomOrderMasking(masking())
    x, _, _ = objective(make_batch(), literal_numbers(objective))
    content, query = reach(x)
    assert ["".join(str(int(key)) for key in row) for row in query[:2]] == ["110101", "110111"]
    order = x["order"][0]
    np.testing.assert_array_equal(content, order[None] <= order[:, None])


def test_random_rows(make_text_rows, reach):
    batch = make_text_rows(np.random.default_rng(0), 1, 9, shortest=9)
    objective = RandomOrderMasking(masking(0.5, sequence_length=9, num_predict=5, segments=True))
    x, _, sample_weight = objective(batch, np.random.default_rng(1))
    assert x["segment_ids"] is batch["segment_ids"]
    _, query = reach(x)
    order, positions = x["order"][0], x["target_positions"][0]
    used = int(sample_weight["tokens"].sum())
    assert used == 4
    for slot in range(used):
        np.testing.assert_array_equal(query[slot], order < slot + 1)
        assert not query[slot, positions[slot:used]].any()


@pytest.mark.parametrize("naive, depth, leaks", [(True, 1, 0), (True, 2, 1), (False, 3, 0)])
def test_the_naive_form_leaks_from_two_layers_on(naive, depth, leaks, gradient, quick_compilation):
    """Masks as content that see each other: the first one's row reads its own token back.

    The content is [context | first target | second target | their masks]. Mask i sees the
    context, the targets before it and, naively, itself and the masks after it, as a plain
    attention mask for position compensation would say. The second mask has seen the first target.
    """
    keras = pytest.importorskip("keras")
    from keras_plm.layers import TransformerBlock

    table = ["10000", "11000", "11100", "10011", "11001"]
    table[3] = "10011" if naive else "10010"
    visible = np.array([[[int(key) for key in row] for row in table]], bool)
    blocks = [TransformerBlock(2, 4, 16) for _ in range(depth)]
    content = np.random.default_rng(2).normal(size=(1, 5, 8)).astype("float32")
    weights = np.random.default_rng(3).normal(size=8).astype("float32")
    for block in blocks:
        block.build(content.shape)

    def first_mask(rows):
        for block in blocks:
            rows = block(rows, visible=visible)
        return keras.ops.sum(rows[:, 3] * weights)

    result = gradient(first_mask, content, jit=keras.backend.backend() == "jax")
    own_token = np.abs(result[0, 1]).max()
    assert own_token > 1e-4 if leaks else own_token == 0
    assert np.abs(result[0, 0]).max() > 1e-4  # the context always reaches it


def test_a_target_that_sees_nothing():
    batch = make_batch()
    batch["functional"][:] = False
    objective = RandomOrderMasking(masking(1.0, num_predict=6))
    message = "target that sees no token.*Lower the selection's rate.*1 such rows.*row 0"
    with pytest.raises(ValueError, match=message):
        objective(batch, np.random.default_rng(0))
    batch["functional"][0, 0] = True
    x, _, _ = objective(batch, np.random.default_rng(0))
    assert sorted(x["order"][0].tolist()) == [0, 1, 2, 3, 4, 5]
    batch["padding_mask"][0, 0] = False  # what is left to see is padding
    with pytest.raises(ValueError, match=message):
        objective(batch, np.random.default_rng(0))
