"""piece_offsets.py: pieces back to the text; test_tokenizer.py has the whole way."""

import numpy as np

from keras_plm.tokenizers.piece_offsets import piece_offsets


def test_spaces_are_left_out():
    text = " to  be "  # ▁to ▁ be, of the text as it is
    offsets = piece_offsets(text, np.arange(9), "▁to▁be", [1, 1, 2, 3, 5, 6, 7], [3, 4, 6])
    assert offsets.dtype == "int32"
    assert offsets.tolist() == [[1, 3], [5, 5], [5, 7]]


def test_both_normalizations_are_undone():
    text = " e\u0301  ½"  # cleaned: "e 1⁄2"; pieces: ▁e ▁ 1⁄ 2
    offsets = piece_offsets(text, [1, 3, 5, 5, 5, 6], "▁e▁1⁄2", [0, 0, 1, 2, 3, 4, 5], [2, 3, 5, 6])
    assert offsets.tolist() == [[1, 3], [5, 5], [5, 6], [5, 6]]


def test_what_is_dropped_belongs_to_the_character_before_it():
    text = "a\x01b\x01 "
    offsets = piece_offsets(text, np.arange(6), "▁ab", [0, 0, 2, 5], [2, 3])
    assert offsets.tolist() == [[0, 2], [2, 4]]


def test_nothing():
    for text, origins in (("", [0]), ("  ", [2]), ("  ", [0, 1, 2])):
        assert piece_offsets(text, origins, "", [len(origins) - 1], []).shape == (0, 2)
    assert piece_offsets("a", [0, 1], "▁a▁", [0, 0, 1, 1], [2, 3]).tolist() == [[0, 1], [1, 1]]
