"""From texts, or pairs of texts, to the features of a backbone."""

import logging

import keras

from keras_plm.tasks.preprocessor import Preprocessor

logger = logging.getLogger("keras_plm")


@keras.saving.register_keras_serializable(package="keras_plm")
class TextPreprocessor(Preprocessor):
    """Turns texts, or pairs of texts, into token ids, segment ids and a padding mask.

    The layout is XLNet's: `A SEP CLS` or `A SEP B SEP CLS`, padded at the left, so that CLS is
    the last token of every row; segment 0 for A, 1 for B, 2 for CLS. A text that is too long
    loses its end; in a pair the longer text gives way, B if both are as long.

    Args:
        tokenizer: `keras_plm.data.SentencePieceTokenizer`, or None when the assets of a saved
            model will bring it.
        sequence_length: int. The length T of every row.
        truncate: bool. Whether what is too long is cut, as in the released code; how many rows
            were is said in the log "keras_plm". False: it is refused.

    Call arguments:
        x: list of str, or a pair (tuple) of two such lists, of N texts.

    Returns:
        dict of `token_ids` (N, T) int32, `segment_ids` (N, T) int32, `padding_mask` (N, T) bool.

    Raises:
        TypeError: if `x` holds anything but strings.
        ValueError: if the two lists of a pair differ in length, there are no texts, or one is
            empty; with `truncate=False` if a text or pair is too long.

    Source: XLNet, arXiv:1906.08237, section 2.5; the released `classifier_utils.py`.
    """

    def __init__(self, tokenizer=None, sequence_length=128, truncate=True, **kwargs):
        super().__init__(tokenizer, sequence_length, **kwargs)
        if not isinstance(truncate, bool):
            raise ValueError(f"`truncate` must be True or False. Received: {truncate!r}.")
        self.truncate = truncate

    def settings(self):
        return {**super().settings(), "truncate": self.truncate}

    def call(self, x):
        if isinstance(x, tuple) and len(x) != 2:
            raise ValueError(
                f"A tuple must be a pair of two lists of texts. Received: {len(x)} elements. "
                "Give texts as a list."
            )
        first, second = x if isinstance(x, tuple) else (x, None)
        first = self.encode_texts(first)
        if second is None:
            second = [None] * len(first)
        else:
            second = self.encode_texts(second)
        if len(first) != len(second):
            raise ValueError(
                "The two lists of a pair must be as long as each other. "
                f"Received: {len(first)} and {len(second)} texts."
            )
        self._check_lengths(first, second)
        return self.padded([self.pair_row(*texts) for texts in zip(first, second)])

    def _check_lengths(self, first, second):
        """Refuse rows that are too long, or say that they will be cut."""
        lengths = [len(a) + 2 if b is None else len(a) + len(b) + 3 for a, b in zip(first, second)]
        too_long = [row for row, length in enumerate(lengths) if length > self.sequence_length]
        if not too_long:
            return
        row = too_long[0]
        found = (
            f"{len(too_long)} of {len(lengths)} rows are longer than {self.sequence_length} "
            f"tokens, the first of them row {row} with {lengths[row]}"
        )
        if not self.truncate:
            raise ValueError(
                f"{found}. Raise `sequence_length`, shorten the texts, or let `truncate=True` cut "
                "them."
            )
        logger.warning("%s: they lose their ends.", found)
