"""What selected tokens become: a mask, a random token, or what they were.

A literal example: V = 10 with the special ids 0 to 3, mask 3, `Corruption(0.8, 0.1, per="span")`.
Of four targets the first two are one span (unit 1).

    tokens       5    6    7    8
    units        1    1    2    3
    u (what)     .85  .10  .30  .95      below .8 mask, below .9 random, else kept
    u (which)    .00  .99  .50  .50      of the 6 ordinary ids, 4 to 9
    becomes      4    9    3    8        the span takes the number of its first token: random
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from keras_plm.checks import choice, number
from keras_plm.objectives.settings import Settings

PER = ("token", "span")
RANDOM_IDS = ("ordinary", "vocabulary", "corpus")
ROUNDING = 1e-9  # of a sum of two fractions


def first_slots(units):
    """For every slot the first slot of its unit: where the run of its number begins.

    Args:
        units: (B, P) int, the number of the unit of each slot.

    Returns:
        (B, P) int.
    """
    begins = np.ones(units.shape, bool)
    np.not_equal(units[:, 1:], units[:, :-1], out=begins[:, 1:])
    slots = np.where(begins, np.arange(units.shape[1]), 0)
    return np.maximum.accumulate(slots, axis=1)


def ordinary_ids(numbers, special_token_ids):
    """Counts through the ids that are no special ones.

    Args:
        numbers: int array; number n stands for the n-th ordinary id, from 0.
        special_token_ids: iterable of int.

    Returns:
        int array of the shape of `numbers`: the ids.
    """
    specials = np.unique(np.asarray(list(special_token_ids), "int64"))
    # the ordinary ids below the k-th special one are `special - k` in number
    below = specials - np.arange(len(specials))
    return numbers + np.searchsorted(below, numbers, side="right")


@dataclass(frozen=True)
class Corruption(Settings):
    """How selected tokens are replaced; the module's docstring shows one example.

    Args:
        mask: fraction of them that become the mask.
        random: fraction that become a random token. The rest is kept.
        per: "token" decides for each token by itself, "span" once for all tokens that were
            selected together (a word, an n-gram, a span); random tokens are drawn for each.
        random_ids: where random tokens come from: "ordinary", uniform over all ids but the
            special ones; "vocabulary", uniform over all ids, as released with BERT; "corpus", as
            frequent as in the corpus, as in SpanBERT (the batch then needs `sampled_ids`).

    Raises:
        ValueError: a setting is out of range.

    Source: BERT (arXiv:1810.04805), section 3.1, and `create_masked_lm_predictions` of its
    released code; per span: SpanBERT (arXiv:1907.10529), section 3.1.
    """

    kind: ClassVar[str] = "corruption"

    mask: number(0, 1) = 0.8
    random: number(0, 1) = 0.1
    per: choice(PER) = "token"
    random_ids: choice(RANDOM_IDS) = "ordinary"

    def __post_init__(self):
        super().__post_init__()
        if self.mask + self.random > 1 + ROUNDING:
            raise ValueError(
                "mask and random are fractions of the same tokens: together at most 1. "
                f"Received: mask={self.mask}, random={self.random}"
            )

    def __call__(
        self,
        tokens,
        units,
        uniform,
        vocabulary_size,
        mask_token_id,
        special_token_ids=(),
        sampled_ids=None,
    ):
        """Replaces the tokens of all slots.

        Args:
            tokens: (B, P) int32, the selected tokens.
            units: (B, P) int, the number of the unit with which each was selected.
            uniform: (B, 2 P) float in [0, 1): all random numbers.
            vocabulary_size: V.
            mask_token_id: what masked tokens become.
            special_token_ids: ids that "ordinary" random tokens never are; the mask never is.
            sampled_ids: (B, P) int32, tokens drawn from the corpus, for "corpus".

        Returns:
            (B, P) int32.
        """
        num_slots = tokens.shape[1]
        what = uniform[:, :num_slots]  # (B, P)
        if self.per == "span":
            what = np.take_along_axis(what, first_slots(units), axis=1)
        replaced = np.where(what < self.mask, np.int32(mask_token_id), tokens)
        if self.random:
            chosen = np.nonzero((what >= self.mask) & (what < self.mask + self.random))
            if self.random_ids == "corpus":
                replaced[chosen] = sampled_ids[:, :num_slots][chosen]
            else:
                excluded = {mask_token_id, *special_token_ids}
                excluded = excluded if self.random_ids == "ordinary" else ()
                which = uniform[:, num_slots:][chosen]
                numbers = (which * (vocabulary_size - len(excluded))).astype("int64")
                replaced[chosen] = ordinary_ids(numbers, excluded)
        return replaced


ALL_MASK = Corruption(1.0, 0.0)
