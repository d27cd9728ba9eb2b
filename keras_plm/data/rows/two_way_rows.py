"""Rows of sentences that go on from batch to batch, read from left to right and from right to left.

From the left a sentence begins with the mark of its begin, and its last word predicts the mark of
its end; from the right it is the other way round. Sentences follow each other in the same order on
both sides, and as each takes one place more than it has words, they stand beside each other. The
sentences `a b c`, `d e`, `f` and `g`, in one row of T = 5, with `<` and `>` for the marks:

    batch                  0              1
    token_ids              < a b c <      d e < f <
    forward_targets        a b c > d      e > f > g
    backward_token_ids     > c b a >      e d > f >
    backward_targets       c b a < e      d < f < g

A window that ends within a sentence so has other words of it on each side. Source: ELMo (Peters et
al. 2018), `_get_batch` and `BidirectionalLMDataset` of the released bilm-tf (`data.py`), where each
side has an order of sentences of its own.
"""

import numpy as np

from keras_plm.data.rows.contiguous_rows import ContiguousRows


class TwoWayRows:
    """Makes the rows of batch n from a corpus; the same n gives the same rows everywhere.

    Row b of batch n + 1 continues row b of batch n, but for the first batch of a pass.

    Args:
        request: `RowRequest`; its seed is that of the document order, new in every pass.
        sequence_length: T, tokens per row.

    Raises:
        ValueError: the corpus is too small for one batch, or lacks the marks of sentences.

    Example: see the module.
    """

    def __init__(self, request, sequence_length):
        ids = request.corpus.special_token_ids
        if not {"bos", "eos"} <= ids.keys():
            raise ValueError(
                "Sentences that are read both ways need the special tokens 'bos' and 'eos': build "
                "the corpus with a tokenizer that has them, as "
                'keras_plm.data.train_tokenizer(..., model="word", layout="elmo") makes it. '
                f"Received: special_token_ids={dict(ids)}"
            )
        self._begin, self._end = ids["bos"], ids["eos"]
        self._rows = ContiguousRows(request, sequence_length, sentence_ends=True)
        self.batch_size = request.batch_size
        self.steps_per_pass = self._rows.steps_per_pass

    def __call__(self, step, rows=slice(None)):
        """Makes batch `step`, counted through the passes.

        Args:
            step: number of the batch, from 0.
            rows: slice of the batch's rows; the others are not made.

        Returns:
            dict of token_ids, backward_token_ids, forward_targets, backward_targets, segment_ids
            (B, T) int32; padding_mask, functional, backward_functional (B, T) bool; fresh (B,)
            bool; and the columns of the corpus, as of token_ids and, with "backward_" before their
            names, as of backward_token_ids.

        Raises:
            ValueError: the corpus has ids outside its vocabulary.
        """
        stream, position, begins_pass = self._rows.places(step, rows)
        position = position[:, :-1]  # (B, T)
        offset, length = stream.within_document(position)
        mark = position - offset + length  # behind its words: read where a mark stands
        before = np.where(offset == 0, mark, position - 1)
        last = np.where(offset == length, mark, mark - 1 - offset)
        back = _read(stream, mark - offset, self._end)
        return {
            **_read(stream, before, self._begin),
            **{f"backward_{name}": value for name, value in back.items()},
            "forward_targets": _read(stream, position, self._end)["token_ids"],
            "backward_targets": _read(stream, last, self._begin)["token_ids"],
            "padding_mask": np.ones(position.shape, bool),
            "segment_ids": np.zeros(position.shape, "int32"),
            "fresh": np.full(len(position), begins_pass),
        }


def _read(stream, places, mark):
    """Tokens and columns at places of a stream, where `mark` stands for the ends of documents."""
    found = stream.read(places)
    is_mark = found.pop("document_ends")
    token_ids = np.where(is_mark, mark, found["token_ids"]).astype("int32")
    return {**found, "token_ids": token_ids, "functional": is_mark}
