"""translation_tokenizer.py: Marian's ids on both sides, language codes, offsets, files."""

import base64
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import sentencepiece

from keras_plm.checkpoints import tokenizer_format
from keras_plm.objectives.noising.noise import end_token_id, start_token_id
from keras_plm.tokenizers import Tokenizer, TranslationTokenizer
from keras_plm.tokenizers.tokenizer_files import arguments_of_files

RELEASED = "KERAS_PLM_OPUS_EN_MG"  # environment variable: directory of Helsinki-NLP/opus-mt-en-mg


def read(directory):
    """The tokenizer of a directory, whatever else is there."""
    name, arguments = arguments_of_files(tokenizer_format.MARIAN.find(directory, {}))
    assert name == "TranslationTokenizer"
    return TranslationTokenizer(**arguments)


def files_of(fixture, directory):
    directory.mkdir(exist_ok=True)
    for name, content in fixture["marian"].items():
        (directory / name).write_bytes(base64.b64decode(content))
    return directory


@pytest.fixture(scope="module")
def directory(seq2seq_tokenizers, tmp_path_factory):
    return files_of(seq2seq_tokenizers, tmp_path_factory.mktemp("marian"))


@pytest.fixture(scope="module")
def tokenizer(directory):
    return read(directory)


@pytest.mark.parametrize("side", ["marian", "marian_target"])
def test_ids_are_those_of_transformers(side, tokenizer, seq2seq_tokenizers):
    ours = tokenizer if side == "marian" else tokenizer.target
    texts, expected = (seq2seq_tokenizers[name][side] for name in ("texts", "ids"))
    rows = ours.encode(texts)
    assert [ours.layout.lay_out(ours, row)[0] for row in rows] == expected
    assert [ours.encode(text) for text in texts] == ours.encode(tuple(texts), num_threads=2) == rows
    assert any(tokenizer.unk_token_id in row for row in rows)


def test_what_a_decoder_reads_first(tokenizer):
    assert start_token_id(tokenizer.target) == tokenizer.pad_token_id  # whose embedding is zero
    assert end_token_id(tokenizer.target) == tokenizer.eos_token_id == 0


def test_the_two_sides_differ(tokenizer):
    text = "it was the school"
    assert tokenizer.encode(text) != tokenizer.target.encode(text)
    assert tokenizer != tokenizer.target and tokenizer.target.target is tokenizer.target
    assert tokenizer.target.special_token_ids == tokenizer.special_token_ids
    one = TranslationTokenizer(tokenizer.pieces_by_id, tokenizer.source_proto)
    assert one.target is one and one.encode(text) == tokenizer.encode(text)
    assert one != tokenizer  # they write otherwise


def test_decoding(tokenizer, seq2seq_tokenizers):
    rows = seq2seq_tokenizers["ids"]["marian_target"]
    theirs = seq2seq_tokenizers["decoded"]["marian_target"]
    known = [(ids, text) for ids, text in zip(rows, theirs) if tokenizer.unk_token_id not in ids]
    assert len(known) > 3
    for ids, text in known:
        assert tokenizer.target.decode(np.array(ids)) == text
    ids = tokenizer.encode("I saw the school first")
    assert tokenizer.decode(ids) == tokenizer.target.decode(ids) == "I saw the school first"
    assert tokenizer.decode([*ids, tokenizer.eos_token_id, tokenizer.pad_token_id]) == (
        "I saw the school first"
    )
    assert tokenizer.decode([tokenizer.unk_token_id]).strip() == "⁇"


def test_languages(tokenizer):
    codes = tokenizer.language_codes
    assert codes == {"fra": codes["fra"], "cmn_Hans": codes["fra"] + 1}
    assert tokenizer.pieces(codes.values()) == [">>fra<<", ">>cmn_Hans<<"]
    text = "the school"
    assert tokenizer.encode(">>fra<< " + text) == [codes["fra"], *tokenizer.encode(text)]
    assert tokenizer.decode(tokenizer.encode(">>fra<< " + text)) == text
    assert not set(codes.values()) & set(tokenizer.encode(f"a >>fra<< {text}"))
    assert tokenizer.languages == {}  # these are no ids beside those of the tokens
    with pytest.raises(ValueError, match="'fra'.*Received: '>>fre<< a'.*Did you mean 'fra'"):
        tokenizer.encode([text, ">>fre<< a"])
    pieces = [piece for piece in tokenizer.pieces_by_id if not piece.startswith(">>")]
    alone = TranslationTokenizer(pieces, tokenizer.source_proto)
    with pytest.raises(ValueError, match="which has none. Received: '>>fra<< a'"):
        alone.encode_with_offsets(">>fra<< a")


def test_special_pieces_in_text_stay_text(tokenizer):
    special = {tokenizer.eos_token_id, tokenizer.pad_token_id}
    for one in (tokenizer, tokenizer.target):
        assert not special & set(one.encode("</s> <pad> <unk>"))


def test_what_is_no_piece_of_the_model_but_one_of_the_vocabulary(tokenizer):
    """A character that the source's model does not know, in the vocabulary for the target."""
    pieces = [*tokenizer.pieces_by_id, "日", "日本"]
    ours = TranslationTokenizer(pieces, tokenizer.source_proto)
    assert ours.encode("a日")[-1] == len(pieces) - 2
    special = {**tokenizer.special_tokens, "mask": "日本"}
    ours = TranslationTokenizer(pieces, tokenizer.source_proto, None, special)
    assert len(pieces) - 1 not in ours.encode("日本")


def test_offsets(tokenizer):
    texts = ["  it was   the school", ">>fra<< it was", "日本 a", ""]
    rows, offsets = tokenizer.encode_with_offsets(texts)
    assert rows == tokenizer.encode(texts)
    for text, row, bounds in zip(texts, rows, offsets):
        assert bounds.shape == (len(row), 2) and bounds.dtype == np.int32
        assert (np.diff(bounds, axis=0) >= 0).all()
        for index, (begin, end) in zip(row, bounds):
            piece = tokenizer.pieces([index])[0].lstrip("▁")
            assert text[begin:end] == piece or index == tokenizer.unk_token_id
    assert tuple(offsets[1][0]) == (0, 7)
    row, bounds = tokenizer.encode_with_offsets(texts[0])
    assert row == rows[0] and (bounds == offsets[0]).all()


def test_word_starts(tokenizer):
    starts = dict(zip(tokenizer.pieces_by_id, tokenizer.word_starts))
    assert starts["▁the"] and starts["."] and starts["</s>"] and not starts["e"]


def test_files(tokenizer, tmp_path):
    assert pickle.loads(pickle.dumps(tokenizer)) == tokenizer
    for one in (tokenizer, tokenizer.target):  # the second beside the first
        one.save(tmp_path)
        for loaded in (Tokenizer.load(tmp_path), TranslationTokenizer.from_preset(str(tmp_path))):
            assert loaded == one and loaded.target == tokenizer.target
            assert loaded.layout == tokenizer.layout and loaded.settings == tokenizer.settings
            assert loaded.encode("it was") == one.encode("it was")


@pytest.mark.parametrize(
    "content, message",
    [
        ({"pieces": ["<unk>"]}, "must have pieces, the models source and target"),
        ({"pieces": ["<unk>"], "source": "é", "target": None}, "base64"),
        ({"pieces": ["<unk>"], "source": 3, "target": None}, "base64"),
        ({"pieces": ["<unk>"], "source": None, "target": None}, "source_proto must be the bytes"),
        ({"pieces": "<unk>", "source": "aGE=", "target": None}, "pieces must be a list"),
        ({"pieces": ["<unk>"], "source": "aGE=", "target": None}, "a SentencePiece model"),
    ],
)
def test_damaged_files(content, message, tokenizer, tmp_path):
    tokenizer.save(tmp_path)
    (tmp_path / "vocabulary.json").write_text(json.dumps(content))
    with pytest.raises((ValueError, TypeError), match=message):
        Tokenizer.load(tmp_path)


def test_damaged_settings(tokenizer, tmp_path):
    tokenizer.save(tmp_path)
    saved = json.loads((tmp_path / "tokenizer.json").read_text())
    for settings in ({}, {"special_tokens": {}, "lowercase": True}):
        (tmp_path / "tokenizer.json").write_text(json.dumps({**saved, "settings": settings}))
        with pytest.raises(ValueError, match="the setting special_tokens"):
            Tokenizer.load(tmp_path)


def test_bad_arguments(tokenizer):
    pieces, proto = tokenizer.pieces_by_id, tokenizer.source_proto
    for wrong in ("abc", [], ["a", ""], [1], None):
        with pytest.raises(TypeError, match="pieces must be a list of strings"):
            TranslationTokenizer(wrong, proto)
    with pytest.raises(ValueError, match="all be different. Received: 'a' twice"):
        TranslationTokenizer(["<unk>", "a", "a"], proto)
    for name in ("source_proto", "target_proto"):
        with pytest.raises(ValueError, match=f"{name} must be the bytes"):
            TranslationTokenizer(pieces, **{"source_proto": proto, name: "source.spm"})
    with pytest.raises(ValueError, match="unknown piece, <unk> or"):
        TranslationTokenizer(["a", "b"], proto)
    with pytest.raises(ValueError, match="must be in the vocabulary. Received: .'<u>'."):
        TranslationTokenizer(pieces, proto, None, {"unk": "<u>"})
    with pytest.raises(ValueError, match="layout must be one of"):
        TranslationTokenizer(pieces, proto, layout="marion")
    for wrong in (3, [3], ["a", None]):
        with pytest.raises(TypeError, match="list of strings"):
            tokenizer.encode(wrong)
    with pytest.raises(ValueError, match="within"):
        tokenizer.decode([tokenizer.vocabulary_size])


def test_bad_vocabularies(directory, seq2seq_tokenizers, tmp_path):
    files_of(seq2seq_tokenizers, tmp_path)
    ids = json.loads((tmp_path / "vocab.json").read_text())
    wrong = {
        "must have the unknown piece '<unk>'": {
            ("<unq>" if piece == "<unk>" else piece): index for piece, index in ids.items()
        },
        "must have all ids from 0 on": {**ids, "more": len(ids) + 5},
        "must have different ids": {**ids, "more": 3},
    }
    for message, content in wrong.items():
        (tmp_path / "vocab.json").write_text(json.dumps(content))
        with pytest.raises(ValueError, match=f"vocab.json {message}"):
            read(tmp_path)
    (tmp_path / "vocab.json").write_text(json.dumps(ids))
    (tmp_path / "target.spm").write_bytes(b"none")
    with pytest.raises(ValueError, match="target_proto.*SentencePiece"):
        read(tmp_path)
    del ids["<pad>"]  # what is missing without harm
    (tmp_path / "vocab.json").write_text(json.dumps(ids))
    (tmp_path / "target.spm").write_bytes((directory / "source.spm").read_bytes())
    assert read(tmp_path).special_token_ids == {"unk": 1, "eos": 0}


@pytest.mark.skipif(RELEASED not in os.environ, reason=f"{RELEASED} names no released model")
def test_a_released_model():
    tokenizer = Tokenizer.from_preset(os.environ[RELEASED])
    rows = {
        "Hello world!": [34291, 245, 95, 0],
        "I am a small frog.": [47, 166, 17, 1135, 20753, 470, 4, 0],
        "": [0],
    }
    for text, ids in rows.items():
        assert tokenizer.layout.lay_out(tokenizer, tokenizer.encode(text))[0] == ids
    assert tokenizer.target.encode("Salama tontolo") == [20846, 305]
    assert tokenizer.target.decode([20846, 305, 0]) == "Salama tontolo"
    assert (tokenizer.vocabulary_size, tokenizer.pad_token_id) == (54_688, 54_687)
    source = sentencepiece.SentencePieceProcessor(
        model_file=str(Path(os.environ[RELEASED], "source.spm"))
    )
    assert source.piece_to_id("▁Hello") == 18_000  # its own ids mean nothing here
