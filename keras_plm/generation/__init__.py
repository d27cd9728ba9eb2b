"""How models write: samplers and beams, caches, scores."""

from keras_plm.generation.beam_search import BeamSearch
from keras_plm.generation.choice_scoring import Choice

__all__ = [
    "BeamSearch",
    "Choice",
]
