"""Mentions of entities in text, found in a dictionary of what they are called.

DictionaryLinker({"New York": 1, "York": 2, "Paris": 3})("from York to New  York's Paris")
    == [(5, 9, 2), (13, 22, 1), (25, 30, 3)]
"""

import re

from keras_plm.checks import check_arguments, check_kind, check_text, flag, is_integer, kind

WORD = re.compile(r"\w+|[^\w\s]")  # a run of letters and digits, or a mark


class DictionaryLinker:
    """Finds the names of entities in text: `Corpus.build(annotate={"entities": linker})`.

    It reads from left to right and takes the longest name that begins where it is. A name begins
    and ends where words do, a run of letters and digits being one, and any white space may stand
    between its words. So names are found in languages that write spaces between words. Any
    function from a text to a list of (begin, end, number) can take its place.

    Args:
        entity_ids: dict of names, as they stand in text, to the numbers of their entities, from
            1. Several names may have one number. Their marks count: "U.S." is not "US".
        lowercase: bool. Whether "APPLE" and "apple" are the same.

    Raises:
        TypeError: if `entity_ids` is no dict, or a name no string.
        ValueError: if it is empty, a name has no letter or mark, a number is below 1, or two
            names that are the same to the linker have different numbers.
    """

    @check_arguments
    def __init__(self, entity_ids: kind(dict), lowercase: flag() = False):
        if not entity_ids:
            raise ValueError("entity_ids must have names to look for. Received: entity_ids={}")
        self.lowercase = lowercase
        self._numbers, self._longest = {}, {}  # by the words of names; by their first words
        for name, number in entity_ids.items():
            check_kind("a name of entity_ids", name, str)
            words = tuple(word for word, _, _ in self._words(check_text("a name", name)))
            if not words or not is_integer(number) or not 1 <= number < 2**31 - 1:
                raise ValueError(
                    "entity_ids must be names with a letter or mark, and numbers from 1, rows of "
                    f"the table of vectors. Received: {name!r:.80}: {number!r:.40}"
                )
            if self._numbers.setdefault(words, int(number)) != number:
                raise ValueError(
                    "Names that are the same must have one number: with one name for several "
                    "entities, choose the commonest. Received: "
                    f"{name!r:.80}: {number}, and {self._numbers[words]}"
                )
            longest = self._longest.get(words[0], 0)
            self._longest[words[0]] = max(longest, len(words))

    def __call__(self, text):
        """Find the mentions of a text.

        Args:
            text: str.

        Returns:
            list of (begin, end, number), characters and entity, in the order of the text; none
            overlaps another.

        Raises:
            TypeError: if it is no string.
        """
        found, at = [], 0
        words = self._words(check_kind("text", text, str))
        while at < len(words):
            for count in range(self._longest.get(words[at][0], 0), 0, -1):
                mention = words[at : at + count]
                number = self._numbers.get(tuple(word for word, _, _ in mention))
                if number is not None:
                    found.append((mention[0][1], mention[-1][2], number))
                    at += count - 1
                    break
            at += 1
        return found

    def _words(self, text):
        """The words of a text, with where they begin and end."""
        found = [(match[0], *match.span()) for match in WORD.finditer(text)]
        return [(one.lower(), *place) for one, *place in found] if self.lowercase else found
