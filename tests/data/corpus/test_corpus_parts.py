"""corpus_parts.py: documents and pairs of lines as sentences, with their languages."""

import pytest

from keras_plm.data.corpus.corpus_parts import (
    CorpusPart,
    batches_of,
    corpus_parts,
    language_ids,
    with_spaces,
)
from keras_plm.data.corpus.text_sources import text_sources


class Tokenizer:
    """What knows three languages."""

    def language_id(self, name, pre_split=False):
        if name == "zh" and not pre_split:
            raise ValueError("say pre_split=True")
        return {"en": 0, "fr": 2, "zh": 7}[name]


@pytest.fixture
def files(tmp_path):
    texts = {
        "text": "One. Two.\nThree.\n\nFour.\n",
        "en": "a cat\na dog\n",
        "fr": "un chat\nun chien",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    return {name: tmp_path / name for name in texts}


def test_documents_and_pairs(files):
    sources = text_sources([files["text"], (files["en"], files["fr"])])
    ids, known = language_ids(sources, ["fr", ("en", "fr")], Tokenizer())
    assert ids == [2, (0, 2)] and known == {"fr": 2, "en": 0}
    parts = list(corpus_parts(sources, ids, "text", str.splitlines))
    text = [part for part in parts if part.places is None and part.sentences]
    assert [part.sentences for part in text] == [["One. Two.", "Three."], ["Four."]]
    assert [part.languages for part in text] == [[2, 2], [2]]
    pairs = [part for part in parts if part.places]
    assert [part.sentences for part in pairs] == [["a cat", "un chat"], ["a dog", "un chien"]]
    assert all(part.languages == [0, 2] and part.ends for part in pairs)
    assert pairs[1].places == [f"{files['en']}, line 2", f"{files['fr']}, line 2"]


def test_without_languages(files):
    sources = text_sources([str(files["text"]), [files["en"], files["fr"]]])
    ids, known = language_ids(sources, None, Tokenizer())
    assert ids == [None, None] and known is None
    parts = list(corpus_parts(sources, ids, "text", str.splitlines))
    assert {part.languages for part in parts} == {None}
    assert language_ids(text_sources(files["en"]), "en", Tokenizer()) == ([0], {"en": 0})
    with pytest.raises(ValueError, match="pre_split=True"):
        language_ids(["text"], ["zh"], Tokenizer())
    assert language_ids(["text"], ["zh"], Tokenizer(), True) == ([7], {"zh": 7})


def test_spaces_between_sentences(files):
    """The spaces of running text stay; what begins a document or a quotation gets none."""
    sentences = ["He left.", "Why?", "«No»"]
    assert with_spaces(sentences, "He left.\nWhy? «No»", True) == ["He left.", " Why?", " «No»"]
    assert with_spaces(["Go."], " Go.", True) == ["Go."]
    assert with_spaces(["Go.", "Go."], "Go.Go.", True) == ["Go.", "Go."]
    assert with_spaces(["Go.", "Go."], "Go. Go.", False) == [" Go.", " Go."]
    assert with_spaces(["a\n", "b\n"], "a\nb\n", True) == ["a\n", "b\n"]
    assert with_spaces(["No", "Yes"], 'he "No" she "Yes"', True) == ["No", "Yes"]
    assert with_spaces(["changed", "by"], "a splitter by", True) == ["changed", " by"]
    sources = text_sources([files["text"]])
    parts = list(corpus_parts(sources, [None], "text", str.splitlines, keeps_spaces=True))
    found = [part.sentences for part in parts if part.sentences]
    assert found == [["One. Two.", " Three."], ["Four."]]


def test_batches(monkeypatch):
    monkeypatch.setattr("keras_plm.data.corpus.corpus_parts.BATCH_CHARACTERS", 6)
    parts = [
        CorpusPart(["ab", "c"], False, [0, 0]),
        CorpusPart(["d"], True, [0]),
        CorpusPart(["ef", "g"], True, [0, 1], ["x, line 1", "y, line 1"]),
        CorpusPart(["h", "i"], True, [0, 1], ["x, line 2", "y, line 2"]),
    ]
    first, second = batches_of(parts)
    places = {3: "x, line 1", 4: "y, line 1"}
    assert first == (["ab", "c", "d", "ef", "g"], [3, 5], [0, 0, 0, 0, 1], places)
    assert second == (["h", "i"], [2], [0, 1], {0: "x, line 2", 1: "y, line 2"})


def test_bad_languages(files):
    text, pair = files["text"], (files["en"], files["fr"])
    for sources, languages in (([text], []), ([text], ["en", "fr"]), ([text, pair], "en")):
        with pytest.raises(ValueError, match=f"one language per path.*for {len(sources)} paths"):
            language_ids(sources, languages, Tokenizer())
    for languages in ("en", ("en",), ("en", "en"), ("en", "fr", "zh"), ("en", "fr", "fr"), None):
        with pytest.raises(ValueError, match="pair of two different languages. Received"):
            language_ids([pair], [languages], Tokenizer())
