"""pickled_vocabulary.py, pickle_values.py: pickles of every protocol, and those that mean harm."""

import collections
import datetime
import io
import os
import pickle
import struct

import pytest

from keras_plm.checkpoints import convert_pickled_vocabulary
from keras_plm.checkpoints.formats import pickle_values, pickled_vocabulary
from keras_plm.checkpoints.formats.pickled_vocabulary import read_pickled_vocabulary

WORDS = ["<eos>", "<unk>", "the", "naïve", "猫", "a", "\U0001f600", "long" * 100]
IDS = {word: index for index, word in enumerate(WORDS)}
TRANSFORMER_XL = {
    "counter": collections.Counter({word: 10**12 - index for word, index in IDS.items()}),
    "special": ["<eos>"],
    "min_freq": 0,
    "max_size": None,
    "lower_case": False,
    "delimiter": None,
    "vocab_file": None,
    "never_split": ("<eos>",),
    "idx2sym": WORDS,
    "sym2idx": collections.OrderedDict(IDS),
    "unk_idx": 1,
    "share": 0.5,
}
# What `torch.save` wrote until 2020, around the value: a mark, a version, the machine, no tensors.
TORCH = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True, "type_sizes": {"int": 4, "long": 4}}]


@pytest.fixture
def read(tmp_path):
    def read_bytes(content):
        path = tmp_path / "vocabulary.pkl"
        path.write_bytes(content)
        return read_pickled_vocabulary(path)

    return read_bytes


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "value",
    [
        WORDS,
        IDS,
        {word: IDS[word] for word in reversed(WORDS)},
        collections.OrderedDict(IDS),
        collections.Counter(IDS),
        TRANSFORMER_XL,
        {"sym2idx": IDS},
        {"itos": WORDS, "stoi": {**IDS, "other": 1}},  # unknown words, as fastai's stoi has them
    ],
)
def test_every_protocol(read, value, protocol):
    assert read(pickle.dumps(value, protocol)) == WORDS
    file = io.BytesIO()
    for one in [*TORCH, value, []]:
        pickle.dump(one, file, protocol)
    assert read(file.getvalue()) == WORDS


def test_what_python_2_wrote(read):
    """Byte strings, and an `OrderedDict` made of a list of lists."""
    content = b"\x80\x02ccollections\nOrderedDict\nq\x00]q\x01(]q\x02(U\x03n\xc3\xa9K\x00e"
    content += b"](U\x03theK\x01ee\x85Rq\x03."
    assert read(content) == ["né", "the"]
    assert read(b"(lp0\nS'the'\np1\naS'cat'\np2\na.") == ["the", "cat"]


def test_the_text_file(tmp_path):
    """White space, which is a word of fastai's, is written as a sign, and ids stay."""
    source, target = tmp_path / "itos.pkl", tmp_path / "vocab.txt"
    source.write_bytes(pickle.dumps(["xxunk", "\n", "\n\n", "the", "a b", "xxfake", "xxfake"]))
    assert convert_pickled_vocabulary(source, target) == 7
    assert target.read_bytes().decode() == "xxunk\n␊\n␊␊\nthe\na▁b\nxxfake\nxxfake\n"
    source.write_bytes(pickle.dumps(["the", "\n", "␊"]))
    with pytest.raises(ValueError, match="cannot tell apart"):
        convert_pickled_vocabulary(str(source), str(target))
    assert target.read_bytes().startswith(b"xxunk") and len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "must hold one vocabulary.*Received: 0"),
        (7, "must hold one vocabulary.*Received: 0"),
        (("a", "b"), "must hold one vocabulary.*Received: 0"),
        ({"a": "b"}, "must hold one vocabulary.*Received: 0"),
        (["a", 3], "must have a list of words.*Received: a list of 2"),
        (["a", ""], "must have a list of words"),
        (["a", "\ud800"], "must have a list of words"),
        ({"idx2sym": "abc"}, "must have a list of words.*Received: 'abc'"),
        ({"a": 0, "b": 2}, "ids from 0 to 1, one for each word. Received: 2 for 'b'"),
        ({"a": 0, "b": 0}, "ids from 0 to 1.*Received: 0 for 'b'"),
        ({1: 0}, "ids from 0 to 0.*Received: 0 for 1"),
        ({"itos": ["a", "b"], "stoi": {"a": 1, "b": 0}}, "that agree. Received: 1 for 'a'"),
        ({"itos": ["a"], "stoi": {"b": 1}}, "that agree. Received: 1 for 'b'"),
        ({"itos": ["a"], "stoi": ["a"]}, "that agree"),
        ({(1, 2): 3}, "a key that is no string and no index: a tuple of 2"),
        ({2**40: "a"}, "a key that is no string and no index"),
        ([2**200], "an integer of 201 bits"),
        ({"a"}, "needs no EMPTY_SET"),
        ([b"a"], "needs no SHORT_BINBYTES"),
        (datetime.date(2020, 1, 1), "names 'datetime.date'"),
        (collections.deque(["a"]), "names 'collections.deque'"),
    ],
)
def test_other_values(read, value, message):
    for protocol in range(4 if "needs no" in message else 2, 6):
        with pytest.raises(ValueError, match=message):
            read(pickle.dumps(value, protocol))


def test_two_vocabularies(read):
    with pytest.raises(ValueError, match="Received: 2"):
        read(pickle.dumps(WORDS) + pickle.dumps(WORDS))
    with pytest.raises(ValueError, match="8 pickles at most"):
        read(pickle.dumps(1) * 9)


def test_archives_and_large_files(read, monkeypatch):
    with pytest.raises(ValueError, match="is an archive.*data.pkl"):
        read(b"PK\x03\x04")
    monkeypatch.setattr(pickled_vocabulary, "LARGEST_BYTES", 10)
    with pytest.raises(ValueError, match="larger than 10 bytes"):
        read(pickle.dumps(WORDS))


class Harm:
    """Runs a command when it is loaded by `pickle`."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", range(6))
def test_nothing_is_run(read, protocol, tmp_path):
    made = tmp_path / "made"
    for value in (Harm(made), [*WORDS, Harm(made)], {**TRANSFORMER_XL, "other": Harm(made)}):
        with pytest.raises(ValueError, match=f"refused: it names '{os.name}.mkdir'"):
            read(pickle.dumps(value, protocol))
    pickle.loads(pickle.dumps(Harm(made), protocol))  # as it would have gone
    assert made.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "Received: 0"),
        (b"\x80\x04", "no pickle, or a damaged one, from byte 0"),
        (b"the\ncat\n", "no pickle, or a damaged one"),
        (pickle.dumps(WORDS)[:-5], "no pickle, or a damaged one"),
        (b"]X\xff\xff\xff\x7fa.", "no pickle, or a damaged one"),
        (b"]\x8d" + struct.pack("<Q", 2**63) + b"a.", "no pickle, or a damaged one"),
        (b"]\x8b" + struct.pack("<i", 2**31 - 1) + b"a.", "no pickle, or a damaged one"),
        (b"j\xff\xff\xff\x7f.", "no pickle, or a damaged one"),
        (b"a.", "no pickle, or a damaged one"),
        (b"(.", "a mark, as a value"),
        (b"ccollections\nCounter\n.", "it holds a name"),
        (b"(ccollections\nCounter\nl.", "it holds a name"),
        (b"]ccollections\nCounter\na.", "it holds a name"),
        (b"}X\x01\x00\x00\x00accollections\nCounter\ns.", "it holds a name"),
        (b"ccollections\nCounter\n)Q.", "no BINPERSID"),
        (b"ccollections\nCounter\n)\x81.", "no NEWOBJ"),
        (b"ccollections\nCounter\n)R}b.", "no BUILD"),
        (b"(S'x'\nios\nsystem\n.", "no INST"),
        (b"\x82\x01.", "no EXT1"),
        (b"X\x01\x00\x00\x00aX\x01\x00\x00\x00b\x93.", "names 'a.b'"),
        (b"K\x01K\x01\x93.", "the name at byte 4 is none"),
        (b"])R.", "calls what is no name"),
        (b"ccollections\nCounter\nK\x01K\x02\x86R.", "calls what is no name"),
        (b"ccollections\nCounter\n]R.", "what is no tuple"),
        (b"ccollections\nCounter\nK\x05\x85R.", "what is no list: 5"),
        (b"ccollections\nCounter\n]K\x05a\x85R.", "what are no pairs"),
        (b"K\x05K\x06a.", "what is no list: 5"),
        (b"K\x05K\x06K\x07s.", "what is no dict: 5"),
        (b"(K\x05d.", "a key without a value"),
        (b"}]]s.", "a key that is no string"),
    ],
)
def test_damaged_and_odd_pickles(read, content, message):
    with pytest.raises(ValueError, match=message):
        read(content)


def remembered(parts):
    """The parts of a pickle, part n kept under the number n, all of them dropped."""
    return b"(" + b"".join(part + b"q%c" % n for n, part in enumerate(parts)) + b"1"


def twice(n):
    return b"h%c" % n * 2


def test_what_is_said_twice_is_kept_once(read):
    """Lists of two of the list before: 2 ** 60 elements; tuples whose hash takes as long."""
    lists = remembered([b"]K\x00a", *(b"](" + twice(n) + b"e" for n in range(60))])
    with pytest.raises(ValueError, match="must have a list of words.*Received: a list of 2"):
        read(lists + b"h\x3c.")
    tuples = remembered([b"K\x01", *(twice(n) + b"\x86" for n in range(60))])
    with pytest.raises(ValueError, match="a key that is no string and no index: a tuple of 2"):
        read(tuples + b"}h\x3cK\x01s.")


def test_deep_lists(read):
    with pytest.raises(ValueError, match="must have a list of words.*Received: a list of 1"):
        read(b"]" * 100_000 + b"a" * 99_999 + b".")


def test_what_takes_long_is_counted(read, monkeypatch):
    """Lists without end; dicts that are made of the same list again and again."""
    monkeypatch.setattr(pickle_values, "MOST_STEPS", 20_000)
    with pytest.raises(ValueError, match="refused: it takes more than 20,000 steps"):
        read(b"]" * 2_001)
    assert read(pickle.dumps(WORDS * 1_000)) == WORDS * 1_000
    pairs = b"](" + b"(X\x01\x00\x00\x00aK\x00l" * 500 + b"eq\x00"
    with pytest.raises(ValueError, match="takes more than"):
        read(pairs + b"0ccollections\nCounter\nh\x00\x85R" * 30 + b".")
