"""One backbone per architecture, never per system."""

from keras_plm.backbones.awd_lstm import AWDLSTMBackbone
from keras_plm.backbones.backbone import Backbone
from keras_plm.backbones.decoding.decoder import Decoder, RecomputingDecoder
from keras_plm.backbones.elmo import ELMoBackbone
from keras_plm.backbones.embedding import EmbeddingBackbone
from keras_plm.backbones.entity_vectors_at_hand import entity_vectors_at_hand
from keras_plm.backbones.keras_hub_conversion import from_keras_hub
from keras_plm.backbones.knowledge import KnowledgeBackbone
from keras_plm.backbones.seq2seq import Seq2SeqBackbone
from keras_plm.backbones.transformer import TransformerBackbone
from keras_plm.backbones.transformer_xl import TransformerXLBackbone
from keras_plm.backbones.xlnet import XLNetBackbone

__all__ = [
    "AWDLSTMBackbone",
    "Backbone",
    "Decoder",
    "ELMoBackbone",
    "EmbeddingBackbone",
    "KnowledgeBackbone",
    "RecomputingDecoder",
    "Seq2SeqBackbone",
    "TransformerBackbone",
    "TransformerXLBackbone",
    "XLNetBackbone",
    "entity_vectors_at_hand",
    "from_keras_hub",
]
