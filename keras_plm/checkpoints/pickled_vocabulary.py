"""Vocabularies inside of released pickles, read without making any object of them.

    from keras_plm.checkpoints import convert_pickled_vocabulary

    convert_pickled_vocabulary("itos_wt103.pkl", "vocab.txt")  # one word on each line, by its id

A pickle is a program for a machine with a stack. The library `pickletools` reads it as a list of
instructions and runs none; here those are followed that make strings, numbers, lists, tuples and
dicts, which is all that a vocabulary is made of. `OrderedDict` and `Counter` are read as dicts.
Whatever else an instruction names, calls or fills is refused, whether the vocabulary needs it or
not. There are bounds to the size of the file, to the number of instructions, and, by these, to
memory, a few hundred MB: what a pickle says twice is kept once.

What holds a vocabulary:

    ["xxunk", "xxpad", "the", ...]                            fastai's itos
    {"the": 2, "xxunk": 0, "xxpad": 1, ...}                   ids from 0 to V - 1
    {"idx2sym": [...], "sym2idx": {...}, "counter": {...}}    Transformer-XL's vocab.bin, vocab.pkl

`torch.save` wrote several pickles one after the other until 2020 (`vocab.bin`); of these one must
hold a vocabulary.
"""

import io
import pickletools
from pathlib import Path

from keras_plm.files import replacing_files

LARGEST_BYTES = 100_000_000
MOST_STEPS = 10_000_000  # six of them are a word of Transformer-XL's, of which there are 800,000
CONTAINER_STEPS = 10  # that a list, tuple or dict counts for, which takes more memory
MOST_BITS = 128  # of an integer; `torch.save` begins with one of 77
MOST_PICKLES = 8  # one after the other in a file; `torch.save` wrote five
MAPPINGS = {("collections", "OrderedDict"), ("collections", "Counter")}
WORD_LISTS = ("idx2sym", "itos")  # in dicts of attributes
ID_TABLES = ("sym2idx", "stoi")
# What white space becomes, which no text of a `WordTokenizer` becomes.
LINE_FEED, OTHER_SPACE = "␊", "▁"

CONSTANTS = {
    "NONE": None,
    "NEWTRUE": True,
    "NEWFALSE": False,
    "EMPTY_TUPLE": (),
}
NUMBERS = ("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT")
TEXTS = ("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8")
BYTE_TEXTS = ("STRING", "BINSTRING", "SHORT_BINSTRING")  # what Python 2 wrote
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
CONTAINERS = ("EMPTY_LIST", "EMPTY_DICT", "LIST", "TUPLE", "DICT", "REDUCE", *TUPLES)
NOTHING = ("PROTO", "FRAME")


def convert_pickled_vocabulary(path, to):
    """Write the words of a pickled vocabulary to a text file, one on each line.

    White space in a word, which a line cannot have, becomes `␊` (of a line feed) or `▁`: no text
    of a `WordTokenizer` becomes such a word, and ids stay what they are.

    Args:
        path: str or path of the pickle.
        to: str or path of the text file, which is replaced if it is there.

    Returns:
        int, V, the number of the words.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: as `read_pickled_vocabulary`; or two words are the same in the text file.
    """
    words = read_pickled_vocabulary(path)
    lines = [_without_spaces(word) for word in words]
    known = set(words)
    clash = [word for word, line in zip(words, lines) if word != line and line in known]
    if clash:
        raise ValueError(
            f"{path} has words with white space that are other words without it, "
            f"which a text file cannot tell apart. Received: {clash[:5]!r:.200}"
        )
    to = Path(to)
    with replacing_files(to.parent) as partial:
        text = "".join(f"{line}\n" for line in lines)
        (partial / to.name).write_text(text, encoding="utf-8", newline="\n")
    return len(words)


def read_pickled_vocabulary(path):
    """Return the words of a pickled vocabulary in the order of their ids.

    Args:
        path: str or path of the pickle.

    Returns:
        list of V str.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is too large or damaged, holds, names or calls anything but what
            the module says, or has no vocabulary or several.
    """
    path = Path(path)
    if path.stat().st_size > LARGEST_BYTES:
        raise ValueError(f"{path} is larger than {LARGEST_BYTES} bytes")
    content = path.read_bytes()
    if content[:2] == b"PK":
        raise ValueError(
            f"{path} is an archive, as torch.save writes it today. Unpack it by `python -m zipfile "
            "-e`, and give the file data.pkl of it"
        )
    found = [words for value in _values(content, path) if (words := _words_in(value, path))]
    if len(found) != 1:
        raise ValueError(
            f"{path} must hold one vocabulary: a list of strings, a dict of strings to ids from 0 "
            f"on, or a dict with {WORD_LISTS[0]!r} or {WORD_LISTS[1]!r}. Received: {len(found)}"
        )
    return found[0]


def _without_spaces(word):
    """A word as a line of a text file."""
    if word.split() == [word]:
        return word
    return "".join(LINE_FEED if c == "\n" else OTHER_SPACE if c.isspace() else c for c in word)


# === What is a vocabulary ===


def _words_in(value, path):
    """The words of a value; None if it holds no vocabulary."""
    if isinstance(value, dict):
        lists = [value[name] for name in WORD_LISTS if name in value]
        tables = [value[name] for name in ID_TABLES if name in value]
        if lists:
            words = _listed(lists[0], path)
            for table in tables:
                _check_table(words, table, path)
            return words
        return _by_ids(tables[0] if tables else value, path)
    return _listed(value, path) if isinstance(value, list) and value else None


def _listed(words, path):
    """A checked list of words."""
    if not isinstance(words, list) or not words or not all(map(_is_word, words)):
        raise ValueError(
            f"{path} must have a list of words, of one character at least. "
            f"Received: {_described(words)}"
        )
    return words


def _by_ids(table, path):
    """The words of a dict of ids; None if it is another dict."""
    if not isinstance(table, dict) or not table or not all(map(_is_id, table.values())):
        return None
    words = [None] * len(table)
    for word, index in table.items():
        if index >= len(words) or words[index] is not None or not _is_word(word):
            raise ValueError(
                f"{path} must have ids from 0 to {len(table) - 1}, one for each word. "
                f"Received: {index} for {_described(word)}"
            )
        words[index] = word
    return words


def _check_table(words, table, path):
    """Refuse a table of ids that says otherwise than the list of the words."""
    ids = {word: index for index, word in enumerate(words)}
    for word, index in table.items() if isinstance(table, dict) else [(None, None)]:
        if not _is_id(index) or index >= len(words) or words[index] != word and word in ids:
            raise ValueError(
                f"{path} must have a list of words and a table of ids that agree. "
                f"Received: {_described(index)} for {_described(word)}"
            )


def _is_word(value):
    return type(value) is str and value != "" and not any("\ud800" <= c <= "\udfff" for c in value)


def _is_id(value):
    return type(value) is int and value >= 0


def _described(value):
    """A value for a message; what is inside of containers is not shown, as it may be nested."""
    if isinstance(value, (list, tuple, dict)):
        return f"a {type(value).__name__} of {len(value)}"
    return f"{value!r:.100}" if isinstance(value, (str, int)) else type(value).__name__


# === The machine ===


class _Mark:
    """What stands on the stack where a list, tuple or dict begins."""


class _Name:
    """A name that stands for a dict."""


MARK, MAPPING = _Mark(), _Name()


def _values(content, path):
    """The values of the pickles in a file, one after the other."""
    stream, values, budget = io.BytesIO(content), [], [MOST_STEPS]
    while stream.tell() < len(content):
        if len(values) == MOST_PICKLES:
            raise ValueError(f"{path} must hold {MOST_PICKLES} pickles at most")
        begin = stream.tell()
        try:
            values.append(_value(pickletools.genops(stream), budget))
        except _Refused as error:
            raise ValueError(f"{path} is refused: {error}") from None
        except (ValueError, IndexError, KeyError, TypeError, OverflowError) as error:
            raise ValueError(
                f"{path} is no pickle, or a damaged one, from byte {begin} on: {error!r:.200}"
            ) from None
    return values


class _Refused(Exception):
    """What a pickle wants that a vocabulary does not need."""


def _value(instructions, budget):
    """The value of one pickle."""
    stack, memo = [], {}
    for opcode, argument, position in instructions:
        name = opcode.name
        _spend(budget, CONTAINER_STEPS if name in CONTAINERS else 1)
        if name in NOTHING:
            continue
        if name == "STOP":
            (value,) = stack
            return _plain(value)
        if name in CONSTANTS:
            stack.append(CONSTANTS[name])
        elif name in NUMBERS:
            stack.append(_number(argument, position))
        elif name in TEXTS:
            stack.append(argument)
        elif name in BYTE_TEXTS:
            stack.append(argument.encode("latin-1").decode("utf-8"))
        elif name in ("EMPTY_LIST", "EMPTY_DICT"):
            stack.append([] if name == "EMPTY_LIST" else {})
        elif name == "MARK":
            stack.append(MARK)
        elif name in ("LIST", "TUPLE", "DICT"):
            items = _above_mark(stack)
            stack.append({"LIST": list, "TUPLE": tuple, "DICT": _paired}[name](items))
        elif name in TUPLES:
            items = [_plain(stack.pop()) for _ in range(TUPLES[name])]
            stack.append(tuple(items[::-1]))
        elif name in ("APPEND", "APPENDS"):
            items = [_plain(stack.pop())] if name == "APPEND" else _above_mark(stack)
            _of_type(stack[-1], list).extend(items)
        elif name in ("SETITEM", "SETITEMS"):
            items = [stack.pop(), stack.pop()][::-1] if name == "SETITEM" else _above_mark(stack)
            _of_type(stack[-1], dict).update(_paired(items))
        elif name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            memo[len(memo) if name == "MEMOIZE" else argument] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name == "DUP":
            stack.append(stack[-1])
        elif name in ("POP", "POP_MARK"):
            stack.pop() if name == "POP" else _above_mark(stack)
        elif name in ("GLOBAL", "STACK_GLOBAL"):
            parts = argument.split(" ") if name == "GLOBAL" else [stack.pop(), stack.pop()][::-1]
            stack.append(_named(parts, position))
        elif name == "REDUCE":
            arguments, function = stack.pop(), stack.pop()
            stack.append(_mapping(function, _of_type(arguments, tuple), budget))
        else:
            raise _Refused(
                f"a vocabulary needs no {name}, byte {position}. If you trust the file, load it "
                "where it was written and save a list of its words"
            )
    raise ValueError("it has no end")


def _spend(budget, steps):
    """Take steps from what is left."""
    budget[0] -= steps
    if budget[0] < 0:
        raise _Refused(f"it takes more than {MOST_STEPS:,} steps")


def _number(number, position):
    """A number that is not too long."""
    if isinstance(number, int) and number.bit_length() > MOST_BITS:
        raise _Refused(f"it has an integer of {number.bit_length()} bits, byte {position}")
    return number


def _named(parts, position):
    """What a name stands for; all names but two are refused."""
    if len(parts) != 2 or not all(isinstance(part, str) for part in parts):
        raise _Refused(f"the name at byte {position} is none")
    if tuple(parts) not in MAPPINGS:
        raise _Refused(
            f"it names {'.'.join(parts)!r:.100}, byte {position}, and only the names of "
            f"{sorted('.'.join(one) for one in MAPPINGS)} are read. If you trust the file, load it "
            "where it was written and save a list of its words"
        )
    return MAPPING


def _mapping(function, arguments, budget):
    """The dict that a call of one of the two names makes."""
    if function is not MAPPING or len(arguments) > 1:
        raise _Refused("it calls what is no name of a dict, or with several arguments")
    if not arguments:
        return {}
    (items,) = arguments
    if isinstance(items, dict):  # shared, not copied: nothing is filled in later
        return items
    _spend(budget, len(_of_type(items, list)))
    return _paired([one for pair in items for one in _pair(pair)])


def _pair(pair):
    if not isinstance(pair, (list, tuple)) or len(pair) != 2:
        raise _Refused("it makes a dict of what are no pairs")
    return pair


def _paired(items):
    """A dict of keys and values that follow each other."""
    if len(items) % 2:
        raise ValueError("a key without a value")
    for key in items[::2]:
        # The hash of nested tuples takes for ever, and large numbers may share theirs.
        if type(key) is not str and not (type(key) is int and abs(key) < 2**31):
            raise _Refused(f"it has a key that is no string and no index: {_described(key)}")
    return dict(zip(items[::2], map(_plain, items[1::2])))


def _above_mark(stack):
    """Take what lies above the last mark, and the mark."""
    items = []
    while (item := stack.pop()) is not MARK:
        items.append(_plain(item))
    return items[::-1]


def _plain(value):
    """A value that is neither a mark nor a name."""
    if value is MARK or value is MAPPING:
        raise _Refused("it holds a name, or a mark, as a value")
    return value


def _of_type(value, kind):
    if type(value) is not kind:
        raise _Refused(f"it fills or calls with what is no {kind.__name__}: {_described(value)}")
    return value
