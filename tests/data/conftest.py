"""A corpus of random tokens with the attributes of a `Corpus`, and a stored tokenizer.json."""

import gzip
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

FIXTURES = Path(__file__).parents[1] / "fixtures"


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
    )


@pytest.fixture(scope="session")
def make_random_corpus():
    """The function `random_corpus`."""
    return random_corpus


@pytest.fixture(scope="session")
def converted_tokenizer():
    """dict of tokenizer (a Hugging Face tokenizer.json), texts and their SentencePiece ids."""
    return json.loads(gzip.decompress((FIXTURES / "tokenizers_json.json.gz").read_bytes()))
