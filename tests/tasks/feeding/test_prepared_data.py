from types import GeneratorType, SimpleNamespace

import grain
import keras
import numpy as np
import pytest

from keras_plm.tasks.feeding import prepared_data


def make_task():
    """A task of text lengths: a text is ready when it is its length; weights must be 1."""
    task = SimpleNamespace(checked=[])

    def preprocess_samples(x, y=None, sample_weight=None):
        x = x if isinstance(x, dict) else {"length": np.array([len(text) for text in x])}
        return keras.utils.pack_x_y_sample_weight(x, y, sample_weight)

    def check_x(x):
        task.checked.append(x["length"].tolist())
        if 0 in x["length"]:
            raise ValueError("an empty text")

    def check_y(x, y, sample_weight):
        if y is not None and len(y) != len(x["length"]):
            raise ValueError("not a label per text")

    task.preprocess_samples, task.check_x, task.check_y = preprocess_samples, check_x, check_y
    return task


def test_lists():
    task = make_task()
    x, y, weight = prepared_data.prepare(task, ["a", "bb"], [0, 1], [1.0, 2.0])
    assert x["length"].tolist() == [1, 2] == task.checked[0]
    assert isinstance(y, np.ndarray) and isinstance(weight, np.ndarray)
    x, y, weight = prepared_data.prepare(task, {"length": np.array([3])}, labelled=False)
    assert x["length"].tolist() == [3] and y is None and weight is None
    with pytest.raises(ValueError, match="an empty text"):
        prepared_data.prepare(task, ["a", ""])
    with pytest.raises(ValueError, match="need labels"):
        prepared_data.prepare(task, ["a"])
    with pytest.raises(ValueError, match="not a label per text"):
        prepared_data.prepare(task, np.array(["a", "b"]), [1])


def test_generators_are_checked_batch_by_batch():
    task = make_task()
    batches = ((["a" * n], [0]) for n in (1, 2, 0))
    x, _, _ = prepared_data.prepare(task, batches)
    assert isinstance(x, GeneratorType) and task.checked == [[1]]  # the first one at once
    assert [next(x)[0]["length"].tolist() for _ in range(2)] == [[1], [2]]
    with pytest.raises(ValueError, match="an empty text"):
        next(x)
    with pytest.raises(ValueError, match="an empty text"):
        prepared_data.prepare(task, (batch for batch in [([""], [0])]))
    with pytest.raises(ValueError, match="without any batch"):
        prepared_data.prepare(task, (batch for batch in []))


def dataset(*texts):
    return grain.MapDataset.source([([text], [0]) for text in texts])


def test_datasets():
    task = make_task()
    one = dataset("a", "")
    assert prepared_data.prepare(task, one)[0] is one
    assert task.checked == [[1]]  # the first batch only
    with pytest.raises(ValueError, match="an empty text"):
        prepared_data.prepare(task, dataset("", "a"))
    with pytest.raises(ValueError, match="without any batch"):
        prepared_data.prepare(task, dataset())


def test_validation_data():
    task = make_task()
    assert prepared_data.prepare_validation(task, None, mapped=False) is None
    x, y = prepared_data.prepare_validation(task, (["a"], [1]), mapped=False)
    assert x["length"].tolist() == [1] and y.tolist() == [1]
    x, y, weight = prepared_data.prepare_validation(task, [["a"], [1], [2.0]], mapped=True)
    assert weight.tolist() == [2.0]
    one = dataset("a", "bb")
    assert prepared_data.prepare_validation(task, one, mapped=True) is one
    mapped = prepared_data.prepare_validation(task, one, mapped=False)
    assert [x["length"].tolist() for x, _ in mapped] == [[1], [2]]
    ready = grain.MapDataset.source([({"length": np.array([1])}, [0])])
    assert prepared_data.prepare_validation(task, ready, mapped=False) is ready
    with pytest.raises(ValueError, match="an empty text"):
        prepared_data.prepare_validation(task, ([""], [1]), mapped=False)


def test_is_text():
    assert prepared_data.is_text((["a"], [0])) and prepared_data.is_text(["a"])
    assert not prepared_data.is_text(({"length": 1}, [0]))


def test_split():
    x, y = {"token_ids": np.arange(10)}, np.arange(10)
    rest, held_out = prepared_data.split(x, y, None, 0.3)
    assert rest[0]["token_ids"].tolist() == rest[1].tolist() == list(range(7))
    assert held_out[0]["token_ids"].tolist() == held_out[1].tolist() == [7, 8, 9]
    assert rest[2] is None and held_out[2] is None
    for share in (1.0, 0.99, -1):
        with pytest.raises(ValueError, match="leaves rows on both sides.*10 rows"):
            prepared_data.split(x, y, None, share)
    with pytest.raises(ValueError, match="needs lists or arrays.*MapDataset"):
        prepared_data.split(dataset("a"), None, None, 0.5)


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), 1.5, True, "3"])
def test_numbers_that_keras_would_not_refuse(value):
    for name in (
        "batch_size",
        "validation_batch_size",
        "steps_per_epoch",
        "validation_steps",
        "steps",
    ):
        message = f"`{name}` must be an integer of at least 1, or None. Received: {name}="
        with pytest.raises(ValueError, match=message):
            prepared_data.check_numbers(**{name: value})


def test_numbers_that_are_good():
    prepared_data.check_numbers(batch_size=1, steps=3.0, steps_per_epoch=np.int64(2), epochs=0)
    prepared_data.check_numbers(batch_size=None, steps=None)
