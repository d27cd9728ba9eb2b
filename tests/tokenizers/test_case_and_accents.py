"""case_and_accents.py: XLM's rule, and the origins of what is left."""

import unicodedata

import numpy as np
import pytest

from keras_plm.tokenizers.text_normalization import without_case_and_accents


def by_the_rule(text):
    """The rule, without origins."""
    text = unicodedata.normalize("NFD", " ".join(text.split()).lower())
    return "".join(one for one in text if unicodedata.category(one) != "Mn").lower()


def test_by_hand():
    text = " Ça  va,\tÉlan? "
    result, origins = without_case_and_accents(text)
    assert result == "ca va, elan?"
    assert origins.tolist() == [1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 15]
    assert [text[index] for index in origins[:5]] == list("Ça va")


@pytest.mark.parametrize(
    "text", ["", "  ", "a", "ΌΔΟΣ ΣΑ", "İx Iı", "한국 e\u0301\u0327x", "\u0301 ﬁ\x1cǅ K Ω \u0344"]
)
def test_the_rule_and_the_places(text, subword_fixture):
    for one in (text, *subword_fixture["texts"]):
        result, origins = without_case_and_accents(one)
        assert result == by_the_rule(one) and len(origins) == len(result) + 1
        assert origins[-1] == len(one) and (np.diff(origins) >= 0).all()
        for character, origin in zip(result, origins):
            assert character == " " or character in by_the_rule(one[origin]) or character in "ςσ"
