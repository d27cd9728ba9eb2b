"""From text to the numbers of its tokens and back, and how tokens are laid out in a row."""

from keras_plm.tokenizers.added_tokens import TRANSFER_TOKENS, add_special_tokens
from keras_plm.tokenizers.sentence_piece_tokenizer import SentencePieceTokenizer
from keras_plm.tokenizers.subword.subword_tokenizer import SubwordTokenizer
from keras_plm.tokenizers.tokenizer import Tokenizer
from keras_plm.tokenizers.tokenizers_json import sentencepiece_from_tokenizers_json
from keras_plm.tokenizers.translation_tokenizer import TranslationTokenizer
from keras_plm.tokenizers.words.word_tokenizer import WordTokenizer

__all__ = [
    "SentencePieceTokenizer",
    "SubwordTokenizer",
    "TRANSFER_TOKENS",
    "Tokenizer",
    "TranslationTokenizer",
    "WordTokenizer",
    "add_special_tokens",
    "sentencepiece_from_tokenizers_json",
]
