"""Rows of running text: cut anywhere, or at the bounds of sentences and documents.

The stream `a a a a | b b b c c |` of two documents, with three sentences and `|` for what separates
documents, in rows with room for 4 tokens:

    packed            a a a a    | b b b    (c c | is left over)
    full_sentences    a a a a    b b b      c c
    doc_sentences     the same; with room for 8: a a a a    b b b c c    where full_sentences has
                      a a a a | b b b    c c
"""

import numpy as np

from keras_plm.data.rows.planned_rows import RowTable, row_plan


@row_plan(across=True)
def packed(stream, room, rng):
    """Plan rows that are full of running text, whatever sentence or document it belongs to.

    Documents follow each other with one functional separator between them: <eod>, where the
    tokenizer has it, else its end of a sequence or separator. What is left after the last full row
    is not used in a pass; each pass has another order of documents, so it is other text.

    Example: see the module.
    """
    begins = np.arange(0, stream.num_tokens - room + 1, room)
    return RowTable(np.stack([begins, begins + room], axis=1)[:, None])


@row_plan(across=True)
def full_sentences(stream, room, rng):
    """Plan rows of as many whole sentences as fit, across documents (RoBERTa's FULL-SENTENCES).

    Between two documents in a row stands one functional separator, at its ends none. A sentence
    longer than a row is cut: rows of it alone, and its last piece is followed by other sentences.

    Source: RoBERTa (Liu et al., 2019), section 4.2.
    """
    return _cut_at_sentences(stream, room, across=True)


def doc_sentences(stream, room, rng):
    """Plan rows of as many whole sentences of one document as fit (RoBERTa's DOC-SENTENCES).

    The last row of a document is padded, where RoBERTa enlarges the batch to keep the number of
    tokens: here shapes are fixed, and batches have fewer tokens than those of full sentences.

    Source: RoBERTa (Liu et al., 2019), section 4.2.
    """
    return _cut_at_sentences(stream, room, across=False)


def _cut_at_sentences(stream, text_length, across):
    """As many sentences as fit, greedily."""
    bounds, is_separator = _pieces(stream, text_length)
    # For each piece: that behind the last which fits into a row from there, at most the next
    # document's first if rows end with documents.
    following = np.searchsorted(bounds, bounds[:-1] + text_length, side="right") - 1
    if not across:
        separators = np.flatnonzero(is_separator)
        following = np.minimum(
            following, separators[np.searchsorted(separators, np.arange(len(following)))]
        )
    begins, ends, piece = [], [], 0
    while piece < len(is_separator):
        if is_separator[piece]:
            piece += 1
            continue
        begins.append(piece)
        piece = following[piece]
        ends.append(piece)
    begins, ends = np.array(begins, "int64"), np.array(ends, "int64")
    while (trailing := is_separator[ends - 1]).any():
        ends = ends - trailing
    return RowTable(bounds[np.stack([begins, ends], axis=1)][:, None])


def _pieces(stream, text_length):
    """Where sentences begin, long ones cut (pieces + 1,); which pieces are separators (pieces,)."""
    bounds = stream.sentence_bounds
    lengths = np.diff(bounds)
    is_separator = np.zeros(len(lengths), bool)
    is_separator[stream.document_sentences[:, 1]] = True
    number = -(-lengths // text_length)  # of pieces per sentence
    within = np.arange(number.sum()) - np.repeat(np.cumsum(number) - number, number)
    begins = np.repeat(bounds[:-1], number) + within * text_length
    return np.append(begins, bounds[-1]), np.repeat(is_separator, number)
