"""tokenizer_training.py: the same tokenizer every time, and clear errors."""

import json
from pathlib import Path

import pytest

from keras_plm.data import Tokenizer, tokenizer_training, train_tokenizer
from keras_plm.tokenizers.sentence_piece_tokenizer import SentencePieceTokenizer
from keras_plm.tokenizers.subword.subword_tokenizer import SubwordTokenizer

BOTCHAN = Path(__file__).parents[1] / "fixtures" / "botchan.txt"


def test_training_is_deterministic_and_reads_json_lines(tmp_path, capsys):
    text = BOTCHAN.read_text("utf-8")
    (tmp_path / "a.jsonl").write_text(json.dumps({"body": text}))
    one = train_tokenizer([BOTCHAN], vocabulary_size=300)
    two = train_tokenizer(tmp_path, vocabulary_size=300, text_field="body")
    assert one.fingerprint == two.fingerprint
    assert isinstance(one, SentencePieceTokenizer) and one.vocabulary_size == 300
    assert capsys.readouterr().out == ""


def test_the_vocabulary_is_lowered_with_a_note(tmp_path, capsys):
    path = tmp_path / "small.txt"
    path.write_text("a small text carries a small vocabulary\n" * 20)
    tokenizer = train_tokenizer(path, vocabulary_size=4_000)
    assert 17 < tokenizer.vocabulary_size < 200
    note = capsys.readouterr().out
    assert f"{tokenizer.vocabulary_size} pieces" in note and "from 4,000" in note
    assert tokenizer.decode(tokenizer.encode("a small text")) == "a small text"


def test_large_text_is_thinned_out():
    path = BOTCHAN
    all_lines = train_tokenizer(path, vocabulary_size=300)
    thinned = train_tokenizer(path, vocabulary_size=300, max_bytes=20_000)
    assert all_lines.fingerprint != thinned.fingerprint
    assert thinned.vocabulary_size == 300


@pytest.mark.parametrize(
    ("max_bytes", "kept"),
    [(1_000, range(100)), (999, range(0, 100, 2)), (100, range(0, 100, 16)), (1, [0])],
)
def test_lines_are_kept_in_a_file_and_thinned_out(max_bytes, kept, monkeypatch):
    """A hundred lines of ten bytes: the first of each 2, 4, 8, ... of them."""
    monkeypatch.setattr(tokenizer_training, "SPOOLED_BYTES", 50)
    lines = [f"line {number:04}" for number in range(100)]
    with tokenizer_training._spooled(iter(lines), max_bytes) as again:
        found = [list(again()), list(again())]
    assert found[0] == found[1]
    assert found[0] == [lines[number] for number in kept]


def test_one_pass_over_an_iterator_is_enough():
    """WordPiece reads lines twice."""
    text = BOTCHAN.read_text("utf-8").split("\n\n")
    settings = dict(vocabulary_size=400, model="wordpiece")
    assert train_tokenizer(iter(text), **settings) == train_tokenizer(BOTCHAN, **settings)


def test_pairs_of_files_are_learned_from(tmp_path):
    lines = [line for line in BOTCHAN.read_text("utf-8").splitlines() if line.strip()]
    for name, part in (("one", lines[::2]), ("two", lines[1::2])):
        (tmp_path / name).write_text("\n".join(part) + "\n")
    pair, settings = (tmp_path / "one", tmp_path / "two"), dict(vocabulary_size=300, model="bpe")
    expected = train_tokenizer(list(pair), **settings)
    assert train_tokenizer([pair], **settings) == expected


def test_long_lines_are_read(tmp_path):
    path = tmp_path / "line.txt"
    path.write_text("one line of many words " * 1_000)
    tokenizer = train_tokenizer(path, vocabulary_size=40)
    assert tokenizer.decode(tokenizer.encode("many lines of one word")) == "many lines of one word"


@pytest.mark.parametrize("size", [0, -1, 2, 20, 2.5, "4000"])
def test_a_vocabulary_that_is_too_small_is_refused(size):
    with pytest.raises(ValueError, match=r"vocabulary_size must be .*Received: "):
        train_tokenizer(BOTCHAN, vocabulary_size=size)


@pytest.mark.parametrize("model", ["sentencepiece", "wordpiece", "bpe"])
def test_bad_files_keep_their_own_errors(tmp_path, model):
    path = tmp_path / "text.txt"
    with pytest.raises(FileNotFoundError, match="text.txt"):
        train_tokenizer(path, model=model)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="text.txt is empty"):
        train_tokenizer(path, model=model)
    path.write_bytes(b" \n\n")
    with pytest.raises(ValueError, match="no text to learn from"):
        train_tokenizer(path, model=model)
    path.write_bytes(b"good\nb\xffd\n")
    with pytest.raises(ValueError, match="text.txt is not UTF-8 at byte 6"):
        train_tokenizer(path, model=model)


@pytest.mark.parametrize(("model", "layout"), [("wordpiece", "bert"), ("bpe", "roberta")])
def test_other_models(model, layout):
    tokenizer = train_tokenizer(BOTCHAN, vocabulary_size=600, model=model)
    assert isinstance(tokenizer, SubwordTokenizer) and tokenizer.layout.name == layout
    assert tokenizer.vocabulary_size == 600
    assert train_tokenizer([BOTCHAN], vocabulary_size=600, model=model) == tokenizer
    assert tokenizer.decode(tokenizer.encode("the school is Tokyo")) == "the school is Tokyo"


def test_gpt(tmp_path):
    tokenizer = train_tokenizer(BOTCHAN, vocabulary_size=600, model="bpe", layout="gpt")
    assert tokenizer.layout.name == "gpt" and tokenizer.vocabulary_size == 600
    assert tokenizer.special_tokens == dict.fromkeys(["unk", "bos", "eos"], "<|endoftext|>")
    text = "the school.\n\nIs it in Tōkyō?"
    assert tokenizer.decode(tokenizer.encode(text)) == text
    tokenizer.save(tmp_path)
    loaded = Tokenizer.load(tmp_path)
    assert loaded == tokenizer and loaded.encode(text) == tokenizer.encode(text)
    assert loaded.special_token_ids == tokenizer.special_token_ids
    assert loaded != train_tokenizer(BOTCHAN, vocabulary_size=600, model="bpe", layout="roberta")


def test_xlm(tmp_path):
    names = ["en", "de"]
    tokenizer = train_tokenizer(BOTCHAN, 600, model="bpe", layout="xlm", languages=names)
    assert tokenizer.layout.name == "xlm" and tokenizer.languages == {"en": 0, "de": 1}
    tokenizer.save(tmp_path)
    loaded = Tokenizer.load(tmp_path)
    assert loaded == tokenizer and loaded.languages == tokenizer.languages
    assert loaded.language_id("de") == 1
    other = train_tokenizer(BOTCHAN, 600, model="bpe", layout="xlm", languages=names[::-1])
    assert other != tokenizer
    assert train_tokenizer(BOTCHAN, 600, model="bpe", layout="xlm").languages == {}
    for languages in ([], ["en", "en"], "en", [""], ["en", 1], {"en": 0}):
        with pytest.raises(
            ValueError, match="languages must be a list of different names.*Received"
        ):
            train_tokenizer(BOTCHAN, model="bpe", layout="xlm", languages=languages)
    with pytest.raises(ValueError, match="layout=\"xlm\". Received: .*layout='roberta'"):
        train_tokenizer(BOTCHAN, model="bpe", languages=names)


@pytest.mark.parametrize("model", ["sentencepiece", "wordpiece", "bpe"])
def test_lowercase(model):
    tokenizer = train_tokenizer(BOTCHAN, vocabulary_size=500, model=model, lowercase=True)
    assert tokenizer.encode("THE School") == tokenizer.encode("the school")
    pieces = tokenizer.pieces(range(tokenizer.vocabulary_size))
    assert ("T" in pieces) == (model == "bpe")  # which has all bytes
    assert not {"Th", "▁I", "##I", "▁The", "The"} & set(pieces)
    cased = train_tokenizer(BOTCHAN, vocabulary_size=500, model=model)
    assert cased.encode("THE School") != cased.encode("the school")


@pytest.mark.parametrize(
    ("model", "layout"), [("wordpiece", "gpt"), ("sentencepiece", "bert"), ("bpe", ["gpt"])]
)
def test_layouts_that_a_model_has_not(model, layout):
    with pytest.raises(ValueError, match="layout must be None or one of .* for model=.*Received: "):
        train_tokenizer(BOTCHAN, model=model, layout=layout)


def test_unknown_models_and_settings():
    with pytest.raises(ValueError, match="model must be one of .*'sentencepiece', .*'unigram'"):
        train_tokenizer(BOTCHAN, model="unigram")
    with pytest.raises(ValueError, match="lowercase must be True or False. Received"):
        train_tokenizer(BOTCHAN, lowercase="yes")
