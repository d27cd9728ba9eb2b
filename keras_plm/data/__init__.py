"""From text on disk to batches: tokenizer, corpus, rows, examples."""

from keras_plm.data.corpus import Corpus
from keras_plm.data.dialogue_turns import quoted_turns
from keras_plm.data.examples import Examples, examples
from keras_plm.data.sentence_piece_tokenizer import SentencePieceTokenizer
from keras_plm.data.subword_tokenizer import SubwordTokenizer
from keras_plm.data.tokenizer import Tokenizer
from keras_plm.data.tokenizer_training import train_tokenizer
from keras_plm.data.tokenizers_json import sentencepiece_from_tokenizers_json
from keras_plm.data.vocabulary_extension import TRANSFER_TOKENS, add_special_tokens

__all__ = [
    "Corpus",
    "Examples",
    "SentencePieceTokenizer",
    "SubwordTokenizer",
    "TRANSFER_TOKENS",
    "Tokenizer",
    "add_special_tokens",
    "examples",
    "quoted_turns",
    "sentencepiece_from_tokenizers_json",
    "train_tokenizer",
]
