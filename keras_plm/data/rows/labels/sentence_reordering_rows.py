"""Rows of paragraphs whose parts are shuffled: [CLS] C A B [SEP]."""

import numpy as np

from keras_plm.data.rows.packed_rows import doc_sentences
from keras_plm.data.rows.planned_rows import RowTable, row_plan
from keras_plm.objectives.labels.sentence_reordering import MOST_PARTS, order_classes


@row_plan(num_texts=MOST_PARTS, joined=True)
def sentence_reordering(stream, room, rng, num_parts=3):
    """Plan rows as "doc_sentences", each cut into 1 to `num_parts` parts at ends of sentences.

    How many parts is drawn, each number as often as the others, then where the cuts are, and then
    the order. Rows of fewer sentences than `num_parts` are left out, as they would be cut more
    rarely. The label `sentence_reordering` says which order it is.

    Example: the paragraph A B C of two parts, A B and C, in the order 1 0: the pieces C, A B.

    Args:
        stream, room, rng: see `row_plan`.
        num_parts: the most parts of a row, 2 to 5.

    Raises:
        ValueError: no row has as many sentences.

    Source: ERNIE 2.0 (Sun et al., 2020), section 4.2.2.
    """
    rows, bounds = doc_sentences(stream, room, rng).texts[:, 0], stream.sentence_bounds
    first = np.searchsorted(bounds, rows[:, 0], side="right")  # the sentence end within, (R,)
    ends = np.searchsorted(bounds, rows[:, 1], side="left") - first  # how many there are
    enough = ends >= num_parts - 1
    if not enough.any():
        raise ValueError(
            f"A paragraph of up to {num_parts} parts must have as many sentences, and no row has: "
            "raise the objective's sequence_length, lower num_parts, or build the corpus with "
            "sentence bounds, as Corpus.build(..., split_sentences=...) finds them. Received: "
            f"rows of {ends.max(initial=-1) + 1} sentences at most, num_parts={num_parts}"
        )
    rows, first, ends = rows[enough], first[enough], ends[enough]
    uniform = rng.random((len(rows), 2 * num_parts))
    counts = 1 + (uniform[:, 0] * num_parts).astype("int64")  # (R,)
    cuts = _cuts(uniform[:, 1:num_parts], ends, counts)  # (R, num_parts - 1)
    behind = cuts >= ends[:, None]
    places = np.where(behind, rows[:, 1:], bounds[np.where(behind, 0, first[:, None] + cuts)])
    edges = np.concatenate([rows[:, :1], places, rows[:, 1:]], axis=1)
    parts = np.stack([edges[:, :-1], edges[:, 1:]], axis=2)  # (R, num_parts, 2)
    unused = np.arange(num_parts) >= counts[:, None]
    order = np.argsort(uniform[:, num_parts:] + unused, axis=1)  # parts that are unused stay last
    texts = np.repeat(rows[:, None, 1:], MOST_PARTS, axis=1).repeat(2, axis=2)  # empty
    texts[:, :num_parts] = np.take_along_axis(parts, order[:, :, None], axis=1)
    return RowTable(texts, {"sentence_reordering": order_classes(order, counts)})


def _cuts(uniform, ends, counts):
    """Draw where rows are cut, ascending: numbers below `ends`; `ends` where there is no cut."""
    cuts = np.zeros((len(ends), 0), "int64")
    for drawn in range(uniform.shape[1]):
        cut = (uniform[:, drawn] * (ends - drawn)).astype("int64")  # of those that are left
        for earlier in cuts.T:  # ascending
            cut += cut >= earlier
        cut = np.where(drawn < counts - 1, cut, ends)
        cuts = np.sort(np.concatenate([cuts, cut[:, None]], axis=1), axis=1)
    return cuts
