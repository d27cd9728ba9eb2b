"""Rows of two sentences, the second without the connective that it began with."""

import numpy as np

from keras_plm.data.corpus.columns import check_columns
from keras_plm.data.rows.planned_rows import RowTable, row_plan, truncated_lengths

COLUMN = "discourse_markers"


@row_plan(num_texts=2)
def discourse_relation(stream, room, rng):
    """Plan rows of two consecutive sentences of a document, the second of which has a marker.

    The tokens of the marker, those from the sentence's begin that the column `discourse_markers`
    numbers, are left out. Each pair is once in every pass. The longer sentence loses tokens from
    its end until both fit. The label `discourse_relation` is the marker's number, from 0.

    Raises:
        ValueError: the corpus has no such column, or no sentence that is asked for.

    Source: ERNIE 2.0 (Sun et al., 2020), section 4.2.3; Sileo et al. (2019), section 3.
    """
    check_columns(stream.columns, [COLUMN])
    bounds, sentences = stream.sentence_bounds, stream.document_sentences  # (S + 1,), (D, 2)
    numbers = np.maximum(sentences[:, 1] - sentences[:, 0] - 1, 0)  # that follow another
    document = np.repeat(np.arange(len(numbers)), numbers)
    second = np.arange(len(document)) - (np.cumsum(numbers) - numbers)[document]
    second += sentences[document, 0] + 1
    marker = stream.read(bounds[second])[COLUMN]
    second, marker = second[marker > 0], marker[marker > 0].astype("int32")
    begin, end = bounds[second].copy(), bounds[second + 1]
    going_on = np.arange(len(second))  # which of them are still in their marker
    while len(going_on):
        begin[going_on] += 1
        going_on = going_on[begin[going_on] < end[going_on]]
        going_on = going_on[stream.read(begin[going_on])[COLUMN] > 0]
    left = begin < end
    if not left.any():
        raise ValueError(
            "Discourse relations need sentences that begin with one of "
            "keras_plm.objectives.DISCOURSE_MARKERS, behind another of their document: give more "
            f"text, of English. Received: {len(sentences)} documents, {len(second)} sentences of "
            "a marker alone"
        )
    first = np.stack([bounds[second - 1], bounds[second]], axis=1)[left]
    texts = np.stack([first, np.stack([begin, end], axis=1)[left]], axis=1)  # (R, 2, 2)
    lengths = truncated_lengths(texts[:, :, 1] - texts[:, :, 0], room)
    texts[:, :, 1] = texts[:, :, 0] + lengths
    return RowTable(texts, {"discourse_relation": marker[left] - 1})
