"""From sources and targets to ids: what a decoder starts with, and what ends its texts."""

import numpy as np

from keras_plm.generation.canvas import checked_ids
from keras_plm.generation.text_ids import TextIds, rows_given
from keras_plm.objectives.noising.noise import end_token_id, start_token_id
from keras_plm.preprocessing.seq2seq_preprocessor import pair_arrays, source_arrays


class SourceTargetIds:
    """Turns what users give to a model with an encoder and a decoder into rows of ids.

    Texts get the special tokens of their rows; lists of ids are taken as they are.

    Args:
        preprocessor: `Seq2SeqPreprocessor` or None: then ids only.
        backbone: a backbone that reads a "source".
        start_token_id: int or None. What the decoder reads first; None: as the tokenizer says.
        end_token_id: int or None. What ends a text; None: as the tokenizer says.
    """

    def __init__(self, preprocessor, backbone, start_token_id=None, end_token_id=None):
        self.preprocessor = preprocessor
        self.backbone = backbone
        self.tokenizer = None if preprocessor is None else preprocessor.tokenizer
        self._start, self._end = start_token_id, end_token_id

    @property
    def preprocessor_of_texts(self):
        """The preprocessor, which texts need.

        Raises:
            ValueError: if there is none, or it has no tokenizer.
        """
        if self.tokenizer is None:
            raise ValueError("Texts need a preprocessor. Received: preprocessor=None.")
        return self.preprocessor

    @property
    def target_text(self):
        """`TextIds` of what is written."""
        tokenizer = None if self.tokenizer is None else self.tokenizer.target
        return TextIds(tokenizer, self.backbone.vocabulary_size)

    @property
    def start(self):
        """What the decoder reads first, an int.

        Raises:
            ValueError: if nobody says it.
        """
        if self._start is not None:
            return self._start
        if self.tokenizer is None:
            raise ValueError(
                "Without a tokenizer nobody knows what the decoder reads first: give "
                "`start_token_id`. Received: start_token_id=None, no tokenizer."
            )
        return start_token_id(self.tokenizer.target)

    @property
    def end(self):
        """What ends a text, an int, or None: nobody says it."""
        if self._end is not None or self.tokenizer is None:
            return self._end
        tokenizer = self.tokenizer.target
        if tokenizer.layout.end:
            return tokenizer.special_token_id(tokenizer.layout.end[-1])
        return end_token_id(tokenizer)

    def known(self, as_text):
        """What the decoder has read before it writes: the start, and what begins each row.

        Args:
            as_text: bool. Whether texts are written: their rows may begin with a special token.

        Returns:
            list of int.
        """
        if not as_text:
            return [self.start]
        tokenizer = self.tokenizer.target
        begin = [tokenizer.special_token_id(name) for name in tokenizer.layout.start]
        return begin if begin[:1] == [self.start] else [self.start, *begin]

    def source_rows(self, sources):
        """The rows of sources.

        Args:
            sources: list of N str, or of lists of int.

        Returns:
            Pair: list of N lists of int, and a bool: whether they were texts.

        Raises:
            TypeError: if they are neither.
            ValueError: if there are none, or one is empty or too long.
        """
        sources, are_ids = rows_given(sources, "`sources`")
        if not len(sources):
            raise ValueError("`sources` holds no sources. Received: an empty list.")
        if not are_ids:
            return self.preprocessor_of_texts.source_rows(sources, "`sources`"), True
        return self._checked(sources, "source", self.backbone.bounds["source_token_ids"]), False

    def target_rows(self, targets, what="`targets`"):
        """What the decoder is asked for.

        Args:
            targets: list of N str, or of lists of int.
            what: str. What they are, for the message.

        Returns:
            list of N lists of int.

        Raises:
            TypeError, ValueError: as `source_rows`.
        """
        targets, are_ids = rows_given(targets, what)
        if not len(targets):
            raise ValueError(f"{what} hold no texts. Received: an empty list.")
        if not are_ids:
            return self.preprocessor_of_texts.target_rows(targets, self.start, self.end, what)
        return self._checked(targets, "target", self.backbone.vocabulary_size)

    def source_arrays(self, rows, length):
        """As `keras_plm.preprocessing.seq2seq_preprocessor.source_arrays`, with our padding."""
        return source_arrays(rows, length, self._pad)

    def arrays(self, sources, targets, source_length, target_length):
        """The arrays of both sides.

        Args:
            sources: list of N rows.
            targets: list of N rows.
            source_length: int. S.
            target_length: int. P.

        Returns:
            `(x, y, sample_weight)`: dict of features, {"tokens": (N, P) int32}, and weights alike.
        """
        lengths = source_length, target_length
        x, y, weight = pair_arrays(sources, targets, *lengths, self.start, self._pad)
        return {**x, **self.languages(x)}, y, weight

    def languages(self, features):
        """The languages of both sides, where the backbone has some.

        Args:
            features: dict with the token ids of both sides.

        Returns:
            dict of `source_language_ids` and `language_ids`, or {}.

        Raises:
            ValueError: if no preprocessor names them.
        """
        if "language_ids" not in self.backbone.bounds:
            return {}
        ids = zip(("source_", ""), self.preprocessor_of_texts.language_ids())
        return {f"{s}language_ids": np.full_like(features[f"{s}token_ids"], i) for s, i in ids}

    @property
    def _pad(self):
        """The id of padding."""
        return 0 if self.tokenizer is None else self.tokenizer.pad_token_id

    def _checked(self, rows, what, bound):
        """Rows of ids; those that are empty or too long are refused."""
        rows = checked_ids(rows, bound, what=f"`{what}s`")
        longest = self.backbone.max_sequence_length or float("inf")
        for index, row in enumerate(rows):
            if not 0 < len(row) <= longest:
                raise ValueError(
                    f"A {what} must have from 1 to {longest} tokens. "
                    f"Received: {what} {index} with {len(row)} tokens."
                )
        return rows
