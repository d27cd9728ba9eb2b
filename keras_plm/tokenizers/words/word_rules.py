"""Rules that turn a text into words, and say where each of them stands in it.

`"split"` takes what white space separates. `"fastai"` does what fastai 2 does by default: it mends
HTML, writes case and repetitions as words of their own, lowers the rest and splits punctuation off:

    text      Well, that was    soooo  GOOD    good good good!
    words     xxmaj well , that was s xxrep 4 o xxup good xxwrep 3 good !

A word that a rule brings in (`xxmaj`) covers nothing of the text; a repetition covers all of it.

fastai's words are those of spaCy's English tokenizer, which this follows without its list of
exceptions: emoticons, `gonna`, `dont`, units (`10km`), and punctuation without a space behind it
(`end.Then`) may be split otherwise. Of WikiText-2 99.9 %, of film reviews 99.8 % of the words are
the same. White space is never a word here; a line feed is one of spaCy's.

Source: the behaviour of fastai 2.7, `fastai.text.core`, as its documentation shows it; ULMFiT
(Howard and Ruder, 2018).
"""

import html
import re
from collections.abc import Callable
from typing import NamedTuple

# What stands for what a rule found.
CAPITALIZED, CAPITALS, REPEATED, REPEATED_WORD = "xxmaj", "xxup", "xxrep", "xxwrep"
FASTAI_WORDS = ("xxfld", REPEATED, REPEATED_WORD, CAPITALS, CAPITALIZED)

BETWEEN_SPACES = re.compile(r"\S+")
CONTRACTED = "['’](?:s|m|d|re|ve|ll)(?!\\w)"
LETTERS = r"[\w\u0300-\u036f]+"  # marks that are left of a letter in lower case, too
FASTAI_UNITS = re.compile(
    rf"""
      (?:[a-z]|[ap]\.m|e\.g|i\.e|v\.s|vs|co)\.(?!\w)
    | n['’]t(?!\w) | {CONTRACTED}            # n't, 's
    | [^\W_]+?(?=n['’]t(?!\w)) | can(?=not(?!\w))  # do, before n't
    | \d+(?:[.,:]\d+)+                       # 1,000.5
    | {LETTERS}(?:(?!{CONTRACTED})(?:[.'’]|(?<!\d)-(?=\d)){LETTERS})*  # o'clock, example.com, m-82
    | \.{{2,}} | -{{2,}} | @,@
    | \S
    """,
    re.VERBOSE,
)


def _replaced(old, new):
    """A rule that writes one text for another, wherever it stands."""
    return re.compile(re.escape(old)), lambda match: [(new, *match.span())]


def _entity(match):
    """`&lt;`, `&#39;`: the character that is meant."""
    return [(html.unescape(match[0]), *match.span())]


def _repetition(match):
    """`oooo`: xxrep 4 o."""
    begin, end = match.span()
    return [(f" {REPEATED} {end - begin} ", begin, begin), (match[1], begin, end), (" ", end, end)]


def _word_repetition(match):
    """`good good good`: xxwrep 3 good, and what was behind."""
    begin, end = match.start(1), match.start(3)
    said = f" {REPEATED_WORD} {len(match[2].split()) + 2} "
    word = [(match[1], begin, end), (" ", end, end), (match[3], *match.span(3))]
    return [(said, begin, begin), *word]


def _cased(mark):
    """What lowers a word and puts a mark before it, if it is longer than a letter."""

    def parts(match):
        begin, end = match.span(2)
        mark_of_word = f"{mark} " if end - begin > 1 else ""
        return [(match[1], *match.span(1)), (mark_of_word, begin, begin)] + [
            (match[2].lower(), begin, end)
        ]

    return parts


# In this order; each is a pattern, and a function from its match to parts of the new text with the
# characters of the old one that they stand for.
FASTAI_RULES = (
    *(
        _replaced(old, new)
        for old, new in (
            *(("#39;", "'"), ("amp;", "&"), ("#146;", "'"), ("nbsp;", " "), ("#36;", "$")),
            *(("\\n", "\n"), ("quot;", "'"), ("<br />", "\n"), ('\\"', '"'), ("<unk>", "xxunk")),
            *((" @.@ ", "."), (" @-@ ", "-"), ("...", " …")),
        )
    ),
    (re.compile(r"&(?:#[0-9]+;?|#[xX][0-9a-fA-F]+;?|[^\t\n\f <&#;]{1,32};?)"), _entity),
    (re.compile(r"(\S)\1{2,}"), _repetition),
    (re.compile(r"(?:\s|^)(\w+)\s+((?:\1\s+)+)\1(\s|\W|$)"), _word_repetition),
    (re.compile(r"[/#\\]"), lambda match: [(f" {match[0]} ", *match.span())]),
    (re.compile(r"(\s|^)([A-Z][^a-z\s]*)(?=\s|$)"), _cased(CAPITALS)),
    (re.compile(r"(\s|^)([A-Z][^A-Z\s]*)(?=\s|$)"), _cased(CAPITALIZED)),
)


def split_words_with_bounds(text):
    """Return the words that white space separates and the (begin, end) of each, two lists."""
    matches = list(BETWEEN_SPACES.finditer(text))
    return [match[0] for match in matches], [match.span() for match in matches]


def fastai_words(text):
    """Return the words of fastai's rules, a list of str; see the module."""
    for pattern, parts in FASTAI_RULES:
        text = pattern.sub(lambda match: "".join(part[0] for part in parts(match)), text)
    return FASTAI_UNITS.findall(text.lower())


def fastai_words_with_bounds(text):
    """Return the words of fastai's rules, and the (begin, end) of each in the text, two lists."""
    spans = [(index, index + 1) for index in range(len(text))]  # of each character
    for pattern, parts in FASTAI_RULES:
        text, spans = _rewritten(text, spans, pattern, parts)
    spans = [span for one, span in zip(text, spans) for _ in one.lower()]
    matches = list(FASTAI_UNITS.finditer(text.lower()))
    bounds = [
        (spans[match.start()][0], max(end for _, end in spans[match.start() : match.end()]))
        for match in matches
    ]
    return [match[0] for match in matches], bounds


def _rewritten(text, spans, pattern, parts):
    """A text after one rule, and where each of its characters is from."""
    pieces, new_spans, done, end_of_all = [], [], 0, spans[-1][1] if spans else 0
    for match in pattern.finditer(text):
        pieces.append(text[done : match.start()])
        new_spans += spans[done : match.start()]
        for new, begin, end in parts(match):
            pieces.append(new)
            if len(new) == end - begin:
                new_spans += spans[begin:end]
            elif begin < end:
                new_spans += [(spans[begin][0], max(one for _, one in spans[begin:end]))] * len(new)
            else:
                place = spans[begin][0] if begin < len(spans) else end_of_all
                new_spans += [(place, place)] * len(new)
        done = match.end()
    pieces.append(text[done:])
    return "".join(pieces), new_spans + spans[done:]


def joined_words(words):
    """Return the text that fastai's words stand for, with one space between any two.

    `xxmaj`, `xxup`, `xxrep` and `xxwrep` become what they say. Punctuation keeps its spaces.

    Args:
        words: list of str.
    """
    result, index = [], 0
    while index < len(words):
        word, behind = words[index], words[index + 1 : index + 3]
        if word in (REPEATED, REPEATED_WORD) and len(behind) == 2 and _is_count(behind[0]):
            one, space = behind[1], " " * (word == REPEATED_WORD)
            result.append(space.join([one] * int(behind[0])))
            index += 3
        elif word in (CAPITALIZED, CAPITALS) and behind:
            result.append(behind[0].upper() if word == CAPITALS else behind[0].capitalize())
            index += 2
        else:
            result.append(word)
            index += 1
    return " ".join(result)


def _is_count(word):
    """Whether this says how often something is repeated: at most 999 times."""
    return word.isascii() and word.isdigit() and len(word) < 4


class WordRule(NamedTuple):
    """A rule, by its name in `WORD_RULES`.

    Args:
        words: function from a text to its words, a list of str.
        words_with_bounds: function from a text to the same, and the (begin, end) of each.
        joined: function from words to a text.
        lowers: bool. Whether the words are in lower case whatever the text is.
    """

    words: Callable
    words_with_bounds: Callable
    joined: Callable
    lowers: bool


WORD_RULES = {
    "split": WordRule(str.split, split_words_with_bounds, " ".join, False),
    "fastai": WordRule(fastai_words, fastai_words_with_bounds, joined_words, True),
}
