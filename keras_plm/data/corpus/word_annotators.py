"""What a text says beside its words, for columns of a corpus: capitals, and discourse markers.

Bob met IBM people               find_capitals             Bob 1, IBM 1
"But, however, he went on."      find_discourse_markers    "But, 1
"""

import re

from keras_plm.objectives.labels.discourse_relation import DISCOURSE_MARKERS

ACCENTS = "\u0300-\u036f"  # that stand behind their letter
WORD = re.compile(rf"[^\W_](?:[^\W_]|[{ACCENTS}])*")
# The longest first, or "at last" could never be found behind an "at".
MARKER = re.compile(
    r"[\W_]*\b("
    + "|".join(sorted(DISCOURSE_MARKERS, key=len, reverse=True))
    + rf")(?![\w{ACCENTS}'’-])(?:\s*,)?",
    re.IGNORECASE,
)
NUMBERS = {marker: number for number, marker in enumerate(DISCOURSE_MARKERS, start=1)}


def find_capitals(sentence):
    """Finds the words whose first letter is a capital, for the column `capitals`.

    Words are letters and digits without anything between: of "O'Brien's" there are three. Give it
    to `Corpus.build(..., annotate={"capitals": find_capitals})`, with text that has capitals and a
    tokenizer that makes them small; `objectives.Capitals` asks for them.

    Args:
        sentence: str.

    Returns:
        list of (begin, end, 1), characters.

    Example:

    >>> find_capitals("Bob met IBM people")
    [(0, 3, 1), (8, 11, 1)]
    """
    found = []
    for word in WORD.finditer(sentence):
        letter = next((one for one in word.group() if one.isalpha()), "")
        if letter.isupper() or letter.istitle():
            found.append((*word.span(), 1))
    return found


def find_discourse_markers(sentence):
    """Finds the connective that a sentence begins with, for the column `discourse_markers`.

    It is one of `objectives.DISCOURSE_MARKERS`, in any case, with the quotation marks and dashes
    before it and the comma behind it; what is left of the sentence does not show it. Give it to
    `Corpus.build(..., annotate={"discourse_markers": find_discourse_markers})`;
    `objectives.DiscourseRelation` asks for them.

    Args:
        sentence: str.

    Returns:
        list of (begin, end, number), characters and the marker's place in the list, from 1; empty,
        or one.

    Example:

    >>> find_discourse_markers("But, however, he went on.")
    [(0, 4, 1)]
    """
    found = MARKER.match(sentence)
    return [(0, found.end(), NUMBERS[found.group(1).lower()])] if found else []
