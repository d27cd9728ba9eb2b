"""From the texts of a task to the features of a model."""

from keras_plm.preprocessing.choice_preprocessor import ChoicePreprocessor
from keras_plm.preprocessing.marked_mentions import mark_mentions
from keras_plm.preprocessing.seq2seq_preprocessor import Seq2SeqPreprocessor
from keras_plm.preprocessing.span_preprocessor import SpanPreprocessor, SpanWindow
from keras_plm.preprocessing.text_preprocessor import TextPreprocessor
from keras_plm.preprocessing.word_preprocessor import WordPreprocessor

__all__ = [
    "ChoicePreprocessor",
    "Seq2SeqPreprocessor",
    "SpanPreprocessor",
    "SpanWindow",
    "TextPreprocessor",
    "WordPreprocessor",
    "mark_mentions",
]
