"""From raw strings to the features of a backbone."""

import os

import keras
import keras_hub
import numpy as np

from keras_plm import files
from keras_plm.backbones.preset_directory import write_json
from keras_plm.data.tokenizer import SentencePieceTokenizer

PREPROCESSOR_FILE = "preprocessor.json"


@keras.saving.register_keras_serializable(package="keras_plm")
class TextPreprocessor(keras_hub.models.Preprocessor):
    """Turns texts, or pairs of texts, into token ids, segment ids and a padding mask.

    The layout is XLNet's: `A SEP CLS` or `A SEP B SEP CLS`, padded at the left, so that CLS is
    the last token of every row; segment 0 for A, 1 for B, 2 for CLS. A text that is too long
    loses its end; in a pair the longer text gives way, B if both are as long.

    Args:
        tokenizer: `keras_plm.data.SentencePieceTokenizer`, or None when the assets of a saved
            model will bring it.
        sequence_length: int. The length T of every row.

    Call arguments:
        x: list of str, or a pair (tuple) of two such lists, of N texts.

    Returns:
        dict of `token_ids` (N, T) int32, `segment_ids` (N, T) int32, `padding_mask` (N, T) bool.

    Raises:
        TypeError: if `x` holds anything but strings.
        ValueError: if the two lists of a pair differ in length, or there are no texts.

    Source: XLNet, arXiv:1906.08237, section 2.5; the released `classifier_utils.py`.
    """

    def __init__(self, tokenizer=None, sequence_length=128, **kwargs):
        super().__init__(**kwargs)
        integer = isinstance(sequence_length, (int, np.integer)) and sequence_length is not True
        if not integer or sequence_length < 4:
            raise ValueError(
                "`sequence_length` must be an integer of at least 4. "
                f"Received: {sequence_length!r}."
            )
        self.tokenizer = tokenizer
        self.sequence_length = int(sequence_length)

    def call(self, x):
        if isinstance(x, tuple) and len(x) != 2:
            raise ValueError(
                f"A tuple must be a pair of two lists of texts. Received: {len(x)} elements. "
                "Give texts as a list."
            )
        first, second = x if isinstance(x, tuple) else (x, None)
        first = self._encode(first)
        second = [None] * len(first) if second is None else self._encode(second)
        if len(first) != len(second):
            raise ValueError(
                "The two lists of a pair must be as long as each other. "
                f"Received: {len(first)} and {len(second)} texts."
            )
        shape = (len(first), self.sequence_length)
        token_ids = np.full(shape, self.tokenizer.pad_token_id, "int32")  # (N, T)
        segment_ids = np.zeros(shape, "int32")
        padding_mask = np.zeros(shape, "bool")
        for row, texts in enumerate(zip(first, second)):
            ids, segments = self._layout(*texts)
            token_ids[row, -len(ids) :] = ids
            segment_ids[row, -len(ids) :] = segments
            padding_mask[row, -len(ids) :] = True
        return {
            "token_ids": token_ids,
            "segment_ids": segment_ids,
            "padding_mask": padding_mask,
        }

    def _encode(self, texts):
        """The ids of each text; numpy arrays and tensors of strings become lists first."""
        if isinstance(texts, (str, bytes)):
            raise TypeError(f"`x` must be a list of texts. Received one text: {texts!r:.80}.")
        texts = getattr(texts, "numpy", lambda: texts)()
        if not hasattr(texts, "__iter__"):
            raise TypeError(f"`x` must be a list of texts. Received: {texts!r:.80}.")
        texts = texts.tolist() if isinstance(texts, np.ndarray) else list(texts)
        try:
            texts = [text.decode("utf-8") if isinstance(text, bytes) else text for text in texts]
        except UnicodeDecodeError as error:
            raise ValueError(f"Texts of bytes must be UTF-8: {error}.") from error
        if not texts:
            raise ValueError("There are no texts. Received: an empty list.")
        if not all(isinstance(text, str) for text in texts):
            wrong = next(text for text in texts if not isinstance(text, str))
            raise TypeError(f"Every text must be a string. Received: {wrong!r:.80}.")
        return self.tokenizer.encode(texts)

    def _layout(self, first, second):
        """One row: ids and segments, without padding."""
        separator, summary = [self.tokenizer.sep_token_id], [self.tokenizer.cls_token_id]
        if second is None:
            first = first[: self.sequence_length - 2]
            return first + separator + summary, [0] * (len(first) + 1) + [2]
        room = self.sequence_length - 3
        shorter = min(len(first), len(second))
        if len(first) + len(second) > room:
            if 2 * shorter < room:  # the shorter one stays whole
                longer = room - shorter
                first, second = first[:longer], second[:longer]
            else:
                first, second = first[: (room + 1) // 2], second[: room // 2]
        ids = first + separator + second + separator + summary
        return ids, [0] * (len(first) + 1) + [1] * (len(second) + 1) + [2]

    def get_config(self):
        return {**keras.layers.Layer.get_config(self), "sequence_length": self.sequence_length}

    def save_assets(self, path):
        """Write the tokenizer beside the weights of a saved model."""
        if self.tokenizer is not None:
            self.tokenizer.save(path)

    def load_assets(self, path):
        """Read the tokenizer of a saved model."""
        self.tokenizer = SentencePieceTokenizer.load(path)

    def write_preset(self, directory):
        """Write settings and tokenizer into a directory that is there.

        Args:
            directory: str.
        """
        settings = {"class": "TextPreprocessor", "sequence_length": self.sequence_length}
        write_json(os.path.join(directory, PREPROCESSOR_FILE), settings)
        self.tokenizer.save(directory)

    def save_to_preset(self, preset_dir):
        """Save settings and tokenizer to a directory, whole or not at all.

        Args:
            preset_dir: str. The directory; older settings that are there already are replaced.
        """
        with files.atomic_directory(preset_dir, PREPROCESSOR_FILE) as directory:
            self.write_preset(directory)

    @classmethod
    def from_preset(cls, preset, **kwargs):
        """Load the preprocessor of a preset directory.

        Args:
            preset: str. A directory that `save_to_preset` of a task wrote.
            kwargs: `sequence_length`, to replace the saved one.

        Raises:
            FileNotFoundError: if the preset has no preprocessor.
            ValueError: if its files are not what they should be.
        """
        settings = files.read_json(files.file_inside(preset, PREPROCESSOR_FILE))
        files.check_config(settings)
        length = settings.get("sequence_length")
        if settings.get("class") != "TextPreprocessor" or not isinstance(length, int):
            raise ValueError(
                f"{preset}/{PREPROCESSOR_FILE} does not describe a TextPreprocessor. "
                f"Received: {settings!r:.200}."
            )
        tokenizer = SentencePieceTokenizer.load(preset)
        return cls(tokenizer, **{"sequence_length": length, **kwargs})
