"""word_tokenizer.py: ids by frequency, files, and what trains on them."""

import json
import pickle

import numpy as np
import pytest

from keras_plm import data
from keras_plm.objectives import CausalModeling
from keras_plm.tokenizers import Tokenizer, WordTokenizer

LINES = ["the cat sat on the mat", "The dog saw the cat", "a dog , the dog <eos>"]


def train(lines=LINES, vocabulary_size=20, **kwargs):
    return data.train_tokenizer(data.Texts(lines), vocabulary_size, model="word", **kwargs)


@pytest.fixture(scope="module")
def tokenizer():
    return train()


def test_ids_by_frequency(tokenizer):
    """Equally frequent ones by their letters; what looks like a special token is none."""
    expected = ["<eos>", "<unk>", "the", "dog", "cat", ",", "The", "a", "mat", "on", "sat", "saw"]
    assert tokenizer.words == expected
    assert train(vocabulary_size=4).words == expected[:4]
    assert train(min_count=2).words == expected[:5]
    assert train(lowercase=True).encode("The CAT") == [2, 4]


def test_text_to_ids_and_back(tokenizer):
    assert tokenizer.encode(" the  bird\nsat ") == [2, 1, 10]
    assert tokenizer.encode(["the <eos>", ""]) == [[2, 1], []]
    assert tokenizer.encode_words(["the", "cat"]) == [[2], [4]]
    assert tokenizer.decode([2, 0, 1, 10]) == "the <unk> sat"
    assert tokenizer.pieces([0, 2]) == ["<eos>", "the"]
    assert tokenizer.special_token_ids == {"eos": 0, "unk": 1} and tokenizer.pad_token_id == 0
    assert tokenizer.word_starts.all() and not tokenizer.keeps_spaces
    rows, (offsets, none) = tokenizer.encode_with_offsets([" the  bird", ""])
    assert rows == [[2, 1], []] and offsets.tolist() == [[1, 4], [6, 10]]
    assert none.shape == (0, 2) and offsets.dtype == "int32"
    with pytest.raises(ValueError, match="ids must be within"):
        tokenizer.decode([len(tokenizer.words)])
    with pytest.raises(TypeError, match="text must be"):
        tokenizer.encode(b"the")


def test_fastai():
    lines = ["The film was GREAT!!!", "the film , the END"]
    tokenizer = train(lines, layout="ulmfit")
    assert tokenizer.words[:9] == (
        ["xxunk", "xxpad", "xxbos", "xxeos", "xxfld", "xxrep", "xxwrep", "xxup", "xxmaj"]
    )
    assert tokenizer.words[9:11] == ["the", "film"]  # not xxup, which occurs as often
    text = "The film — bad"
    rows, offsets = tokenizer.encode_with_offsets(text)
    assert rows == tokenizer.encode(text)
    assert tokenizer.pieces(rows) == ["xxmaj", "the", "film", "xxunk", "xxunk"]
    assert [text[a:b] for a, b in offsets] == ["", "The", "film", "—", "bad"]
    assert tokenizer.decode(rows) == "The film xxunk xxunk"
    # The parts of a text that its rules make one word have white space around.
    rows, offsets = tokenizer.encode_with_offsets("5 @-@ 6")
    assert offsets.tolist() == [[0, 1], [2, 5], [6, 7]]
    ids, segments = tokenizer.layout.lay_out(tokenizer, [9], [10])
    assert ids == [2, 9, 2, 10] and segments == [0, 0, 0, 0]


def test_layouts(tokenizer):
    assert tokenizer.layout.lay_out(tokenizer, [2], [3])[0] == [2, 0, 3, 0]
    elmo = train(layout="elmo")
    assert elmo.words[:4] == ["<S>", "</S>", "<UNK>", "the"]
    assert elmo.layout.lay_out(elmo, [3], [4])[0] == [0, 3, 1, 0, 4, 1]


@pytest.mark.parametrize(
    "settings", [{}, {"layout": "elmo", "lowercase": True}, {"layout": "ulmfit"}]
)
def test_files(settings, tmp_path):
    tokenizer = train(["the naïve cat\u2028", "\x85 x"], **settings)
    tokenizer.save(tmp_path)
    text = (tmp_path / "vocab.txt").read_bytes().decode()
    assert text.split("\n")[:-1] == tokenizer.words
    for copied in (
        Tokenizer.load(tmp_path),
        Tokenizer.from_preset(str(tmp_path)),
        pickle.loads(pickle.dumps(tokenizer)),
    ):
        assert type(copied) is WordTokenizer and copied == tokenizer
        assert copied.encode("The cat") == tokenizer.encode("The cat")
    (tmp_path / "vocab.txt").write_text(text + "more\n")
    with pytest.raises(ValueError, match="is not the one that"):
        Tokenizer.load(tmp_path)
    (tmp_path / "vocab.txt").write_text(text + "two words\n")
    with pytest.raises(ValueError, match="no white space"):
        Tokenizer.load(tmp_path)
    (tmp_path / "vocab.txt").write_text(text)
    config = json.loads((tmp_path / "tokenizer.json").read_text())
    config["settings"].pop("rule")
    (tmp_path / "tokenizer.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="must have the settings"):
        Tokenizer.load(tmp_path)


def test_fingerprints_tell_what_decides():
    words, special = ["<u>", "a", "b"], {"unk": "<u>"}
    given = [
        (words, special),
        (["<u>", "b", "a"], special),
        (words, {"unk": "a"}),
        (words, special, "fastai"),
        (words, special, "split", True),
        (words, special, "split", False, "gpt"),
    ]
    made = [WordTokenizer(*one) for one in given]
    assert len({one.fingerprint for one in made}) == len(given)
    assert made[0] == WordTokenizer(*given[0])


def test_vocabularies_of_others(tmp_path):
    """As bilm-tf has them; of a word that occurs twice, as in those of fastai, the last id."""
    path = tmp_path / "vocab.txt"
    path.write_text("</S>\n<S>\n<UNK>\nthe\nxxfake\nxxfake\n")
    tokenizer = WordTokenizer.from_vocabulary(path, layout="elmo")
    assert tokenizer.special_token_ids == {"bos": 1, "eos": 0, "unk": 2}
    assert tokenizer.encode("xxfake the THE") == [5, 3, 2] and tokenizer.vocabulary_size == 6
    with pytest.raises(ValueError, match="one of which is 'unk'"):
        WordTokenizer.from_vocabulary(path, layout="ulmfit")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("the cat", {"unk": "the"}), "words must be a list of strings"),
        (([], {"unk": "the"}), "words must be a list of strings"),
        ((["a", 3], {"unk": "a"}), "words must be a list of strings"),
        ((["a", ""], {"unk": "a"}), "no white space.*word 1"),
        ((["a", "b\n"], {"unk": "a"}), "no white space"),
        ((["a"], {"eos": "a"}), "one of which is 'unk'"),
        ((["a"], {"unk": "b"}), r"must be in the vocabulary. Received: \['b'\]"),
        ((["a"], {"unk": "a"}, "spacy"), "rule` must be"),
        ((["a"], {"unk": "a"}, "fastai", True), "lowercase must be"),
        ((["a"], {"unk": "a"}, "split", 1), "lowercase must be"),
        ((["a"], {"unk": "a"}, "split", False, "none"), "layout must be"),
    ],
)
def test_what_is_refused(arguments, message):
    with pytest.raises((ValueError, TypeError), match=message):
        WordTokenizer(*arguments)


def test_trainings_that_are_refused():
    with pytest.raises(ValueError, match="beside its first 2"):
        train(vocabulary_size=2)
    with pytest.raises(ValueError, match="min_count=9, and 0 words"):
        train(min_count=9)
    with pytest.raises(ValueError, match="min_count` must be"):
        train(min_count=0)
    with pytest.raises(ValueError, match='min_count is for model="word"'):
        data.train_tokenizer(data.Texts(LINES), model="bpe", min_count=2)
    with pytest.raises(ValueError, match="layout must be None or one of"):
        train(layout="bert")


def test_lines_end_in_a_stream(tokenizer, tmp_path):
    """Transformer-XL's rows: <eos> behind every line, the lines of a document in their order."""
    text = "the cat\nthe dog saw\na cat\n"
    corpus = data.Corpus.build(data.Texts([text]), tokenizer, tmp_path / "c", split_sentences=None)
    objective = CausalModeling(4, rows="sentence_stream", documents_apart=False)
    batches = data.examples(corpus, objective, 2, training=False)
    x, y, _ = batches.batch_at(0)
    words = [tokenizer.pieces(row) for row in x["token_ids"]]
    assert words == [["the", "cat", "<eos>", "the"], ["saw", "<eos>", "a", "cat"]]
    np.testing.assert_array_equal(y["tokens"][:, :-1], x["token_ids"][:, 1:])
    assert tokenizer.pieces(y["tokens"][:, -1]) == ["dog", "<eos>"]
    assert x["fresh"].all()
    # Without line ends, for comparison: one separator, that of the document.
    other = CausalModeling(3, rows="stream", documents_apart=False)
    x, _, _ = data.examples(corpus, other, 2, training=False).batch_at(0)
    assert [tokenizer.pieces(row) for row in x["token_ids"]] == [
        ["the", "cat", "the"],
        ["saw", "a", "cat"],
    ]


def test_another_is_saved_where_one_was(tmp_path):
    first = WordTokenizer(["<unk>", "a", "b"], {"unk": "<unk>"})
    for words in (["<unk>", "a"], ["<unk>", "a", "c", "d"]):
        first.save(tmp_path)
        other = WordTokenizer(words, {"unk": "<unk>"})
        other.save(tmp_path)
        assert WordTokenizer.load(tmp_path) == other != first
        assert len(list(tmp_path.iterdir())) == 2
