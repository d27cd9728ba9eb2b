"""Corpora of pairs by a tokenizer with a model for each side."""

import base64
import json

import numpy as np
import pytest

from keras_plm.data import Corpus, TranslationTokenizer
from keras_plm.data.corpus.both_sides import encode_sides

SOURCES = ["it was the school", "I saw the badger first", "so much for that"]
TARGETS = ["ti saw eht loohcs", "I was eht regdab tsrif", "os hcum rof taht"]


@pytest.fixture(scope="module")
def translator(seq2seq_tokenizers):
    files = {name: base64.b64decode(one) for name, one in seq2seq_tokenizers["marian"].items()}
    ids = json.loads(files["vocab.json"])
    return TranslationTokenizer(sorted(ids, key=ids.get), files["source.spm"], files["target.spm"])


@pytest.mark.parametrize("split_words", [None, str.split])
def test_pairs_in_a_corpus(split_words, translator, tmp_path):
    for name, lines in (("read", SOURCES), ("written", TARGETS)):
        (tmp_path / name).write_text("\n".join(lines))
    (tmp_path / "more").write_text("it was the school\n")
    pair = (str(tmp_path / "read"), str(tmp_path / "written"))
    corpus = Corpus.build(
        [str(tmp_path / "more"), pair],
        *(translator, tmp_path / "corpus"),
        split_words=split_words,
        num_workers=1,
    )
    found = np.split(corpus.token_ids, corpus.sentence_offsets[1:-1])
    expected = [SOURCES[0]], *zip(SOURCES, TARGETS)
    sides = [
        (translator if place == 0 else translator.target).encode(text)
        for texts in expected
        for place, text in enumerate(texts)
    ]
    assert [row.tolist() for row in found] == sides
    assert translator.encode(TARGETS[0]) != translator.target.encode(TARGETS[0])


def test_every_sentence_by_its_side(translator):
    sentences = [SOURCES[0], TARGETS[0], SOURCES[1], TARGETS[1]]
    rows = encode_sides(translator, sentences, [1, 3], 1)
    sides = [translator, translator.target] * 2
    assert rows == [one.encode(text) for one, text in zip(sides, sentences)]
    again, offsets = encode_sides(translator, sentences, [1, 3], 1, with_offsets=True)
    assert again == rows
    for one, text, bounds in zip(sides, sentences, offsets):
        assert (bounds == one.encode_with_offsets(text)[1]).all()
    assert encode_sides(translator, [], (), 1, with_offsets=True) == ([], [])
    alone = TranslationTokenizer(translator.pieces_by_id, translator.source_proto)
    assert encode_sides(alone, sentences, [1, 3], 1) == alone.encode(sentences)
