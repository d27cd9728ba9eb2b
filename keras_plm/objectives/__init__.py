"""Objectives: which tokens are hidden, who sees whom, what is predicted. Numpy in, numpy out."""

from keras_plm.objectives.causal_modeling import CausalModeling
from keras_plm.objectives.corruption import ALL_MASK, Corruption
from keras_plm.objectives.denoising import Denoising
from keras_plm.objectives.label_objective import PairLabel, TokenLabel
from keras_plm.objectives.masked_modeling import MaskedModeling
from keras_plm.objectives.masked_permutation_modeling import MaskedPermutationModeling
from keras_plm.objectives.mixture import Mixture
from keras_plm.objectives.objective import Objective
from keras_plm.objectives.objective_sum import ObjectiveSum
from keras_plm.objectives.permutation_modeling import PermutationModeling
from keras_plm.objectives.plug_in import Hidden, PlugIn
from keras_plm.objectives.prefix_modeling import PrefixModeling
from keras_plm.objectives.random_order_masking import RandomOrderMasking
from keras_plm.objectives.rewriting import (
    CorruptedInput,
    InfilledInput,
    Rewriting,
    SentinelInput,
    SentinelTarget,
    SpanTarget,
    WholeTarget,
)
from keras_plm.objectives.selection.ngram_selection import NgramSelection
from keras_plm.objectives.selection.random_selection import RandomSelection
from keras_plm.objectives.selection.selection import Selection
from keras_plm.objectives.selection.span_partition import SpanPartition
from keras_plm.objectives.selection.span_sampling import sample_spans
from keras_plm.objectives.selection.span_selection import SpanSelection
from keras_plm.objectives.sentence_pair import SentencePair
from keras_plm.objectives.span_boundary import SpanBoundary

__all__ = [
    "ALL_MASK",
    "CausalModeling",
    "CorruptedInput",
    "Corruption",
    "Denoising",
    "Hidden",
    "InfilledInput",
    "MaskedModeling",
    "MaskedPermutationModeling",
    "Mixture",
    "NgramSelection",
    "Objective",
    "ObjectiveSum",
    "PairLabel",
    "PermutationModeling",
    "PlugIn",
    "PrefixModeling",
    "RandomOrderMasking",
    "RandomSelection",
    "Rewriting",
    "Selection",
    "SentencePair",
    "SentinelInput",
    "SentinelTarget",
    "SpanBoundary",
    "SpanPartition",
    "SpanSelection",
    "SpanTarget",
    "TokenLabel",
    "WholeTarget",
    "sample_spans",
]
