"""subword_tokenizer.py: equal to transformers on hard texts; special tokens, offsets, files."""

import json
import pickle
import unicodedata

import numpy as np
import pytest

from keras_plm.data import SubwordTokenizer, Tokenizer

NAMES = [
    *("bert_uncased", "bert_cased", "bert_with_accents", "bert_whole_chinese", "mpnet"),
    *("roberta", "gpt2", "gpt2_prefix_space", "gpt", "xlm", "xlm_cased"),
]


@pytest.fixture(params=NAMES)
def tokenizer(request, subword_tokenizers):
    return subword_tokenizers[request.param]


@pytest.mark.parametrize("name", NAMES)
def test_ids_equal_those_of_transformers(name, subword_tokenizers, subword_fixture):
    tokenizer, texts = subword_tokenizers[name], subword_fixture["texts"]
    expected = subword_fixture["ids"][name]
    for text, ids in zip(texts, expected):
        assert tokenizer.encode(text) == ids, text
    assert tokenizer.encode(texts, num_threads=2) == expected
    unknown = [tokenizer.special_token_ids["unk"]]
    shares = [np.isin(ids, unknown).mean() for ids in expected if ids]
    assert np.mean(shares) < 0.3  # that a vocabulary is there


def test_special_tokens_in_text_stay_text(tokenizer, subword_fixture):
    ids = tokenizer.special_token_ids
    hidden = set(ids.values()) - {ids["unk"]}
    texts = subword_fixture["texts"] + [" ".join(tokenizer.special_tokens.values())]
    texts += list(tokenizer.special_tokens.values())
    for row in tokenizer.encode(texts):
        assert not hidden & set(row)


def test_decode(tokenizer):
    ids = tokenizer.encode("the badger was angry")
    assert tokenizer.decode(np.array(ids)).strip() == "the badger was angry"
    special = [index for name, index in tokenizer.special_token_ids.items() if name != "unk"]
    assert tokenizer.decode(special[:1] + ids + special).strip() == "the badger was angry"
    assert tokenizer.decode([]) == ""
    for wrong in ([-1], [tokenizer.vocabulary_size]):
        with pytest.raises(ValueError, match="ids must be within.*Received"):
            tokenizer.decode(wrong)


def test_offsets(tokenizer, subword_fixture):
    texts = subword_fixture["texts"]
    rows, all_offsets = tokenizer.encode_with_offsets(texts)
    assert rows == tokenizer.encode(texts)
    for text, ids, offsets in zip(texts, rows, all_offsets):
        again = tokenizer.encode_with_offsets(text)
        assert again[0] == ids and np.array_equal(again[1], offsets)
        assert offsets.shape == (len(ids), 2) and offsets.dtype == "int32"
        begins, ends = offsets.T
        assert (np.diff(begins) >= 0).all() and (np.diff(ends) >= 0).all()
        assert ((0 <= begins) & (begins <= ends) & (ends <= len(text))).all()
        surfaces = [text[begin:end] for begin, end in offsets]
        assert surfaces == [surface.strip() for surface in surfaces]
        for piece, surface in zip(tokenizer.pieces(ids), surfaces):
            plain = piece.removeprefix("##").removesuffix("</w>").removeprefix("Ġ")
            if surface.isascii() and plain.isascii() and surface.isprintable():
                assert plain.lower() in (surface.lower(), "[unk]", "<unk>")
        covered = {place for begin, end in offsets for place in range(begin, end)}
        left_out = {text[place] for place in range(len(text)) if place not in covered}
        kinds = {unicodedata.category(one) for one in left_out if not one.isspace()}
        assert kinds <= {"Cc", "Cf", "Mn", "So", "Cn"} and not left_out & set("abcé日")


def test_offsets_by_hand(subword_tokenizers):
    text = "  Cafe\u0301s,  the ĂĂ"
    for name in ("bert_uncased", "gpt", "roberta", "xlm"):
        offsets = subword_tokenizers[name].encode_with_offsets(text)[1]
        assert offsets[0, 0] == 2 and offsets[-1, 1] == len(text)
        assert [11, 14] in offsets.tolist()
    ids, offsets = subword_tokenizers["xlm"].encode_with_offsets("e\u0301 ½ İx")
    assert offsets[0].tolist() == [0, 2] and offsets[-1, 1] == 7


def test_word_starts(subword_tokenizers):
    bert = subword_tokenizers["bert_uncased"]
    starts = bert.word_starts
    assert starts.dtype == bool and starts.shape == (bert.vocabulary_size,)
    ids = bert.encode("the badgerish, 日本")
    expected = [not piece.startswith("##") for piece in bert.pieces(ids)]
    assert bert.starts_words(ids).tolist() == expected and not all(expected)
    gpt2 = subword_tokenizers["gpt2"]
    ids = gpt2.encode("the badgerish the")
    expected = [piece.startswith("Ġ") for piece in gpt2.pieces(ids)]
    assert gpt2.starts_words(ids).tolist() == [True, *expected[1:]]
    gpt = subword_tokenizers["gpt"]
    ids = gpt.encode("the badgerish the")
    ends = [piece.endswith("</w>") for piece in gpt.pieces(ids)]
    assert gpt.starts_words(ids).tolist() == [True, *ends[:-1]] and not all(ends)
    for tokenizer in (bert, gpt2, gpt):
        assert tokenizer.starts_words([]).shape == (0,)


def test_words(subword_tokenizers):
    words = ["the", "badger", "", "\x00"]
    gpt2 = subword_tokenizers["gpt2"]
    assert sum(gpt2.encode_words(words[:2]), []) == gpt2.encode(" the badger")
    bert = subword_tokenizers["bert_cased"]
    rows = bert.encode_words(words)
    assert rows[0] + rows[1] == bert.encode("the badger") and rows[2:] == [[], []]


def test_rows(subword_tokenizers):
    rows = {
        "bert_uncased": "[CLS] the [SEP] was [SEP]",
        "mpnet": "<s> the </s> </s> was </s>",
        "roberta": "<s> the </s> </s> was </s>",
        "xlm": "</s> the</w> </s> was</w> </s>",
        "gpt": "the</w> was</w>",
    }
    for name, expected in rows.items():
        tokenizer = subword_tokenizers[name]
        first, second = (tokenizer.encode(text) for text in ("the", "was"))
        ids, segments = tokenizer.layout.lay_out(tokenizer, first, second)
        pieces = " ".join(tokenizer.pieces(ids))
        assert pieces.replace("w as", "was") == expected and len(ids) == len(segments)


def test_special_ids(subword_tokenizers):
    bert, gpt2 = subword_tokenizers["bert_cased"], subword_tokenizers["gpt2"]
    assert (bert.pad_token_id, bert.unk_token_id, bert.cls_token_id) == (0, 1, 2)
    assert (bert.sep_token_id, bert.mask_token_id, bert.mask_token) == (3, 4, "[MASK]")
    assert gpt2.pad_token_id == gpt2.eos_token_id == 5
    assert subword_tokenizers["gpt"].pad_token_id == 0
    with pytest.raises(ValueError, match="no special token 'mask'"):
        gpt2.mask_token_id


def test_languages(subword_tokenizers):
    xlm = subword_tokenizers["xlm"]
    assert xlm.languages == {"en": 0, "el": 1, "zh": 2}
    assert xlm.language_id("el") == 1 and xlm.language_id("zh", pre_split=True) == 2
    with pytest.raises(ValueError, match="separate them by a segmenter.*Received: language='zh'"):
        xlm.language_id("zh")
    with pytest.raises(ValueError, match=r"one of \['el', 'en', 'zh'\]. Received: language='xx'"):
        xlm.language_id("xx")


def test_save_load_and_pickle(tokenizer, tmp_path, subword_fixture):
    tokenizer.save(tmp_path)
    loaded, copied = Tokenizer.load(tmp_path), pickle.loads(pickle.dumps(tokenizer))
    for one in (loaded, copied):
        assert one == tokenizer and type(one) is SubwordTokenizer
        assert one.layout == tokenizer.layout and one.languages == tokenizer.languages
        assert one.special_token_ids == tokenizer.special_token_ids
        assert one.encode(subword_fixture["texts"]) == tokenizer.encode(subword_fixture["texts"])


def test_all_arguments_are_a_part_of_the_fingerprint(subword_tokenizers):
    one = subword_tokenizers["xlm"]
    arguments = {
        "model": one.model,
        "special_tokens": one.special_tokens,
        "layout": "xlm",
        "languages": one.languages,
        "lower_and_strip": True,
    }
    assert SubwordTokenizer(**arguments) == one
    fingerprints = {one.fingerprint for one in subword_tokenizers.values()}
    changes = [
        ("layout", "bert"),
        ("languages", {"en": 0}),
        ("lower_and_strip", False),
        ("special_tokens", {"unk": "<unk>"}),
    ]
    for name, value in changes:
        fingerprints.add(SubwordTokenizer(**{**arguments, name: value}).fingerprint)
    assert len(fingerprints) == len(NAMES) + len(changes)


def test_damaged_files_are_refused(subword_tokenizers, tmp_path):
    tokenizer = subword_tokenizers["roberta"]
    tokenizer.save(tmp_path)
    path = tmp_path / "vocabulary.json"
    text = path.read_text("utf-8")
    saved = json.loads(text)
    saved["model"]["model"]["merges"] = saved["model"]["model"]["merges"][:-1]
    damaged = {
        text[:-100]: "not valid JSON",
        "{}": "must hold parts and a model",
        json.dumps({**saved, "parts": {"special_tokens": {}}}): "must hold parts and a model",
        json.dumps(saved): "not the one that tokenizer.json describes",
        json.dumps({**saved, "parts": {"special_tokens": {"a": 3}, "languages": {}}}): "dict of",
        json.dumps({**saved, "model": {}}): "a model of the types",
    }
    for content, message in damaged.items():
        path.write_text(content, encoding="utf-8")
        with pytest.raises(ValueError, match=message):
            Tokenizer.load(tmp_path)
    path.unlink()
    with pytest.raises(FileNotFoundError, match="vocabulary.json"):
        Tokenizer.load(tmp_path)
    path.write_text(text, encoding="utf-8")
    config = json.loads((tmp_path / "tokenizer.json").read_text())
    config["settings"]["lowercase"] = True
    (tmp_path / "tokenizer.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="lower_and_strip alone"):
        Tokenizer.load(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "vocab.txt"}, "model must be JSON"),
        ({"model": None}, "text of a tokenizer.json"),
        ({"special_tokens": {"cls": "[CLASS]"}}, r"must be in the vocabulary.*\[CLASS\]"),
        ({"special_tokens": ["[CLS]"]}, "special_tokens must be a dict"),
        ({"languages": {"en": "0"}}, "languages must be a dict"),
        ({"layout": "albert"}, "layout must be one of"),
        ({"lower_and_strip": 1}, "lower_and_strip must be True or False"),
    ],
)
def test_bad_arguments(subword_tokenizers, change, message):
    one = subword_tokenizers["bert_cased"]
    arguments = {"model": one.model, "special_tokens": one.special_tokens}
    with pytest.raises(ValueError, match=message):
        SubwordTokenizer(**{**arguments, **change})


@pytest.mark.parametrize("wrong", [3, None, ["a", None], [["a"]], "\ud800", ["a", "\udfff"], b"a"])
def test_what_is_no_text(subword_tokenizers, wrong):
    for name in ("bert_cased", "xlm"):
        for method in ("encode", "encode_with_offsets"):
            with pytest.raises(TypeError, match="list of strings"):
                getattr(subword_tokenizers[name], method)(wrong)
    assert subword_tokenizers["gpt"].encode([]) == []


def test_a_regular_expression_that_gives_up(subword_tokenizers):
    """The library panics, which no `except Exception` catches."""
    one = subword_tokenizers["roberta"]
    model = json.loads(one.model)
    rule = {"Regex": "(a+)+$"}
    model["pre_tokenizer"] = {
        "type": "Sequence",
        "pretokenizers": [
            {"type": "Split", "pattern": rule, "behavior": "Isolated", "invert": False},
            {**model["pre_tokenizer"], "use_regex": False},
        ],
    }
    tokenizer = SubwordTokenizer(json.dumps(model), one.special_tokens, layout="roberta")
    assert tokenizer.encode("a cat")
    for texts in ("a" * 40 + "!", ["a" * 40 + "!"] * 2):
        with pytest.raises(ValueError, match="rules of this tokenizer.*PanicException"):
            tokenizer.encode(texts, num_threads=2)
