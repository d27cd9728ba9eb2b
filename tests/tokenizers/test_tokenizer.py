"""tokenizer.py: what every tokenizer has, seen on one of SentencePiece."""

import json
import pickle
from pathlib import Path

import pytest

from keras_plm.data.tokenizer_training import train_tokenizer
from keras_plm.tokenizers import tokenizer as tokenizer_module
from keras_plm.tokenizers.sentence_piece_tokenizer import SentencePieceTokenizer
from keras_plm.tokenizers.tokenizer import Tokenizer

BOTCHAN = Path(__file__).parents[1] / "fixtures" / "botchan.txt"


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(BOTCHAN, vocabulary_size=300)


def test_special_tokens(tokenizer):
    assert tokenizer.special_tokens["cls"] == "<cls>" and tokenizer.mask_token == "<mask>"
    assert (tokenizer.unk_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id) == (0, 1, 2)
    assert tokenizer.special_token_id("eop") == 8 and tokenizer.languages == {}
    with pytest.raises(ValueError, match="no special token 'end'.*Received.*'cls': 3"):
        tokenizer.special_token_id("end")


def test_a_vocabulary_without_pad(tokenizer):
    copied = pickle.loads(pickle.dumps(tokenizer))
    assert copied.pad_token_id == 5
    del copied.special_token_ids["pad"]
    assert copied.pad_token_id == copied.eos_token_id
    del copied.special_token_ids["eos"]
    assert copied.pad_token_id == 0


def test_what_was_saved_before_stays_if_saving_fails(tokenizer, tmp_path, monkeypatch):
    tokenizer.save(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    (tmp_path / "other").write_text("stays")
    other = SentencePieceTokenizer(tokenizer.proto, lowercase=True)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tokenizer_module, "write_tokenizer", full)
    with pytest.raises(OSError, match="No space"):
        other.save(tmp_path)
    with pytest.raises(OSError, match="No space"):
        other.save(tmp_path / "new")
    monkeypatch.undo()
    found = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert found == {**before, "other": b"stays"}
    assert Tokenizer.load(tmp_path) == tokenizer
    other.save(tmp_path)
    assert Tokenizer.load(tmp_path) == other != tokenizer


def test_load_gives_the_class_that_was_saved(tokenizer, tmp_path):
    tokenizer.save(tmp_path)
    for loaded in (Tokenizer.load(tmp_path), Tokenizer.from_preset(str(tmp_path))):
        assert type(loaded) is SentencePieceTokenizer and loaded == tokenizer
    config = json.loads((tmp_path / "tokenizer.json").read_text())
    for name in ("Tokenizer", "os.system", None, ["SentencePieceTokenizer"]):
        (tmp_path / "tokenizer.json").write_text(json.dumps({**config, "class": name}))
        with pytest.raises(ValueError, match="one of the classes.*Received: class="):
            Tokenizer.load(tmp_path)


def test_what_is_written_goes_by_the_same_tokenizer(tokenizer, subword_tokenizers):
    assert all(one.target is one for one in (tokenizer, *subword_tokenizers.values()))
