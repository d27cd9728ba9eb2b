"""The files of a corpus: what they are, and how they are looked through before they are used."""

import logging
from pathlib import Path

import numpy as np

from keras_plm.data.corpus.columns import COLUMNS, check_column
from keras_plm.features import NUM_CHARACTERS, WORD_LENGTH
from keras_plm.files import check_config, digest, file_inside, load_array, read_json, reading
from keras_plm.tokenizers.row_layout import layout_by_name

logger = logging.getLogger("keras_plm")
FORMAT = 2
MARKER = "corpus.json"
ARRAYS = {
    "token_ids": ("uint16", "int32"),
    "sentence_offsets": ("int64",),
    "document_offsets": ("int64",),
}
TABLES = {"word_characters": ("uint16",)}  # a row for each word
COUNTS = ("num_tokens", "num_sentences", "num_documents")
CHUNK = 1 << 24  # elements of an array that are looked at at once


def read_corpus(directory):
    """Opens the files of a corpus and looks through all of them once.

    Args:
        directory: the corpus's directory.

    Returns:
        `(info, arrays)`: the content of corpus.json, and the memory maps by name.

    Raises:
        ValueError: if the directory is no corpus, or is damaged.
    """
    if not (Path(directory) / MARKER).is_file():
        raise ValueError(
            f"{directory} is no corpus: it has no {MARKER}. Make one with Corpus.build."
        )
    info = read_json(file_inside(directory, MARKER))
    with reading(f"{directory}/{MARKER}"):
        _check_info(info, directory)
    arrays = {
        name: load_array(file_inside(directory, f"{name}.npy"), dtype, 1 + (name in TABLES))
        for name, dtype in arrays_of(info).items()
    }
    _check_arrays(info, arrays, directory)
    _check_digests(info.get("sha256"), arrays, directory)
    return info, arrays


def _check_digests(digests, arrays, directory):
    """Refuses arrays that are not what was built; of those without a digest nothing is known."""
    if digests is None:
        logger.warning("%s has no digests, as it was built before there were any.", directory)
        return
    if not isinstance(digests, dict):
        raise ValueError(
            f"{directory}/{MARKER}: sha256 must be by array. Received: {digests!r:.100}"
        )
    known = arrays.keys() & digests.keys()
    changed = sorted(name for name in known if digests[name] != digest({name: arrays[name]}))
    if changed:
        raise ValueError(
            f"{directory} is damaged: {changed} are not what was built, by their SHA-256. Build it "
            f"again or, if you have changed them yourself, take `sha256` out of its {MARKER}."
        )


def arrays_of(info):
    """The arrays of a corpus and their data types."""
    own = {"span_marks": info["has_spans"], "sentence_languages": info.get("languages") is not None}
    own.update(dict.fromkeys(info.get("columns") or (), True))  # older corpora have none
    columns = {
        name: (column.dtype,)
        for name, column in COLUMNS.items()
        if not column.optional or own.get(name)
    }
    tables = TABLES if info.get("num_spelled_words") is not None else {}
    return {**ARRAYS, **columns, **tables}


def _check_info(info, directory):
    """Refuses a corpus.json that lacks something or holds anything odd."""
    if info.get("format") != FORMAT:
        raise ValueError(
            f"{directory} must have corpus format {FORMAT}: build it again with this version. "
            f"Received: format={info.get('format')!r}"
        )
    check_config(info, limits=dict.fromkeys((*COUNTS, "num_spelled_words"), 2**48))
    needed = (*COUNTS, "vocabulary_size")
    counts = [info.get(name) for name in needed]
    special = info.get("special_token_ids")
    if any(type(count) is not int or count < 1 for count in counts):
        raise ValueError(f"{directory}/corpus.json needs positive {needed}. Received: {counts}")
    if not isinstance(info.get("tokenizer_fingerprint"), str) or not isinstance(special, dict):
        raise ValueError(
            f"{directory}/corpus.json needs tokenizer_fingerprint and special_token_ids. "
            f"Received: {sorted(info)}"
        )
    layout_by_name(info.get("layout"))
    if type(info.get("has_spans")) is not bool:
        raise ValueError(
            f"{directory}/corpus.json: has_spans must be true or false. "
            f"Received: {info.get('has_spans')!r}"
        )
    columns = info.get("columns", [])
    if type(columns) is not list or not all(isinstance(one, str) for one in columns):
        raise ValueError(
            f"{directory}/corpus.json: columns must be a list of names. Received: {columns!r:.200}"
        )
    if unknown := sorted(set(columns) - COLUMNS.keys()):
        raise ValueError(
            f"{directory} has columns that are not in keras_plm.data.corpus.columns.COLUMNS: add "
            f"them before it is opened. Received: {unknown}"
        )
    spelled = info.get("num_spelled_words")
    if spelled is not None and (type(spelled) is not int or spelled < info["vocabulary_size"]):
        raise ValueError(
            f"{directory}/corpus.json: num_spelled_words must be null, or the words of the "
            f"vocabulary and more. Received: {spelled!r:.100}"
        )
    languages = info.get("languages")
    ids = [] if languages is None else languages.values() if type(languages) is dict else [None]
    if any(type(index) is not int or index < 0 for index in ids):
        raise ValueError(
            f"{directory}/corpus.json: languages must be null or ids by name. "
            f"Received: {languages!r:.200}"
        )
    for name, index in special.items():
        if type(index) is not int or not 0 <= index < info["vocabulary_size"]:
            raise ValueError(
                f"{directory}/corpus.json: the special id {name!r} must be within "
                f"[0, {info['vocabulary_size']}). Received: {index!r}"
            )


def _check_arrays(info, arrays, directory):
    """Looks through all arrays, chunk by chunk."""
    sizes = {name: len(array) for name, array in arrays.items()}
    expected = {
        "token_ids": info["num_tokens"],
        "sentence_offsets": info["num_sentences"] + 1,
        "document_offsets": info["num_documents"] + 1,
    }
    per = {name: COLUMNS[name].per for name in arrays.keys() & COLUMNS.keys()}
    expected |= {name: info[f"num_{one}s"] for name, one in per.items()}
    expected |= {name: info["num_spelled_words"] for name in arrays.keys() & TABLES.keys()}
    if sizes != expected:
        raise ValueError(f"{directory} is damaged: expected sizes {expected}. Received: {sizes}")
    tokens, sentences, documents = (
        arrays[name] for name in ("token_ids", "sentence_offsets", "document_offsets")
    )
    for name in ("sentence_offsets", "document_offsets"):
        offsets = arrays[name]
        rises = all(np.all(np.diff(chunk) > 0) for chunk in _chunks(offsets, overlap=1))
        if offsets[0] != 0 or offsets[-1] != len(tokens) or not rises:
            raise ValueError(
                f"{directory} is damaged: {name} must rise strictly from 0 to {len(tokens)}"
            )
    for chunk in _chunks(documents):
        if np.any(sentences[np.searchsorted(sentences, chunk)] != chunk):
            raise ValueError(f"{directory} is damaged: a document starts within a sentence")
    for chunk in _chunks(tokens):
        if chunk.min() < 0 or chunk.max() >= info["vocabulary_size"]:
            raise ValueError(
                f"{directory} is damaged: its token ids must be within "
                f"[0, {info['vocabulary_size']}). Received: {chunk.min()} to {chunk.max()}"
            )
    _check_characters(info, arrays, directory)
    languages = list((info.get("languages") or {}).values())
    for name in per:
        for chunk in _chunks(arrays[name], overlap=1):
            check_column(name, chunk, languages, directory)


def _check_characters(info, arrays, directory):
    """Refuses bytes of words that are none, and words without them."""
    table, numbers = (arrays.get(name) for name in ("word_characters", "unknown_words"))
    if table is None:
        return
    width = table.shape[1:]
    if width != (WORD_LENGTH,) or any(one.max() >= NUM_CHARACTERS for one in _chunks(table)):
        raise ValueError(
            f"{directory} is damaged: word_characters must be rows of {WORD_LENGTH} numbers below "
            f"{NUM_CHARACTERS}. Received: rows of {width}"
        )
    others = len(table) - info["vocabulary_size"]
    if numbers is None or any(one.max(initial=0) > others for one in _chunks(numbers)):
        raise ValueError(
            f"{directory} is damaged: unknown_words must be numbers of the {others} last rows of "
            "word_characters"
        )


def _chunks(array, overlap=0):
    """Consecutive parts of an array, each with the first elements of the next."""
    for start in range(0, len(array), CHUNK):
        yield array[start : start + CHUNK + overlap]
