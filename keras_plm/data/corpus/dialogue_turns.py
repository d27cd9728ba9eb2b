"""What people say in a novel, as the turns of a dialogue."""

import re

PAIRS = ('""', "“”", "«»", "「」", "『』")
APOSTROPHES = ("''", "‘’")  # whose closing mark is in "don't" and "the boys' hats" too
# Speech begins a paragraph or follows a mark, unlike a quoted word, and it ends in a mark.
MARKS = r"\-.,:;!?…—–()。，：；！？"
BEFORE = rf"(?:^|(?<=[\[{MARKS}\"'”’])|(?<=[\[{MARKS}\"'”’]\s))"


def _quotation(opening, inner, closing):
    """A pattern of one quotation; one that is not closed goes on to the paragraph's end."""
    return rf"{opening}(?=\S)({inner})(?:(?<=[{MARKS}\"'”’]){closing}|$)"


PATTERNS = [_quotation(opening, f"[^{closing}]+", closing) for opening, closing in PAIRS] + [
    _quotation(
        rf"(?<!\w){opening}",
        rf"(?:[^{closing}]|{closing}(?=\w)|(?<=\w){closing}(?=\s))+?",
        rf"{closing}(?!\w)",
    )
    for opening, closing in APOSTROPHES
]
QUOTATION = re.compile(BEFORE + "(?:" + "|".join(PATTERNS) + ")")


def quoted_turns(text):
    """Finds the turns of the dialogues in a novel: all that one paragraph quotes is one turn.

    Made for `Corpus.build(..., split_sentences=quoted_turns)`: each document, a chapter, becomes
    one dialogue. Quotation marks may be those of any usual style, apostrophes included; a few
    elisions ('Twas) are taken for the begin of speech.

    Args:
        text: str, a paragraph on each line.

    Returns:
        list of str.

    Example:

    >>> quoted_turns('"Well," said he, "is it tea?"\\nNobody spoke.\\n"It isn\\'t."')
    ['Well, is it tea?', "It isn't."]
    """
    turns = []
    for paragraph in text.splitlines():
        found = QUOTATION.finditer(paragraph.strip())
        turn = " ".join(match[match.lastindex].strip() for match in found)
        if turn:
            turns.append(turn)
    return turns
