"""Marks around the mentions that a question is about, put into the text itself."""

from keras_plm.checks import check_text, check_texts, is_integer

RELATION_MARKS, TYPING_MARKS = ("#", "$"), ("。",)


def mark_mentions(text, mentions, marks=RELATION_MARKS, entities=()):
    """Put a mark before and behind each mention; a classifier of texts then knows what is asked.

    The marks are tokens that the vocabulary has anyway, which texts rarely have, so that they come
    to mean this alone.

    Args:
        text: str.
        mentions: list of (begin, end), characters of the text: of a relation the head and the tail,
            whichever comes first; of a typing one. None overlaps another.
        marks: list of as many str: ("#", "$") of relations, ("。",) of typing.
        entities: list of (begin, end, number), such as a linker's, which are moved with the text.

    Returns:
        The marked text, and a list of the entities where they are in it.

    Raises:
        TypeError: if `text` is no string.
        ValueError: if mentions or entities are no spans of the text, mentions overlap, or there
            are more or less of them than marks.

    Example:
    ```python
    from keras_plm.preprocessing import mark_mentions

    text, entities = mark_mentions("Bob met Ann", [(8, 11), (0, 3)], entities=[(8, 11, 42)])
    assert text == "$ Bob $ met # Ann #" and entities == [(14, 17, 42)]
    ```

    Source: ERNIE (Zhang et al. 2019, arXiv:1905.07129), section 3.5, where the marks are [HD], [TL]
    and [ENT]; which tokens these are: the released `run_fewrel.py` and `run_typing.py`.
    """
    if not isinstance(text, str):
        raise TypeError(f"`text` must be a string. Received: text={text!r:.200}.")
    marks = [check_text("marks", mark) for mark in check_texts("marks", marks)]
    spans = [_checked_span("mentions", one, text, 2) for one in _listed("mentions", mentions)]
    if len(spans) != len(marks):
        raise ValueError(
            f"There must be a mark for each mention. Received: mentions={spans!r:.200}, "
            f"marks={marks!r:.100}."
        )
    ordered = sorted(zip(spans, marks))
    for (one, _), (other, _) in zip(ordered, ordered[1:]):
        if other[0] < one[1]:
            raise ValueError(
                "`mentions` must not overlap, or the marks would not say which is which. Leave "
                f"such a text out. Received: {one} and {other} of {text!r:.100}."
            )
    inserted = []  # (where, what), in the order of the text
    for (begin, end), mark in ordered:
        inserted += [(begin, f"{mark} "), (end, f" {mark}")]
    pieces, last = [], 0
    for place, what in inserted:
        pieces += [text[last:place], what]
        last = place
    moved = []
    for one in _listed("entities", entities):
        begin, end, number = _checked_span("entities", one, text, 3)
        before = sum(len(what) for place, what in inserted if place <= begin)
        inside = sum(len(what) for place, what in inserted if begin < place < end)
        moved.append((begin + before, end + before + inside, number))
    return "".join([*pieces, text[last:]]), moved


def _listed(name, value):
    """A list, or a refusal."""
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"`{name}` must be a list. Received: {name}={value!r:.200}.")
    return value


def _checked_span(name, span, text, length):
    """A part of a text as a tuple of int."""
    good = isinstance(span, (list, tuple)) and len(span) == length and all(map(is_integer, span))
    if not good or not 0 <= span[0] < span[1] <= len(text):
        raise ValueError(
            f"`{name}` must be (begin, end{', number' * (length == 3)}) of characters of the text, "
            f"which has {len(text)}. Received: {span!r:.100}."
        )
    return tuple(map(int, span))
