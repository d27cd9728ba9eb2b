"""The two sides as arrays: the literal example, rows of which nothing is asked, bad input."""

from types import SimpleNamespace

import numpy as np
import pytest

from keras_plm.objectives.two_sided.source_and_target import decoder_arrays, moved_left

START, END = 3, 4


def settings(**given):
    ids = dict(start_token_id=START, end_token_id=END, pad_token_id=0, target_length=4)
    return SimpleNamespace(**{**ids, **given})


def sides(source, target):
    """What is written, 0 where it is not kept."""
    return [
        {"keep": np.array([one]) > 0, "token_ids": np.array([one], "int32")}
        for one in (source, target)
    ]


def test_literal_example():
    """The example of the module's docstring."""
    source, target = sides([7, 0, 8, 9, 0], [0, 5, 6, 0, 0])
    x, y, weight = decoder_arrays(moved_left(source, 5, "source_length"), target, settings())
    assert x["source_token_ids"].tolist() == [[7, 8, 9, 0, 0]]
    assert x["source_padding_mask"].tolist() == [[1, 1, 1, 0, 0]]
    assert x["token_ids"].tolist() == [[START, 5, 6, 0]]
    assert x["padding_mask"].tolist() == [[1, 1, 1, 0]]
    assert x["target_positions"].tolist() == [[0, 1, 2, 3]]
    assert y["tokens"].tolist() == [[5, 6, END, 0]] and weight["tokens"].tolist() == [[1, 1, 1, 0]]
    assert x["token_ids"].dtype == y["tokens"].dtype == np.int32
    assert weight["tokens"].dtype == np.float32 and x["padding_mask"].dtype == bool


def test_padding_is_what_the_settings_say():
    source, target = sides([7, 0], [5, 0])
    x, y, _ = decoder_arrays(moved_left(source, 3, ""), target, settings(pad_token_id=9))
    assert x["source_token_ids"].tolist() == [[7, 9, 9]]
    assert x["token_ids"].tolist() == [[START, 5, 9, 9]] and y["tokens"].tolist() == [
        [5, END, 0, 0]
    ]


@pytest.mark.parametrize("end", [END, None])
def test_a_row_of_which_nothing_is_asked(end):
    """The decoder reads its start; nothing counts, the end neither."""
    source, target = sides([7], [0, 0])
    x, y, weight = decoder_arrays(moved_left(source, 1, ""), target, settings(end_token_id=end))
    assert x["token_ids"].tolist() == [[START, 0, 0, 0]]
    assert x["padding_mask"].tolist() == [[1, 0, 0, 0]]
    assert not weight["tokens"].any() and not y["tokens"].any()


def test_inputs_of_their_own():
    source, target = sides([7], [5, 0, 6])
    target["inputs"] = np.array([[1, 2, 8]])
    target["position_ids"] = np.array([[10, 11, 12]])
    x, _, _ = decoder_arrays(moved_left(source, 1, ""), target, settings(end_token_id=None))
    assert x["token_ids"].tolist() == [[1, 8, 0, 0]]
    assert x["position_ids"].tolist() == [[10, 12, 0, 0]]


def test_bad_input():
    source, target = sides([0, 0], [5])
    with pytest.raises(ValueError, match="a token for the encoder.*no token in the rows .0."):
        decoder_arrays(moved_left(source, 2, ""), target, settings())
    source, target = sides([7, 7], [5, 5, 5, 5])
    with pytest.raises(ValueError, match="source_length must have room.*of 2, source_length=1"):
        moved_left(source, 1, "source_length")
    source = moved_left(source, 2, "source_length")
    with pytest.raises(ValueError, match="target_length must have room.*of 5, target_length=4"):
        decoder_arrays(dict(source), target, settings())
    with pytest.raises(ValueError, match="target_length must have room.*of 4, target_length=3"):
        decoder_arrays(dict(source), target, settings(target_length=3))
