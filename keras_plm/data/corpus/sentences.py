"""A small rule-based sentence splitter."""

import re

ABBREVIATIONS = (
    ("Mr", "Ms", "Dr", "St", "Mt", "Lt", "Sr", "Jr", "vs", "cf"),
    ("Mrs", "Rev", "Hon", "Col", "Gen", "Maj", "Sgt", "viz", "e.g", "i.e"),
    ("Prof", "Capt", "Mlle"),
    ("Messrs",),
)  # by length, as Python's look-behind wants them
NO_ABBREVIATION = "".join(rf"(?<!\b(?:{'|'.join(words)})\.)" for words in ABBREVIATIONS)
LOWER_CASE = "".join(letter for letter in map(chr, range(0x600)) if letter.islower())
BOUNDARY = re.compile(
    rf"""
    [.!?…] (?<![.!?…]{{2}}) [.!?…]*+             # marks, from the first of them
    (?<!\b[A-Z]\.) {NO_ABBREVIATION}             # not an initial, not a title
    ["'”’)\]»]*+ \s++                            # what closes after it
    (?= ["'“‘(\[«—–_*-]*+ [^\W_{LOWER_CASE}] )   # what opens the next word, and the word
    """,
    re.VERBOSE,
)
CHINESE_BOUNDARY = re.compile("[。！？]+[”’」』）]*")


def split_sentences(text):
    """Splits text into sentences.

    A sentence ends at `.`, `!`, `?` or `…`, with the quotes and brackets that close after it,
    before white space and a word that does not start with a lower-case letter; also after
    `。`, `！` and `？`. Titles (`Mr.`, `Dr.`, ...) and initials (`J.`, `U.S.`) end no sentence.
    A line end is white space like any other. Lower-cased text is one sentence: for that give
    `Corpus.build` a function of your own, or None and one sentence per line.

    Args:
        text: a string.

    Returns:
        A list of strings, none of them empty, without white space around them.

    Example:

    >>> split_sentences('Mr. Fogg sat. "Is it 3.5 miles?" he asked. "No!" \\n"Yes." 20 came.')
    ['Mr. Fogg sat.', '"Is it 3.5 miles?" he asked.', '"No!"', '"Yes."', '20 came.']
    """
    ends = [match.end() for match in BOUNDARY.finditer(text)]
    if not text.isascii():
        ends += [match.end() for match in CHINESE_BOUNDARY.finditer(text)]
    ends = sorted(ends) + [len(text)]
    sentences = [text[start:end].strip() for start, end in zip([0] + ends, ends)]
    return [sentence for sentence in sentences if sentence]
