"""Aligned files of tokens and entities: the literal example, and every way not to be aligned."""

import gzip
import json

import numpy as np
import pytest

from keras_plm.data import Corpus, build_entity_corpus, examples, read_entity_names
from keras_plm.data.corpus.columns import token_columns
from keras_plm.objectives import MaskedModeling

TOKENS = ["2 3 7 8 2 1 9", "1 4 6 6 6 6", "0", "1 2 11 12"]
ENTITIES = ["2 3 Q1 Q1 #UNK# 1 Q7", "1 4 Q7 Q9 Q1 Q1", "0", "1 2 Q2 Q9"]
NUMBERS = {"Q1": 1, "Q7": 7, "Q2": 2**31 - 2}


@pytest.fixture
def build(wordpiece, tmp_path):
    """A function of the lines of the two files."""

    def build(tokens=TOKENS, entities=ENTITIES, numbers=NUMBERS, **changes):
        token_path, entity_path = tmp_path / "wiki_token", tmp_path / "wiki_entity"
        token_path.write_text("".join(f"{line}\n" for line in tokens))
        entity_path.write_text("".join(f"{line}\n" for line in entities))
        arguments = dict(tokenizer=wordpiece, directory=tmp_path / "corpus")
        arguments |= {"entity_ids": numbers, **changes}
        return build_entity_corpus(token_path, entity_path, **arguments)

    return build


def test_literal_example(build, wordpiece):
    """That of the module's docstring, with three more documents, one of them empty."""
    corpus = build()
    assert corpus.token_ids.tolist() == [7, 8, 2, 9, 6, 6, 6, 6, 11, 12]
    assert corpus.entities.tolist() == [1, 0, 0, 7, 7, 0, 1, 0, 2**31 - 2, 0]
    assert corpus.entities.dtype == "int32"
    assert corpus.sentence_offsets.tolist() == [0, 3, 4, 8, 10]
    assert corpus.document_offsets.tolist() == [0, 4, 8, 10]
    assert corpus.word_starts[[0, 3, 4, 8]].all()
    assert list(token_columns(corpus)) == ["word_starts", "entities"]
    corpus.check_tokenizer(wordpiece)
    again = Corpus.open(corpus.directory)
    assert again.fingerprint == corpus.fingerprint


def test_gzipped_files_and_windows_lines(build, wordpiece, tmp_path):
    plain = build()
    for name, lines in (("t.gz", TOKENS), ("e.gz", ENTITIES)):
        (tmp_path / name).write_bytes(gzip.compress("\r\n".join(lines).encode()))
    packed = build_entity_corpus(
        tmp_path / "t.gz", tmp_path / "e.gz", wordpiece, tmp_path / "packed", NUMBERS
    )
    assert packed.entities.tolist() == plain.entities.tolist()
    assert packed.token_ids.tolist() == plain.token_ids.tolist()
    assert read_entity_names(tmp_path / "e.gz") == ["Q1", "Q7", "Q9", "Q2"]


def test_names_once_in_their_order(tmp_path):
    (tmp_path / "e").write_text("\n".join(ENTITIES))
    assert read_entity_names(tmp_path / "e") == ["Q1", "Q7", "Q9", "Q2"]
    (tmp_path / "e").write_text("1 2 #UNK# #UNK#\n1 2 Q1\n")
    with pytest.raises(ValueError, match=r"e, line 2 must have as many items.*3 items.* say 4"):
        read_entity_names(tmp_path / "e")


@pytest.mark.parametrize(
    "changes, message",
    [
        (dict(entities=ENTITIES[:3]), r"as many lines.*wiki_entity ends before line 4"),
        (dict(tokens=TOKENS[:1]), r"as many lines.*wiki_token ends before line 2"),
        (
            dict(entities=[ENTITIES[0], "1 3 Q7 Q9 Q1", *ENTITIES[2:]]),
            r"wiki_entity, line 2 must be aligned.*the first that differ have 4 tokens and 3 ",
        ),
        (
            dict(entities=["1 4 Q1 Q1 #UNK# Q7", *ENTITIES[1:]]),
            r"wiki_entity, line 1 must be aligned.*2 sentences of tokens and 1 of entities",
        ),
        (
            dict(entities=["2 2 Q1 Q1 2 #UNK# Q7", *ENTITIES[1:]]),
            r"line 1 must be aligned.*the first that differ have 3 tokens and 2 ",
        ),
        (dict(entities=["2 3 Q1 Q1 #UNK# 1 Q7 Q7", *ENTITIES[1:]]), r"y, line 1 must have as many"),
        (dict(entities=["2 3 Q1 Q1 #UNK# 3 Q7", *ENTITIES[1:]]), r"wiki_entity, line 1 must have "),
        (dict(entities=["2 3 Q1 Q1 #UNK# Q7 Q7", *ENTITIES[1:]]), r"line 1 must have.*'Q7'"),
        (dict(tokens=["", *TOKENS[1:]]), r"wiki_token, line 1 must have the number.*the end of"),
        (dict(tokens=[*TOKENS[:1], "2 4 6 6 6 6", "0", "0"]), r"wiki_token, line 2 .*the end of"),
        (dict(tokens=["1 1 300"], entities=["1 1 Q1"]), r"token, line 1: .*\[0, 300\).*'300'"),
        (dict(tokens=["1 1 -1"], entities=["1 1 Q1"]), r"line 1: token ids must be.*'-1'"),
        (dict(tokens=["1 1 the"], entities=["1 1 Q1"]), r"line 1: token ids must be.*'the'"),
        (dict(tokens=["0"], entities=["0"]), "no text to tokenise"),
        (dict(tokens=[], entities=[]), "no text to tokenise"),
        (dict(numbers={"Q1": 0}), "numbers from 1.*'Q1': 0"),
        (dict(numbers={"Q1": 1.0}), "numbers from 1"),
        (dict(numbers={"Q1": True}), "numbers from 1"),
    ],
)
def test_bad_files(build, tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        build(**changes)
    assert not (tmp_path / "corpus").exists()


def test_bad_arguments(build, word_tokenizer, tmp_path):
    for changes in (dict(numbers=[1]), dict(numbers={1: 1})):
        with pytest.raises(TypeError, match="entity_ids"):
            build(**changes)
    with pytest.raises(TypeError, match="`tokenizer` must be of the class Tokenizer"):
        build(tokenizer="bert")
    with pytest.raises(ValueError, match="no characters of words"):
        build(tokenizer=word_tokenizer)
    with pytest.raises(FileNotFoundError):
        read_entity_names(tmp_path / "nowhere")
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "mine.txt").write_text("mine")
    with pytest.raises((ValueError, OSError)):
        build()
    assert (tmp_path / "corpus" / "mine.txt").read_text() == "mine"


def test_entities_stand_in_rows_with_their_tokens(build):
    """Special tokens and padding have none, and a text that a row cuts keeps the others."""
    corpus = build(tokens=["2 2 7 8 2 9 10"] * 9, entities=["2 2 Q1 #UNK# 2 #UNK# Q7"] * 9)
    objective = MaskedModeling(
        vocabulary_size=300, mask_token_id=4, sequence_length=6, rows="doc_sentences"
    )
    rows = examples(corpus, objective, 3, training=False).rows_at(1)
    assert rows["token_ids"][:, 1:5].tolist() == [[7, 8, 9, 10]] * 3
    assert rows["entities"].tolist() == [[0, 1, 0, 0, 7, 0]] * 3


def test_a_column_of_another_tokenizer_is_refused(build, tokenizer):
    """By the digest of the tokenizer, which the corpus has beside the column."""
    corpus = build()
    with pytest.raises(ValueError, match="was built with another tokenizer"):
        corpus.check_tokenizer(tokenizer)


def test_damaged_entities_are_refused(build):
    corpus = build()
    values = np.array(corpus.entities)
    values[1] = -1
    np.save(corpus.directory / "entities.npy", values)
    with pytest.raises(ValueError, match=r"damaged: entities must be within \[0, "):
        Corpus.open(corpus.directory)
    info = json.loads((corpus.directory / "corpus.json").read_text())
    assert info["columns"] == ["entities"] and not info["has_spans"]
