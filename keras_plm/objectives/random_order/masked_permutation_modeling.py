"""Masked and permuted language modelling (MPNet): in random order, and all positions are seen.

A literal example: one row of T = 6 tokens, P = 3, `first_position=0`. "cat" and "mats" are
selected, "mats" comes first. Behind the T tokens stand P copies, slot i for prediction i.

    index             0    1    2    3    4     5    | 6       7       8
    token_ids         CLS  the  cat  on   mats  SEP  | [MASK]  [MASK]  0
    position_ids      0    1    2    3    4     5    | 4       2       0
    order             0    0    2    0    1     0    | 0       0       0
    until             4    4    4    4    4     4    | 1       2       0
    padding_mask      x    x    x    x    x     x    | x       x       -

    target_positions  4       2       0
    target_token_ids  [MASK]  [MASK]  0
    y["tokens"]       mats    cat     0

The row that predicts mats (step 0) sees CLS, the, on, SEP and both copies; the one that predicts
cat (step 1) sees mats instead of its copy. So every row sees one token of each position.
"""

from dataclasses import dataclass

import numpy as np

from keras_plm.checks import integer
from keras_plm.objectives.masking_objective import MaskingObjective
from keras_plm.objectives.random_order.ordered_targets import draw_targets


@dataclass(frozen=True)
class MaskedPermutationModeling(MaskingObjective):
    """MPNet's objective; the module's docstring shows one row.

    The targets that `masking` selects are put in a random order. The row that predicts target i
    sees the context, the targets before it as they are, and the corrupted copies of itself and of
    those after it. So it knows where all tokens are, as in BERT, and what was predicted before it,
    as in XLNet. It carries its own corrupted copy (mask, random or the very token, as
    `masking.corrupt` says), and no row sees it.

    Where it departs from the released code: only tokens that the masking may select are permuted,
    never special tokens and padding; the number of targets is that of the selection.

    Args:
        masking: `MaskedModeling`, which selects and corrupts.
        first_position: the position of the first real token; 2 with a backbone that counts
            positions from padding, as MPNet's does, and 0 with others.

    Raises:
        ValueError: a setting is out of range.

    Source: MPNet (arXiv:2004.09297), section 2.2 and figure 2; `masked_permutation_net.py` of the
    released code.
    """

    first_position: integer(0) = 2

    @property
    def feature_names(self):
        """The keys of `x`."""
        own = ("position_ids", "order", "until", "target_token_ids")
        return (*self.masking.feature_names, *own)

    @property
    def draws_per_row(self):
        """Those of the masking, and one per target for its place in the order."""
        return self.masking.draws_per_row + self.num_predict

    def heads(self, backbone):
        """Returns the masked language model's head.

        Raises:
            ValueError: the backbone counts positions from another one than `first_position`.
        """
        first = backbone.first_position
        if first not in (None, self.first_position):
            raise ValueError(
                f"The first position of this backbone is {first}: set first_position={first}. "
                f"Received: first_position={self.first_position}"
            )
        return super().heads(backbone)

    def __call__(self, batch, rng):
        """Selects the targets of each row, draws their order and adds the copies.

        Args:
            batch: what the masking takes.
            rng: `numpy.random.Generator`.

        Returns:
            x: dict of token_ids, padding_mask, position_ids, order, until (B, T + P),
                target_positions and target_token_ids (B, P) and, if the masking says so,
                segment_ids (B, T + P).
            y: {"tokens": (B, P) int32}, in the order of prediction, 0 where unused.
            sample_weight: {"tokens": (B, P) float32}, 0 where unused.

        Raises:
            ValueError: the batch does not fit the masking.
        """
        targets = draw_targets(self.masking, batch, rng)
        order = targets.order(self.sequence_length)
        used = targets.weights > 0
        number = np.arange(1, self.num_predict + 1)
        real = batch["padding_mask"]
        position = np.cumsum(real, axis=1) * real + self.first_position - 1
        position = np.maximum(position, 0).astype("int32")

        def extended(tokens, copies):
            return np.concatenate([tokens, copies], axis=1, dtype=tokens.dtype)

        def at_targets(tokens):
            return extended(tokens, np.take_along_axis(tokens, targets.positions, axis=1))

        x = {
            "token_ids": extended(batch["token_ids"], targets.corrupted),
            "padding_mask": extended(real, used),
            "position_ids": at_targets(position),
            "order": extended(order, np.zeros_like(targets.positions)),
            "until": extended(np.full_like(order, self.num_predict + 1), number * used),
            "target_positions": targets.positions,
            "target_token_ids": targets.corrupted,
        }
        if self.masking.segments:
            x["segment_ids"] = at_targets(batch["segment_ids"])
        if "fresh" in self.feature_names:
            x["fresh"] = batch["fresh"]
        return x, {"tokens": targets.tokens}, {"tokens": targets.weights}
