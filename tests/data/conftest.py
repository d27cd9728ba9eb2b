"""A corpus of random tokens with the attributes of a `Corpus`."""

from types import SimpleNamespace

import numpy as np
import pytest


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
        special_token_ids={"bos": 1, "eos": 2, "cls": 3, "sep": 4, "pad": 5, "mask": 6, "eod": 7},
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
