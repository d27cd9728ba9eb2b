"""row_layout.py: special tokens, segments, counts of every named layout."""

import pytest

from keras_plm.tokenizers.row_layout import LAYOUTS, layout_by_name


class Ids:
    """A tokenizer of which only the special ids are needed."""

    def special_token_id(self, name):
        ids = {"cls": 101, "sep": 102, "start": 103, "delimiter": 104, "classify": 105}
        ids |= {"bos": 106, "eos": 107}
        return ids[name]


C, S = 101, 102
ROWS = {
    "xlnet": ([7, 8, S, C], [0, 0, 0, 2], [7, 8, S, 9, S, C], [0, 0, 0, 1, 1, 2]),
    "bert": ([C, 7, 8, S], [0, 0, 0, 0], [C, 7, 8, S, 9, S], [0, 0, 0, 0, 1, 1]),
    "roberta": ([C, 7, 8, S], [0] * 4, [C, 7, 8, S, S, 9, S], [0] * 7),
    "xlm": ([C, 7, 8, S], [0] * 4, [C, 7, 8, S, 9, S], [0] * 6),
    "gpt": ([7, 8], [0, 0], [7, 8, 9], [0, 0, 0]),
    "gpt1_transfer": ([103, 7, 8, 105], [0] * 4, [103, 7, 8, 104, 9, 105], [0] * 6),
    "transformer_xl": ([7, 8, 107], [0] * 3, [7, 8, 107, 9, 107], [0] * 5),
    "t5": ([7, 8, 107], [0] * 3, [7, 8, 107, 9, 107], [0] * 5),
    "marian": ([7, 8, 107], [0] * 3, [7, 8, 107, 9, 107], [0] * 5),
    "mass": ([7, 8, S], [0] * 3, [7, 8, S, 9, S], [0] * 5),
    "elmo": ([106, 7, 8, 107], [0] * 4, [106, 7, 8, 107, 106, 9, 107], [0] * 7),
    "ulmfit": ([106, 7, 8], [0] * 3, [106, 7, 8, 106, 9], [0] * 5),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_rows(name):
    layout = layout_by_name(name)
    single, single_segments, pair, pair_segments = ROWS[name]
    assert layout.lay_out(Ids(), [7, 8]) == (single, single_segments)
    assert layout.lay_out(Ids(), [7, 8], [9]) == (pair, pair_segments)
    assert layout.num_special() == len(single) - 2
    assert layout.num_special(pair=True) == len(pair) - 3
    assert layout.pad_left == (name == "xlnet") != layout.question_first


def test_texts_without_tokens():
    assert LAYOUTS["bert"].lay_out(Ids(), [], []) == ([C, S, S], [0, 0, 1])
    assert LAYOUTS["gpt"].lay_out(Ids(), []) == ([], [])


def test_turns_of_a_dialogue():
    ids, segments = LAYOUTS["bert"].lay_out(Ids(), [7, 8], [9], [10], [11])
    assert ids == [C, 7, 8, S, 9, S, 10, S, 11, S]
    assert segments == [0, 0, 0, 0, 1, 1, 0, 0, 1, 1]
    ids, segments = LAYOUTS["roberta"].lay_out(Ids(), [7], [8], [9])
    assert ids == [C, 7, S, S, 8, S, S, 9, S] and segments == [0] * 9


@pytest.mark.parametrize("name", ["BERT", None, 3, ["bert"]])
def test_an_unknown_layout(name):
    with pytest.raises(ValueError, match="one of .*'bert'.*Received"):
        layout_by_name(name)
