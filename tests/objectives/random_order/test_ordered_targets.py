"""OrderedTargets: the literal example, all orders as often, what the slots hold."""

import itertools

import numpy as np

from keras_plm.objectives import ALL_MASK, Corruption, MaskedModeling, RandomSelection
from keras_plm.objectives.random_order.ordered_targets import OrderedTargets, draw_targets

MASK = 4


def masking(**settings):
    settings = {"sequence_length": 20, "corrupt": ALL_MASK, **settings}
    return MaskedModeling(100, MASK, (0, 1, 2, 3), RandomSelection(rate=0.3), **settings)


def test_literal_example():
    """The example of the module's docstring."""
    targets = OrderedTargets(
        positions=np.array([[4, 2, 0]], "int32"),
        tokens=np.array([[12, 11, 0]], "int32"),
        corrupted=np.array([[MASK, MASK, 0]], "int32"),
        weights=np.array([[1, 1, 0]], "float32"),
    )
    assert targets.order(6).tolist() == [[0, 0, 2, 0, 1, 0]]


def test_the_masking_says_what_the_order_shuffles(make_text_rows):
    batch = make_text_rows(np.random.default_rng(0), 300, 20)
    masked = masking(corrupt=Corruption())
    targets = draw_targets(masked, batch, np.random.default_rng(1))
    used = targets.weights > 0
    counts = used.sum(axis=1)
    assert (used == (np.arange(masked.num_predict) < counts[:, None])).all()
    for name in ("positions", "tokens", "corrupted"):
        array = getattr(targets, name)
        assert array.dtype == np.int32 and not array[~used].any()
    originals = np.take_along_axis(batch["token_ids"], targets.positions, axis=1)
    np.testing.assert_array_equal(targets.tokens, originals * used)
    assert 0.7 < np.mean(targets.corrupted[used] == MASK) < 0.9
    order = targets.order(20)
    for row in range(300):
        assert sorted(order[row][order[row] > 0].tolist()) == list(range(1, counts[row] + 1))
    assert not order[batch["functional"]].any()


def test_all_orders_are_equally_likely(make_text_rows):
    """10,000 rows of 3 targets: each of 6 orders as often; chi-square of 5 degrees below 26."""
    row = make_text_rows(np.random.default_rng(2), 1, 10, shortest=10)
    batch = {name: np.repeat(values, 10_000, axis=0) for name, values in row.items()}
    targets = draw_targets(masking(sequence_length=10), batch, np.random.default_rng(3))
    assert targets.positions.shape == (10_000, 3) and targets.weights.all()
    ranks = np.argsort(np.argsort(targets.positions, axis=1), axis=1)
    orders = list(itertools.permutations(range(3)))
    counts = np.array([(ranks == order).all(axis=1).sum() for order in orders])
    assert counts.sum() == 10_000
    assert ((counts - 10_000 / 6) ** 2 / (10_000 / 6)).sum() < 26  # once in 10,000


def test_a_shard_is_a_slice_of_the_batch(make_text_rows):
    batch = make_text_rows(np.random.default_rng(4), 40, 20)
    masked = masking()
    uniform = np.random.default_rng(5).random((40, masked.draws_per_row + masked.num_predict))

    class Given:
        def __init__(self, rows):
            self.rows = rows

        def random(self, shape):
            assert shape == self.rows.shape
            return self.rows

    whole = draw_targets(masked, batch, Given(uniform))
    part = draw_targets(masked, {n: v[10:20] for n, v in batch.items()}, Given(uniform[10:20]))
    for name in ("positions", "tokens", "corrupted", "weights"):
        np.testing.assert_array_equal(getattr(whole, name)[10:20], getattr(part, name))
