"""Where in a text the pieces of its normalised form stand."""

import numpy as np


def piece_offsets(text, text_origins, normalized, origins, piece_ends):
    """Finds the part of a text that each piece covers, without the whitespace around it.

    The text was cleaned, and the cleaned text normalised by SentencePiece, which cut the result
    into pieces. What was dropped on the way (combining marks, say) belongs to the character before
    it. A character that became several (`½`) belongs to every piece that has a part of it.

    Args:
        text: the original string, of C characters.
        text_origins: (N + 1,) int. Where in `text` each character of the cleaned text begins, and
            its end.
        normalized: string of K characters, the pieces one after the other, with `▁` for spaces.
        origins: (K + 1,) int. Where in the cleaned text each character of `normalized` begins,
            and its end.
        piece_ends: (T,) int. Where in `normalized` each piece ends.

    Returns:
        (T, 2) int32: piece t is `text[begin:end]`. Both rise or stay from piece to piece. A piece
        of whitespace alone covers nothing: begin and end are where the next character begins.
        (Characters that become several words, such as U+FDFA, are covered by their spaces too.)
    """
    ends = np.asarray(piece_ends, "int64")  # (T,)
    begins = np.concatenate([[0], ends[:-1]])[: len(ends)]  # (T,)
    text_origins, origins = np.asarray(text_origins), np.asarray(origins)
    cleaned_ends = _character_ends(origins)  # (K,), in the cleaned text
    original_begins = text_origins[origins]  # (K + 1,)
    original_ends = _character_ends(text_origins)[cleaned_ends - 1]  # (K,)

    visible = np.array([not (one == "▁" or one.isspace()) for one in normalized], bool)  # (K,)
    first, after_last = visible_limits(visible, begins, ends)  # (T,) both
    empty = first >= after_last
    result = np.stack([original_begins[np.where(empty, ends, first)]] * 2, axis=-1)  # (T, 2)
    result[~empty, 1] = original_ends[after_last[~empty] - 1]

    # What the normalisation dropped at the end of the text, or beside a space, may be whitespace.
    visible = np.array([not one.isspace() for one in text], bool)  # (C,)
    first, after_last = visible_limits(visible, result[:, 0], result[:, 1])
    shown = first < after_last
    result[shown, 0], result[shown, 1] = first[shown], after_last[shown]
    result[:, 1] = np.maximum.accumulate(result[:, 1])  # whitespace inside of one character
    return result.astype("int32")


def _character_ends(origins):
    """Where each character ends: at the next one with another beginning. (N + 1,) -> (N,)."""
    following = np.searchsorted(origins, origins[:-1], side="right")
    return origins[np.minimum(following, len(origins) - 1)]


def visible_limits(visible, begins, ends):
    """The visible part of parts of a text.

    Args:
        visible: (N,) bool, which characters are visible.
        begins, ends: (T,) int. Where the parts begin and end.

    Returns:
        (T,) int both: the first visible index from `begins` on, and the one after the last
        visible before `ends`; the first is not below the second if nothing is visible.
    """
    size = len(visible)
    index = np.arange(size)
    next_visible = np.minimum.accumulate(np.where(visible, index, size)[::-1])[::-1]
    next_visible = np.append(next_visible, size)  # (N + 1,)
    after_visible = np.maximum.accumulate(np.where(visible, index + 1, 0))
    after_visible = np.concatenate([[0], after_visible])  # (N + 1,)
    return next_visible[begins], after_visible[ends]
