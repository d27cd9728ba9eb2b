"""Generic tasks: one class serves all backbones."""

from keras_plm.generation.beam_search import BeamSearch
from keras_plm.generation.choice_scoring import Choice
from keras_plm.generation.text_ids import TextScore
from keras_plm.preprocessing.choice_preprocessor import ChoicePreprocessor
from keras_plm.preprocessing.seq2seq_preprocessor import Seq2SeqPreprocessor
from keras_plm.preprocessing.span_preprocessor import SpanPreprocessor, SpanWindow
from keras_plm.preprocessing.text_preprocessor import TextPreprocessor
from keras_plm.preprocessing.word_preprocessor import WordPreprocessor
from keras_plm.tasks.masked_lm import Filling, MaskedLM
from keras_plm.tasks.multiple_choice import MultipleChoice
from keras_plm.tasks.pretrainer import Pretrainer
from keras_plm.tasks.several.multi_task import MultiTask
from keras_plm.tasks.span_decoding import Answer, AnswerSpan
from keras_plm.tasks.span_extractor import SpanExtractor
from keras_plm.tasks.task import Task
from keras_plm.tasks.text_classifier import Classification, TextClassifier
from keras_plm.tasks.text_embedder import TextEmbedder
from keras_plm.tasks.text_regressor import TextRegressor
from keras_plm.tasks.token_classifier import TokenClassifier
from keras_plm.tasks.training.checkpoint import Checkpoint, resume
from keras_plm.tasks.writing.causal_lm import CausalLM
from keras_plm.tasks.writing.permutation_lm import PermutationLM
from keras_plm.tasks.writing.prefix_lm import PrefixLM
from keras_plm.tasks.writing.seq2seq_lm import Seq2SeqLM

__all__ = [
    "Answer",
    "AnswerSpan",
    "BeamSearch",
    "CausalLM",
    "Checkpoint",
    "Choice",
    "ChoicePreprocessor",
    "Classification",
    "Filling",
    "MaskedLM",
    "MultiTask",
    "MultipleChoice",
    "PermutationLM",
    "PrefixLM",
    "Pretrainer",
    "Seq2SeqLM",
    "Seq2SeqPreprocessor",
    "SpanExtractor",
    "SpanPreprocessor",
    "SpanWindow",
    "Task",
    "TextClassifier",
    "TextEmbedder",
    "TextPreprocessor",
    "TextRegressor",
    "TextScore",
    "TokenClassifier",
    "WordPreprocessor",
    "resume",
]
