"""Heads: rows to logits. A head's name is its key in `y` and `sample_weight`."""

from keras_plm.heads.masked_lm_head import MaskedLMHead
from keras_plm.heads.summary_head import SummaryHead

__all__ = ["MaskedLMHead", "SummaryHead"]
