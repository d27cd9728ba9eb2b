"""Rows of two sentences: neighbours, of one document, or of two: [CLS] A [SEP] C [SEP]."""

import numpy as np

from keras_plm.data.rows.planned_rows import RowTable, row_plan, truncated_lengths
from keras_plm.data.rows.sentence_pair_rows import check_documents

NUM_SENTENCES = 3  # that a document has at least: the first has a neighbour, and another


@row_plan(num_texts=2)
def sentence_distance(stream, room, rng):
    """Plan rows of two sentences, a row for each sentence that two others of its document follow.

    Which of the three kinds of pairs it is, is drawn anew in every pass: the next sentence, 0; one
    behind that, drawn, 1; or any sentence of any other document, 2. The longer sentence loses
    tokens from its end until both fit. The label is `sentence_distance`.

    Raises:
        ValueError: the corpus has no document of three sentences, or only one document.

    Source: ERNIE 2.0 (Sun et al., 2020), section 4.2.2.
    """
    check_documents(stream, "A sentence of another document")
    bounds, sentences = stream.sentence_bounds, stream.document_sentences  # (S + 1,), (D, 2)
    numbers = sentences[:, 1] - sentences[:, 0]
    if numbers.max() < NUM_SENTENCES:
        raise ValueError(
            f"Distances of sentences need a document of {NUM_SENTENCES} sentences at least: build "
            "the corpus with sentence bounds, as Corpus.build(..., split_sentences=...) finds "
            f"them. Received: documents of {numbers.max()} sentences at most"
        )
    rows = np.maximum(numbers - (NUM_SENTENCES - 1), 0)  # of each document
    document = np.repeat(np.arange(len(rows)), rows)  # (R,)
    a = sentences[document, 0] + np.arange(len(document)) - (np.cumsum(rows) - rows)[document]

    uniform = rng.random((len(a), 2))
    label = (uniform[:, 0] * 3).astype("int32")
    later = a + 2 + (uniform[:, 1] * (sentences[document, 1] - a - 2)).astype("int64")
    # Of another document: the sentences of its own are left out of the count.
    before = np.cumsum(numbers) - numbers  # the number of each document's first sentence
    other = (uniform[:, 1] * (numbers.sum() - numbers[document])).astype("int64")
    other += np.where(other >= before[document], numbers[document], 0)
    of_document = np.searchsorted(np.cumsum(numbers), other, side="right")
    other += sentences[of_document, 0] - before[of_document]
    b = np.choose(label, [a + 1, later, other])

    pair = np.stack([a, b], axis=1)  # (R, 2)
    texts = np.stack([bounds[pair], bounds[pair + 1]], axis=2)  # (R, 2, 2)
    lengths = truncated_lengths(texts[:, :, 1] - texts[:, :, 0], room)
    texts[:, :, 1] = texts[:, :, 0] + lengths
    return RowTable(texts, {"sentence_distance": label})
