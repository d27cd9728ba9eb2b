"""Text on disk: its tokens, sentences and documents, in files that are read as they are needed."""

from keras_plm.data.corpus.corpus import Corpus
from keras_plm.data.corpus.dialogue_turns import quoted_turns

__all__ = [
    "Corpus",
    "quoted_turns",
]
