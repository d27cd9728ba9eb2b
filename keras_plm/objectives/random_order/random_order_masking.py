"""BERT's [MASK], predicted in a random order: each masked token sees those predicted before it.

A literal example: one row of 6 tokens, P = 3. "cat" and "mats" are selected, "mats" comes first.

    position          0    1    2    3    4     5
    token             CLS  the  cat  on   mats  SEP
    order             0    0    2    0    1     0

    target_positions  4       2       0        slot i is the token predicted as number i
    target_token_ids  [MASK]  [MASK]  0
    y["tokens"]       mats    cat     0
    sample_weight     1       1       0

The [MASK] of "mats" reads CLS, the, on and SEP; that of "cat" reads mats besides. They are query
rows, which nobody sees. In the naive form they are content, and see each other: then the [MASK]
of "mats" reads, one layer later, what the [MASK] of "cat" has read before: mats itself.
"""

from dataclasses import dataclass

import numpy as np

from keras_plm.objectives.masking_objective import MaskingObjective
from keras_plm.objectives.random_order.ordered_targets import draw_targets


@dataclass(frozen=True)
class RandomOrderMasking(MaskingObjective):
    """Masked tokens one after the other, in random order; the module's docstring shows one row.

    It is permutation language modelling as in XLNet, whose rows are made with BERT's own means:
    the row that predicts carries [MASK], not a vector of its own, so the weights are those of a
    masked model. Content stays as it is; what `masking.corrupt` makes of a token stands in the row
    that predicts it: [MASK] always, with `corrupt=ALL_MASK`, or else in a few rows a random or
    the very token.

    Args:
        masking: `MaskedModeling`, which selects the targets and says what stands in their place.

    Raises:
        ValueError: the masking does not fit.

    Source: XLNet (arXiv:1906.08237), section 2.2, for the order; BERT (arXiv:1810.04805), section
    3.1, for the masks.
    """

    @property
    def feature_names(self):
        """The keys of `x`."""
        return (*self.masking.feature_names, "order", "target_token_ids")

    @property
    def draws_per_row(self):
        """Those of the masking, and one per target for its place in the order."""
        return self.masking.draws_per_row + self.num_predict

    def __call__(self, batch, rng):
        """Selects the targets of each row and draws their order.

        Args:
            batch: what the masking takes.
            rng: `numpy.random.Generator`.

        Returns:
            x: dict of token_ids (as given), padding_mask, order (B, T), target_positions and
                target_token_ids (B, P) and, if the masking says so, segment_ids (B, T).
            y: {"tokens": (B, P) int32}, in the order of prediction, 0 where unused.
            sample_weight: {"tokens": (B, P) float32}, 0 where unused.

        Raises:
            ValueError: the batch does not fit the masking, or a target could see no token.
        """
        targets = draw_targets(self.masking, batch, rng)
        order = targets.order(self.sequence_length)
        blind = (targets.weights[:, 0] > 0) & ~(batch["padding_mask"] & (order == 0)).any(axis=1)
        if blind.any():
            raise ValueError(
                "Some rows have a target that sees no token: everything is selected. Lower the "
                f"selection's rate. Received: {int(blind.sum())} such rows, the first is row "
                f"{int(np.argmax(blind))}"
            )
        x = {
            "token_ids": batch["token_ids"],
            "padding_mask": batch["padding_mask"],
            "order": order,
            "target_positions": targets.positions,
            "target_token_ids": targets.corrupted,
        }
        if self.masking.segments:
            x["segment_ids"] = batch["segment_ids"]
        if "fresh" in self.feature_names:
            x["fresh"] = batch["fresh"]
        return x, {"tokens": targets.tokens}, {"tokens": targets.weights}
