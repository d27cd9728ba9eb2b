import keras
import numpy as np
import pytest

from keras_plm.tasks.training.compiled_task import is_auto


@pytest.mark.parametrize(
    ("value", "expected"),
    [("auto", True), ("Auto", False), (None, False), (np.array(["auto", "auto"]), False)],
)
def test_what_is_left_to_the_heads(value, expected):
    assert is_auto(value) is expected


def test_what_is_auto_is_saved_as_that(make_classifier):
    """A head may say another loss when the task is loaded than it says today."""
    task = make_classifier()
    task.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    config = task.get_compile_config()
    assert config["metrics"] == "auto" and config["loss"] != "auto"
