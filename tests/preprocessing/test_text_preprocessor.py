import json
import os
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_plm.tasks import TextPreprocessor

SEP, CLS, PAD = 4, 3, 5


@pytest.fixture(scope="module")
def preprocessor(tokenizer):
    return TextPreprocessor(tokenizer, sequence_length=12)


def test_single_text(preprocessor, tokenizer):
    ids = tokenizer.encode("the boat")
    assert 2 <= len(ids) <= 9
    out = preprocessor(["the boat"])
    pad = 12 - len(ids) - 2
    assert out["token_ids"].tolist() == [[PAD] * pad + ids + [SEP, CLS]]
    assert out["segment_ids"].tolist() == [[0] * pad + [0] * len(ids) + [0, 2]]
    assert out["padding_mask"].tolist() == [[False] * pad + [True] * (len(ids) + 2)]
    assert [out[name].dtype.name for name in ("token_ids", "segment_ids", "padding_mask")] == [
        "int32",
        "int32",
        "bool",
    ]
    assert set(out) == {"token_ids", "segment_ids", "padding_mask"}


def test_pair(preprocessor, tokenizer):
    first, second = tokenizer.encode(["we", "you"])
    out = preprocessor((["we"], ["you"]))
    pad = 12 - len(first) - len(second) - 3
    assert pad >= 0
    assert out["token_ids"].tolist() == [[PAD] * pad + first + [SEP] + second + [SEP, CLS]]
    segments = [0] * (pad + len(first) + 1) + [1] * (len(second) + 1) + [2]
    assert out["segment_ids"].tolist() == [segments]


def test_special_tokens_are_the_originals(tokenizer):
    assert (tokenizer.sep_token_id, tokenizer.cls_token_id, tokenizer.pad_token_id) == (4, 3, 5)


def test_a_long_text_loses_its_end(preprocessor, tokenizer):
    text = "I could not understand what they were talking about"
    ids = tokenizer.encode(text)
    assert len(ids) > 10
    out = preprocessor([text])
    assert out["token_ids"].tolist() == [ids[:10] + [SEP, CLS]]
    assert out["padding_mask"].all()


def one_at_a_time(first, second, room):
    """The released code's truncation: the longer list loses its last id, B if both are as long."""
    first, second = list(first), list(second)
    while len(first) + len(second) > room:
        (first if len(first) > len(second) else second).pop()
    return first, second


def test_pairs_are_cut_as_one_token_at_a_time(tokenizer):
    random = np.random.default_rng(0)
    for _ in range(500):
        length = int(random.integers(4, 40))
        first, second = (random.integers(9, 300, random.integers(0, 50)).tolist() for _ in "ab")
        ids, segments = TextPreprocessor(tokenizer, length).pair_row(first, second)
        a, b = one_at_a_time(first, second, length - 3)
        assert ids == a + [SEP] + b + [SEP, CLS]
        assert segments == [0] * (len(a) + 1) + [1] * (len(b) + 1) + [2]


@pytest.mark.parametrize("empty", ["", "  ", "\n\u00a0", "\u200b"])
def test_no_text_at_all(preprocessor, empty):
    for x in (["the boat", empty, "a"], (["a", "b"], ["the boat", empty])):
        with pytest.raises(ValueError, match="empty text in row 1.*Remove such rows. Received"):
            preprocessor(x)


def test_all_kinds_of_strings(preprocessor):
    texts = ["the boat", "two houses é"]
    expected = preprocessor(texts)["token_ids"]
    for same in (
        [text.encode() for text in texts],
        np.array(texts),
        np.array(texts, dtype=object),
        np.array([text.encode() for text in texts]),
        iter(texts),
    ):
        np.testing.assert_array_equal(preprocessor(same)["token_ids"], expected)


def test_tensors_of_strings(preprocessor):
    tf = pytest.importorskip("tensorflow")
    texts = ["the boat", "two houses é"]
    np.testing.assert_array_equal(
        preprocessor(tf.constant(texts))["token_ids"], preprocessor(texts)["token_ids"]
    )


@pytest.mark.parametrize(
    "x, error, message",
    [
        ("one text", TypeError, "list of texts. Received one text: 'one text'"),
        (b"one text", TypeError, "list of texts. Received bytes: b'one text'"),
        ([1, 2], TypeError, "must be a string. Received: 1"),
        (["a", None], TypeError, "must be a string. Received: None"),
        ([["a", "b"]], TypeError, r"must be a string. Received: \['a', 'b'\]"),
        (["a", float("nan")], TypeError, "must be a string. Received: nan"),
        (np.ones((2, 3)), TypeError, r"one dimension.*shape \(2, 3\)"),
        ([], ValueError, "no texts"),
        ((["a", "b"], ["c"]), ValueError, "as long as each other.*2 and 1 texts"),
        ((["a"], ["b"], ["c"]), ValueError, "pair of two lists.*3 elements"),
        (("a", "b"), TypeError, "Received one text: 'a'"),
        ([b"\xff\xfe"], ValueError, "utf-8"),
    ],
)
def test_bad_input(preprocessor, x, error, message):
    with pytest.raises(error, match=message):
        preprocessor(x)


@pytest.mark.parametrize("length", [3, 0, -1, 8.0, "8", True])
def test_bad_length(tokenizer, length):
    with pytest.raises(ValueError, match="sequence_length.*Received"):
        TextPreprocessor(tokenizer, length)


def test_a_tokenizer_without_a_piece(tokenizer, monkeypatch):
    monkeypatch.delitem(tokenizer.special_token_ids, "cls")
    with pytest.raises(ValueError, match="no special token 'cls'"):
        TextPreprocessor(tokenizer, 12)(["a"])


def test_preset_round_trip(preprocessor, tmp_path):
    directory = str(tmp_path / "preset")
    preprocessor.save_to_preset(directory)
    again = TextPreprocessor.from_preset(directory)
    assert again.sequence_length == 12
    assert again.tokenizer.fingerprint == preprocessor.tokenizer.fingerprint
    np.testing.assert_array_equal(again(["a b"])["token_ids"], preprocessor(["a b"])["token_ids"])
    assert TextPreprocessor.from_preset(directory, sequence_length=5).sequence_length == 5
    again.save_to_preset(directory)  # over itself


@pytest.mark.parametrize(
    "changes",
    [
        {"class": "Other"},
        {"class": None},
        {"sequence_length": "12"},
        {"sequence_length": None},
        {"sequence_length": 10**12},
        {"sequence_length": 2},
        {"sequence_length": True},
        {"more": "../../etc/passwd"},
    ],
)
def test_edited_settings(preprocessor, tmp_path, changes):
    directory = str(tmp_path / "preset")
    preprocessor.save_to_preset(directory)
    path = Path(directory) / "preprocessor.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    with pytest.raises(ValueError, match="Received"):
        TextPreprocessor.from_preset(directory)


def test_missing_and_foreign_files(preprocessor, other_tokenizer, tmp_path):
    with pytest.raises(FileNotFoundError, match="no preset .*nowhere"):
        TextPreprocessor.from_preset(str(tmp_path / "nowhere"))
    directory = str(tmp_path / "preset")
    preprocessor.save_to_preset(directory)
    Path(directory, "vocabulary.spm").write_bytes(other_tokenizer.proto)
    with pytest.raises(ValueError, match="not the one that tokenizer.json describes"):
        TextPreprocessor.from_preset(directory)
    os.remove(os.path.join(directory, "vocabulary.spm"))
    with pytest.raises(FileNotFoundError, match="vocabulary.spm"):
        TextPreprocessor.from_preset(directory)
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("all of it")
    with pytest.raises(ValueError, match="it is not replaced"):
        preprocessor.save_to_preset(str(foreign))


def test_config(preprocessor):
    config = preprocessor.get_config()
    json.dumps(config)
    again = TextPreprocessor.from_config(config)
    assert again.sequence_length == 12 and again.tokenizer is None
    assert keras.saving.get_registered_name(TextPreprocessor) == "keras_plm>TextPreprocessor"


def test_what_is_too_long_is_said_or_refused(tokenizer, caplog, tmp_path):
    texts = (["the boat", "I could not understand what they said"], ["we", "the other boat was"])
    assert TextPreprocessor(tokenizer, 12)(texts)["token_ids"].shape == (2, 12)
    assert "1 of 2 rows are longer than 12 tokens, the first of them row 1" in caplog.text
    assert "they lose their ends" in caplog.text
    TextPreprocessor(tokenizer, 12, backward=True)(texts)
    assert "they lose their beginnings, as they are read backward" in caplog.text
    strict = TextPreprocessor(tokenizer, 12, truncate=False)
    with pytest.raises(ValueError, match="1 of 2 rows are longer than 12 .* `truncate=True`"):
        strict(texts)
    assert strict(["the boat"])["padding_mask"].any()
    strict.save_to_preset(str(tmp_path / "strict"))
    assert TextPreprocessor.from_preset(str(tmp_path / "strict")).truncate is False
    with pytest.raises(ValueError, match="`truncate` must be True or False. Received: 'no'"):
        TextPreprocessor(tokenizer, truncate="no")
