"""Heads: token states to logits, and how these are trained. A head's name is its key in `y`."""

from keras_plm.heads.attention_pooling_head import AttentionPoolingHead
from keras_plm.heads.beam_span_head import AnswerClass, BeamSpanHead
from keras_plm.heads.concat_pooling_head import ConcatPoolingHead
from keras_plm.heads.end_logits import EndLogits
from keras_plm.heads.head import Head, Targets
from keras_plm.heads.losses.auxiliary_lm_loss import AuxiliaryLMLoss
from keras_plm.heads.losses.negative_log_likelihood import NegativeLogLikelihood
from keras_plm.heads.losses.smoothed_cross_entropy import SmoothedCrossEntropy
from keras_plm.heads.losses.soft_label_loss import SoftLabelLoss
from keras_plm.heads.san_head import SANHead
from keras_plm.heads.sentence_pair_head import SentencePairHead
from keras_plm.heads.span_head import SpanHead
from keras_plm.heads.summary_head import SummaryHead
from keras_plm.heads.token_head import TokenHead
from keras_plm.heads.vocabulary.adaptive_softmax_head import AdaptiveSoftmaxHead
from keras_plm.heads.vocabulary.entity_head import EntityHead
from keras_plm.heads.vocabulary.masked_lm_head import MaskedLMHead
from keras_plm.heads.vocabulary.negative_sampling_head import NegativeSamplingHead
from keras_plm.heads.vocabulary.sampled_softmax_head import SampledSoftmaxHead, SoftmaxTable
from keras_plm.heads.vocabulary.span_boundary_head import SpanBoundaryHead

__all__ = [
    "AdaptiveSoftmaxHead",
    "AnswerClass",
    "AttentionPoolingHead",
    "AuxiliaryLMLoss",
    "BeamSpanHead",
    "ConcatPoolingHead",
    "EndLogits",
    "EntityHead",
    "Head",
    "MaskedLMHead",
    "NegativeLogLikelihood",
    "NegativeSamplingHead",
    "SANHead",
    "SampledSoftmaxHead",
    "SentencePairHead",
    "SmoothedCrossEntropy",
    "SoftLabelLoss",
    "SoftmaxTable",
    "SpanBoundaryHead",
    "SpanHead",
    "SummaryHead",
    "Targets",
    "TokenHead",
]
