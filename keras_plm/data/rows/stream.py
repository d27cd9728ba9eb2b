"""A pass over a corpus: its documents in some order, one after the other, each closed by <eod>."""

import numpy as np

from keras_plm.data.corpus.columns import COLUMNS, token_columns

CHUNK = 1 << 20  # tokens that are looked at at once


class DocumentStream:
    """One long row of tokens, looked up by position and never held in memory.

    The stream is every document of `documents` followed by one <eod>, which is a sentence of its
    own. It keeps a few numbers per document; tokens and sentence bounds are read from the
    corpus's memory maps when they are asked for.

    Args:
        corpus: a `Corpus`, or any object with its arrays token_ids (N,), sentence_offsets
            (num_sentences + 1,) and document_offsets (num_documents + 1,), its vocabulary_size,
            and the columns that it has, (N,) or (num_sentences,).
        documents: (D,) int, indices of documents in the order of the stream.
        end_of_document_id: the id of <eod>.
        training: whether the pass is one of a training, so that plans may draw from their rows.
        backward: whether `read` finds the tokens of every document from its last to its first.
    """

    def __init__(self, corpus, documents, end_of_document_id, training=True, backward=False):
        self.training, self._backward = training, backward
        self.token_ids = np.asarray(corpus.token_ids)  # plain views: memmap's indexing is slow
        self.columns = token_columns(corpus)
        self.sentence_offsets = np.asarray(corpus.sentence_offsets)
        self._languages = getattr(corpus, "sentence_languages", None)
        self.vocabulary_size = corpus.vocabulary_size
        self.end_of_document_id = end_of_document_id
        documents = np.asarray(documents, "int64")
        offsets = np.asarray(corpus.document_offsets)
        self._begins, ends = offsets[documents], offsets[documents + 1]  # (D,) corpus positions
        self._first_sentence = np.searchsorted(self.sentence_offsets, self._begins)
        sentences = np.searchsorted(self.sentence_offsets, ends) - self._first_sentence
        self._token_stops = np.cumsum(ends - self._begins + 1)  # behind each document's <eod>
        self._sentence_stops = np.cumsum(sentences + 1)
        self._lengths, self._sentences = ends - self._begins, sentences

    @property
    def num_tokens(self):
        """Tokens of the stream, with one <eod> per document."""
        return int(self._token_stops[-1]) if len(self._token_stops) else 0

    @property
    def sentence_bounds(self):
        """Where every sentence begins, and the end of the last: (number of sentences + 1,)."""
        return self.sentence_begin(np.arange(self._sentence_stops[-1] + 1))

    @property
    def document_sentences(self):
        """The numbers of each document's first sentence and of its <eod>: (D, 2)."""
        ends = self._sentence_stops - 1
        return np.stack([ends - self._sentences, ends], axis=1)

    @property
    def document_languages(self):
        """The languages of each document's first and last sentence, (D, 2); None without any."""
        if self._languages is None:
            return None
        ends = self._first_sentence + self._sentences - 1
        return np.asarray(self._languages)[np.stack([self._first_sentence, ends], axis=1)]

    def read(self, positions):
        """Looks tokens up.

        Args:
            positions: int array of any shape, 0 to `num_tokens - 1`.

        Returns:
            dict of arrays of the same shape: token_ids int32; document_ends bool, True at every
            <eod>; and the columns of the corpus, `word_starts` bool among them.

        Raises:
            ValueError: the corpus has ids outside its vocabulary.
        """
        document, offset = self._locate(positions)
        is_end = offset == self._lengths[document]
        if self._backward:
            offset = self._lengths[document] - 1 - offset
        position = np.where(is_end, 0, self._begins[document] + offset)
        token_ids = np.where(is_end, self.end_of_document_id, self.token_ids[position])
        self._check_ids(token_ids)
        found = {"token_ids": token_ids.astype("int32"), "document_ends": is_end}
        for name, values in self.columns.items():
            found[name] = values = values[position]
            np.copyto(values, COLUMNS[name].special, where=is_end)
        return found

    def marked(self, name):
        """The positions at which a column is not 0, ascending.

        Args:
            name: str, a column that the corpus has.
        """
        found = [np.zeros(0, "int64")]
        for begin in range(0, self.num_tokens, CHUNK):
            values = self.read(np.arange(begin, min(begin + CHUNK, self.num_tokens)))[name]
            found.append(begin + np.flatnonzero(values))
        return np.concatenate(found)

    def within_document(self, positions):
        """Says where positions are in their documents.

        Args:
            positions: int array of any shape, 0 to `num_tokens - 1`.

        Returns:
            Two int arrays of the same shape: how many tokens of the document stand before, and how
            many it has; <eod>, which is not counted, has the same number twice.
        """
        document, offset = self._locate(positions)
        return offset, self._lengths[document]

    def document_tokens(self, position):
        """Looks a whole document up.

        Args:
            position: int, of any token of it.

        Returns:
            (its number of tokens,) int, without <eod>, and how many stand before the position.
        """
        document, offset = self._locate(position)
        begin = self._begins[document]
        tokens = self.token_ids[begin : begin + self._lengths[document]]
        return tokens[::-1] if self._backward else tokens, int(offset)

    def sentence_number(self, positions):
        """The number of the sentence that holds each position, counted through the stream."""
        document, offset = self._locate(positions)
        corpus_position = self._begins[document] + offset
        sentence = np.searchsorted(self.sentence_offsets, corpus_position, side="right") - 1
        within = sentence - self._first_sentence[document]
        # <eod> lies where the next document begins in the corpus: it is the last sentence
        within = np.where(offset == self._lengths[document], self._sentences[document], within)
        return self._sentence_stops[document] - self._sentences[document] - 1 + within

    def sentence_begin(self, numbers):
        """The position at which each sentence begins; `num_tokens` for the one after the last."""
        document = np.searchsorted(self._sentence_stops, numbers, side="right")
        behind = document == len(self._sentence_stops)
        document = np.where(behind, 0, document)
        within = numbers - (self._sentence_stops[document] - self._sentences[document] - 1)
        within = np.where(behind, 0, within)
        is_end = within == self._sentences[document]
        corpus_position = self.sentence_offsets[self._first_sentence[document] + within]
        offset = np.where(is_end, self._lengths[document], corpus_position - self._begins[document])
        begin = self._token_stops[document] - self._lengths[document] - 1
        return np.where(behind, self.num_tokens, begin + offset)

    def _locate(self, positions):
        """The document of each position and the offset in it; <eod> has the last offset."""
        document = np.searchsorted(self._token_stops, positions, side="right")
        return document, positions - (self._token_stops[document] - self._lengths[document] - 1)

    def _check_ids(self, token_ids):
        low, high = token_ids.min(initial=0), token_ids.max(initial=0)
        if low < 0 or high >= self.vocabulary_size:
            raise ValueError(
                "The corpus has token ids outside its vocabulary: build it again with its "
                f"tokenizer. Received: ids from {low} to {high}, "
                f"vocabulary_size={self.vocabulary_size}"
            )
