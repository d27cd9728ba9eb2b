"""The papers' methods of use: schedules, callbacks, optimizer and model wrappers, prompts."""

from keras_plm.tasks.training.adam_weight_decay import AdamWeightDecay
from keras_plm.tasks.training.optimizers import (
    bert_optimizer,
    gpt1_optimizer,
    gpt2_optimizer,
    gpt3_optimizer,
    roberta_optimizer,
    xlnet_optimizer,
)
from keras_plm.transfer.few_shot import FewShot, FittedPrompt, draw_shots
from keras_plm.transfer.prompt_template import (
    QUESTION,
    READING,
    SUMMARY,
    TRANSLATION,
    TRANSLATION_ARROW,
    PromptTemplate,
)
from keras_plm.transfer.vocabulary_extension import extend_vocabulary
from keras_plm.transfer.warmup_polynomial_decay import WarmupPolynomialDecay

__all__ = [
    "QUESTION",
    "READING",
    "SUMMARY",
    "TRANSLATION",
    "TRANSLATION_ARROW",
    "AdamWeightDecay",
    "FewShot",
    "FittedPrompt",
    "PromptTemplate",
    "WarmupPolynomialDecay",
    "bert_optimizer",
    "draw_shots",
    "extend_vocabulary",
    "gpt1_optimizer",
    "gpt2_optimizer",
    "gpt3_optimizer",
    "roberta_optimizer",
    "xlnet_optimizer",
]
