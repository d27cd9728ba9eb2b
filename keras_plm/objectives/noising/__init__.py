"""What stands in the way of a denoised text: orders of its tokens, and the noises of the papers."""

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

__all__ = [
    "MASS",
    "Arrangement",
    "InfilledInput",
    "LocalShuffle",
    "Noise",
    "NoisyInput",
    "SentencePermutation",
    "SpanCorruption",
    "TextInfilling",
    "WordNoise",
]
