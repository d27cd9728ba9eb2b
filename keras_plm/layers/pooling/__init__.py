"""One vector of the rows of a text, or one row of those of several layers."""

from keras_plm.layers.pooling.attention_pooling import AttentionPooling
from keras_plm.layers.pooling.concat_pooling import ConcatPooling
from keras_plm.layers.pooling.long_text_pooling import LongTextPooling
from keras_plm.layers.pooling.scalar_mix import ScalarMix

__all__ = ["AttentionPooling", "ConcatPooling", "LongTextPooling", "ScalarMix"]
