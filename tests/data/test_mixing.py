"""Which task each batch is of: counts, and that every batch follows from its number."""

import numpy as np
import pytest

from keras_plm import data
from keras_plm.data.mixing import MainTask, mix

SIZES = {"cola": 4, "stsb": 3, "mnli": 5}


def counts(order):
    return np.bincount(order, minlength=len(SIZES)).tolist()


def test_sizes_are_exact_in_every_epoch_and_orders_differ():
    batches = data.mix(SIZES, seed=3)
    orders = [batches.order(epoch) for epoch in range(4)]
    assert batches.steps == 12 and [counts(one) for one in orders] == [[4, 3, 5]] * 4
    assert any((orders[0] != one).any() for one in orders[1:])
    assert (mix(SIZES, seed=4).order(0) != orders[0]).any()
    # In each epoch each batch of each task comes once, and then those of the next pass.
    found = [batches(step) for step in range(24)]
    for part, size in enumerate(SIZES.values()):
        assert [place for one, place in found if one == part] == list(range(2 * size))


@pytest.mark.parametrize(
    "by",
    [
        "sizes",
        "roots",
        {"cola": 1, "stsb": 2.5, "mnli": 1},
        MainTask("stsb", 0.5),
        [{"cola": 3}, {"cola": 1, "mnli": 2}],
    ],
)
def test_a_batch_follows_from_its_number(by):
    batches, later = mix(SIZES, by, seed=7, steps=5), mix(SIZES, by, seed=7, steps=5)
    expected = [batches(step) for step in range(33)]
    assert [later(step) for step in range(32, -1, -1)] == expected[::-1]
    seen = np.zeros(3, int)
    for part, place in expected:
        assert place == seen[part]
        seen[part] += 1


def test_draws_have_their_shares():
    sizes = {"a": 1, "b": 4, "c": 25}
    found = counts(mix(sizes, "roots", 0, 4000).order(0))
    np.testing.assert_allclose(found, np.array([1, 2, 5]) / 8 * 4000, atol=130)
    found = counts(mix(sizes, {"a": 6, "b": 1, "c": 1}, 0, 4000).order(0))
    np.testing.assert_allclose(found, np.array([6, 1, 1]) / 8 * 4000, atol=130)


def test_the_ratio_of_the_original():
    """Four batches of the main task, three and five of others, a ratio of .5: two of those."""
    batches = mix(SIZES, MainTask("cola", 0.5), seed=1)
    found = [counts(batches.order(epoch)) for epoch in range(30)]
    assert batches.steps == 6 and all(one[0] == 4 and sum(one) == 6 for one in found)
    assert {tuple(one[1:]) for one in found} == {(2, 0), (1, 1), (0, 2)}
    assert mix(SIZES, MainTask("cola")).steps == 12
    assert mix(SIZES, MainTask("cola", 9.0)).steps == 12
    first = mix(SIZES, MainTask("cola", 1.0, others_first=True), seed=1)
    orders = [first.order(epoch) for epoch in range(5)]
    assert all((one[:4] != 0).all() and (one[4:] == 0).all() for one in orders)


def test_stages():
    stages = [{"cola": 3}, {"cola": 1, "stsb": 4}, {"cola": 1, "stsb": 1, "mnli": 5}]
    batches = mix(SIZES, stages, seed=5)
    order = batches.order(0)
    assert batches.steps == 15
    assert [counts(order[a:b]) for a, b in ((0, 3), (3, 8), (8, 15))] == [
        [3, 0, 0],
        [1, 4, 0],
        [1, 1, 5],
    ]
    assert counts(batches.order(1)[:7]) == [1, 1, 5]  # the last stage comes again


@pytest.mark.parametrize(
    "sizes, by, message",
    [
        ({}, "sizes", "`sizes` must be a dict"),
        ({"a": 0}, "sizes", "must be an integer of at least 1"),
        (SIZES, "size", "Did you mean 'sizes'"),
        (SIZES, {"cola": 1, "stsb": 1}, "without \\['mnli'\\]"),
        (SIZES, {"cola": 1, "stsb": 1, "mnli": 0}, "above 0"),
        (SIZES, {"cola": 1, "stsb": 1, "mnli": 1, "rte": 1}, "no tasks \\['rte'\\]"),
        (SIZES, MainTask("rte"), "must be one of"),
        (SIZES, [], "a stage at least"),
        (SIZES, [{"cola": 0}], "a batch at least"),
        (SIZES, [{"rte": 2}], "no tasks \\['rte'\\]"),
        (SIZES, [3], "A stage must be a dict"),
    ],
)
def test_what_is_no_mix(sizes, by, message):
    with pytest.raises(ValueError, match=message):
        mix(sizes, by)
    with pytest.raises(ValueError, match="`ratio` must be a number of at least 0"):
        MainTask("cola", -1)
    with pytest.raises(ValueError, match="`steps` must be"):
        mix(SIZES, steps=0)
