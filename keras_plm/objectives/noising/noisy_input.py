"""The input of a plain denoising autoencoder: some tokens are dropped, others blanked.

A literal example, M the mask; functional tokens are left alone.

    token        </s>  a    b    c    d    </s>
    u (drop)     .00   .05  .90  .50  .70  .00       below .1: dropped
    u (blank)    .00   .90  .03  .50  .70  .00       below .1: blanked
                 </s>       M    c    d    </s>
"""

from dataclasses import dataclass

import numpy as np

from keras_plm.checks import integer, number
from keras_plm.objectives.two_sided.rewriting import Rewriting


@dataclass(frozen=True)
class NoisyInput(Rewriting):
    """What a denoising autoencoder reads, whatever is selected; the docstring above shows one row.

    Each token decides by itself. A row of which all would be dropped keeps one, any of them.

    Args:
        mask_token_id: id of the mask.
        drop: the chance that a token is dropped.
        blank: the chance that one which is left becomes the mask.

    Raises:
        ValueError: a setting is out of range.

    Source: Lample et al. (arXiv:1711.00043), section 2.3; `word_dropout` and `word_blank` of the
    released code of XLM.
    """

    mask_token_id: integer(0)
    drop: number(0, 1) = 0.1
    blank: number(0, 1) = 0.1

    def draws(self, length):
        """Two for each token, and one for the token that is kept at least."""
        return 2 * length + 1

    def longest(self, length, most):
        """Never longer than the row."""
        return length

    def __call__(self, rows, uniform):
        """See `Rewriting`."""
        length = rows.real.shape[1]
        text = rows.real & ~rows.functional
        dropped = text & (uniform[:, :length] < self.drop)
        counts = np.count_nonzero(text, axis=1)
        chosen = (uniform[:, -1] * counts).astype("int64")[:, None]
        lost = (np.count_nonzero(dropped, axis=1) == counts)[:, None]
        dropped &= ~(lost & (np.cumsum(text, axis=1) - 1 == chosen))
        blank = text & (uniform[:, length:-1] < self.blank)
        token_ids = np.where(blank, np.int32(self.mask_token_id), rows.token_ids)
        return {"keep": rows.real & ~dropped, "token_ids": token_ids}
