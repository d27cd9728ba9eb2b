"""Sentence pairs (BERT, ALBERT, ERNIE): does the second text belong to the first?

A literal example: two rows of 7 tokens. The row builder has made the pairs; this objective hides
nothing and hands on the question. One polarity everywhere: 0 = true, next, in order, real.

    row 0          CLS  it  rains  SEP  stay  in  SEP      the real next sentence
    row 1          CLS  it  rains  SEP  tea   is  SEP      a random one
    segment_ids    0    0   0      0    1     1   1

    y["sentence_pair"]    0 1
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from keras_plm.checks import check_arrays
from keras_plm.objectives.objective import Objective

NEGATIVES = ("random", "swapped", "reply")


@dataclass(frozen=True)
class SentencePair(Objective):
    """Asks whether the second text of a pair is the one that follows the first.

    Alone it trains on whole rows; in an `ObjectiveSum` with `MaskedModeling(rows=...)` on the same
    rows with masks, as BERT does.

    Args:
        sequence_length: T, tokens per row.
        negative: what a false pair is: "random", a text from another document (BERT's next
            sentence); "swapped", the same two in the other order (ALBERT's sentence order);
            "reply", a turn of a dialogue that is not real (ERNIE 1.0's dialogue pairs).
        short_rate: fraction of the rows that are made from shorter pairs, in [0, 1].

    Raises:
        ValueError: a setting is out of range.

    Source: BERT (arXiv:1810.04805), section 3.1, task 2; ALBERT (arXiv:1909.11942), section 3.1;
    ERNIE (arXiv:1904.09223), section 3.3 "Dialogue language model".
    """

    hides: ClassVar[bool] = False

    sequence_length: int = 512
    negative: str = "random"
    short_rate: float = 0.1

    def __post_init__(self):
        length, short = self.sequence_length, self.short_rate
        if isinstance(length, bool) or not isinstance(length, int) or length < 1:
            raise ValueError(
                f"sequence_length must be an integer >= 1. Received: sequence_length={length!r}"
            )
        if self.negative not in NEGATIVES:
            raise ValueError(
                f"negative must be one of {NEGATIVES}. Received: negative={self.negative!r}"
            )
        number = isinstance(short, (int, float)) and not isinstance(short, bool)
        if not number or not 0 <= short <= 1:
            raise ValueError(f"short_rate must lie in [0, 1]. Received: short_rate={short!r}")

    @property
    def rows(self):
        """The row builder that makes such pairs."""
        return "dialogue" if self.negative == "reply" else "sentence_pair"

    @property
    def row_settings(self):
        """The keyword arguments of the row builder."""
        return {
            "sequence_length": self.sequence_length,
            "negative": self.negative,
            "short_rate": self.short_rate,
        }

    @property
    def feature_names(self):
        """The keys of `x`."""
        return ("token_ids", "padding_mask", "segment_ids")

    @property
    def head_names(self):
        """The keys of `y`."""
        return ("sentence_pair",)

    @property
    def draws_per_row(self):
        """None: the pairs are drawn by the row builder."""
        return 0

    def target_shape(self, name):
        """One target per row; see `Objective.target_shape`."""
        self._check_head(name)
        return ()

    def heads(self, backbone):
        """Returns the head over the backbone's pooled output.

        Raises:
            ValueError: the backbone has no pooler.
        """
        if "pooler" not in backbone.reads:
            raise ValueError(
                "SentencePair reads the pooled output, and the backbone has no pooler. Make it "
                f"with pooler=True. Received: {type(backbone).__name__} with pooler=False"
            )
        from keras_plm.heads import SentencePairHead
        from keras_plm.layers.float_policy import float_policy

        head = SentencePairHead(
            kernel_initializer=backbone.kernel_initializer(),
            dtype=float_policy(backbone.dtype_policy),
            name="sentence_pair",
        )
        return {"sentence_pair": head}

    def __call__(self, batch, rng):
        """Hands on the rows and the question.

        Args:
            batch: dict of token_ids, segment_ids (B, T) int32; padding_mask (B, T) bool;
                sentence_pair (B,) int32.
            rng: not used.

        Returns:
            x: dict of token_ids, padding_mask, segment_ids (B, T).
            y: {"sentence_pair": (B,) int32}, 0 = the pair belongs together, 1 = it does not.
            sample_weight: {"sentence_pair": (B,) float32}, all 1.

        Raises:
            ValueError: the rows are no pairs or have another length.
        """
        shapes = {name: (self.sequence_length,) for name in self.feature_names}
        what = "SentencePair, whose rows are pairs,"
        check_arrays(what, batch, {**shapes, "sentence_pair": ()})
        pair = batch["sentence_pair"].astype("int32")
        if not np.isin(pair, (0, 1)).all():
            raise ValueError(
                "sentence_pair must be 0 (belongs together) or 1. Received: "
                f"{np.unique(pair).tolist()}"
            )
        x = {name: batch[name] for name in self.feature_names}
        return x, {"sentence_pair": pair}, {"sentence_pair": np.ones(len(pair), "float32")}
