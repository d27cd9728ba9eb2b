"""Rows of running text that go on from batch to batch, for models that carry a state.

A pass over the corpus is one stream of tokens, cut into as many rows as a batch has. Batch n of
the pass takes the next T tokens of each. The stream `a a a b | c d d e e |`, with `|` for what
separates documents, in batches of 2 rows of T = 2:

    the two rows of the pass    a a a b |          c d d e e (|)
    batch 0, fresh              a a                c d
    batch 1                     a b                d e
    next_token_ids              a, then |          d, then e

With `sentence_ends`, the rows "sentence_stream", the separator stands behind every sentence, as
Transformer-XL's `<eos>` ends every line: `a a a | b | c | d d | e e |` of documents `a b`, `c d e`.

With `backward` every document (or sentence) is read from its end: `b a a a | e e d d c |`. With
`variable_length` batches of a training differ in T, and a pass in how many it has.

A row has no special tokens but those between documents. What follows its last token is known as
well, so that every token of a pass but the first of each row can be predicted, from its own row and
the state. Source: Merity et al., arXiv:1708.02182, section 5; Transformer-XL, arXiv:1901.02860,
section 3.2.
"""

from types import SimpleNamespace

import numpy as np

from keras_plm.data.corpus.columns import fill_special
from keras_plm.data.rows.passes import LastPasses, document_order
from keras_plm.data.rows.planned_rows import check_separator, separator_id
from keras_plm.data.rows.stream import DocumentStream
from keras_plm.objectives.variable_lengths import draw_lengths, lengths_of_batches


class ContiguousRows:
    """Makes the rows of batch n from a corpus; the same n gives the same rows everywhere.

    Row b of batch n + 1 continues row b of batch n, but for the first batch of a pass.

    Args:
        request: `RowRequest`; its seed is that of the document order, new in every pass.
        sequence_length: T, tokens per row.
        sentence_ends: whether sentences are separated as documents are.
        variable_length: whether T is drawn anew for every batch of a training.
        backward: whether documents are read from their ends.

    Raises:
        ValueError: the corpus is too small for one batch, or lacks special tokens.

    Example: see the module.
    """

    def __init__(
        self, request, sequence_length, sentence_ends=False, variable_length=False, backward=False
    ):
        corpus, batch_size = request.corpus, request.batch_size
        check_separator(corpus)
        self.request, self.batch_size = request, batch_size
        self.sequence_length = sequence_length
        self._sentence_ends, self._backward = sentence_ends, backward
        self._streams = LastPasses(self._make_stream)
        num_tokens = self._stream(0).num_tokens
        self.row_length = num_tokens // batch_size
        self._varies = variable_length and request.training
        longest = lengths_of_batches(sequence_length)[-1] if self._varies else sequence_length
        if self.row_length <= longest:
            needed = batch_size * (longest + 1)
            raise ValueError(
                f"The corpus is too small for one batch: its {len(corpus.documents)} documents "
                f"have {num_tokens} tokens with their separators, and {batch_size} rows of "
                f"{longest} and the token behind need {needed}. "
                "Lower batch_size or the objective's sequence_length, or give more text. Received: "
                f"batch_size={batch_size}, sequence_length={sequence_length}"
            )
        self._ends = LastPasses(self._make_ends)
        self._first_steps = [0]  # of each pass that was looked at, and of the one behind
        self.steps_per_pass = len(self._ends(0))

    def __call__(self, step, rows=slice(None)):
        """Makes batch `step`, counted through the passes.

        Args:
            step: number of the batch, from 0.
            rows: slice of the batch's rows; the others are not made.

        Returns:
            dict of token_ids, segment_ids (B, T) int32; padding_mask, functional, word_starts
            (B, T) bool; next_token_ids (B,) int32, the token behind each row; fresh (B,) bool;
            span_marks (B, T) uint8 if the corpus has spans.

        Raises:
            ValueError: the corpus has ids outside its vocabulary.
        """
        stream, position, begins_pass = self.places(step, rows)
        found = stream.read(position)
        behind = found["token_ids"][:, -1]
        found = {name: value[:, :-1] for name, value in found.items()}
        functional = found.pop("document_ends")
        batch = {
            "token_ids": found.pop("token_ids"),
            "padding_mask": np.ones_like(functional),
            "functional": functional,
            "next_token_ids": behind,
            "fresh": np.full(len(position), begins_pass),
        }
        batch["segment_ids"] = np.zeros_like(batch["token_ids"])
        fill_special(found, None, (slice(None), 0))  # the ends of documents have theirs
        return {**batch, **found}

    def places(self, step, rows=slice(None)):
        """Says where the tokens of batch `step` are.

        Args:
            step, rows: see `__call__`.

        Returns:
            Triple: the `DocumentStream` of the pass; positions on it, (B, T + 1) int, with that of
            the token behind each row; and whether the batch is the first of its pass.
        """
        pass_number, pass_step = self._locate(step)
        ends = self._ends(pass_number)
        first, end = ends[pass_step - 1] if pass_step else 0, ends[pass_step]
        row = np.arange(self.batch_size)[rows]  # (B,)
        begin = row * self.row_length + first
        position = begin[:, None] + np.arange(end - first + 1)  # (B, T + 1)
        return self._stream(pass_number), position, pass_step == 0

    def _locate(self, step):
        """The pass of a batch, and its number in the pass."""
        if not self._varies:
            return divmod(step, self.steps_per_pass)
        firsts = self._first_steps
        while firsts[-1] <= step:  # a new list: threads may look for several batches at once
            firsts = [*firsts, firsts[-1] + len(self._ends(len(firsts) - 1))]
        self._first_steps = firsts
        number = int(np.searchsorted(firsts, step, side="right")) - 1
        return number, step - firsts[number]

    def _make_ends(self, number):
        """Where each batch of a pass ends in its rows: the sum of the lengths until then."""
        room = self.row_length - 1
        if not self._varies:
            return np.arange(1, room // self.sequence_length + 1) * self.sequence_length
        rng = np.random.default_rng((self.request.seed, 6, number))
        most = room // lengths_of_batches(self.sequence_length)[0]
        ends = np.cumsum(draw_lengths(self.sequence_length, most, rng))
        return ends[ends <= room]

    def _stream(self, number):
        return self._streams(number if self.request.training else 0)

    def _make_stream(self, number):
        corpus, documents = self.request.corpus, document_order(self.request, number)
        separator = separator_id(corpus)
        if self._sentence_ends:
            corpus, documents = _by_sentence(corpus, documents)
        return DocumentStream(corpus, documents, separator, backward=self._backward)


def _by_sentence(corpus, documents):
    """The same corpus with every sentence a document, and the numbers of those of documents."""
    bounds = np.searchsorted(corpus.sentence_offsets, corpus.document_offsets)
    begins, lengths = bounds[documents], bounds[documents + 1] - bounds[documents]
    first = np.cumsum(lengths) - lengths
    sentences = np.arange(lengths.sum()) + np.repeat(begins - first, lengths)
    parts = {**vars(corpus), "document_offsets": corpus.sentence_offsets}
    return SimpleNamespace(**parts), sentences
