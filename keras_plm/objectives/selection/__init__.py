"""Which tokens an objective hides: single ones, words, n-grams, spans."""

from keras_plm.objectives.selection.ngram_selection import NgramSelection
from keras_plm.objectives.selection.one_span import OneSpan
from keras_plm.objectives.selection.poisson_selection import PoissonSelection
from keras_plm.objectives.selection.random_selection import RandomSelection
from keras_plm.objectives.selection.selection import Selection
from keras_plm.objectives.selection.span_sampling import sample_spans
from keras_plm.objectives.selection.span_selection import SpanSelection

__all__ = [
    "NgramSelection",
    "OneSpan",
    "PoissonSelection",
    "RandomSelection",
    "Selection",
    "SpanSelection",
    "sample_spans",
]
