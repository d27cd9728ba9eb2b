"""corpus_files.py: a damaged or crafted corpus is refused when it is opened."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from keras_plm.data import Corpus, train_tokenizer
from keras_plm.data.corpus import corpus_files
from keras_plm.data.corpus.corpus_files import read_corpus

BOTCHAN = Path(__file__).parents[2] / "fixtures" / "botchan.txt"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    tokenizer = train_tokenizer(BOTCHAN, vocabulary_size=500)
    return Corpus.build(BOTCHAN, tokenizer, tmp_path_factory.mktemp("corpus") / "built").directory


@pytest.fixture
def directory(built, tmp_path):
    return Path(shutil.copytree(built, tmp_path / "copy"))


@pytest.mark.parametrize(
    "key, value, message",
    [
        ("format", 1, "format 2: build it again"),
        ("layout", None, "layout must be one of"),
        ("layout", "nowhere", "layout must be one of"),
        ("has_spans", None, "has_spans must be true or false"),
        ("num_tokens", 7, "expected sizes"),
        ("num_sentences", 10**6, "expected sizes"),
        ("num_documents", 0, "positive"),
        ("num_documents", True, "positive"),
        ("vocabulary_size", None, "positive"),
        ("vocabulary_size", 10**9, "within"),
        ("vocabulary_size", 100, "token ids must be within"),
        ("tokenizer_fingerprint", 5, "needs tokenizer_fingerprint"),
        ("special_token_ids", {"cls": 500}, "special id 'cls'"),
        ("special_token_ids", {"cls": "3"}, "special id 'cls'"),
        ("source", "/etc/passwd", "path"),
    ],
)
def test_a_wrong_description_is_refused(directory, key, value, message):
    info = json.loads((directory / "corpus.json").read_text())
    (directory / "corpus.json").write_text(json.dumps({**info, key: value}))
    with pytest.raises(ValueError, match=message):
        read_corpus(directory)


def replace(directory, name, change):
    array = np.load(directory / f"{name}.npy")
    np.save(directory / f"{name}.npy", change(array))


@pytest.mark.parametrize(
    "name, change, message",
    [
        ("token_ids", lambda a: np.where(np.arange(len(a)) == 99, 500, a).astype("uint16"), "ids"),
        ("token_ids", lambda a: np.where(a == 20, -1, a).astype("int32"), "ids must be within"),
        ("token_ids", lambda a: a.astype("float32"), "data type"),
        ("token_ids", lambda a: a[:-1], "expected sizes"),
        ("token_ids", lambda a: a[None], "1 axes"),
        ("sentence_offsets", lambda a: a + 1, "must rise strictly"),
        ("sentence_offsets", lambda a: np.sort(np.append(a[:-2], a[-1:].repeat(2))), "must rise"),
        ("sentence_offsets", lambda a: a[[0, 2, 1, *range(3, len(a))]], "must rise"),
        ("document_offsets", lambda a: np.append(a[:-1], a[-1:] * 2), "must rise"),
        ("document_offsets", lambda a: a + (np.arange(len(a)) == 2), "within a sentence"),
        ("word_starts", lambda a: a[1:], "expected sizes"),
        ("word_starts", lambda a: (a.view("uint8") * 2).view(bool), "0 or 1"),
    ],
)
def test_damaged_arrays_are_refused(directory, monkeypatch, name, change, message):
    replace(directory, name, change)
    for chunk in (corpus_files.CHUNK, 64):
        monkeypatch.setattr(corpus_files, "CHUNK", chunk)
        with pytest.raises(ValueError, match=message):
            read_corpus(directory)


def test_truncated_and_missing_files_are_refused(directory):
    path = directory / "token_ids.npy"
    whole = path.read_bytes()
    for content in (whole[:-2], whole[:50], b""):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="token_ids.npy"):
            read_corpus(directory)
    path.unlink()
    with pytest.raises(FileNotFoundError, match="token_ids.npy"):
        read_corpus(directory)
    outside = directory.parent / "outside.npy"
    outside.write_bytes(whole)
    path.symlink_to(outside)
    with pytest.raises(ValueError, match="leads out"):
        read_corpus(directory)


def test_pickled_arrays_are_never_loaded(directory):
    np.save(directory / "token_ids.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="token_ids.npy"):
        read_corpus(directory)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda marks: marks[1:], "expected sizes"),
        (lambda marks: np.where(np.arange(len(marks)) == 70, 3, marks).astype("uint8"), "be 0, 1"),
        (lambda marks: (2 * (np.arange(len(marks)) == 64)).astype("uint8"), "span_marks must be"),
        (lambda marks: marks.astype("int32"), "data type"),
    ],
)
def test_damaged_span_marks_are_refused(directory, monkeypatch, change, message):
    info = json.loads((directory / "corpus.json").read_text())
    (directory / "corpus.json").write_text(json.dumps({**info, "has_spans": True}))
    marks = (np.arange(info["num_tokens"]) % 3).astype("uint8")
    np.save(directory / "span_marks.npy", marks)
    assert read_corpus(directory)[1]["span_marks"].tolist() == marks.tolist()
    np.save(directory / "span_marks.npy", change(marks))
    for chunk in (corpus_files.CHUNK, 64):
        monkeypatch.setattr(corpus_files, "CHUNK", chunk)
        with pytest.raises(ValueError, match=message):
            read_corpus(directory)


@pytest.mark.parametrize(
    "change, languages, message",
    [
        (lambda ids: ids[1:], {"en": 0, "fr": 2}, "expected sizes"),
        (lambda ids: ids, {"en": 0, "fr": 1}, r"sentence_languages must be among \[0, 1\]"),
        (lambda ids: ids.astype("int64"), {"en": 0, "fr": 2}, "data type"),
        (lambda ids: ids, {"en": 0, "fr": "2"}, "languages must be null or ids by name"),
        (lambda ids: ids, {"en": 0, "fr": -2}, "languages must be null or ids by name"),
        (lambda ids: ids, ["en", "fr"], "languages must be null or ids by name"),
    ],
)
def test_damaged_languages_are_refused(directory, monkeypatch, change, languages, message):
    info = json.loads((directory / "corpus.json").read_text())
    assert info.pop("languages") is None
    (directory / "corpus.json").write_text(json.dumps(info))
    assert "sentence_languages" not in read_corpus(directory)[1]  # as older corpora
    ids = (np.arange(info["num_sentences"]) // 70 % 2 * 2).astype("int32")
    np.save(directory / "sentence_languages.npy", ids)
    good = json.dumps({**info, "languages": {"en": 0, "fr": 2}})
    (directory / "corpus.json").write_text(good)
    assert read_corpus(directory)[1]["sentence_languages"].tolist() == ids.tolist()
    np.save(directory / "sentence_languages.npy", change(ids))
    (directory / "corpus.json").write_text(json.dumps({**info, "languages": languages}))
    for chunk in (corpus_files.CHUNK, 64):
        monkeypatch.setattr(corpus_files, "CHUNK", chunk)
        with pytest.raises(ValueError, match=message):
            read_corpus(directory)
