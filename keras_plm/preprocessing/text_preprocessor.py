"""From texts, or pairs of texts, to the features of a backbone."""

import keras

from keras_plm.checks import check_flag
from keras_plm.preprocessing.preprocessor import Preprocessor


@keras.saving.register_keras_serializable(package="keras_plm")
class TextPreprocessor(Preprocessor):
    """Turns texts, or pairs of texts, into token ids, segment ids and a padding mask.

    The layout is the tokenizer's. XLNet's is `A SEP CLS` or `A SEP B SEP CLS`, padded at the
    left, so that CLS is the last token of every row; segment 0 for A, 1 for B, 2 for CLS. BERT's
    is `CLS A SEP` or `CLS A SEP B SEP`, padded at the right; segment 0 for A, 1 for B. GPT-1's for
    the texts of its tasks is `<s> A <e>` or `<s> A $ B <e>` (layout "gpt1_transfer", of tokens that
    `keras_plm.data.add_special_tokens` or `keras_plm.presets.extend_vocabulary` adds), so that the
    last token has seen all. A text that is too long loses its end; in a pair the longer text gives
    way, B if both are as long.

    Args:
        tokenizer: `keras_plm.data.Tokenizer`, or None when the assets of a saved model will bring
            it.
        sequence_length: int. The length T of every row.
        language: str or None. The language of all texts, for a tokenizer with languages (XLM).
        pre_split: bool. Whether spaces separate the words of all texts (XLM: zh, th, ja).
        truncate: bool. Whether what is too long is cut, as in the released code; how many rows
            were is said in the log "keras_plm". False: it is refused.
        backward: bool. Whether every text is read from its last token to its first, between the
            special tokens of the layout, for a model of such texts (ULMFiT's second one). Then
            what is too long loses its beginning.

    Call arguments:
        x: list of str, or a pair (tuple) of two such lists, of N texts.

    Returns:
        dict of `token_ids` (N, T) int32, `segment_ids` (N, T) int32, `padding_mask` (N, T) bool,
        and `language_ids` (N, T) int32 if the tokenizer has languages. A task leaves out those
        that its backbone does not take.

    Raises:
        TypeError: if `x` holds anything but strings.
        ValueError: if the two lists of a pair differ in length, there are no texts, or one is
            empty; with `truncate=False` if a text or pair is too long.

    Source: XLNet, arXiv:1906.08237, section 2.5; the released `classifier_utils.py`; GPT-1
    (Radford et al. 2018), section 3.3 (classification, entailment, similarity).
    """

    def __init__(
        self,
        tokenizer=None,
        sequence_length=128,
        truncate=True,
        language=None,
        pre_split=False,
        backward=False,
        **kwargs,
    ):
        super().__init__(tokenizer, sequence_length, language, pre_split, **kwargs)
        if not isinstance(truncate, bool):
            raise ValueError(f"`truncate` must be True or False. Received: {truncate!r}.")
        self.truncate = truncate
        self.backward = check_flag("backward", backward)

    def settings(self):
        given = {"backward": True} if self.backward else {}
        return {**super().settings(), "truncate": self.truncate, **given}

    def encode_texts(self, texts, what="`x`"):
        ids = super().encode_texts(texts, what)
        return [one[::-1] for one in ids] if self.backward else ids

    def call(self, x):
        return self.padded(self.rows(x))

    def rows(self, x):
        """Lay out the rows of texts, without padding.

        Args:
            x: list of N str, or a pair (tuple) of two such lists.

        Returns:
            list of N pairs (token ids, segment ids), of at most T ints each.

        Raises:
            TypeError, ValueError: see the class.
        """
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
        num_special = self.layout.num_special(second[0] is not None)
        self.check_lengths([len(a) + len(b or ()) + num_special for a, b in zip(first, second)])
        return [self.pair_row(*texts) for texts in zip(first, second)]

    def check_lengths(self, lengths):
        """Refuse rows that are too long, or say that they will be cut.

        Of the batches of a dataset, which a task reads one by one, that is said once.

        Args:
            lengths: list of int, of all rows with their special tokens.

        Raises:
            ValueError: with `truncate=False`, naming the first row that is too long.
        """
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
        self.say_cut(f"{found}: they lose their ends")
