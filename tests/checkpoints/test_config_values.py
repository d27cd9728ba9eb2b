import pytest

from keras_plm.checkpoints.config_values import (
    ACTIVATIONS,
    read_choice,
    read_number,
    read_sizes,
    write_choice,
)


def test_sizes():
    assert read_sizes({"n": 3, "m": 4}, {"ours": "n"}) == {"ours": 3}
    for wrong in (None, 0, -1, 2.0, "3", True):
        with pytest.raises(ValueError, match=r"positive integers for \['n'\]"):
            read_sizes({"n": wrong}, {"ours": "n"})


def test_choices_there_and_back():
    assert read_choice({"act": "gelu_new"}, "act", ACTIVATIONS, "gelu") == "gelu_tanh"
    assert read_choice({}, "act", ACTIVATIONS, "gelu") == "gelu"
    assert read_choice({"act": False}, "act", {True: "gelu", False: "relu"}, True) == "relu"
    for wrong in ("quick_gelu", None, ["gelu"], 3):
        with pytest.raises(ValueError, match="'act' must be one of"):
            read_choice({"act": wrong}, "act", ACTIVATIONS, "gelu")
    assert write_choice({"activation": "gelu_tanh"}, "activation", ACTIVATIONS) == "gelu_new"
    with pytest.raises(ValueError, match="no activation for 'elu'. Known are"):
        write_choice({"activation": "elu"}, "activation", ACTIVATIONS)


def test_numbers():
    assert read_number({"rate": None}, "rate", 0.1) == 0
    assert read_number({}, "rate", 0.1) == 0.1
    for wrong in ("0.1", True, [1]):
        with pytest.raises(ValueError, match="'rate' must be a number or null"):
            read_number({"rate": wrong}, "rate", 0.1)
    with pytest.raises(ValueError, match="'count' must be a number"):
        read_number({"count": 1.5}, "count", 1, int)
