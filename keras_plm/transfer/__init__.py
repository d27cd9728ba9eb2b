"""The papers' methods of use: schedules, callbacks, optimizer and model wrappers, prompts."""

from keras_plm.tasks.optimizers.adam_weight_decay import AdamWeightDecay
from keras_plm.tasks.optimizers.grouped_optimizer import GroupedOptimizer
from keras_plm.tasks.optimizers.paper_optimizers import (
    bert_optimizer,
    gpt1_optimizer,
    gpt2_optimizer,
    gpt3_optimizer,
    roberta_optimizer,
    xlnet_optimizer,
)
from keras_plm.transfer.auxiliary_loss_decay import AuxiliaryLossDecay
from keras_plm.transfer.checkpoint_averaging import average_checkpoints
from keras_plm.transfer.few_shot import FewShot, FittedPrompt, draw_shots
from keras_plm.transfer.inverse_square_root_decay import InverseSquareRootDecay, noam
from keras_plm.transfer.parameter_groups import (
    discriminative_rates,
    head_groups,
    parameter_groups,
)
from keras_plm.transfer.prompt_template import (
    QUESTION,
    READING,
    SUMMARY,
    TRANSLATION,
    TRANSLATION_ARROW,
    PromptTemplate,
)
from keras_plm.transfer.slanted_triangular import SlantedTriangular
from keras_plm.transfer.soft_labels import mean_probabilities, with_soft_labels
from keras_plm.transfer.unfreezing import GradualUnfreezing, SequentialUnfreezing, fit_in_stages
from keras_plm.transfer.vocabulary_extension import extend_vocabulary
from keras_plm.transfer.warmup_cosine_decay import WarmupCosineDecay
from keras_plm.transfer.warmup_polynomial_decay import WarmupPolynomialDecay

__all__ = [
    "QUESTION",
    "READING",
    "SUMMARY",
    "TRANSLATION",
    "TRANSLATION_ARROW",
    "AdamWeightDecay",
    "AuxiliaryLossDecay",
    "FewShot",
    "FittedPrompt",
    "GradualUnfreezing",
    "GroupedOptimizer",
    "InverseSquareRootDecay",
    "PromptTemplate",
    "SequentialUnfreezing",
    "SlantedTriangular",
    "WarmupCosineDecay",
    "WarmupPolynomialDecay",
    "average_checkpoints",
    "bert_optimizer",
    "discriminative_rates",
    "draw_shots",
    "extend_vocabulary",
    "fit_in_stages",
    "gpt1_optimizer",
    "gpt2_optimizer",
    "gpt3_optimizer",
    "head_groups",
    "mean_probabilities",
    "noam",
    "parameter_groups",
    "roberta_optimizer",
    "with_soft_labels",
    "xlnet_optimizer",
]
