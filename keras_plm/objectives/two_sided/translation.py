"""Translation and the like: an encoder reads one text, a decoder is asked for the other.

A literal example: BART's layout, `<s>` text `</s>`, the start `</s>`; N = 6, P = 5.

    row                 <s>  7  8  9  </s>  <s>  5  6  </s>       the texts apart
    position_ids        0    1  2  3  4     0    1  2  3

    source_token_ids    <s>  7  8  9  </s>  pad
    token_ids           </s>  <s>  5  6     pad
    y["tokens"]         <s>   5    6  </s>  0

A target that begins with the start itself, as `<s> 5 6 </s>` with the start `<s>`, is read from
there: the decoder reads `<s> 5 6` and is asked for `5 6 </s>`.
"""

from dataclasses import dataclass

import numpy as np

from keras_plm.checks import check_arrays, check_vocabulary, choice, flag, integer, number
from keras_plm.objectives.languages import check_languages
from keras_plm.objectives.noising.noise import end_token_id, start_token_id
from keras_plm.objectives.objective import Objective
from keras_plm.objectives.two_sided.source_and_target import (
    FEATURES,
    LANGUAGES,
    decoder_arrays,
    moved_left,
    with_languages,
)

SHARED_BY = ("others", "all")


@dataclass(frozen=True)
class Translation(Objective):
    """Asks a decoder for the second text of a pair, given the first; see the module's docstring.

    Args:
        vocabulary_size: V.
        start_token_id: what the decoder reads first: `</s>` (BART, fairseq), the padding (Marian,
            T5), `<s>` (OpenNMT).
        end_token_id: what closes the target; None: the rows do.
        pad_token_id: what fills both sides.
        source_length: N, tokens that the encoder reads, special ones included. A longer text loses
            its end.
        target_length: P, tokens that are asked for, special ones included.
        swap: whether the second text is the source.
        label_smoothing: share of each target that goes to other tokens, below 1; .1 in the paper.
        shared_by: who has it, see `keras_plm.heads.SmoothedCrossEntropy`.
        languages: whether the languages of both sides are features.

    Raises:
        ValueError: a setting is out of range.

    Source: Transformer (arXiv:1706.03762), sections 3.1 and 5.4; text to text: T5
    (arXiv:1910.10683), section 2.4.
    """

    vocabulary_size: integer(1)
    start_token_id: integer(0) = 0
    end_token_id: integer(0, none=True) = None
    pad_token_id: integer(0) = 0
    source_length: integer(1) = 128
    target_length: integer(1) = 128
    swap: flag() = False
    label_smoothing: number(0, 1) = 0.0
    shared_by: choice(SHARED_BY) = "others"
    languages: flag() = False

    rows = "source_target"

    def __post_init__(self):
        super().__post_init__()
        if self.label_smoothing >= 1:
            raise ValueError(
                "label_smoothing must be below 1: the target itself has the rest. Received: "
                f"label_smoothing={self.label_smoothing}"
            )

    @classmethod
    def for_tokenizer(cls, tokenizer, **settings):
        """Makes the objective with a tokenizer's vocabulary and special tokens.

        The decoder starts with what a row begins with, or with what ends one.

        Args:
            tokenizer: `keras_plm.data.Tokenizer`.
            settings: others, by name; they go before those of the tokenizer.

        Raises:
            ValueError: the tokenizer has nothing that ends a text, or a setting is out of range.
        """
        known = {
            "start_token_id": start_token_id(tokenizer),
            "end_token_id": None if tokenizer.layout.end else end_token_id(tokenizer),
            "pad_token_id": tokenizer.pad_token_id,
        }
        return cls(tokenizer.vocabulary_size, **{**known, **settings})

    @property
    def sequence_length(self):
        """T, tokens of a row: both sides, as the rows have them."""
        return sum(self._lengths)

    @property
    def _lengths(self):
        """The tokens of the first and of the second text of a row."""
        lengths = self.source_length, self.target_length - (self.end_token_id is not None)
        return lengths[::-1] if self.swap else lengths

    @property
    def num_predict(self):
        """P, tokens that are asked for."""
        return self.target_length

    @property
    def feature_names(self):
        """The keys of `x`."""
        return FEATURES + (LANGUAGES if self.languages else ())

    @property
    def row_settings(self):
        """The lengths of a row, and of its two texts."""
        first, second = self._lengths
        lengths = {"first_length": first, "second_length": second}
        return {"sequence_length": self.sequence_length, **lengths}

    @property
    def draws_per_row(self):
        """None: nothing is drawn."""
        return 0

    def heads(self, backbone):
        """Returns the language model's head, as the backbone makes it, with its smoothed labels."""
        smoothing = {"label_smoothing": self.label_smoothing, "shared_by": self.shared_by}
        smoothing = smoothing if self.label_smoothing else {}
        return {"tokens": backbone.lm_head(**smoothing)}

    def __call__(self, batch, rng):
        """Parts the texts of each row.

        Args:
            batch: dict of token_ids, position_ids (B, T) int32; padding_mask, functional (B, T)
                bool. Each text begins where `position_ids` are 0.
            rng: not used.

        Returns:
            x: dict of source_token_ids, source_padding_mask (B, N), token_ids, padding_mask,
                target_positions (B, P); with `languages` source_language_ids (B, N) and
                language_ids (B, P).
            y: {"tokens": (B, P) int32}, 0 where unused.
            sample_weight: {"tokens": (B, P) float32}, 0 where unused.

        Raises:
            ValueError: missing arrays or wrong shapes, ids outside the vocabulary, rows of other
                than two texts, an empty text, a target without an end, or a side that is longer
                than its length.
        """
        names = ("token_ids", "position_ids", "padding_mask", "functional")
        check_arrays("Translation", batch, {name: (self.sequence_length,) for name in names})
        token_ids, positions, real, functional = (np.asarray(batch[name]) for name in names)
        check_vocabulary("token_ids", token_ids, self.vocabulary_size)
        number = np.cumsum(real & (positions == 0), axis=1) * real  # 1 in the first text, then 2
        if not (number.max(axis=1, initial=0) == 2).all():
            raise ValueError(
                "Translation takes rows of two texts, each with positions from 0, as "
                'rows="source_target" have them. Received: rows of '
                f"{np.unique(number.max(axis=1, initial=0)).tolist()} texts"
            )
        is_source, is_target = (number == 1 + self.swap), (number == 2 - self.swap)
        _check_texts(is_source & ~functional, is_target & ~functional)
        if self.end_token_id is None:
            _check_ends(is_target, functional)
        source = {"keep": is_source, "token_ids": token_ids}
        source = moved_left(source, self.source_length, "source_length")
        first = is_target & (positions == 0)
        asked = is_target & ~(first & functional & (token_ids == self.start_token_id))
        x, y, weight = decoder_arrays(source, {"keep": asked, "token_ids": token_ids}, self)
        if self.languages:
            check_languages("Translation", batch, self.sequence_length)
            x = with_languages(x, batch, is_source, is_target, "Translation")
        return {name: x[name] for name in self.feature_names}, y, weight


def _check_texts(source, target):
    """Both texts have a token that is not special."""
    for name, text in (("source", source), ("target", target)):
        empty = np.flatnonzero(~text.any(axis=1))
        if len(empty):
            raise ValueError(
                f"The {name} of a pair is empty: leave such pairs out. Received: {len(empty)} such "
                f"rows, the first is row {empty[0]}"
            )


def _check_ends(is_target, functional):
    """The last token of each target is special: without an end a decoder never learns to stop."""
    length = is_target.shape[1]
    last = length - 1 - np.argmax(is_target[:, ::-1], axis=1)
    open_rows = np.flatnonzero(~functional[np.arange(len(last)), last])
    if len(open_rows):
        raise ValueError(
            "A target must end with a special token, so that a decoder learns to stop: set "
            f"end_token_id, or use a layout that ends texts. Received: end_token_id=None, "
            f"{len(open_rows)} rows without an end, the first is row {open_rows[0]}"
        )
