"""UniLM's four language models: masked tokens, and four patterns of who sees whom.

A literal example: one pair of 7 tokens. "cat" and "mats" are masked, whatever the pattern.

    token                  CLS  the  [MASK]  SEP  [MASK]  here  SEP
    segment_ids, as given  0    0    0       0    1       1     1

    pattern                order                    segment_ids
    bidirectional          0  0  0  0  0  0  0      0  0  0  0  1  1  1
    left_to_right          0  1  2  3  4  5  6      2  2  2  2  2  2  2
    right_to_left          6  5  4  3  2  1  0      3  3  3  3  3  3  3
    sequence_to_sequence   0  0  0  0  1  2  3      4  4  4  4  5  5  5

    target_positions       2 4
    y["tokens"]            cat mats

A row sees what has an order up to its own, itself too: it is a [MASK]. With the targets
"masked_target" the masks fall on "mats here SEP" alone, the last SEP among them. With "next" there
are none, and mats, here and SEP are predicted from the rows of SEP, mats and here.
"""

from dataclasses import dataclass

import numpy as np

from keras_plm.checks import check_arrays, choice, flag
from keras_plm.objectives.masking_objective import MaskingObjective

# The segments of the first and of the second text, so that the model knows the pattern.
SEGMENTS = {
    "bidirectional": (0, 1),
    "left_to_right": (2, 2),
    "right_to_left": (3, 3),
    "sequence_to_sequence": (4, 5),
}
TARGETS = ("masked", "masked_target", "next")


def pattern_order(pattern, is_target, padding_mask):
    """Gives every token the step from which on it is seen.

    Args:
        pattern: str, a key of `SEGMENTS`.
        is_target: (B, T) bool, True for the second text of a pair. Only "sequence_to_sequence"
            reads it.
        padding_mask: (B, T) bool, True = a real token.

    Returns:
        (B, T) int32, 0 for padding.

    Source: UniLM (arXiv:1905.03197), section 2.3 and figure 1.
    """
    length = is_target.shape[1]
    if pattern == "left_to_right":
        order = np.arange(length)
    elif pattern == "right_to_left":
        order = np.arange(length)[::-1]
    elif pattern == "sequence_to_sequence":
        order = np.cumsum(is_target, axis=1)
    else:
        order = 0
    return np.where(padding_mask, order, 0).astype("int32")


@dataclass(frozen=True)
class PrefixModeling(MaskingObjective):
    """One of UniLM's language models; the module's docstring shows all four.

    The masking is UniLM's with `NgramSelection(3, 0.15, (0.8, 0.1, 0.1), "token")`. Pretraining is
    a `Mixture` of the four patterns with the weights (2, 2, 1, 1), the first in an `ObjectiveSum`
    with `SentencePair`; here each batch has one pattern, in UniLM's batches are rows of all.
    Fine-tuning for generation is "sequence_to_sequence" with "masked_target" and 70 % masked.

    Args:
        masking: `MaskedModeling`, which selects and corrupts; its `segments` do not matter, its
            rows must tell the second text of a pair from the first by `segment_ids`.
        pattern: "bidirectional", "left_to_right", "right_to_left" or "sequence_to_sequence": the
            first text of a pair is seen whole, the second from left to right.
        targets: what is predicted. "masked": masked tokens of the row. "masked_target": those of
            the second text, and the separator at its end as well, so that a model learns to stop;
            the selection's rate counts both. "next": all of these, each from the row before it,
            and nothing is masked (`masking` then gives ids, rows and head); for
            "sequence_to_sequence".
        pattern_segments: whether `segment_ids` tell the pattern: 0 to 5, as in the table, for a
            backbone of 6 segments. False: they stay as given.

    Raises:
        ValueError: a setting is out of range.

    Where it departs from the released code: that counts the second text without its separator;
    and its `pos_shift`, which is "next" here, puts a token of its own before the second text.

    Source: UniLM (arXiv:1905.03197), sections 2.1 to 2.5; `seq2seq_loader.py` of the released
    code for "masked_target" and "next".
    """

    pattern: choice(tuple(SEGMENTS)) = "sequence_to_sequence"
    targets: choice(TARGETS) = "masked"
    pattern_segments: flag() = True

    def __post_init__(self):
        super().__post_init__()
        if self.targets == "next" and self.pattern != "sequence_to_sequence":
            raise ValueError(
                'targets="next" needs pattern="sequence_to_sequence": a row that sees its right '
                f"neighbour need not predict it. Received: pattern={self.pattern!r}"
            )

    @property
    def row_settings(self):
        """Those of the masking; sources and targets always belong together."""
        settings = super().row_settings
        if self.rows == "sentence_pair" and self.pattern == "sequence_to_sequence":
            settings = {**settings, "negative": "none"}
        return settings

    @property
    def feature_names(self):
        """The keys of `x`."""
        return ("token_ids", "padding_mask", "target_positions", "segment_ids", "order")

    @property
    def num_predict(self):
        """P, targets per row."""
        return self.sequence_length - 1 if self.targets == "next" else super().num_predict

    @property
    def draws_per_row(self):
        """Those of the masking; none if nothing is masked."""
        return 0 if self.targets == "next" else self.masking.draws_per_row

    @property
    def samples_per_row(self):
        """That of the masking; none if nothing is masked."""
        return 0 if self.targets == "next" else super().samples_per_row

    def __call__(self, batch, rng):
        """Masks tokens and says who sees whom.

        Args:
            batch: what the masking takes, and segment_ids (B, T) int32, 0 in the first text.
            rng: `numpy.random.Generator`.

        Returns:
            x: dict of token_ids, padding_mask, segment_ids, order (B, T), target_positions (B, P).
            y: {"tokens": (B, P) int32}, 0 where unused.
            sample_weight: {"tokens": (B, P) float32}, 0 where unused.

        Raises:
            ValueError: the batch does not fit the masking, or one text of a pair is empty where
                the two differ.
        """
        names = ("token_ids", "padding_mask", "functional", "segment_ids")
        check_arrays("PrefixModeling", batch, {name: (self.sequence_length,) for name in names})
        real = batch["padding_mask"]
        is_target = real & (batch["segment_ids"] > 0)
        if self.pattern == "sequence_to_sequence" or self.targets != "masked":
            _check_pairs(batch, is_target)
        second = real & (batch["segment_ids"] == 1)  # not what stands behind its separator
        if self.targets == "next":
            x, y, sample_weight = _next_tokens(batch["token_ids"], second)
        elif self.targets == "masked_target":
            masked = {**batch, "padding_mask": second, "functional": ~second}
            x, y, sample_weight = self.masking(masked, rng)
        else:
            x, y, sample_weight = self.masking(batch, rng)
        segment_ids = batch["segment_ids"]
        if self.pattern_segments:
            first, second = SEGMENTS[self.pattern]
            segment_ids = np.where(is_target, second, np.where(real, first, 0)).astype("int32")
        x = {
            "token_ids": x["token_ids"],
            "padding_mask": real,
            "target_positions": x["target_positions"],
            "segment_ids": segment_ids,
            "order": pattern_order(self.pattern, is_target, real),
        }
        return x, y, sample_weight


def _next_tokens(token_ids, second):
    """Token ids, positions, targets and weights where the second text is predicted unmasked."""
    counts = second[:, 1:]  # (B, P)
    positions = np.tile(np.arange(counts.shape[1], dtype="int32"), (len(token_ids), 1))
    tokens = np.where(counts, token_ids[:, 1:], 0).astype("int32")
    x = {"token_ids": token_ids, "target_positions": positions}
    return x, {"tokens": tokens}, {"tokens": counts.astype("float32")}


def _check_pairs(batch, is_target):
    """Both texts have a token that is not special."""
    text = batch["padding_mask"] & ~batch["functional"]
    for name, side in (("first", text & ~is_target), ("second", text & is_target)):
        empty = np.flatnonzero(~side.any(axis=1))
        if len(empty):
            raise ValueError(
                f"The {name} text of a pair is empty. Give rows of two texts, and a tokenizer "
                "whose layout gives the second the segment 1. Received: "
                f"{len(empty)} such rows, the first is row {empty[0]}"
            )
