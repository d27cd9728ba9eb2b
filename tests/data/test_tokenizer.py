"""tokenizer.py: ids, special ids, word starts, saving."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from keras_plm.data.tokenizer import SPECIAL_PIECES, SentencePieceTokenizer
from keras_plm.data.tokenizer_training import train_tokenizer

BOTCHAN = Path(__file__).parents[1] / "fixtures" / "botchan.txt"
TEXT = 'He said (softly): "Botchan\'s 5 – 3 = £2".'


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(BOTCHAN, vocabulary_size=500)


def test_special_ids_are_those_of_xlnet(tokenizer):
    names = "unk bos eos cls sep pad mask eod eop".split()
    assert tokenizer.special_token_ids == {name: index for index, name in enumerate(names)}
    assert tokenizer.pieces(range(9)) == [SPECIAL_PIECES[name] for name in names]
    assert tokenizer.pieces(range(9, 17)) == [".", "(", ")", '"', "-", "–", "£", "€"]
    assert (tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id) == (3, 4, 5)
    assert (tokenizer.mask_token_id, tokenizer.eod_token_id) == (6, 7)


def test_encode_and_decode(tokenizer):
    ids = tokenizer.encode("The badger was angry.")
    assert all(type(index) is int for index in ids)
    assert tokenizer.decode(ids) == tokenizer.decode(np.array(ids)) == "The badger was angry."
    assert tokenizer.decode([3] + ids + [4, 7]) == "The badger was angry."
    texts = ["one two", "", "three"]
    expected = [tokenizer.encode(text) for text in texts]
    assert tokenizer.encode(texts) == tokenizer.encode(tuple(texts), num_threads=2) == expected
    assert expected[1] == tokenizer.encode("") == tokenizer.encode([]) == []


def test_special_pieces_in_text_stay_text(tokenizer):
    ids = tokenizer.encode("<cls> <sep> <pad> <mask> <eod> <s> </s>")
    assert not set(ids) & set(range(1, 8))
    assert tokenizer.encode("a <eop>")[-1] == 8


def test_word_starts(tokenizer):
    starts = tokenizer.word_starts
    assert starts.shape == (500,) and starts.dtype == bool
    pieces = tokenizer.pieces(range(500))
    by_piece = dict(zip(pieces, starts))
    assert all(by_piece[piece] for piece in ["<sep>", "<unk>", "▁the", "▁", ".", ",", "(", "?"])
    assert not any(by_piece[piece] for piece in ["e", "'", "ing", "–", "£"])


@pytest.mark.parametrize("wrong", [3, [3], ["a", None], [["a"]], "\ud800", b"bytes"])
def test_encode_refuses_what_is_no_text(tokenizer, wrong):
    with pytest.raises(TypeError, match="list of strings"):
        tokenizer.encode(wrong)


def test_ids_outside_the_vocabulary_are_refused(tokenizer):
    for ids in ([500], [-1], np.array([3, 70_000])):
        with pytest.raises(ValueError, match=r"within \[0, 500\)"):
            tokenizer.decode(ids)
        with pytest.raises(ValueError, match=r"within \[0, 500\)"):
            tokenizer.pieces(ids)


@pytest.mark.parametrize("proto", [b"", b"no model", "vocabulary.spm", None])
def test_what_is_no_model_is_refused(proto):
    with pytest.raises(ValueError, match="proto"):
        SentencePieceTokenizer(proto)


def test_save_load_and_pickle(tokenizer, tmp_path):
    (tmp_path / "other").write_text("stays")
    tokenizer.save(tmp_path)
    loaded = SentencePieceTokenizer.load(tmp_path)
    copied = pickle.loads(pickle.dumps(tokenizer))
    assert loaded.fingerprint == copied.fingerprint == tokenizer.fingerprint
    assert loaded.encode(TEXT) == copied.encode(TEXT) == tokenizer.encode(TEXT)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "other",
        "tokenizer.json",
        "vocabulary.spm",
    ]


def test_load_refuses_files_that_do_not_belong_together(tokenizer, tmp_path):
    with pytest.raises(FileNotFoundError, match="tokenizer.json"):
        SentencePieceTokenizer.load(tmp_path)
    tokenizer.save(tmp_path)
    config = json.loads((tmp_path / "tokenizer.json").read_text())
    for key, value in {"class": "os.system", "fingerprint": "0" * 64}.items():
        (tmp_path / "tokenizer.json").write_text(json.dumps({**config, key: value}))
        with pytest.raises(ValueError, match="Received"):
            SentencePieceTokenizer.load(tmp_path)
    outside = tmp_path.parent / "outside.spm"
    outside.write_bytes(tokenizer.proto)
    (tmp_path / "vocabulary.spm").unlink()
    (tmp_path / "vocabulary.spm").symlink_to(outside)
    with pytest.raises(ValueError, match="leads out"):
        SentencePieceTokenizer.load(tmp_path)
