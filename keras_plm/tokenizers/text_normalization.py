"""What is done to a text before SentencePiece sees it, and where each character came from."""

import dataclasses
import re
import unicodedata

import numpy as np

WHITESPACE = re.compile(r"\s+")
TYPEWRITER_QUOTES = re.compile("``|''")


@dataclasses.dataclass(frozen=True)
class TextNormalization:
    """Normalises a text, and can say where in the text each character of the result stood.

    `TextNormalization(clean_text=True, keep_accents=False)` turns a "``déjà  vu''" into
    a '"deja vu"'. By default nothing is changed.

    Args:
        clean_text: bool. Strip the text, make one space of any whitespace, `"` of typewriter
            quotes (two backquotes or two apostrophes).
        keep_accents: bool. If False, decompose characters for compatibility (NFKD) and drop
            combining marks.
        lowercase: bool. Lower-case the text, after the rest.

    Raises:
        ValueError: if one of them is not a bool.

    Source: `preprocess_text` in `prepro_utils.py`, released with XLNet (Yang et al., 2019).
    """

    clean_text: bool = False
    keep_accents: bool = True
    lowercase: bool = False

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, bool):
                raise ValueError(f"{field.name} must be True or False. Received: {value!r}")

    @property
    def changes_nothing(self):
        """Whether every text stays as it is."""
        return self == TextNormalization()

    def __call__(self, text):
        """Normalises one text.

        Args:
            text: a string.

        Returns:
            A string.

        Raises:
            TypeError: if `text` is no string.
        """
        _check_text(text)
        if self.clean_text:
            text = " ".join(text.split())
            text = text.replace("``", '"').replace("''", '"')
        if not self.keep_accents and not text.isascii():
            text = _without_accents(text)
        return text.lower() if self.lowercase else text

    def with_origins(self, text):
        """Normalises one text and tells where its characters come from.

        Args:
            text: a string.

        Returns:
            Two values: the string that the call gives, of N characters; and the index in `text`
            at which each of them begins, (N + 1,) int, whose last entry is the end of `text`.

        Raises:
            TypeError: if `text` is no string.
        """
        _check_text(text)
        end = len(text)
        origins = np.arange(end)
        if self.clean_text:
            origins = origins[end - len(text.lstrip()) : len(text.rstrip())]
            text, origins = _replaced(text.strip(), origins, WHITESPACE, " ")
            text, origins = _replaced(text, origins, TYPEWRITER_QUOTES, '"')
        if not self.keep_accents and not text.isascii():
            parts = [_without_accents(character) for character in text]
            text, origins = "".join(parts), _repeated(origins, parts)
        if self.lowercase:  # of the whole: how a sigma is lowered depends on what follows
            parts = [character.lower() for character in text]
            text, origins = text.lower(), _repeated(origins, parts)
        return text, np.append(origins, end)  # (N + 1,)


def _check_text(text):
    """Refuses what is no string."""
    if not isinstance(text, str):
        raise TypeError(f"text must be a string. Received: {text!r:.100}")


def _without_accents(text):
    """The text decomposed, without combining marks."""
    text = unicodedata.normalize("NFKD", text)
    return "".join(character for character in text if not unicodedata.combining(character))


def _replaced(text, origins, pattern, replacement):
    """Replaces each match by one character, which stands where the match began."""
    keep = np.ones(len(text), bool)
    for match in pattern.finditer(text):
        keep[match.start() + 1 : match.end()] = False
    return pattern.sub(replacement, text), origins[keep]


def _repeated(origins, parts):
    """The origins of the characters of `parts`, of which part i comes from character i."""
    return np.repeat(origins, [len(part) for part in parts])


def without_case_and_accents(text):
    """Lowers the words of a text and drops their accents; words are separated by one space.

    "Ça  va, Élan?" becomes "ca va, elan?". Words are what whitespace separates.

    Args:
        text: a string.

    Returns:
        Two values: a string of N characters, and the index in `text` at which each of them
        begins, (N + 1,) int, whose last entry is the end of `text`.

    Source: `lowercase_and_remove_accent.py`, released with XLM (Conneau and Lample, 2019).
    """
    joined, origins = _one_space(text)
    lowered = joined.lower()  # of the whole: how a sigma is lowered depends on what follows
    origins = origins[:-1].repeat([len(one.lower()) for one in joined])
    if not lowered.isascii():
        lowered, origins = _decomposed(lowered, origins)
        keep = [unicodedata.category(one) != "Mn" for one in lowered]
        lowered = "".join(one for one, kept in zip(lowered, keep) if kept)
        origins = origins[keep]
    return lowered.lower(), np.append(origins, len(text))


def _one_space(text):
    """One space for any whitespace, none around the text; and the origins."""
    origins = np.arange(len(text))
    spaces = np.array([one.isspace() for one in text], bool)
    inner = np.cumsum(~spaces) * np.cumsum(~spaces[::-1])[::-1] > 0  # between first and last
    keep = inner & ~(spaces & np.append(False, spaces[:-1]))
    return " ".join(text.split()), np.append(origins[keep], len(text))


def _decomposed(text, origins):
    """The canonical decomposition; marks that change places keep the place of their run."""
    parts = [unicodedata.normalize("NFD", one) for one in text]
    return unicodedata.normalize("NFD", text), origins.repeat([len(part) for part in parts])


def digit_comma_splits(processor):
    """What each piece that ends in a digit and a comma becomes when the comma is split off.

    Such a piece is encoded anew without its comma, a word start that this brings in is taken
    away again, and the comma becomes a piece of its own.

    Args:
        processor: `sentencepiece.SentencePieceProcessor`.

    Returns:
        dict of id to a pair of lists: the new ids, and the characters of each.

    Source: `encode_pieces` in `prepro_utils.py`, released with XLNet.
    """
    splits = {}
    for index in range(len(processor)):
        piece = processor.id_to_piece(index)
        if len(piece) < 2 or piece[-1] != "," or not piece[-2].isdigit():
            continue
        parts = processor.encode(piece[:-1].replace("▁", ""), out_type=str)
        if piece[0] != "▁" and parts and parts[0][0] == "▁":
            parts = [parts[0][1:], *parts[1:]] if len(parts[0]) > 1 else parts[1:]
        parts.append(",")
        splits[index] = [processor.piece_to_id(part) for part in parts], [len(p) for p in parts]
    return splits


def split_digit_commas(ids, lengths, splits):
    """Put the parts of pieces in the place of the pieces.

    Args:
        ids: list of int.
        lengths: list of int, the characters of each piece.
        splits: dict, from `digit_comma_splits`.

    Returns:
        The new ids and lengths, two lists.
    """
    new_ids, new_lengths = [], []
    for index, length in zip(ids, lengths):
        part_ids, part_lengths = splits.get(index, ([index], [length]))
        new_ids += part_ids
        new_lengths += part_lengths
    return new_ids, new_lengths
