"""Batches of rows that are planned once per pass: which parts of the stream stand in which row."""

from dataclasses import dataclass

import numpy as np

from keras_plm.data.rows.passes import LastPasses, document_order
from keras_plm.data.rows.row_rendering import RowRenderer
from keras_plm.data.rows.stream import DocumentStream

# What separates documents: the first of these special tokens that the tokenizer has.
SEPARATORS = ("eod", "eos", "sep")


@dataclass(frozen=True)
class RowTable:
    """The rows of one pass, in the order of its stream.

    Args:
        texts: (R, K, 2) int64, begin and end of each row's K texts, positions of the stream.
        labels: (R,) int32, 1 where the texts of a row do not belong together; None if the rows
            do not say.
        languages: (R, K) int, the language of each text; None if the rows do not say.
    """

    texts: np.ndarray
    labels: np.ndarray | None = None
    languages: np.ndarray | None = None


class PlannedRows:
    """Makes the rows of batch n from a corpus; the same n gives the same rows everywhere.

    In every pass the documents, in an order drawn anew if training, are one stream; a plan says
    which parts of it are rows, and the rows, shuffled if training, fill the batches. The first
    pass says how many batches every pass has: what is left over is not used in it, and a later
    pass with fewer rows starts over with its first ones. A pass's plan is held in memory, 16 bytes
    per text of a row, and 8 per row.

    Args:
        corpus: a `Corpus`.
        batch_size: B, rows per batch.
        seed: int >= 0; all that is drawn for pass p depends on seed and p alone.
        training: whether documents and rows are shuffled.
        bidirectional: False.
        sequence_length: T, tokens per row.
        num_texts: K, texts per row.
        plan: function (stream, text_length, rng) to a `RowTable`: the `DocumentStream` of a pass,
            how many tokens of text a row holds, and a `numpy.random.Generator`.
        apart: whether each text has special tokens and positions of its own, see `RowRenderer`.
        select: function (corpus, documents) to those of the documents, (D,) int in the order of
            the pass, that make the stream, in its order; None: all of them.

    Raises:
        ValueError: the corpus has fewer rows than a batch or does not fit them, or
            `bidirectional` is asked for.
    """

    def __init__(
        self,
        corpus,
        batch_size,
        seed,
        training,
        bidirectional,
        sequence_length,
        num_texts,
        plan,
        apart=False,
        select=None,
    ):
        if bidirectional:
            raise ValueError(
                "These rows are read from left to right only. Received: "
                f"bidirectional={bidirectional}"
            )
        self.corpus = corpus
        self.batch_size = batch_size
        self.seed = seed
        self.training = training
        self._render = RowRenderer(corpus, sequence_length, num_texts, apart)
        self._plan, self._select = plan, select
        self._passes = LastPasses(self._make_pass)
        num_rows = len(self._passes(0)[2])
        self.steps_per_pass = num_rows // batch_size
        if not self.steps_per_pass:
            raise ValueError(
                f"The corpus is too small for one batch: its {len(corpus.documents)} documents "
                f"make {num_rows} rows. Lower batch_size or the objective's sequence_length, or "
                f"give more text. Received: batch_size={batch_size}, "
                f"sequence_length={sequence_length}"
            )

    def __call__(self, step, rows=slice(None)):
        """Makes batch `step`, counted through the passes.

        Args:
            step: number of the batch, from 0.
            rows: slice of the batch's rows; the others are not made.

        Returns:
            dict of arrays, see `RowRenderer`; with sentence_pair (B,) int32 if the rows say
            whether their texts belong together: 0 = they do, 1 = they do not.

        Raises:
            ValueError: the corpus has ids outside its vocabulary.
        """
        number, pass_step = divmod(step, self.steps_per_pass)
        stream, table, order = self._passes(number if self.training else 0)
        place = pass_step * self.batch_size + np.arange(self.batch_size)[rows]  # (B,)
        chosen = order[place % len(order)]
        languages = None if table.languages is None else table.languages[chosen]
        batch = self._render(stream, table.texts[chosen], languages)
        if table.labels is not None:
            batch["sentence_pair"] = table.labels[chosen]
        return batch

    def _make_pass(self, number):
        """Stream, table of rows, and the order of the rows."""
        ids = self.corpus.special_token_ids
        separator = next((ids[name] for name in SEPARATORS if name in ids), 0)
        documents = document_order(self.corpus, self.seed, number, self.training)
        if self._select is not None:
            documents = self._select(self.corpus, documents)
        stream = DocumentStream(self.corpus, documents, separator)
        rng = np.random.default_rng((self.seed, 1, number))
        table = self._plan(stream, self._render.text_length, rng)
        order = np.arange(len(table.texts))
        return stream, table, rng.permutation(order) if self.training else order


def truncated_lengths(lengths, total):
    """The lengths of texts of which the longest loses a token until they fit.

    Of equally long ones the last loses it. `[[5, 2, 9]]` with `total=12` becomes `[[5, 2, 5]]`.

    Args:
        lengths: (N, K) int, tokens of the K texts of each row.
        total: int, how many tokens there may be in a row.

    Returns:
        (N, K) int.

    Source: BERT (Devlin et al., 2019), `truncate_seq_pair` of `create_pretraining_data.py`.
    """
    lengths = np.asarray(lengths)
    number = lengths.shape[1]
    shortest = np.sort(lengths, axis=1)[:, :-1].cumsum(axis=1)
    shortest = np.concatenate([np.zeros_like(lengths[:, :1]), shortest], axis=1)  # of the first k
    level = ((total - shortest) // np.arange(number, 0, -1)).max(axis=1, keepdims=True)  # (N, 1)
    cut = lengths > level
    missing = total - np.minimum(lengths, level).sum(axis=1, keepdims=True)
    keeps_one_more = cut & (np.cumsum(cut, axis=1) <= missing)
    return np.minimum(lengths, level) + keeps_one_more
