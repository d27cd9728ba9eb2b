"""The span-boundary objective: a hidden token is told from the two tokens around its span.

A literal example: "cat sat" and "mats" are selected. "mats" stands beside SEP, so it has no
boundary on its right and is no target here.

    position          0    1    2    3    4    5     6
    token             CLS  the  cat  sat  on   mats  SEP

    target_positions  2  3  5
    left_positions    1  1  0      the, the
    right_positions   4  4  0      on, on
    span_offsets      0  1  0
    weight            1  1  0
"""

from dataclasses import dataclass

import numpy as np

from keras_plm.checks import integer
from keras_plm.objectives.joint.plug_in import PlugIn


def span_boundaries(positions, weights, functional, longest):
    """Finds for each target the tokens beside its span, and its place in the span.

    A span is a run of neighbouring targets, whatever units they were selected with: so no
    boundary is ever a target itself. It counts if both neighbours are ordinary tokens of the row
    and it has at most `longest` tokens.

    Args:
        positions: (B, P) int32, ascending positions of the targets, 0 where unused.
        weights: (B, P) float32, 0 where unused.
        functional: (B, T) bool, special tokens and padding.
        longest: tokens of the longest span that counts.

    Returns:
        left_positions, right_positions, span_offsets (B, P) int32 and weights (B, P) float32; all
        are 0 where the span does not count or the slot is unused.

    Source: SpanBERT (arXiv:1907.10529), section 3.2, and the pairs of the released
    `PairWithSpanMaskingScheme`, where a span at the edge of the text has no pair.
    """
    num_rows, length = functional.shape
    used = weights > 0
    slots = np.arange(positions.shape[1])
    goes_on = used[:, 1:] & (positions[:, 1:] == positions[:, :-1] + 1)  # (B, P - 1)
    begins, ends = np.ones((2, *used.shape), bool)
    begins[:, 1:] = ends[:, :-1] = ~goes_on
    first = np.maximum.accumulate(np.where(begins, slots, 0), axis=1)
    last = np.where(ends, slots, slots[-1])[:, ::-1]
    last = np.minimum.accumulate(last, axis=1)[:, ::-1]
    left = np.take_along_axis(positions, first, axis=1) - 1  # (B, P)
    right = np.take_along_axis(positions, last, axis=1) + 1
    counts = used & (left >= 0) & (right < length) & (right - left - 1 <= longest)
    rows = np.arange(num_rows)[:, None]
    counts &= ~functional[rows, np.maximum(left, 0)]
    counts &= ~functional[rows, np.minimum(right, length - 1)]
    offsets = positions - left - 1
    pairs = (np.where(counts, array, 0).astype("int32") for array in (left, right, offsets))
    return (*pairs, counts.astype("float32"))


@dataclass(frozen=True)
class SpanBoundary(PlugIn):
    """Predicts hidden tokens once more, from the tokens around their span (SpanBERT).

    It stands in an `ObjectiveSum` with the `MaskedModeling` that hides them.

    Args:
        max_length: tokens of the longest span that counts; those of longer spans, and of spans
            beside a special token, have weight 0.

    Raises:
        ValueError: a setting is out of range.

    Source: SpanBERT (arXiv:1907.10529), section 3.2.
    """

    target_axes = {"span_boundary": "BP"}
    feature_names = ("left_positions", "right_positions", "span_offsets")

    max_length: integer(1) = 20

    @property
    def head_settings(self):
        """The head has an embedding for each place in a span."""
        return {"span_boundary": self}

    def heads(self, backbone):
        """Returns the head over the two tokens beside each span."""
        from keras_plm.heads import SpanBoundaryHead

        head = SpanBoundaryHead(
            backbone.token_embedding,
            max_length=self.max_length,
            activation=backbone.activation,
            layer_norm_epsilon=backbone.layer_norm_epsilon,
            kernel_initializer=backbone.kernel_initializer(),
            name="span_boundary",
        )
        return {"span_boundary": head}

    def __call__(self, batch, rng, hidden):
        """Finds the tokens beside each span.

        Args:
            batch: dict with functional (B, T) bool.
            rng: not used.
            hidden: `Hidden`.

        Returns:
            x: dict of left_positions, right_positions, span_offsets (B, P).
            y: {"span_boundary": (B, P) int32}, the hidden tokens.
            sample_weight: {"span_boundary": (B, P) float32}, 0 where the span does not count.
        """
        *boundaries, weights = span_boundaries(
            hidden.positions, hidden.weights, batch["functional"], self.max_length
        )
        x = dict(zip(self.feature_names, boundaries))
        return x, {"span_boundary": hidden.tokens}, {"span_boundary": weights}
