"""Which builder makes the rows of an objective."""

from keras_plm.data.rows.contiguous_rows import ContiguousRows
from keras_plm.data.rows.dialogue_rows import dialogue_rows
from keras_plm.data.rows.language_rows import language_stream_rows
from keras_plm.data.rows.mixture_rows import MixtureRows
from keras_plm.data.rows.packed_rows import doc_sentences_rows, full_sentences_rows, packed_rows
from keras_plm.data.rows.pair_rows import text_pair_rows, translation_pair_rows
from keras_plm.data.rows.sentence_pair_rows import sentence_pair_rows
from keras_plm.data.rows.xlnet_rows import SegmentPairRows


def mixture_rows(corpus, batch_size, seed, training, bidirectional, parts, weights):
    """Rows of several builders, one of which makes each batch.

    Args:
        corpus: a `Corpus`.
        batch_size: B, rows per batch.
        seed: int >= 0.
        training: whether documents and rows are shuffled in every pass.
        bidirectional: whether half of the rows are read right to left.
        parts: pairs of a key of `ROW_BUILDERS` and the settings of the builder. Equal ones share
            their rows.
        weights: positive numbers, how often the parts are drawn.

    Returns:
        A `MixtureRows`.

    Raises:
        ValueError: the corpus does not fit a part.
    """
    builders = []
    for number, (rows, settings) in enumerate(parts):
        if (rows, settings) in parts[:number]:
            builders.append(builders[parts.index((rows, settings))])
        else:
            builders.append(
                ROW_BUILDERS[rows](corpus, batch_size, seed, training, bidirectional, **settings)
            )
    return MixtureRows(builders, weights, seed)


# The key is the objective's attribute `rows`. builder(corpus, batch_size, seed, training,
# bidirectional, **objective.row_settings) has `batch_size`, `steps_per_pass` and, called with
# (step, rows), returns a dict of arrays with those rows of batch `step`.
ROW_BUILDERS = {
    "dialogue": dialogue_rows,
    "doc_sentences": doc_sentences_rows,
    "full_sentences": full_sentences_rows,
    "language_stream": language_stream_rows,
    "mixture": mixture_rows,
    "packed": packed_rows,
    "segment_pair": SegmentPairRows,
    "sentence_pair": sentence_pair_rows,
    "stream": ContiguousRows,
    "text_pair": text_pair_rows,
    "translation_pair": translation_pair_rows,
}
