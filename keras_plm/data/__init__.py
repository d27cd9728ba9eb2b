"""From text on disk to batches: tokenizer, corpus, rows, examples."""

from keras_plm.data.corpus import Corpus
from keras_plm.data.examples import Examples, examples
from keras_plm.data.tokenizer import SentencePieceTokenizer
from keras_plm.data.tokenizer_training import train_tokenizer

__all__ = ["Corpus", "Examples", "SentencePieceTokenizer", "examples", "train_tokenizer"]
