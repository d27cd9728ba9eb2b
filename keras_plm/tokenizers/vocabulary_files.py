"""Reading the vocabularies of released tokenizers: lists of pieces, tables of ids, merges."""

from keras_plm.files import read_json, reading

LARGEST_BYTES = 100_000_000


def read_piece_list(path):
    """Reads a `vocab.txt`: line i holds the piece with the id i.

    A second column with the id, as Baidu's ERNIE has it, is taken too. A piece that occurs twice
    has its last id.

    Args:
        path: `pathlib.Path` of the file.

    Returns:
        dict of a piece to its id, in the order of the ids.

    Raises:
        ValueError: if the file is too large, not UTF-8, has an empty line or ids that are none.
    """
    lines = _lines(path)
    if lines and all(line.count("\t") == 1 and line.split("\t")[1].isdecimal() for line in lines):
        pairs = [(line.split("\t")[0], int(line.split("\t")[1])) for line in lines]
    else:
        pairs = [(line, index) for index, line in enumerate(lines)]
    vocabulary = dict(pairs)
    if not pairs or "" in vocabulary:
        raise ValueError(
            f"{path} must hold one piece on every line. Received: "
            + (f"an empty line {vocabulary[''] + 1}" if pairs else "no lines")
        )
    return vocabulary


def read_words(path):
    """Reads a `vocab.txt` as the list of its lines, in which a word may occur twice.

    Args:
        path: `pathlib.Path` of the file.

    Returns:
        list of str.

    Raises:
        ValueError: if the file is too large or not UTF-8.
    """
    return _lines(path)


def read_piece_ids(path):
    """Reads a `vocab.json` or `encoder.json`: an object of pieces and their ids.

    Args:
        path: `pathlib.Path` of the file.

    Returns:
        dict of a piece to its id.

    Raises:
        ValueError: if the file is too large or no JSON object of integers.
    """
    vocabulary = read_json(path, max_bytes=LARGEST_BYTES)
    check_piece_ids(vocabulary, path)
    return vocabulary


def check_piece_ids(vocabulary, path):
    """Refuses what is no table of pieces.

    Args:
        vocabulary: what a JSON file holds.
        path: where it is from, for the message.

    Raises:
        ValueError: if it is no dict of strings to different integers from 0.
    """
    if not isinstance(vocabulary, dict) or not vocabulary:
        raise ValueError(
            f"{path} must hold an object of pieces and their ids. Received: {vocabulary!r:.100}"
        )
    owners = {}
    for piece, index in vocabulary.items():
        if type(index) is not int or not 0 <= index < 10_000_000:
            raise ValueError(
                f"{path} must have ids from 0 to 9,999,999. Received: {index!r:.100} for "
                f"{piece!r:.100}"
            )
        if owners.setdefault(index, piece) != piece:
            raise ValueError(
                f"{path} must have different ids for different pieces. Received: {index} for "
                f"{owners[index]!r:.100} and {piece!r:.100}"
            )


def read_merges(path):
    """Reads a `merges.txt` or `vocab.bpe`: two pieces on every line, the first merge first.

    A line with the version at the top is left out, and so is a third column with counts.

    Args:
        path: `pathlib.Path` of the file.

    Returns:
        list of pairs of str.

    Raises:
        ValueError: if the file is too large, not UTF-8, or a line has not two pieces.
    """
    lines = _lines(path)
    if lines and lines[0].startswith("#version"):
        lines = lines[1:]
    merges = []
    for line in filter(None, lines):
        pieces = line.split(" ")
        if len(pieces) == 3 and pieces[2].isdecimal():
            pieces = pieces[:2]
        if len(pieces) != 2 or not all(pieces):
            raise ValueError(f"{path} must have two pieces on every line. Received: {line!r:.100}")
        merges.append(tuple(pieces))
    if not merges:
        raise ValueError(f"{path} holds no merges. Received: {len(lines)} lines")
    return merges


def _lines(path):
    """The lines of a text file; other characters than the line feed may be pieces."""
    if path.stat().st_size > LARGEST_BYTES:
        raise ValueError(f"{path} is larger than {LARGEST_BYTES} bytes")
    with reading(path, "UTF-8"):
        text = path.read_bytes().decode("utf-8")
    lines = text.replace("\r\n", "\n").split("\n")
    return lines[:-1] if lines[-1] == "" else lines
