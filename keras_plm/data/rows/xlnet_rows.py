"""XLNet's rows: [reuse half, A, SEP, B, SEP, CLS], each going on where the batch before ended.

A pass over the corpus is one stream of tokens, cut into as many rows of equal length as a batch
has (half as many when bidirectional: the second half of the batch holds the same rows reversed,
read right to left). Batch n of the pass takes every row at offset n * `reuse_length`:

    row        . . . . . . . . . . . . . . . . . . . . . . .
    batch n    [reuse ][A and B: 3 tokens short of T       ]
    batch n + 1        [reuse ][A and B ...

A is the next piece of the row, up to a sentence end drawn at random. B is what follows A or,
for every second example, starts anywhere in the same row; both are cut from the right until the
row has exactly T tokens. Source: XLNet (arXiv:1906.08237), section 3.1, and `_split_a_and_b` and
`create_tfrecords` of the released code.
"""

import numpy as np

from keras_plm.data.rows.passes import LastPasses, document_order
from keras_plm.data.rows.planned_rows import truncated_lengths
from keras_plm.data.rows.stream import DocumentStream

SPECIAL_PER_ROW = 3  # SEP, SEP, CLS
SEGMENT_OF_CLS = 2


class SegmentPairRows:
    """Makes the rows of batch n from a corpus; the same n gives the same rows everywhere.

    Args:
        request: `RowRequest`; the special ids of its corpus must have "sep", "cls" and "eod", its
            batch size is even if bidirectional: the second half of the rows is reversed then. The
            seed is that of the document order, which changes with every pass, and of the pairs.
        sequence_length: T, tokens per row.
        reuse_length: how far each row advances from batch to batch; with 0 it advances by the
            T - 3 tokens that a row takes from the text.

    Raises:
        ValueError: odd batch size when bidirectional, missing special ids, or a corpus too small
            for one batch.
    """

    def __init__(self, request, sequence_length, reuse_length):
        corpus, batch_size = request.corpus, request.batch_size
        bidirectional = request.bidirectional
        if bidirectional and batch_size % 2:
            raise ValueError(
                "Bidirectional data needs an even batch_size: its second half reads the rows of "
                f"the first right to left. Received: batch_size={batch_size}"
            )
        missing = [name for name in ("sep", "cls", "eod") if name not in corpus.special_token_ids]
        if missing:
            raise ValueError(
                f"The corpus's tokenizer has no special tokens {missing}, which these rows need. "
                'Train it with keras_plm.data.train_tokenizer(..., model="sentencepiece"). '
                f"Received: special_token_ids={dict(corpus.special_token_ids)}"
            )
        self.request, self.batch_size = request, batch_size
        self.sequence_length, self.reuse_length = sequence_length, reuse_length
        self._streams = LastPasses(self._make_stream)
        num_rows = batch_size // 2 if bidirectional else batch_size
        num_tokens = self._stream(0).num_tokens
        self.row_length = num_tokens // num_rows
        text_length = self.sequence_length - SPECIAL_PER_ROW
        if self.row_length < text_length:
            raise ValueError(
                f"The corpus is too small for one batch: its {len(corpus.documents)} documents "
                f"have {num_tokens} tokens with one <eod> each, and {num_rows} rows of "
                f"{text_length} need {num_rows * text_length}. Lower batch_size or the "
                f"objective's sequence_length, or give more text. Received: "
                f"batch_size={batch_size}, sequence_length={self.sequence_length}"
            )
        self.stride = self.reuse_length or text_length
        self.steps_per_pass = (self.row_length - text_length) // self.stride + 1

    def __call__(self, step, rows=slice(None)):
        """Makes batch `step`, counted through the passes.

        Args:
            step: number of the batch, from 0.
            rows: slice of the batch's rows; the others are not made.

        Returns:
            dict of token_ids, segment_ids (B, T) int32; word_starts, functional (B, T) bool;
            fresh, backward (B,) bool.

        Raises:
            ValueError: the corpus has ids outside its vocabulary.
        """
        pass_number, pass_step = divmod(step, self.steps_per_pass)
        stream = self._stream(pass_number)
        row = np.arange(self.batch_size)[rows]  # (B,)
        uniform = np.random.default_rng((self.request.seed, 1, step)).random((self.batch_size, 3))[
            rows
        ]
        backward = row >= (self.batch_size // 2 if self.request.bidirectional else self.batch_size)
        row = np.where(backward, row - self.batch_size // 2, row)
        begin = row * self.row_length
        bounds = (begin, begin + self.row_length, backward)

        reuse_begin = pass_step * self.stride
        a_begin = reuse_begin + self.reuse_length
        total = self.sequence_length - self.reuse_length - SPECIAL_PER_ROW
        a_length, b_begin = _split_pairs(stream, bounds, a_begin, total, uniform)

        column = np.arange(self.sequence_length)  # (T,)
        a_end = (self.reuse_length + a_length)[:, None]  # (B, 1) column of the first SEP
        in_b = column > a_end  # (B, T)
        offset = np.where(in_b, b_begin[:, None] - a_end - 1, reuse_begin) + column
        functional = (column == a_end) | (column >= self.sequence_length - 2)
        offset[functional] = 0  # within the row, in its own direction
        position = _stream_position(bounds, offset)
        found = stream.read(position)
        token_ids = found["token_ids"]
        special_ids = self.request.corpus.special_token_ids
        token_ids[functional] = special_ids["sep"]
        token_ids[:, -1] = special_ids["cls"]
        segment_ids = in_b.astype("int32")
        segment_ids[:, -1] = SEGMENT_OF_CLS
        return {
            "token_ids": token_ids,
            "segment_ids": segment_ids,
            "word_starts": found["word_starts"] | functional,
            "functional": functional,
            "fresh": np.full(len(row), pass_step == 0),
            "backward": backward,
        }

    def _stream(self, number):
        return self._streams(number if self.request.training else 0)

    def _make_stream(self, number):
        corpus = self.request.corpus
        documents = document_order(self.request, number)
        return DocumentStream(corpus, documents, corpus.special_token_ids["eod"])


def _stream_position(bounds, offset):
    """Stream positions of (B, T) offsets within the rows; backward rows count from their end."""
    row_begin, row_end, backward = (bound[:, None] for bound in bounds)
    return np.where(backward, row_end - 1 - offset, row_begin + offset)


def _split_pairs(stream, bounds, a_begin, total, uniform):
    """Where A ends and B begins, in offsets within each row in its own direction.

    `uniform` is (B, 3): the coin, the choice among the sentence ends, the place of a random B.
    Returns the length of A (B,), that of B being `total` less, and the begin of B (B,).
    """
    row_begin, row_end, backward = bounds
    # the window of `total` tokens from the begin of A, on the stream: [low, high)
    low = np.where(backward, row_end - a_begin - total, row_begin + a_begin)
    high = low + total
    first_cut = stream.sentence_number(low) + 1  # the first sentence that begins behind `low`
    num_cuts = stream.sentence_number(high - 1) + 1 - first_cut
    cut = stream.sentence_begin(first_cut + (uniform[:, 1] * num_cuts).astype("int64"))
    left = np.maximum(stream.sentence_begin(first_cut - 1), row_begin)
    right = np.minimum(stream.sentence_begin(first_cut + num_cuts), row_end)
    # all of the window's sentences, to their end: `total` tokens or more
    whole = np.where(backward, high - left, right - low)
    a_length = np.where(num_cuts == 0, whole, np.where(backward, high - cut, cut - low))

    # B at random: a piece of the missing length anywhere in the row, grown to whole sentences
    missing = np.maximum(1, total - a_length)
    places = row_end - row_begin - missing + 1
    b_low = row_begin + (uniform[:, 2] * places).astype("int64")
    grown_low = stream.sentence_begin(stream.sentence_number(b_low))
    grown_high = stream.sentence_begin(stream.sentence_number(b_low + missing - 1) + 1)
    grown_low = np.maximum(grown_low, row_begin)
    grown_high = np.minimum(grown_high, row_end)
    random_begin = np.where(backward, row_end - grown_high, grown_low - row_begin)

    at_random = (num_cuts == 0) | (uniform[:, 0] < 0.5)
    b_begin = np.where(at_random, random_begin, a_begin + a_length)
    b_length = np.where(at_random, grown_high - grown_low, whole - a_length)
    lengths = np.stack([a_length, b_length], axis=1)
    return truncated_lengths(lengths, total)[:, 0], b_begin
