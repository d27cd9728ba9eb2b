"""Words and spans that are given as text, on the tokens of a corpus.

The sentence "我爱北京大学", a token per character, its words 我, 爱, 北京大学, and a span (2, 6):

    token          我   爱   北   京   大   学
    word_starts    1    1    1    0    0    0
    span_marks     0    0    1    2    2    2
"""

import numpy as np


def given_bounds(sentences, offsets, word_starts, split_words=None, find_spans=None):
    """Finds where words start and spans lie.

    A token belongs to the word or span in which it begins; a word in which none begins has no
    token. Spans leave the words as they are.

    Args:
        sentences: list of S strings.
        offsets: list of S arrays (T, 2) int: the characters of each token.
        word_starts: (N,) bool, for all tokens one after the other: what the tokenizer says.
        split_words: a function from a sentence to its words, or None: as the tokenizer says.
        find_spans: a function from a sentence to the (begin, end) of its spans, or None.

    Returns:
        word_starts (N,) bool, and span_marks (N,) uint8: 0 outside of spans, 1 at the first token
        of one, 2 at its others; None without `find_spans`.

    Raises:
        TypeError: if words are no list of strings, or spans no list of pairs of integers.
        ValueError: if words do not cover a sentence, or spans are empty, overlap or are not
            within it.
    """
    if split_words is not None:
        word_starts = [
            _first_of(_numbers(rows, word_begins(sentence, split_words(sentence))))
            for sentence, rows in zip(sentences, offsets)
        ]
        word_starts = np.concatenate([np.zeros(0, bool), *word_starts])
    if find_spans is None:
        return word_starts, None
    marks = [
        _span_marks(rows, span_bounds(sentence, find_spans(sentence)))
        for sentence, rows in zip(sentences, offsets)
    ]
    return word_starts, np.concatenate([np.zeros(0, "uint8"), *marks])


def given_numbers(sentences, offsets, name, annotate, column):
    """Finds the number of each token, that of the characters where it begins.

    Of a column that `begins`, such as the entities of mentions, the first token has it alone.

    Args:
        sentences: list of S strings.
        offsets: list of S arrays (T, 2) int: the characters of each token.
        name: str, the column, for messages.
        annotate: a function from a sentence to a list of (begin, end, number).
        column: `Column`. Tokens of which nothing is said get its `special`.

    Returns:
        (N,) of the column's dtype.

    Raises:
        TypeError, ValueError: as `span_bounds`; or a number is outside the column's bound.
    """
    found = [np.zeros(0, column.dtype)]
    for sentence, rows in zip(sentences, offsets):
        given = [tuple(one) for one in _listed(name, sentence, annotate(sentence))]
        spans = span_bounds(sentence, [one[:2] for one in given], name)
        numbers = np.array([one[2] for one in sorted(given)], "int64")
        if len(numbers) and not 0 <= numbers.min() <= numbers.max() < (column.bound or np.inf):
            raise ValueError(
                f"The numbers of {name} must be within [0, {column.bound}). Received: "
                f"{numbers.tolist()!r:.100} for {sentence!r:.200}"
            )
        inside, number = _inside(rows, spans)
        if column.begins:
            inside &= _first_of(number)
        values = np.full(len(rows), column.special, column.dtype)
        values[inside] = numbers[number[inside]]
        found.append(values)
    return np.concatenate(found)


def word_begins(sentence, words):
    """Where each word of a sentence begins.

    Args:
        sentence: str.
        words: list of str that follow each other in it, with nothing but white space between;
            words of white space alone are left out, as segmenters of Chinese give them.

    Returns:
        list of int, the index of each word's first character.

    Raises:
        TypeError: if it is no list of strings.
        ValueError: if a word is empty, or they do not cover the sentence.
    """
    words = _listed("split_words", sentence, words)
    begins, position = [], 0
    for word in words:
        if not isinstance(word, str):
            raise TypeError(
                f"split_words must return a list of strings. Received: {word!r:.100} for "
                f"{sentence!r:.200}"
            )
        stripped = word.strip()
        if not stripped:
            if word:
                continue
            raise ValueError(
                "split_words must return words that are not empty. Received: an empty word for "
                f"{sentence!r:.200}"
            )
        while position < len(sentence) and sentence[position].isspace():
            position += 1
        if not sentence.startswith(stripped, position):
            raise ValueError(
                "The words of split_words must cover the sentence, in its order and spelled as in "
                f"it. Received: {word!r:.100} where the text goes on with "
                f"{sentence[position : position + 20]!r}, in {sentence!r:.200}"
            )
        begins.append(position)
        position += len(stripped)
    if sentence[position:].strip():
        raise ValueError(
            "The words of split_words must cover the sentence. Received: nothing for "
            f"{sentence[position:]!r:.100}, the end of {sentence!r:.200}"
        )
    return begins


def span_bounds(sentence, spans, name="find_spans"):
    """The spans of a sentence in their order.

    Args:
        sentence: str.
        spans: list of (begin, end) in any order, characters.
        name: str, what returned them, for messages.

    Returns:
        (number of spans, 2) int64.

    Raises:
        TypeError: if it is no list of pairs of integers.
        ValueError: if a span is empty or not within the sentence, or two overlap.
    """
    spans = _listed(name, sentence, spans)
    found = []
    for span in spans:
        pair = tuple(span) if isinstance(span, (tuple, list, np.ndarray)) else ()
        if len(pair) != 2 or not all(
            isinstance(one, (int, np.integer)) and not isinstance(one, bool) for one in pair
        ):
            raise TypeError(
                f"{name} must return pairs (begin, end) of integers. Received: "
                f"{span!r:.100} for {sentence!r:.200}"
            )
        if not 0 <= pair[0] < pair[1] <= len(sentence):
            raise ValueError(
                f"The spans of {name} must have a character and lie within the sentence, "
                f"0 <= begin < end <= {len(sentence)}. Received: {span!r:.100} for "
                f"{sentence!r:.200}"
            )
        found.append(pair)
    found.sort()
    for left, right in zip(found, found[1:]):
        if right[0] < left[1]:
            raise ValueError(
                f"The spans of {name} must not overlap. Received: {left} and {right} for "
                f"{sentence!r:.200}"
            )
    return np.array(found, "int64").reshape(-1, 2)


def _listed(name, sentence, values):
    """What a function returned, as a list."""
    if isinstance(values, str) or not hasattr(values, "__iter__"):
        raise TypeError(
            f"{name} must return a list. Received: {values!r:.100} for {sentence!r:.200}"
        )
    return list(values)


def _numbers(offsets, begins):
    """The number of the word or span at or before which each token begins; -1 before the first."""
    return np.searchsorted(np.array(begins, "int64"), offsets[:, 0], side="right") - 1


def _first_of(numbers):
    """Which tokens have another number than the one before."""
    return np.append(True, numbers[1:] != numbers[:-1])[: len(numbers)]


def _inside(offsets, spans):
    """Which tokens begin inside of a span, and the number of the span at or before each."""
    numbers = _numbers(offsets, spans[:, 0])
    ends = np.append(spans[:, 1], 0)[numbers]  # the last, 0, where no span begins before
    return offsets[:, 0] < ends, numbers


def _span_marks(offsets, spans):
    """0, 1 and 2 for the tokens of one sentence."""
    inside, numbers = _inside(offsets, spans)
    return np.where(inside, np.where(_first_of(numbers), 1, 2), 0).astype("uint8")
