"""Vocabularies inside of released pickles, read without making any object of them.

    from keras_plm.checkpoints import convert_pickled_vocabulary

    convert_pickled_vocabulary("itos_wt103.pkl", "vocab.txt")  # one word on each line, by its id

What else they hold is refused, see `pickle_values.py`. What holds a vocabulary:

    ["xxunk", "xxpad", "the", ...]                            fastai's itos
    {"the": 2, "xxunk": 0, "xxpad": 1, ...}                   ids from 0 to V - 1
    {"idx2sym": [...], "sym2idx": {...}, "counter": {...}}    Transformer-XL's vocab.bin, vocab.pkl

`torch.save` wrote several pickles one after the other until 2020 (`vocab.bin`); of these one must
hold a vocabulary.
"""

from pathlib import Path

from keras_plm.checkpoints.formats.pickle_values import described, pickle_values
from keras_plm.files import replacing_files

LARGEST_BYTES = 100_000_000
WORD_LISTS = ("idx2sym", "itos")  # in dicts of attributes
ID_TABLES = ("sym2idx", "stoi")
# What white space becomes, which no text of a `WordTokenizer` becomes.
LINE_FEED, OTHER_SPACE = "␊", "▁"


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
    found = [words for value in pickle_values(content, path) if (words := _words_in(value, path))]
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
            f"Received: {described(words)}"
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
                f"Received: {index} for {described(word)}"
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
                f"Received: {described(index)} for {described(word)}"
            )


def _is_word(value):
    return type(value) is str and value != "" and not any("\ud800" <= c <= "\udfff" for c in value)


def _is_id(value):
    return type(value) is int and value >= 0
