"""sentences.py: where a sentence ends and where it does not."""

import doctest
import time

import pytest

from keras_plm.data.corpus import sentences
from keras_plm.data.corpus.sentences import split_sentences


@pytest.mark.parametrize(
    "expected",
    [
        ["One.", "Two!", "Three?", "Four…", "5 is five."],
        ['"Is it 3.5 miles?" he asked.', '"No!"', '"Yes," she said.'],
        ["He met Mr. Fogg, Mrs. Hill and Dr. No in St. Ives.", "Then J. R. Kennedy came."],
        ["The U.S. Army has e.g. Generals.", "M.D. Watson (late of the Army.)", "(He left.)"],
        ["'Oh dear!'", "'I shall be late...'", "“So?”", "—Yes."],
        ["Wait... what?!", "No -- never.", "Émile came. он ушёл. étienne too."],
        ["他来了。", "“好吗？”", "是的"],
        ["no mark at all"],
    ],
)
def test_sentences(expected):
    joined = "" if "。" in expected[0] else " "
    assert split_sentences(joined.join(expected)) == expected


def test_line_ends_are_white_space():
    assert split_sentences("a wrapped\nline. The\r\nnext.\n\n Last ") == [
        "a wrapped\nline.",
        "The\r\nnext.",
        "Last",
    ]
    assert split_sentences(" \n ") == split_sentences("") == []


def test_the_example_of_the_docstring():
    assert doctest.testmod(sentences).failed == 0


def test_time_is_linear_in_odd_text():
    start = time.process_time()
    for text in ["." * 100_000 + " a", "a. " * 50_000, "." + '"' * 100_000, '. "' * 50_000 + "a"]:
        split_sentences(text)
    assert time.process_time() - start < 5
