import numpy as np
import pytest

from keras_plm.preprocessing.masked_text import each_token_masked, log_softmax, rows_with_masks
from keras_plm.tasks import TextPreprocessor


@pytest.fixture(scope="module")
def preprocessor(wordpiece):
    return TextPreprocessor(wordpiece, 16)


def test_masks_stand_between_the_pieces(preprocessor, wordpiece):
    ((row, segments, positions),) = rows_with_masks(preprocessor, ["the [MASK] was[MASK]."])
    the, was, dot = (wordpiece.encode(word) for word in ("the", "was", "."))
    mask = [wordpiece.mask_token_id]
    assert row == [wordpiece.cls_token_id, *the, *mask, *was, *mask, *dot, wordpiece.sep_token_id]
    assert [row[place] for place in positions] == mask * 2
    assert len(segments) == len(row) and not any(segments)


def test_a_mask_takes_the_space_before_it(byte_level):
    preprocessor = TextPreprocessor(byte_level, 16)
    ((row, _, (place,)),) = rows_with_masks(preprocessor, ["the <mask> was"])
    assert row[1:place] == byte_level.encode("the")
    assert row[place + 1 : -1] == byte_level.encode(" was")


def test_only_masks(preprocessor, wordpiece):
    ((row, _, positions),) = rows_with_masks(preprocessor, ["[MASK] [MASK]"])
    assert positions == [1, 2] and len(row) == 4


BAD = {
    "no mask": (["[MASK] a", "the dog"], r"Text 1 has no \[MASK\].*Received: 'the dog'"),
    "cut off": (["a " * 20 + "[MASK]"], r"cut before its last \[MASK\].*sequence_length=16"),
    "nothing": ([], "no texts"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_texts(case, preprocessor):
    texts, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        rows_with_masks(preprocessor, texts)
    with pytest.raises(TypeError, match="one text"):
        rows_with_masks(preprocessor, "the [MASK]")


def test_without_a_mask_token(wordpiece, monkeypatch):
    monkeypatch.delitem(wordpiece.special_token_ids, "mask")
    with pytest.raises(ValueError, match="no special token 'mask'"):
        rows_with_masks(TextPreprocessor(wordpiece, 16), ["the [MASK]"])


def test_each_token_masked(wordpiece):
    layout = wordpiece.layout
    rows = list(each_token_masked([2, 7, 8, 3], [0, 0, 0, 0], layout, 4))
    assert rows == [([2, 4, 8, 3], [0] * 4, [1]), ([2, 7, 4, 3], [0] * 4, [2])]


def test_log_softmax():
    logits = np.array([[1.0, 2.0, 3.0], [1e4, 0.0, -1e4]], "float32")
    got = log_softmax(logits)
    np.testing.assert_allclose(np.exp(got).sum(axis=-1), 1.0)
    np.testing.assert_allclose(got[0, 2] - got[0, 0], 2.0)
    assert got[1].tolist() == [0.0, -1e4, -2e4]
