import math

import numpy as np
import pytest

from keras_plm.checks import check_choice, check_flag, check_integer, check_number, is_integer


def test_what_passes():
    assert check_integer("n", np.int64(3), 1, 3) == 3
    assert type(check_integer("n", np.int64(3))) is int
    assert check_integer("n", None, 1, none=True) is None
    assert check_number("rate", 0.5, 0, 1) == 0.5 and check_number("rate", np.float32(1), 0, 1) == 1
    assert check_flag("flag", False) is False and check_flag("flag", None, none=True) is None
    assert check_choice("mode", "a", ("a", "b")) == "a"
    assert check_choice("mode", None, ("a",), none=True) is None
    assert is_integer(np.uint8(1)) and not is_integer(True) and not is_integer(1.0)


@pytest.mark.parametrize("value", [0, True, 1.0, "1", None, math.nan, np.array([1, 2])])
def test_integers(value):
    with pytest.raises(ValueError, match="`n` must be an integer of at least 1. Received: n="):
        check_integer("n", value, 1)


@pytest.mark.parametrize("value", [-0.1, 1.1, math.inf, math.nan, True, "a", None, 1j])
def test_numbers(value):
    with pytest.raises(ValueError, match="`rate` must be a number from 0 to 1. Received: rate="):
        check_number("rate", value, 0, 1)


def test_the_wording():
    for call, message in (
        (lambda: check_integer("n", 9, 1, 8), "`n` must be an integer from 1 to 8. Received: n=9."),
        (
            lambda: check_integer("n", 9, most=8, none=True, why=": there are 8 layers"),
            "`n` must be an integer of at most 8, or None: there are 8 layers. Received: n=9.",
        ),
        (lambda: check_integer("n", "a"), "`n` must be an integer. Received: n='a'."),
        (lambda: check_flag("flag", 1), "`flag` must be True or False. Received: flag=1."),
        (
            lambda: check_choice("mode", "c", ("a", "b")),
            "`mode` must be one of ['a', 'b']. Received: mode='c'.",
        ),
    ):
        with pytest.raises(ValueError) as error:
            call()
        assert str(error.value) == message
    with pytest.raises(ValueError) as error:
        check_flag("flag", "x" * 1000)
    assert len(str(error.value)) < 300
