"""Batches of several tasks, of one form; what fills them up counts nothing."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest

from keras_plm import data
from keras_plm.tasks.feeding.mixed_batches import MixedBatches, TaskBatches, rows_per_example


def task(**options):
    """What batches ask of a task."""
    known = dict(labels_are_weighted=False, outputs_of_tokens=False, labels_are_positions=False)
    return SimpleNamespace(_label_kinds={}, _cuts_left=True, **{**known, **options})


def features(count, length=8, choices=None):
    """Rows of 1, 2, 3, ... tokens, numbered by their first one."""
    shape = (count, length) if choices is None else (count, choices, length)
    rows = np.arange(int(np.prod(shape[:-1])))
    real = np.arange(length) <= rows[:, None] % length
    ids = np.where(real, rows[:, None] + 1, 0)
    return {"token_ids": ids.reshape(shape).astype("int32"), "padding_mask": real.reshape(shape)}


def parts(rows=4, **options):
    """Ten texts with a class each; three examples of two choices; five texts with tags."""
    tags = np.arange(40).reshape(5, 8)
    given = [
        ("classes", task(), (features(10), np.arange(10), None)),
        ("choices", task(), (features(3, choices=2), np.array([1, 0, 1]), [1.0, 2.0, 4.0])),
        (
            "tags",
            task(labels_are_weighted=True, outputs_of_tokens=True),
            (features(5), tags, np.ones((5, 8))),
        ),
    ]
    return [TaskBatches(*one, rows, number) for number, one in enumerate(given)]


def mixed(buckets=None, **options):
    made = parts(**options)
    for one in made:
        one.sort(buckets)
    order = data.mix({one.name: one.num_batches for one in made}, seed=1)
    inputs = ("token_ids", "padding_mask", "task_number", "answer_mask", "start_positions")
    return made, order, MixedBatches(made, [0, 1, 5], order, dict.fromkeys(inputs))


def test_all_batches_have_one_form():
    made, order, batches = mixed()
    assert [one.num_batches for one in made] == [3, 2, 2]
    shapes = set()
    for number in range(2 * order.steps):
        x, y, weight = batches[number]
        part, _ = order(number)
        assert (x["task_number"] == [0, 1, 5][part]).all() and x["task_number"].shape == (4,)
        flat = keras.tree.flatten((x, y, weight))
        shapes.add(tuple((one.shape, one.dtype.name) for one in flat))
        for place, one in enumerate(made):
            assert y[one.name].any() or part == place or not weight[one.name].any()
            assert weight[one.name].any() == (part == place)
        assert y["choices"].shape == (2,) and y["tags"].shape == (4, 8)
        assert not x["answer_mask"].any() and x["start_positions"].shape == (4,)
    assert len(shapes) == 1


def test_each_example_counts_once_in_a_pass():
    """With weights so that means over the batch, and sums, are those of the real ones."""
    made, order, batches = mixed()
    for passing in range(2):
        counted = np.zeros(10)
        for number in range(3):
            x, y, weight = made[0][3 * passing + number]
            real = weight > 0
            counted[y[real]] += 1
            assert (x["token_ids"][:, 0] == y + 1).all()
            assert weight.sum() == pytest.approx(4) and np.ptp(weight[real]) == 0
        assert (counted == 1).all()
    first, second = ([made[0][n][1].tolist() for n in (k, k + 1)] for k in (0, 3))
    assert first != second  # shuffled anew, rows and not batches
    x, y, weight = made[1][1]
    assert weight.tolist() == [2 * {0: 1.0, 2: 2.0, 4: 4.0}[x["token_ids"][0, 0] - 1], 0.0]


def test_rows_of_an_example_stand_behind_each_other():
    made, _, _ = mixed(rows=5)
    one = made[1]
    assert one.several == 2 and one.num_examples == 2 and one.num_rows == 5
    x, y, weight = one[0]
    ids = x["token_ids"][:, 0]
    assert (ids[1] == ids[0] + 1) and (ids[3] == ids[2] + 1) and ids[4] == ids[0]
    assert rows_per_example(features(3, choices=2)) == 2 and rows_per_example(features(3)) == 1


def test_lengths_are_those_of_all():
    made, order, batches = mixed(buckets=[4])
    found = {}
    for number in range(3 * order.steps):
        x, y, weight = batches[number]
        length = x["token_ids"].shape[1]
        assert y["tags"].shape[1] == weight["tags"].shape[1] == length
        real = x["padding_mask"].sum(axis=1)
        assert real.max() <= length
        found.setdefault(length, set()).add(tuple(one.shape for one in keras.tree.flatten(x)))
    assert set(found) == {4, 8} and all(len(shapes) == 1 for shapes in found.values())


def test_what_does_not_go_together():
    with pytest.raises(ValueError, match="one of 'choices' has 2 rows"):
        parts(rows=1)
    short = TaskBatches("short", task(), (features(2, 6), np.arange(2), None), 4, 0)
    short.sort(None)
    made, order, _ = mixed()
    with pytest.raises(ValueError, match="one `sequence_length`"):
        MixedBatches([made[0], short], [0, 1], order, {})
