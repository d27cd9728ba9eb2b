"""Reusable Keras layers."""

from keras_plm.layers.attention.attention_biases import AttentionBiases
from keras_plm.layers.attention.attention_maps import AttentionMaps
from keras_plm.layers.attention.projected_attention import ProjectedAttention
from keras_plm.layers.attention.query_rows import QueryRows
from keras_plm.layers.attention.two_stream import TwoStream
from keras_plm.layers.attention.two_stream_attention import TwoStreamAttention
from keras_plm.layers.carried_state import CarriedState, UpdateCarriedState
from keras_plm.layers.choices import ChoicesToRows, RowsToChoices
from keras_plm.layers.embedding.adaptive_embedding import AdaptiveEmbedding
from keras_plm.layers.embedding.entity_table import EntityTable
from keras_plm.layers.embedding.token_and_query_embedding import TokenAndQueryEmbedding
from keras_plm.layers.knowledge_fusion_block import KnowledgeFusionBlock
from keras_plm.layers.last_states import LastStates
from keras_plm.layers.pooling.attention_pooling import AttentionPooling
from keras_plm.layers.pooling.concat_pooling import ConcatPooling
from keras_plm.layers.pooling.long_text_pooling import LongTextPooling
from keras_plm.layers.pooling.scalar_mix import ScalarMix
from keras_plm.layers.positions.relative_position_bias import RelativePositionBias
from keras_plm.layers.positions.relative_position_encoding import RelativePositionEncoding
from keras_plm.layers.positions.relative_segment_encoding import RelativeSegmentEncoding
from keras_plm.layers.positions.sinusoidal_position_encoding import SinusoidalPositionEncoding
from keras_plm.layers.recurrent.activation_regularization import ActivationRegularization
from keras_plm.layers.recurrent.character_cnn import CharacterCNN
from keras_plm.layers.recurrent.embedding_dropout import EmbeddingDropout
from keras_plm.layers.recurrent.projected_lstm import ProjectedLSTM
from keras_plm.layers.recurrent.weight_drop_lstm import WeightDropLSTM
from keras_plm.layers.replayable_dropout import ReplayableDropout
from keras_plm.layers.segment_memory import SegmentMemory, UpdateSegmentMemory
from keras_plm.layers.transformer_block import TransformerBlock
from keras_plm.layers.transformer_xl_block import TransformerXLBlock

__all__ = [
    "ActivationRegularization",
    "AdaptiveEmbedding",
    "AttentionBiases",
    "AttentionMaps",
    "AttentionPooling",
    "CarriedState",
    "CharacterCNN",
    "ChoicesToRows",
    "ConcatPooling",
    "EmbeddingDropout",
    "EntityTable",
    "KnowledgeFusionBlock",
    "LastStates",
    "LongTextPooling",
    "ProjectedAttention",
    "ProjectedLSTM",
    "QueryRows",
    "RelativePositionBias",
    "RelativePositionEncoding",
    "RelativeSegmentEncoding",
    "ReplayableDropout",
    "RowsToChoices",
    "ScalarMix",
    "SegmentMemory",
    "SinusoidalPositionEncoding",
    "TokenAndQueryEmbedding",
    "TransformerBlock",
    "TransformerXLBlock",
    "TwoStream",
    "TwoStreamAttention",
    "UpdateCarriedState",
    "UpdateSegmentMemory",
    "WeightDropLSTM",
]
