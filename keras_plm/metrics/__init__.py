"""Metrics of the tasks, in the form of `keras.metrics`."""

from keras_plm.metrics.class_sets import LooseF1, StrictAccuracy
from keras_plm.metrics.entity_f1 import EntityF1
from keras_plm.metrics.matthews_correlation import MatthewsCorrelation
from keras_plm.metrics.pearson_correlation import PearsonCorrelation
from keras_plm.metrics.spearman_correlation import SpearmanCorrelation
from keras_plm.metrics.squad import SquadScore, best_threshold, squad_scores

__all__ = [
    "EntityF1",
    "LooseF1",
    "MatthewsCorrelation",
    "PearsonCorrelation",
    "SpearmanCorrelation",
    "SquadScore",
    "StrictAccuracy",
    "best_threshold",
    "squad_scores",
]
