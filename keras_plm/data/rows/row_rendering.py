"""Rows of texts as arrays: special tokens, segments and padding as the corpus's layout says.

A row of two texts of 2 and 1 tokens in BERT's layout, T = 8:

    part            [CLS]  text 0       [SEP]  text 1  [SEP]  padding
    length          1      2            1      1       1      2
    token_ids       CLS    the   ##re   SEP    is      SEP    PAD  PAD
    segment_ids     0      0     0      0      1       1      0    0
    functional      1      0     0      1      0       1      1    1

The same texts `apart`, with the languages 5 and 9:

    part            [CLS]  text 0       [SEP]  [CLS]  text 1  [SEP]  padding
    token_ids       CLS    the   ##re   SEP    CLS    is      SEP    PAD
    segment_ids     0      0     0      0      1      1       1      0
    position_ids    0      1     2      3      0      1       2      0
    language_ids    5      5     5      5      9      9       9      9
"""

from types import SimpleNamespace

import numpy as np

from keras_plm.data.corpus.columns import fill_special
from keras_plm.tokenizers.row_layout import layout_by_name

PADDING = -1  # what stands in a row beside the numbers of its texts, from 0, and special tokens
SPECIAL = -2


class RowRenderer:
    """Lays rows of K texts each out, all at once.

    Args:
        corpus: a `Corpus`: its layout and special ids.
        sequence_length: T, tokens per row.
        num_texts: K, texts per row.
        apart: bool. Whether the special tokens of a single text stand around each of the texts,
            and each has positions of its own, from 0.
        joined: bool. Whether the texts are pieces of a single one, with nothing between.

    Attributes:
        text_length: how many tokens of text a row holds, T less its special tokens.

    Raises:
        ValueError: the tokenizer lacks a special token of its layout, a layout that does not mark
            where a text ends cannot hold several, or T has no room for one token of each text.
    """

    def __init__(self, corpus, sequence_length, num_texts=1, apart=False, joined=False):
        layout, ids = layout_by_name(corpus.layout), corpus.special_token_ids
        missing = {*layout.start, *layout.between, *layout.end} - ids.keys()
        marks = layout.start + layout.end if apart else layout.between
        if missing or (num_texts > 1 and not marks and not joined):
            raise ValueError(
                f"Rows of {num_texts} texts need the special tokens of a layout that stands "
                "between texts: build the corpus with a tokenizer that has them, as "
                'keras_plm.data.train_tokenizer(..., model="wordpiece") makes it. Received: '
                f"layout={corpus.layout!r}, special_token_ids={dict(ids)}"
            )
        tokenizer = SimpleNamespace(special_token_id=lambda name: (SPECIAL, ids[name]))
        texts = [[(k, 0)] for k in range(num_texts)]
        texts = [sum(texts, [])] if joined else texts
        row, segments, own = [], [], []
        for number, group in enumerate([[text] for text in texts] if apart else [texts]):
            parts, segments_of = layout.lay_out(tokenizer, *group)
            row += parts
            segments += [layout.segments[1]] * len(parts) if number % 2 else segments_of
            own += [number] * len(parts)  # the text that a part belongs to
        padding = (PADDING, ids.get("pad", ids.get("eos", 0)))  # as `Tokenizer.pad_token_id`
        row = [padding, *row] if layout.pad_left else [*row, padding]
        segments = [0, *segments] if layout.pad_left else [*segments, 0]
        own = [own[0], *own] if layout.pad_left else [*own, own[-1]]
        self._kind = np.array([kind for kind, _ in row])  # (number of parts,)
        self._special_id = np.array([special for _, special in row], "int32")
        self._segment = np.array(segments, "int32")
        self._text_parts = np.flatnonzero(self._kind >= 0)  # (K,)
        self._apart, self._own = apart, np.array(own)
        real = np.where(self._kind == PADDING, -1, self._own)
        self._own_begin = np.argmax(real == self._own[:, None], axis=1)  # first part of its text
        self.sequence_length = sequence_length
        self.text_length = sequence_length - int((self._kind == SPECIAL).sum())
        if self.text_length < num_texts:
            raise ValueError(
                f"A row must have room for a token of each of its {num_texts} texts beside "
                f"{(self._kind == SPECIAL).sum()} special tokens: raise the objective's "
                f"sequence_length. Received: sequence_length={sequence_length}"
            )

    def __call__(self, stream, texts, languages=None, token_labels=None):
        """Makes the arrays of B rows.

        Args:
            stream: the `DocumentStream` of the texts.
            texts: (B, K, 2) int, begin and end of each text on the stream; in every row
                `text_length` tokens at most.
            languages: (B, K) int, the language of each text of texts that are apart; or None.
            token_labels: see `RowTable`; or None.

        Returns:
            dict of token_ids, segment_ids (B, T) int32; padding_mask, functional (B, T) bool; and
            the columns of the corpus, word_starts (B, T) bool among them. What a text begins with
            starts a word, and a span if it lies in one. Of texts apart position_ids (B, T) int32
            and, if languages are given, language_ids (B, T) int32: the special tokens around a
            text have its language, padding that of the text beside it. And the labels of tokens
            (B, T) int32, -1 where there is no text.
        """
        shape = (len(texts), self.sequence_length)
        lengths = np.tile(np.int64(self._kind == SPECIAL), (len(texts), 1))  # (B, parts)
        lengths[:, self._text_parts] = texts[:, :, 1] - texts[:, :, 0]
        lengths[:, self._kind == PADDING] = shape[1] - lengths.sum(axis=1, keepdims=True)
        begins = np.cumsum(lengths, axis=1) - lengths  # the part's first column
        part = np.tile(np.arange(len(self._kind)), len(texts)).repeat(lengths.ravel())
        part = part.reshape(shape)
        shift = np.zeros_like(lengths)
        shift[:, self._text_parts] = texts[:, :, 0] - begins[:, self._text_parts]
        position = shift.ravel().repeat(lengths.ravel()).reshape(shape) + np.arange(shape[1])
        kind = self._kind[part]
        is_text = kind >= 0
        position[~is_text] = 0
        found = stream.read(position)
        functional = ~is_text | found.pop("document_ends")
        batch = {
            "token_ids": np.where(is_text, found.pop("token_ids"), self._special_id[part]),
            "padding_mask": kind != PADDING,
            "functional": functional,
            "segment_ids": self._segment[part],
        }
        row, text = np.nonzero(texts[:, :, 1] > texts[:, :, 0])
        first = row, begins[:, self._text_parts][row, text]
        fill_special(found, functional, first)
        batch.update(found)  # the columns of the corpus
        for name, labels_of in (token_labels or {}).items():
            batch[name] = np.full(shape, -1, "int32")
            batch[name][is_text] = labels_of(stream, texts)  # texts stand in rows in their order
        if self._apart:
            own_begin = begins[:, self._own_begin].ravel().repeat(lengths.ravel()).reshape(shape)
            position = np.arange(shape[1]) - own_begin
            batch["position_ids"] = np.where(batch["padding_mask"], position, 0).astype("int32")
        if self._apart and languages is not None:
            of_part = languages[:, self._own].ravel().repeat(lengths.ravel()).reshape(shape)
            batch["language_ids"] = of_part.astype("int32")
        return batch
