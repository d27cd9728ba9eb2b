"""Heads: target rows to logits. A head's name is its key in `y` and `sample_weight`."""

from keras_plm.heads.masked_lm_head import MaskedLMHead

__all__ = ["MaskedLMHead"]
