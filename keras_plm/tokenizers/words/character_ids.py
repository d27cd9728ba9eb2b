"""Words as their bytes, which ELMo reads in place of ids.

Every word is a row of 50 numbers: 0 in all of a row that is padding, and else, from 1 on, the byte
plus 1, or one of the marks:

    cat         259  100  98  117  260  261  261 ...    begin of word, c, a, t, end of word, rest
    <S>         259  257  260  261  261 ...             the begin of a sentence
    </S>        259  258  260  261  261 ...             its end
    padding     0    0    0   0    0 ...

A word is the bytes of its UTF-8, of which 48 have room; the 48th may be a part of a character. The
numbers are 0 to 261. The rest of a row is no padding: it has a vector that is learned.

Source: ELMo (Peters et al. 2018), `UnicodeCharsVocabulary` and `Batcher` of the released bilm-tf.
"""

import numpy as np

from keras_plm.features import WORD_LENGTH

# All but that of padding are one more than in the code of the paper, as in its batches.
SENTENCE_BEGIN, SENTENCE_END, WORD_BEGIN, WORD_END, WORD_REST = 257, 258, 259, 260, 261


class UnknownWord(int):
    """The id of the unknown word, of which `word` says what stood in the text.

    It is a number like any other, and becomes one in an array.

    Args:
        index: int. The id.
        word: str.
    """

    def __new__(cls, index, word):
        self = super().__new__(cls, index)
        self.word = word
        return self

    def __reduce__(self):
        return UnknownWord, (int(self), self.word)


def character_ids(words, sentence_marks=("<S>", "</S>")):
    """Return the bytes of words, as ELMo reads them.

    Args:
        words: list of N str, such as ["<S>", "The", "cat", "</S>"].
        sentence_marks: pair of str: the words that stand for begin and end of a sentence; None:
            none do.

    Returns:
        (N, 50) int32.
    """
    result = np.full((len(words), WORD_LENGTH), WORD_REST, "int32")
    result[:, 0] = WORD_BEGIN
    marks = dict(zip(sentence_marks or (), ([SENTENCE_BEGIN], [SENTENCE_END])))
    for row, word in enumerate(words):
        inner = marks.get(word)
        if inner is None:
            inner = np.frombuffer(word.encode("utf-8", "ignore")[: WORD_LENGTH - 2], "uint8")
            inner = inner.astype("int32") + 1
        result[row, 1 : len(inner) + 1] = inner
        result[row, len(inner) + 1] = WORD_END
    return result
