"""The papers' methods of use: schedules, callbacks, optimizer and model wrappers, prompts."""

from keras_plm.transfer.few_shot import FewShot, FittedPrompt, draw_shots
from keras_plm.transfer.prompt_template import (
    QUESTION,
    READING,
    SUMMARY,
    TRANSLATION,
    TRANSLATION_ARROW,
    PromptTemplate,
)
from keras_plm.transfer.warmup_polynomial_decay import WarmupPolynomialDecay

__all__ = [
    "QUESTION",
    "READING",
    "SUMMARY",
    "TRANSLATION",
    "TRANSLATION_ARROW",
    "FewShot",
    "FittedPrompt",
    "PromptTemplate",
    "WarmupPolynomialDecay",
    "draw_shots",
]
