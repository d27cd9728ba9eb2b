"""Rows of documents that have several, and which tokens of a row the others have too."""

import numpy as np

from keras_plm.data.rows.packed_rows import doc_sentences
from keras_plm.data.rows.planned_rows import RowTable


def token_document(stream, room, rng):
    """Plan rows as "doc_sentences", of documents of two rows or more, with a label for each token.

    The label `token_document` is 1 where the id of the token is in another row of the document.

    Example: the documents `a b c a`, `d d` with room for two tokens: a b, c a with the labels
    1 0, 0 1; d d is one row, and left out.

    Raises:
        ValueError: there is no such document.

    Source: ERNIE 2.0 (Sun et al., 2020), section 4.2.1.
    """
    texts = doc_sentences(stream, room, rng).texts  # (R, 1, 2)
    offsets, _ = stream.within_document(texts[:, 0, 0])
    _, document, rows = np.unique(texts[:, 0, 0] - offsets, return_inverse=True, return_counts=True)
    several = rows[document] > 1
    if not several.any():
        raise ValueError(
            "Whether a token is in other rows of its document needs documents of two rows or more: "
            "lower the objective's sequence_length, or put blank lines between documents alone. "
            f"Received: {len(stream.document_sentences)} documents of a row of {room} tokens each"
        )
    return RowTable(texts[several], token_labels={"token_document": _in_other_rows})


def _in_other_rows(stream, texts):
    """Which tokens of some rows are in other rows of their documents, as 0 and 1, flat."""
    found = [np.zeros(0, "int32")]
    for begin, end in texts[:, 0].tolist():
        tokens, offset = stream.document_tokens(begin)
        behind = offset + end - begin
        others = np.zeros(stream.vocabulary_size, "int32")
        others[tokens[:offset]] = others[tokens[behind:]] = 1
        found.append(others[tokens[offset:behind]])
    return np.concatenate(found)
