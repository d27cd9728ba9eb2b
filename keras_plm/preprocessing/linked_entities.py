"""From the mentions that a linker finds in texts to the entity of each token."""

from keras_plm.checks import is_integer


def entities_of_tokens(linker, text, offsets):
    """Put the entity of each mention at its first token.

    Args:
        linker: function of a text, that returns a list of (begin, end, number), characters of the
            text and an entity from 1; or None: there are none.
        text: str.
        offsets: int array (T, 2). Where in the text each token lies, [begin, end).

    Returns:
        list of T ints; 0 is none. Of two mentions that begin in one token the first one counts.

    Raises:
        ValueError: if the linker returns anything else.
    """
    found = linker(text)
    found = [] if found is None else found
    if not isinstance(found, (list, tuple)):
        _refuse(found, text)
    entities = [0] * len(offsets)
    for mention in found:
        triple = isinstance(mention, (list, tuple)) and len(mention) == 3
        if not triple or not all(map(is_integer, mention)):
            _refuse(mention, text)
        begin, end, number = mention
        if not 0 <= begin < end <= len(text) or not 1 <= number < 2**31:
            _refuse(mention, text)
        inside = (offsets[:, 1] > begin) & (offsets[:, 0] < end)  # (T,)
        if inside.any():
            first = int(inside.argmax())
            entities[first] = entities[first] or int(number)
    return entities


def _refuse(found, text):
    raise ValueError(
        "`linker` must return a list of (begin, end, number): characters of the text, and an "
        f"entity from 1. Received: {found!r:.100}, of a text of {len(text)} characters, "
        f"{text!r:.80}."
    )
