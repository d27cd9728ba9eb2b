"""sentence_piece_tokenizer.py: ids, special ids, word starts, settings, offsets, saving."""

import base64
import hashlib
import json
import os
import pickle
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import sentencepiece

from keras_plm.data.tokenizer_training import train_tokenizer
from keras_plm.objectives import Denoising, SpanCorruption
from keras_plm.objectives.noising.noise import end_token_id, start_token_id
from keras_plm.tokenizers.added_tokens import extend_tokenizer
from keras_plm.tokenizers.sentence_piece_tokenizer import SPECIAL_PIECES, SentencePieceTokenizer
from keras_plm.tokenizers.tokenizers_json import sentencepiece_from_tokenizers_json

BOTCHAN = Path(__file__).parents[1] / "fixtures" / "botchan.txt"
TEXT = 'He said (softly): "Botchan\'s 5 – 3 = £2".'
RELEASED = "KERAS_PLM_XLNET_SPIECE"  # environment variable: path of XLNet's cased spiece.model
CASED = {"clean_text": True, "keep_accents": False, "split_digit_commas": True}
UNCASED = {**CASED, "lowercase": True}
HARD_TEXTS = [
    "",
    "   ",
    "\n\n",
    "The badger was angry.",
    "  two  spaces\tand a\r\nline\u2028here \u3000",
    "2000, 1999, In 2000, he",
    "3,4,5 and 1,999, 0,0, x1999, 1,000,000",
    "２０００， １９９９, ½, ½",
    "``Déjà vu,'' nai\u0308ve e\u0301\u0327 \u0301x",
    "ﬁne ｆｕｌｌ ㎏ … ™ ﷺ",
    "日本語 and 한국, 😀👩\u200d👩\u200d👧 🇯🇵",
    "zero\u200bwidth\ufeff \u00adsoft\x01 \x00 \ufffd",
    "▁a ▁ b▁",
    "a <eop> b <eod> <sep> <cls>",
    "ΌΔΟΣ İstanbul Straße ǅ",
    "'''quotes``` \"so\" it's",
    TEXT,
]


@pytest.fixture(scope="module")
def proto(converted_tokenizer, tmp_path_factory):
    """A model that has pieces `▁1999,` and `0,`, as the released one does."""
    path = tmp_path_factory.mktemp("converted") / "tokenizer.json"
    path.write_text(json.dumps(converted_tokenizer["tokenizer"]))
    return sentencepiece_from_tokenizers_json(path)


def by_the_rule(model, text, lowercase=False):
    """Ids by the original's rule, a text and a piece at a time."""
    text = " ".join(text.split()).replace("``", '"').replace("''", '"')
    marks = [one for one in unicodedata.normalize("NFKD", text) if unicodedata.combining(one)]
    text = unicodedata.normalize("NFKD", text).translate({ord(mark): None for mark in marks})
    ids = []
    for piece in model.encode(text.lower() if lowercase else text, out_type=str):
        number = piece[:-1]
        if piece.endswith(",") and number and number[-1].isdigit():
            spelled = "\0".join(model.encode(number.lstrip("▁"), out_type=str))
            spelled = spelled if piece.startswith("▁") else spelled.removeprefix("▁")
            parts = [part for part in spelled.split("\0") if part] + [","]
        else:
            parts = [piece]
        ids += [model.piece_to_id(part) for part in parts]
    return ids


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


@pytest.mark.parametrize("text", HARD_TEXTS)
def test_settings_equal_the_originals_rule(proto, text):
    model = sentencepiece.SentencePieceProcessor(model_proto=proto)
    assert SentencePieceTokenizer(proto, **CASED).encode(text) == by_the_rule(model, text)
    expected = by_the_rule(model, text, lowercase=True)
    assert SentencePieceTokenizer(proto, **UNCASED).encode(text) == expected
    assert SentencePieceTokenizer(proto).encode(text) == model.encode(text)


def test_commas_after_digits(proto):
    plain = SentencePieceTokenizer(proto)
    tokenizer = SentencePieceTokenizer(proto, split_digit_commas=True)
    assert plain.pieces(plain.encode("1999, x")) == ["▁1999,", "▁", "x"]
    assert tokenizer.pieces(tokenizer.encode("1999, x"))[-3:] == [",", "▁", "x"]
    for text in ("1999,", "In 2000, he"):
        assert any(piece[-1] == "," != piece for piece in plain.pieces(plain.encode(text)))
        pieces = tokenizer.pieces(tokenizer.encode(text))
        assert not any(piece[-1] == "," != piece for piece in pieces)
        assert tokenizer.decode(tokenizer.encode(text)) == text
    texts = ["1999,", "", "he", "2000,"]
    assert tokenizer.encode(texts) == [tokenizer.encode(text) for text in texts]


def test_end_of_paragraph_and_of_document_in_text(proto):
    tokenizer = SentencePieceTokenizer(proto, **UNCASED)
    assert tokenizer.encode("a <eop>")[-1] == 8 == tokenizer.encode("a<eop>")[-1]
    assert not set(tokenizer.encode("<eod> <s> <cls> <sep>")) & set(range(1, 8))


@pytest.mark.parametrize("settings", [{}, CASED, UNCASED], ids=["plain", "cased", "uncased"])
def test_offsets(proto, tokenizer, settings):
    for model in (proto, tokenizer.proto):
        tokenizer = SentencePieceTokenizer(model, **settings)
        rows, all_offsets = tokenizer.encode_with_offsets(HARD_TEXTS)
        assert rows == tokenizer.encode(HARD_TEXTS)
        for text, ids, offsets in zip(HARD_TEXTS, rows, all_offsets):
            again = tokenizer.encode_with_offsets(text)
            assert again[0] == ids and np.array_equal(again[1], offsets)
            check_offsets(text, tokenizer.pieces(ids), offsets)


def check_offsets(text, pieces, offsets):
    """Monotone, within the text, without whitespace; with the right surface; nothing left out."""
    assert offsets.shape == (len(pieces), 2) and offsets.dtype == "int32"
    begins, ends = offsets.T
    assert (np.diff(begins) >= 0).all() and (np.diff(ends) >= 0).all()
    assert ((0 <= begins) & (begins <= ends) & (ends <= len(text))).all()
    surfaces = [text[begin:end] for begin, end in offsets]
    assert surfaces == [surface.strip() for surface in surfaces]
    for piece, surface in zip(pieces, surfaces):
        assert bool(surface) == (piece != "▁") or surface == "ﷺ"  # four words
        if surface.isascii() and piece not in ("<unk>", '"'):
            assert surface.lower().strip("\x01") == piece.lower().strip("▁")
    covered = {place for begin, end in offsets for place in range(begin, end)}
    dropped = {text[place] for place in set(range(len(text))) - covered}
    assert all(one.isspace() or one in "▁\u200b\u200d\ufeff\ufffd\x01\u0301" for one in dropped)


def test_offsets_by_hand(proto):
    text = " In  1999, ``déjà'' ﬁ"
    tokenizer = SentencePieceTokenizer(proto, **CASED)
    ids, offsets = tokenizer.encode_with_offsets(text)
    surfaces = [text[begin:end] for begin, end in offsets]
    comma = surfaces.index(",")
    assert offsets[comma].tolist() == [9, 10]
    assert offsets[0, 0] == 1 and offsets[:comma, 1].max() == 9
    assert offsets[surfaces.index("``")].tolist() == [11, 13]
    assert offsets[surfaces.index("''")].tolist() == [17, 19]
    assert surfaces[-1] == "ﬁ"
    for place, piece in enumerate(tokenizer.pieces(ids)):
        if piece == "▁":
            assert surfaces[place] == "" and offsets[place, 0] == offsets[place + 1, 0]


def test_offsets_refuse_what_is_no_text(tokenizer):
    for wrong in (3, None, ["a", None], "\ud800", b"bytes"):
        with pytest.raises(TypeError, match="list of strings"):
            tokenizer.encode_with_offsets(wrong)
    assert tokenizer.encode_with_offsets([]) == ([], [])


def test_a_model_that_falls_back_to_bytes_has_no_offsets(tmp_path):
    with open(tmp_path / "model", "wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(["some words of any kind here"] * 50),
            model_writer=file,
            vocab_size=290,
            hard_vocab_limit=False,
            byte_fallback=True,
            minloglevel=2,
        )
    tokenizer = SentencePieceTokenizer((tmp_path / "model").read_bytes())
    assert len(tokenizer.encode_with_offsets("some words")[1]) > 1
    with pytest.raises(ValueError, match="falls back to bytes.*日"):
        tokenizer.encode_with_offsets("日")


def test_settings_are_a_part_of_the_fingerprint(proto):
    tokenizers = [SentencePieceTokenizer(proto)]
    assert tokenizers[0].fingerprint == hashlib.sha256(proto).hexdigest()
    for name, value in UNCASED.items():
        tokenizers.append(SentencePieceTokenizer(proto, **{name: value}))
    tokenizers.append(SentencePieceTokenizer(proto, **CASED))
    assert len(set(tokenizers)) == len({one.fingerprint for one in tokenizers}) == 6
    assert tokenizers[0] != tokenizers[1] and tokenizers[0] != "tokenizer"
    assert tokenizers[0] == SentencePieceTokenizer(proto, keep_accents=True)


def test_settings_are_saved_and_pickled(proto, tmp_path):
    tokenizer = SentencePieceTokenizer(proto, **UNCASED)
    tokenizer.save(tmp_path)
    for copied in (SentencePieceTokenizer.load(tmp_path), pickle.loads(pickle.dumps(tokenizer))):
        assert copied == tokenizer and copied.settings == {**UNCASED, "num_sentinels": 0}
        assert copied.encode(HARD_TEXTS) == tokenizer.encode(HARD_TEXTS)
    config = json.loads((tmp_path / "tokenizer.json").read_text())
    wrong = [{**UNCASED, "proto": 1}, [], {**UNCASED, "lowercase": 1}, CASED]
    for settings in wrong:
        (tmp_path / "tokenizer.json").write_text(json.dumps({**config, "settings": settings}))
        with pytest.raises(ValueError, match="Received"):
            SentencePieceTokenizer.load(tmp_path)


def test_a_tokenizer_saved_without_settings_is_plain(tokenizer, tmp_path):
    tokenizer.save(tmp_path)
    config = json.loads((tmp_path / "tokenizer.json").read_text())
    del config["settings"]
    (tmp_path / "tokenizer.json").write_text(json.dumps(config))
    assert SentencePieceTokenizer.load(tmp_path) == tokenizer


def test_wrong_settings_are_refused(proto, tmp_path):
    for name in UNCASED:
        with pytest.raises(ValueError, match=f"{name} must be True or False. Received: 1"):
            SentencePieceTokenizer(proto, **{name: 1})
    (tmp_path / "text.txt").write_text("no marks of any kind here\n" * 50)
    without_comma = train_tokenizer(tmp_path / "text.txt", vocabulary_size=100).proto
    with pytest.raises(ValueError, match="no piece `,`"):
        SentencePieceTokenizer(without_comma, split_digit_commas=True)


@pytest.mark.skipif(RELEASED not in os.environ, reason=f"{RELEASED} names no released model")
def test_released_model():
    proto = Path(os.environ[RELEASED]).read_bytes()
    tokenizer = SentencePieceTokenizer(proto, **CASED)
    assert SentencePieceTokenizer(proto).encode("2000,") == [4643]
    assert tokenizer.encode("2000,") == [1356, 19]
    assert tokenizer.encode("a <eop>") == [24, 17, 8]
    assert 7 not in tokenizer.encode("<eod>")
    model = sentencepiece.SentencePieceProcessor(model_proto=proto)
    texts = HARD_TEXTS + BOTCHAN.read_text("utf-8").splitlines()
    expected = [by_the_rule(model, text) for text in texts]
    ids, offsets = tokenizer.encode_with_offsets(texts)
    assert tokenizer.encode(texts) == expected == ids
    for text, row, places in zip(texts, ids, offsets):
        check_offsets(text, tokenizer.pieces(row), places)


def test_the_layout_is_saved_and_a_part_of_the_fingerprint(proto, tmp_path):
    plain = SentencePieceTokenizer(proto)
    other = SentencePieceTokenizer(proto, layout="bert")
    assert plain.layout.name == "xlnet" and plain != other
    assert SentencePieceTokenizer(proto, layout="xlnet") == plain
    other.save(tmp_path)
    for copied in (SentencePieceTokenizer.load(tmp_path), pickle.loads(pickle.dumps(other))):
        assert copied == other and copied.layout == other.layout
    plain.save(tmp_path)
    config = json.loads((tmp_path / "tokenizer.json").read_text())
    del config["layout"]  # as files had it before there were layouts
    (tmp_path / "tokenizer.json").write_text(json.dumps(config))
    assert SentencePieceTokenizer.load(tmp_path) == plain
    with pytest.raises(ValueError, match="layout must be one of.*Received"):
        SentencePieceTokenizer(proto, layout="none")


# === T5's sentinels ===


@pytest.fixture(scope="module")
def t5(seq2seq_tokenizers):
    proto = base64.b64decode(seq2seq_tokenizers["t5"]["spiece.model"])
    return SentencePieceTokenizer(proto, layout="t5", num_sentinels=100)


def test_ids_of_t5_are_those_of_transformers(t5, seq2seq_tokenizers):
    texts, expected = (seq2seq_tokenizers[name]["t5"] for name in ("texts", "ids"))
    assert [t5.layout.lay_out(t5, row)[0] for row in t5.encode(texts)] == expected
    ids = {name: t5.special_token_id(name) for name in ("pad", "eos", "unk")}
    assert ids == {"pad": 0, "eos": 1, "unk": 2}
    assert t5.vocabulary_size == 400 and t5.special_token_id("extra_id_99") == 300
    assert t5.special_token_id("extra_id_0") == 399 and len(t5.special_token_ids) == 103


def test_sentinels_are_text_that_is_shown(t5):
    text = "The <extra_id_0> walks in <extra_id_1> park"
    ids, offsets = t5.encode_with_offsets(text)
    assert [index for index in ids if index >= 300] == [399, 398]
    assert t5.decode(ids) == text
    begin, end = offsets[ids.index(398)]
    assert text[begin:end] == "<extra_id_1>"
    assert not any(index >= 300 for index in t5.encode("a<extra_id_0>b <extra_id_100>"))
    assert t5.word_starts[300:].all()


def test_sentinels_are_a_setting(t5, tmp_path):
    without = SentencePieceTokenizer(t5.proto, layout="t5")
    assert without != t5 and without.vocabulary_size == 300
    assert not any(name.startswith("extra_id") for name in without.special_token_ids)
    assert pickle.loads(pickle.dumps(t5)) == t5
    t5.save(tmp_path)
    loaded = SentencePieceTokenizer.load(tmp_path)
    assert loaded == t5 and loaded.settings["num_sentinels"] == 100 and loaded.proto == t5.proto
    for wrong in (-1, 10_001, 1.5, None, True):
        with pytest.raises((TypeError, ValueError), match="num_sentinels"):
            SentencePieceTokenizer(t5.proto, num_sentinels=wrong)


def test_new_pieces_stand_behind_the_sentinels(t5):
    extended, _ = extend_tokenizer(t5, ["badgerhouse"])
    assert extended.encode("badgerhouse") == [400] and extended.vocabulary_size == 401
    assert extended.special_token_ids == t5.special_token_ids
    assert extended.encode("The <extra_id_0>") == t5.encode("The <extra_id_0>")
    assert pickle.loads(pickle.dumps(extended)) == extended


def test_span_corruption_with_sentinels_of_the_model(t5):
    objective = Denoising.for_tokenizer(t5, SpanCorruption(), sequence_length=64)
    assert (objective.input.first, objective.input.number) == (399, 100)
    assert (objective.start_token_id, objective.end_token_id) == (0, 1)
    assert (start_token_id(t5), end_token_id(t5)) == (0, 1)  # of a `Seq2SeqLM` as well
    without = SentencePieceTokenizer(t5.proto, layout="t5")
    with pytest.raises(ValueError, match="needs sentinels .*num_sentinels=100"):
        Denoising.for_tokenizer(without, SpanCorruption(), sequence_length=64)
