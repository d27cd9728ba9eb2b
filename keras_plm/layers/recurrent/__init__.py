"""LSTMs, what regularises them, and what makes words of characters for them."""

from keras_plm.layers.recurrent.activation_regularization import ActivationRegularization
from keras_plm.layers.recurrent.character_cnn import CharacterCNN
from keras_plm.layers.recurrent.embedding_dropout import EmbeddingDropout
from keras_plm.layers.recurrent.projected_lstm import ProjectedLSTM
from keras_plm.layers.recurrent.weight_drop_lstm import WeightDropLSTM

__all__ = [
    "ActivationRegularization",
    "CharacterCNN",
    "EmbeddingDropout",
    "ProjectedLSTM",
    "WeightDropLSTM",
]
