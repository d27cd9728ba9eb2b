"""Objectives: which tokens are hidden, who sees whom, what is predicted. Numpy in, numpy out."""

from keras_plm.objectives.causal_modeling import CausalModeling
from keras_plm.objectives.corruption import ALL_MASK, Corruption
from keras_plm.objectives.joint.continual_stages import continual_stages
from keras_plm.objectives.joint.entity_denoising import EntityDenoising
from keras_plm.objectives.joint.mixture import Mixture
from keras_plm.objectives.joint.objective_sum import ObjectiveSum
from keras_plm.objectives.joint.plug_in import Hidden, PlugIn
from keras_plm.objectives.joint.span_boundary import SpanBoundary
from keras_plm.objectives.labels.capitals import Capitals
from keras_plm.objectives.labels.discourse_relation import DISCOURSE_MARKERS, DiscourseRelation
from keras_plm.objectives.labels.label_objective import PairLabel, TokenLabel
from keras_plm.objectives.labels.sentence_distance import SentenceDistance
from keras_plm.objectives.labels.sentence_pair import SentencePair
from keras_plm.objectives.labels.sentence_reordering import SentenceReordering
from keras_plm.objectives.labels.token_document import TokenDocument
from keras_plm.objectives.masked_modeling import MaskedModeling
from keras_plm.objectives.noising.arrangement import (
    Arrangement,
    LocalShuffle,
    SentencePermutation,
)
from keras_plm.objectives.noising.infilled_input import InfilledInput
from keras_plm.objectives.noising.noise import (
    MASS,
    Noise,
    SpanCorruption,
    TextInfilling,
    WordNoise,
)
from keras_plm.objectives.noising.noisy_input import NoisyInput
from keras_plm.objectives.objective import Objective
from keras_plm.objectives.prefix_modeling import PrefixModeling
from keras_plm.objectives.random_order.masked_permutation_modeling import MaskedPermutationModeling
from keras_plm.objectives.random_order.permutation_modeling import PermutationModeling
from keras_plm.objectives.random_order.random_order_masking import RandomOrderMasking
from keras_plm.objectives.selection.ngram_selection import NgramSelection
from keras_plm.objectives.selection.one_span import OneSpan
from keras_plm.objectives.selection.poisson_selection import PoissonSelection
from keras_plm.objectives.selection.random_selection import RandomSelection
from keras_plm.objectives.selection.selection import Selection
from keras_plm.objectives.selection.span_partition import SpanPartition
from keras_plm.objectives.selection.span_sampling import sample_spans
from keras_plm.objectives.selection.span_selection import SpanSelection
from keras_plm.objectives.skip_gram import SkipGram
from keras_plm.objectives.two_sided.denoising import Denoising
from keras_plm.objectives.two_sided.rewriting import (
    CorruptedInput,
    Rewriting,
    SentinelInput,
    SentinelTarget,
    SpanTarget,
    WholeTarget,
)
from keras_plm.objectives.two_sided.translation import Translation
from keras_plm.objectives.two_way_modeling import TwoWayModeling

__all__ = [
    "ALL_MASK",
    "Arrangement",
    "Capitals",
    "CausalModeling",
    "CorruptedInput",
    "Corruption",
    "DISCOURSE_MARKERS",
    "Denoising",
    "DiscourseRelation",
    "EntityDenoising",
    "Hidden",
    "InfilledInput",
    "LocalShuffle",
    "MASS",
    "MaskedModeling",
    "MaskedPermutationModeling",
    "Mixture",
    "NgramSelection",
    "Noise",
    "NoisyInput",
    "Objective",
    "ObjectiveSum",
    "OneSpan",
    "PairLabel",
    "PermutationModeling",
    "PlugIn",
    "PoissonSelection",
    "PrefixModeling",
    "RandomOrderMasking",
    "RandomSelection",
    "Rewriting",
    "Selection",
    "SentenceDistance",
    "SentencePair",
    "SentencePermutation",
    "SentenceReordering",
    "SentinelInput",
    "SentinelTarget",
    "SkipGram",
    "SpanBoundary",
    "SpanCorruption",
    "SpanPartition",
    "SpanSelection",
    "SpanTarget",
    "TextInfilling",
    "TokenDocument",
    "TokenLabel",
    "Translation",
    "TwoWayModeling",
    "WholeTarget",
    "WordNoise",
    "continual_stages",
    "sample_spans",
]
