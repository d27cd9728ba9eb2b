"""languages.py: how often languages are read, and which tokens have which."""

from types import SimpleNamespace

import numpy as np
import pytest

from keras_plm.objectives import CausalModeling, MaskedModeling
from keras_plm.objectives.languages import (
    check_language_exponent,
    check_languages,
    language_row_settings,
)


def test_settings_of_the_rows():
    objective = SimpleNamespace(sequence_length=8, language_exponent=None)
    assert language_row_settings(objective) == {"sequence_length": 8}
    objective.language_exponent = 0.3
    expected = {"sequence_length": 8, "language_exponent": 0.3}
    assert language_row_settings(objective) == expected
    for made in (
        CausalModeling(8, language_exponent=0.3),
        MaskedModeling(10, 1, sequence_length=8, language_exponent=0.3),
    ):
        assert made.row_settings == expected
        assert type(made).from_config(made.get_config()) == made


@pytest.mark.parametrize("exponent", [-0.1, 1.1, "1", True, [0.5], float("nan"), float("inf")])
def test_bad_exponents(exponent):
    for make in (
        check_language_exponent,
        lambda value: CausalModeling(8, language_exponent=value),
        lambda value: MaskedModeling(10, 1, sequence_length=8, language_exponent=value),
    ):
        with pytest.raises(ValueError, match="a number from 0 to 1.*Received: language_exp"):
            make(exponent)
    for good in (0, 0.5, 1):
        check_language_exponent(good)


def test_rows_without_languages():
    ids = np.zeros((2, 8), "int32")
    check_languages("XLM", {"token_ids": ids, "language_ids": ids}, 8)
    with pytest.raises(ValueError, match=r"XLM\(languages=True\).*languages=.*\['token_ids'\]"):
        check_languages("XLM", {"token_ids": ids}, 8)
    with pytest.raises(ValueError, match=r"XLM needs language_ids of the shape \(2, 8\)"):
        check_languages("XLM", {"token_ids": ids, "language_ids": ids[:, :7]}, 8)
