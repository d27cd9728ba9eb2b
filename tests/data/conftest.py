"""A corpus of random tokens with the attributes of a `Corpus`, and a stored tokenizer.json."""

import gzip
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from keras_plm.data import SubwordTokenizer
from keras_plm.data.tokenizer_files import arguments_of_files
from keras_plm.presets import tokenizer_format
from keras_plm.presets.conversion import TokenizerFiles

FIXTURES = Path(__file__).parents[1] / "fixtures"

LOWER = {"lowercase": True}
SUBWORD_TOKENIZERS = {  # name -> (files, format, settings)
    "bert_uncased": ("wordpiece", tokenizer_format.BERT, LOWER),
    "bert_cased": ("wordpiece", tokenizer_format.BERT, {"lowercase": False}),
    "bert_with_accents": ("wordpiece", tokenizer_format.BERT, {**LOWER, "strip_accents": False}),
    "bert_whole_chinese": ("wordpiece", tokenizer_format.BERT, {**LOWER, "split_chinese": False}),
    "mpnet": ("mpnet", tokenizer_format.MPNET, LOWER),
    "roberta": ("byte_level", tokenizer_format.ROBERTA, {}),
    "gpt2": ("byte_level", tokenizer_format.GPT2, {}),
    "gpt2_prefix_space": ("byte_level", tokenizer_format.GPT2, {"add_prefix_space": True}),
    "gpt": ("gpt", tokenizer_format.GPT, {}),
    "xlm": ("xlm", tokenizer_format.XLM, {"languages": {"en": 0, "el": 1, "zh": 2}}),
    "xlm_cased": ("xlm", tokenizer_format.XLM, {"lowercase": False}),
}


def random_corpus(
    num_documents=40, seed=0, vocabulary_size=500, longest_sentence=12, documents=None
):
    """Makes a corpus of `num_documents` documents of a few short sentences."""
    rng = np.random.default_rng(seed)
    sentences = rng.integers(1, 9, num_documents)  # per document
    lengths = rng.integers(1, longest_sentence + 1, sentences.sum())
    sentence_offsets = np.concatenate([[0], np.cumsum(lengths)])
    num_tokens = int(sentence_offsets[-1])
    return SimpleNamespace(
        token_ids=rng.integers(9, vocabulary_size, num_tokens).astype("uint16"),
        word_starts=rng.random(num_tokens) < 0.6,
        sentence_offsets=sentence_offsets,
        document_offsets=sentence_offsets[np.concatenate([[0], np.cumsum(sentences)])],
        documents=np.arange(num_documents) if documents is None else np.asarray(documents),
        vocabulary_size=vocabulary_size,
        special_token_ids={"cls": 3, "sep": 4, "pad": 5, "mask": 6, "eod": 7},
        tokenizer_fingerprint="abc",
        layout="bert",
    )


def language_corpus(documents=None, pairs=None, seed=0, longest_sentence=9):
    """Makes a corpus in XLM's layout: documents by language, and pairs by two languages.

    The ids of the tokens say their language: those of language l are 100 l + 10 and more.
    """
    documents = {0: 30, 1: 10} if documents is None else documents
    pairs = {(0, 1): 20} if pairs is None else pairs
    rng = np.random.default_rng(seed)
    made = [[language] * rng.integers(1, 5) for language, n in documents.items() for _ in range(n)]
    made += [list(languages) for languages, n in pairs.items() for _ in range(n)]
    made = [made[number] for number in rng.permutation(len(made))]
    languages = np.concatenate(made)  # of each sentence
    lengths = rng.integers(1, longest_sentence + 1, len(languages))
    sentence_offsets = np.concatenate([[0], np.cumsum(lengths)])
    of_token = np.repeat(languages, lengths)
    sentences = np.cumsum([0, *map(len, made)])
    return SimpleNamespace(
        token_ids=(rng.integers(10, 100, len(of_token)) + 100 * of_token).astype("uint16"),
        word_starts=rng.random(len(of_token)) < 0.6,
        sentence_offsets=sentence_offsets,
        document_offsets=sentence_offsets[sentences],
        sentence_languages=languages.astype("int32"),
        documents=np.arange(len(made)),
        vocabulary_size=1000,
        special_token_ids={"cls": 4, "sep": 4, "eos": 4, "pad": 5, "mask": 6},
        tokenizer_fingerprint="abc",
        layout="xlm",
    )


@pytest.fixture(scope="session")
def make_language_corpus():
    """The function `language_corpus`."""
    return language_corpus


@pytest.fixture(scope="session")
def make_random_corpus():
    """The function `random_corpus`."""
    return random_corpus


@pytest.fixture(scope="session")
def converted_tokenizer():
    """dict of tokenizer (a Hugging Face tokenizer.json), texts and their SentencePiece ids."""
    return json.loads(gzip.decompress((FIXTURES / "tokenizers_json.json.gz").read_bytes()))


@pytest.fixture(scope="session")
def subword_fixture():
    """dict of files (format -> name -> text), texts, and ids by transformers."""
    return json.loads(gzip.decompress((FIXTURES / "subword_tokenizers.json.gz").read_bytes()))


@pytest.fixture(scope="session")
def subword_tokenizers(subword_fixture, tmp_path_factory):
    """dict of the fixture's names to tokenizers made of its files."""
    folder = tmp_path_factory.mktemp("subwords")
    for name, files in subword_fixture["files"].items():
        (folder / name).mkdir()
        for file, text in files.items():
            (folder / name / file).write_bytes(text.encode())
    found = {}
    for name, (files, form, settings) in SUBWORD_TOKENIZERS.items():
        _, arguments = arguments_of_files(
            TokenizerFiles(
                form.kind,
                {role: folder / files / file for role, file in form.files[0].items()},
                {**form.settings, **settings},
                form.layout,
                form.special,
            )
        )
        found[name] = SubwordTokenizer(**arguments)
    return found
