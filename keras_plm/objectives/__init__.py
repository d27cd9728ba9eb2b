"""Objectives: which tokens are hidden, who sees whom, what is predicted. Numpy in, numpy out."""

from keras_plm.objectives.objective import Objective
from keras_plm.objectives.permutation_modeling import PermutationModeling
from keras_plm.objectives.span_sampling import sample_spans

__all__ = ["Objective", "PermutationModeling", "sample_spans"]
