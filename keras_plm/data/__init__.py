"""From text on disk to batches: tokenizer, corpus, rows, examples."""

from keras_plm.checkpoints.word_vectors import read_vectors
from keras_plm.data.corpus.aligned_entities import build_entity_corpus, read_entity_names
from keras_plm.data.corpus.corpus import Corpus
from keras_plm.data.corpus.dialogue_turns import quoted_turns
from keras_plm.data.corpus.text_sources import Texts
from keras_plm.data.corpus.token_counts import token_counts
from keras_plm.data.corpus.word_annotators import find_capitals, find_discourse_markers
from keras_plm.data.entity_linker import DictionaryLinker
from keras_plm.data.entity_table import entity_table
from keras_plm.data.examples import Examples, examples
from keras_plm.data.mixing import MainTask, Mix, mix
from keras_plm.data.rows.planned_rows import RowTable, row_plan
from keras_plm.data.tokenizer_training import train_tokenizer
from keras_plm.data.translating_embeddings import TransE, read_triples
from keras_plm.tokenizers.added_tokens import (
    SENTINEL_TOKENS,
    TRANSFER_TOKENS,
    add_special_tokens,
)
from keras_plm.tokenizers.sentence_piece_tokenizer import SentencePieceTokenizer
from keras_plm.tokenizers.subword.subword_tokenizer import SubwordTokenizer
from keras_plm.tokenizers.tokenizer import Tokenizer
from keras_plm.tokenizers.tokenizers_json import sentencepiece_from_tokenizers_json
from keras_plm.tokenizers.translation_tokenizer import TranslationTokenizer
from keras_plm.tokenizers.words.word_tokenizer import WordTokenizer

__all__ = [
    "Corpus",
    "DictionaryLinker",
    "Examples",
    "MainTask",
    "Mix",
    "RowTable",
    "SENTINEL_TOKENS",
    "SentencePieceTokenizer",
    "SubwordTokenizer",
    "TRANSFER_TOKENS",
    "Texts",
    "Tokenizer",
    "TransE",
    "TranslationTokenizer",
    "WordTokenizer",
    "add_special_tokens",
    "build_entity_corpus",
    "entity_table",
    "examples",
    "find_capitals",
    "find_discourse_markers",
    "mix",
    "quoted_turns",
    "read_entity_names",
    "read_triples",
    "read_vectors",
    "row_plan",
    "sentencepiece_from_tokenizers_json",
    "token_counts",
    "train_tokenizer",
]
