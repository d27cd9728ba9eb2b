"""From pairs of texts to what an encoder reads and what a decoder is asked for."""

from typing import NamedTuple

import keras

from keras_plm.checks import check_arguments, flag, integer, kind, text
from keras_plm.objectives.noising.noise import end_token_id, start_token_id
from keras_plm.objectives.two_sided.source_and_target import decoder_arrays
from keras_plm.preprocessing.preprocessor import Preprocessor, right_padded
from keras_plm.tokenizers.text_columns import refuse_empty, text_list
from keras_plm.tokenizers.tokenizer import Tokenizer


@keras.saving.register_keras_serializable(package="keras_plm")
class Seq2SeqPreprocessor(Preprocessor):
    """Turns source texts into features of an encoder, and targets into rows of a decoder.

    Each text is laid out by itself, as the tokenizer's layout has a single text: BART's
    `<s> text </s>`, Marian's and T5's `text </s>`. Padding is on the right. A text that is too
    long loses its end, but for what closes it.

    Args:
        tokenizer: `keras_plm.data.Tokenizer`, or None when the assets of a saved model will bring
            it. Targets are of `tokenizer.target` (Marian has a model for each language).
        sequence_length: int. The length N of the sources.
        target_length: int or None. The length P of the targets, with what closes them; None: N.
        prefix: str or None. What stands before every source, with its space: the name of a task,
            such as T5's "translate English to German: ".
        truncate: bool. Whether what is too long is cut, which is said in the log "keras_plm".
            False: it is refused.
        language: str or None. The language of the sources, for a tokenizer with languages (XLM).
        target_language: str or None. That of the targets, another one; None: that of the sources.
        pre_split: bool. Whether spaces separate the words of all texts (XLM: zh, th, ja).

    Call arguments:
        x: list of N str, the sources.

    Returns:
        dict of `source_token_ids` (N, S) int32 and `source_padding_mask` (N, S) bool.

    Raises:
        TypeError: if there is anything but strings.
        ValueError: if there are no texts, one is empty, or with `truncate=False` too long; or if
            both languages are the same, or the tokenizer does not know one.

    Source: T5, arXiv:1910.10683, section 2.4 (the prefix).
    """

    @check_arguments
    def __init__(
        self,
        tokenizer: kind(Tokenizer, none=True) = None,
        sequence_length: integer(4) = 128,
        target_length: integer(2, none=True) = None,
        prefix: text(none=True) = None,
        truncate: flag() = True,
        language: text(none=True) = None,
        target_language: text(none=True) = None,
        pre_split: flag() = False,
        **kwargs,
    ):
        if target_language is not None and target_language == language:
            raise ValueError(
                "`language` and `target_language` must differ; for texts of one language leave "
                f"`target_language` out. Received: {language!r} for both."
            )
        super().__init__(tokenizer, sequence_length, language, pre_split, **kwargs)
        self.target_language = target_language
        if tokenizer is not None and target_language is not None:
            self.language_ids()
        self.target_length = target_length
        self.prefix = prefix
        self.truncate = truncate

    def settings(self):
        own = {"target_length": self.target_length, "prefix": self.prefix}
        languages = (
            {} if self.target_language is None else {"target_language": self.target_language}
        )
        return {**super().settings(), **own, "truncate": self.truncate, **languages}

    def language_ids(self):
        """The languages of both sides.

        Returns:
            Pair of int: those of sources and of targets.

        Raises:
            ValueError: if the tokenizer does not know one, or there are several and none was given.
        """
        own = self._language_id(self.language)
        return own, own if self.target_language is None else self._language_id(self.target_language)

    def call(self, x):
        rows = self.source_rows(x)
        return source_arrays(rows, self.sequence_length, self.tokenizer.pad_token_id)

    def source_rows(self, texts, what="`x`"):
        """The ids of sources, with the special tokens around them.

        Args:
            texts: list of N str.
            what: str. What they are, for the message.

        Returns:
            list of N lists of at most S ints.

        Raises:
            TypeError, ValueError: see the class.
        """
        texts = text_list(texts, what)
        ids = self.tokenizer.encode([(self.prefix or "") + one for one in texts])
        refuse_empty(texts, ids, what)
        return self._laid_out(self.tokenizer, ids, self.sequence_length, what)

    def target_rows(self, texts, start=None, end=None, what="`y`"):
        """The ids that a decoder is asked for, with what closes each text.

        Args:
            texts: list of N str.
            start: int or None. What a decoder reads first; a row that begins with it is read from
                there. None: as `start_token_id` of the tokenizer.
            end: int or None. What closes a text whose layout does not; None: the tokenizer's.
            what: str. What they are, for the message.

        Returns:
            list of N lists of at most `target_length` ints.

        Raises:
            TypeError, ValueError: see the class.
        """
        tokenizer = self.tokenizer.target
        texts = text_list(texts, what)
        ids = tokenizer.encode(texts)
        refuse_empty(texts, ids, what)
        start = start_token_id(tokenizer) if start is None else start
        begins = [tokenizer.special_token_id(name) for name in tokenizer.layout.start]
        known = begins[:1] == [start]
        closing = [] if tokenizer.layout.end else [end_token_id(tokenizer) if end is None else end]
        room = (self.target_length or self.sequence_length) + known - len(closing)
        rows = self._laid_out(tokenizer, ids, room, what)
        return [row[known:] + closing for row in rows]

    def _laid_out(self, tokenizer, ids, length, what):
        """Rows with their special tokens, cut to a length."""
        layout = tokenizer.layout
        room = length - layout.num_special()
        if room < 1:
            raise ValueError(
                f"A row has {layout.num_special()} special tokens, which leave no room for texts. "
                f"Received: rows of {length} tokens for {what}."
            )
        too_long = [row for row, own in enumerate(ids) if len(own) > room]
        if too_long:
            found = (
                f"{len(too_long)} of {len(ids)} texts of {what} are longer than the {room} tokens "
                f"that special tokens leave of {length}, the first of them text {too_long[0]} "
                f"with {len(ids[too_long[0]])}"
            )
            if not self.truncate:
                raise ValueError(
                    f"{found}. Raise `sequence_length` or `target_length`, shorten the texts, or "
                    "let `truncate=True` cut them."
                )
            self.say_cut(f"{found}: they lose their ends")
        return [layout.lay_out(tokenizer, list(own[:room]))[0] for own in ids]


def source_arrays(rows, length, pad):
    """The features of sources, as `Seq2SeqPreprocessor.call` gives them.

    Args:
        rows: list of N lists of at most S ints.
        length: int. S.
        pad: int. The id of padding.

    Returns:
        dict of `source_token_ids` (N, S) int32 and `source_padding_mask` (N, S) bool.
    """
    token_ids, real = right_padded(rows, length, pad)
    return {"source_token_ids": token_ids, "source_padding_mask": real}


def pair_arrays(sources, targets, source_length, target_length, start, pad):
    """The arrays of pairs of rows, as `Translation` makes them.

    Args:
        sources: list of N lists of at most S ints.
        targets: list of N lists of at most P ints, what is asked for.
        source_length: int. S.
        target_length: int. P.
        start: int. What the decoder reads first.
        pad: int. The id of padding.

    Returns:
        `(x, y, sample_weight)`, see `objectives.two_sided.source_and_target.decoder_arrays`.
    """
    both = ((sources, source_length), (targets, target_length))
    source, target = (
        dict(zip(("token_ids", "keep"), right_padded(rows, length))) for rows, length in both
    )
    return decoder_arrays(source, target, _Ids(target_length, start, None, pad))


class _Ids(NamedTuple):
    """What `decoder_arrays` asks an objective for."""

    target_length: int
    start_token_id: int
    end_token_id: int | None  # None: targets have theirs
    pad_token_id: int
