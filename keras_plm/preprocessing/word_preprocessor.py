"""From texts that are split into words to the features of a backbone."""

import keras
import numpy as np

from keras_plm.checks import check_rectangular
from keras_plm.preprocessing.preprocessor import Preprocessor
from keras_plm.tokenizers.text_columns import column_items


@keras.saving.register_keras_serializable(package="keras_plm")
class WordPreprocessor(Preprocessor):
    """Turns texts, each a list of words, into features, and knows where each word begins.

    The layout is the tokenizer's, such as XLNet's `A SEP CLS`, padded at the left, or BERT's
    `CLS A SEP`. Each word is tokenized on its own, by byte-level pieces as if a space were before
    it; its first piece stands for it. A word that the tokenizer makes nothing of, such as a lone
    control character, becomes one unknown piece, so that no word is lost. A text that is too long
    loses its last words, which is said in the log "keras_plm".

    Args:
        tokenizer: `keras_plm.data.Tokenizer`, or None when the assets of a saved model will bring
            it.
        sequence_length: int. The length T of every row.
        language: str or None. The language of all texts, for a tokenizer with languages (XLM).

    Call arguments:
        x: list of N texts, each a list or tuple of str.

    Returns:
        dict of `token_ids` (N, T) int32, `segment_ids` (N, T) int32, `padding_mask` (N, T) bool.

    Raises:
        TypeError: if a text is no list of words, or holds anything but strings.
        ValueError: if there are no texts, a text has no words, or a word is empty.

    Source: XLNet, arXiv:1906.08237, section 2.5; BERT, arXiv:1810.04805, section 5.3 (the first
    piece of a word).
    """

    def __init__(self, tokenizer=None, sequence_length=128, language=None, **kwargs):
        super().__init__(tokenizer, sequence_length, language, pre_split=True, **kwargs)

    def settings(self):
        settings = super().settings()
        settings.pop("pre_split")  # always so
        return settings

    def call(self, x):
        return self.features_and_words(x)[0]

    def features_and_words(self, texts):
        """Make the features, and say at which position each word begins.

        Args:
            texts: list of N lists of str.

        Returns:
            Tuple of the dict of features, see the class, and a list of N int arrays: the
            positions of the first pieces of the words that fit.

        Raises:
            TypeError, ValueError: see the class.
        """
        texts = _checked_words(texts)
        words = list(dict.fromkeys(word for text in texts for word in text))
        unknown = [self.tokenizer.special_token_ids.get("unk", self.tokenizer.pad_token_id)]
        pieces = {
            word: list(ids) or unknown
            for word, ids in zip(words, self.tokenizer.encode_words(words))
        }
        rows, positions = [], []
        room, num_before, num_lost = self.room(), len(self.layout.start), []
        for text in texts:
            row = self.pair_row([piece for word in text for piece in pieces[word]])
            begins = np.cumsum([0, *(len(pieces[word]) for word in text[:-1])])  # (words,)
            rows.append(row)
            positions.append(begins[begins < room] + num_before + self.first_position(row[0]))
            num_lost.append(len(text) - len(positions[-1]))
        if any(num_lost):
            self.say_cut(
                f"{sum(num_lost)} words lie beyond sequence_length={self.sequence_length}, in "
                f"{np.count_nonzero(num_lost)} of {len(texts)} texts: they are not read and have "
                "no class. Split their texts, or give a larger one"
            )
        return self.padded(rows), positions

    def at_words(self, texts, positions, values, what):
        """Put values of words into rows, and say where there is one.

        Args:
            texts: list of N lists of str.
            positions: list of N int arrays, from `features_and_words`.
            values: list of N lists, a number per word.
            what: str. What they are, for the message.

        Returns:
            Two arrays (N, T): the values, 0 where none is, and bool: where one is.

        Raises:
            ValueError: if there is not one value per word.
        """
        if not hasattr(values, "__len__") or len(values) != len(texts):
            count = len(values) if hasattr(values, "__len__") else type(values).__name__
            raise ValueError(
                f"There must be a list of {what}s per text. Received: {count} for "
                f"{len(texts)} texts."
            )
        rows = []
        for row, (text, own) in enumerate(zip(texts, values)):
            own = check_rectangular(f"The {what}s of text {row}", own)
            if own.shape != (len(text),):
                raise ValueError(
                    f"There must be one {what} per word. Received: {what}s of shape {own.shape} "
                    f"for the {len(text)} words of text {row}."
                )
            rows.append(own)
        types = {own.dtype for own in rows}
        dtype = np.result_type(*types) if all(one.kind in "biuf" for one in types) else object
        array = np.zeros((len(texts), self.sequence_length), dtype)
        there = np.zeros(array.shape, bool)
        for row, (own, places) in enumerate(zip(rows, positions)):
            array[row, places] = own[: len(places)]
            there[row, places] = True
        return array, there


def _checked_words(texts):
    """The texts as a list of lists of words."""
    texts = column_items(texts, "`x`", "texts, each a list of words")
    if not texts:
        raise ValueError("`x` holds no texts. Received: an empty list.")
    for row, text in enumerate(texts):
        if not isinstance(text, (list, tuple)):
            raise TypeError(
                "Every text must be a list of words, such as text.split(). "
                f"Received: text {row} is {type(text).__name__} {text!r:.80}."
            )
        if not text:
            raise ValueError(f"Text {row} has no words. Remove such rows. Received: {text!r}.")
        for number, word in enumerate(text):
            if not isinstance(word, str):
                raise TypeError(
                    f"Every word must be a string. Received: {word!r:.80}, word {number} of text "
                    f"{row}."
                )
            if not word:
                raise ValueError(f"Word {number} of text {row} is empty. Received: {word!r}.")
    return texts
