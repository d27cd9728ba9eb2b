"""XLM's rule for case and accents, and where each character came from."""

import unicodedata

import numpy as np


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
