"""The files of a corpus, written as a stream."""

import contextlib
import dataclasses
import itertools
import json
import logging
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from keras_plm.data.corpus.both_sides import encode_sides
from keras_plm.data.corpus.columns import COLUMNS
from keras_plm.data.corpus.corpus_files import FORMAT, MARKER, arrays_of
from keras_plm.data.corpus.corpus_parts import batches_of
from keras_plm.data.corpus.word_bounds import given_bounds, given_numbers
from keras_plm.files import digest, load_array
from keras_plm.tokenizers.words.character_ids import UnknownWord

LARGEST_UNKNOWN_SHARE = 0.01  # of the tokens, that nothing is said about
logger = logging.getLogger("keras_plm")


def write_corpus(
    directory,
    parts,
    tokenizer,
    num_workers,
    split_words=None,
    find_spans=None,
    languages=None,
    annotate=None,
):
    """Tokenises documents, batch by batch, into the files of a corpus.

    Args:
        directory: an existing directory, `pathlib.Path`.
        parts: what `corpus_parts` yields.
        tokenizer: a `Tokenizer`.
        num_workers: threads that tokenise.
        split_words: a function from a sentence to its words, or None.
        find_spans: a function from a sentence to the (begin, end) of its spans, or None.
        languages: dict of the names of the languages to their ids; None if the parts have none.
        annotate: dict of columns to functions from a sentence to (begin, end, number), or None.

    Raises:
        ValueError: if there is no text, words or spans do not fit it, or a sentence of a pair has
            no tokens.
    """
    encode = _Encoder(tokenizer, num_workers, split_words, find_spans, annotate)
    columns, characters = sorted(annotate or ()), None
    if getattr(tokenizer, "characters", False):
        columns, characters = [*columns, "unknown_words"], encode.write_characters
    own = {"has_spans": find_spans is not None, "languages": languages, "columns": columns}
    batches = batches_of(parts)
    if num_workers > 1:
        batches = _tokenized_ahead(batches, encode.tokenize)
    else:
        batches = ((encode.tokenize(one, rest[-1]), *rest) for one, *rest in batches)
    write_encoded(directory, batches, encode, tokenizer, own, characters)


def _tokenized_ahead(batches, tokenize):
    """Yield batches of which a thread has tokenised the sentences, while the next one is read.

    The libraries of tokenizers work beside Python's own reading and splitting.
    """
    with ThreadPoolExecutor(1) as thread:
        before = None
        for sentences, *rest in batches:
            made = thread.submit(tokenize, sentences, rest[-1])
            if before is not None:
                yield before[0].result(), *before[1]
            before = made, rest
        if before is not None:
            yield before[0].result(), *before[1]


def write_encoded(directory, batches, encode, tokenizer, own, write_characters=None):
    """Writes what a function encodes, batch by batch, into the files of a corpus.

    Args:
        directory: an existing directory, `pathlib.Path`.
        batches: what `batches_of` yields; sentences may be of any kind that `encode` takes.
        encode: a function from sentences to their lengths, their ids, and a dict of the columns.
            Its attribute `num_unknown` says how many ids are unknown ones.
        tokenizer: a `Tokenizer`.
        own: dict of "has_spans", bool; "languages", dict or None; "columns", list of names.
        write_characters: a function of the directory that writes the bytes of words, or None.

    Raises:
        ValueError: as `write_corpus`.
    """
    info = {
        "format": FORMAT,
        "tokenizer_fingerprint": tokenizer.fingerprint,
        "vocabulary_size": tokenizer.vocabulary_size,
        "special_token_ids": tokenizer.special_token_ids,
        "layout": tokenizer.layout.name,
        **own,
    }
    dtypes = {name: one[0] for name, one in arrays_of(info).items()}
    if tokenizer.vocabulary_size > 65_536:
        dtypes["token_ids"] = "int32"
    counts = _write_arrays(directory, batches, encode, dtypes)
    if not counts["num_documents"]:
        raise ValueError(
            "There is no text to tokenise: no document has a token. An iterator gives texts once"
        )
    _say_unknown(encode.num_unknown, counts["num_tokens"], tokenizer)
    info.update(counts)
    if write_characters is not None:
        info["num_spelled_words"] = write_characters(directory)
    info["sha256"] = {
        name: digest({name: load_array(directory / f"{name}.npy")}) for name in arrays_of(info)
    }
    (directory / MARKER).write_text(json.dumps(info, indent=2), encoding="utf-8")


class _ArrayWriter:
    """Writes a one-dimensional `.npy` file whose length is known at the end."""

    def __init__(self, path, dtype):
        self.file, self.dtype, self.size = path.open("wb"), np.dtype(dtype), 0
        self.begin = self._write_header()

    def _write_header(self):
        header = {"descr": self.dtype.str, "fortran_order": False, "shape": (self.size,)}
        np.lib.format.write_array_header_1_0(self.file, header)
        return self.file.tell()

    def write(self, values):
        values = np.asarray(values, self.dtype)
        self.file.write(values.tobytes())
        self.size += len(values)

    def __enter__(self):
        return self

    def __exit__(self, error_type, error, traceback):
        with self.file:
            if error is None:
                self.file.seek(0)
                if self._write_header() != self.begin:  # numpy leaves room for it to grow
                    raise RuntimeError("The header of an array file changed its length")


@dataclasses.dataclass(frozen=True)
class _Tokenized:
    """Sentences with their ids and, if words, spans or columns are asked for, offsets."""

    sentences: list
    rows: list
    offsets: list | None = None


class _Encoder:
    """Sentences to their ids, and the columns of these, all in one row."""

    def __init__(self, tokenizer, num_threads, split_words, find_spans, annotate):
        self.tokenizer, self.num_threads = tokenizer, num_threads
        self.split_words, self.find_spans = split_words, find_spans
        self.annotate = annotate or {}
        self.num_unknown = 0  # of the tokens so far
        self.unknown_words = {}  # the number of each, from 1

    def tokenize(self, sentences, places):
        """`_Tokenized`, maybe in a thread; of pairs, every second sentence is a translation."""
        sides = self.tokenizer, sentences, list(places)[1::2], self.num_threads
        if self.split_words is None and self.find_spans is None and not self.annotate:
            return _Tokenized(sentences, encode_sides(*sides))
        return _Tokenized(sentences, *encode_sides(*sides, with_offsets=True))

    def __call__(self, tokenized):
        """Lengths of the sentences, ids, and a dict of the columns."""
        sentences, rows, offsets = tokenized.sentences, tokenized.rows, tokenized.offsets
        lengths = np.array([len(row) for row in rows], "int64")
        ids = np.fromiter(itertools.chain.from_iterable(rows), "int32", lengths.sum())
        unknown = self.tokenizer.special_token_ids.get("unk", -1)
        self.num_unknown += int(np.count_nonzero(ids == unknown))
        starts = self.tokenizer.starts_words(ids)
        starts[(np.cumsum(lengths) - lengths)[lengths > 0]] = True  # a sentence starts a word
        columns = {"word_starts": starts}
        if getattr(self.tokenizer, "characters", False):
            numbers = map(self._unknown_number, itertools.chain.from_iterable(rows))
            columns["unknown_words"] = np.fromiter(numbers, "int32", len(ids))
        if offsets is None:
            return lengths, ids, columns
        given = given_bounds(sentences, offsets, starts, self.split_words, self.find_spans)
        columns.update(zip(("word_starts", "span_marks"), given))
        for name, function in self.annotate.items():
            columns[name] = given_numbers(sentences, offsets, name, function, COLUMNS[name])
        return lengths, ids, columns

    def _unknown_number(self, index):
        """The number of an unknown word, 0 for others."""
        if not isinstance(index, UnknownWord):
            return 0
        return self.unknown_words.setdefault(index.word, len(self.unknown_words) + 1)

    def write_characters(self, directory):
        """Write the bytes of the words of the vocabulary, then of others; return how many."""
        known = range(self.tokenizer.vocabulary_size)
        others = (UnknownWord(self.tokenizer.unk_token_id, word) for word in self.unknown_words)
        table = self.tokenizer.character_ids([*known, *others])
        np.save(directory / "word_characters.npy", table.astype("uint16"))
        return len(table)


def _write_arrays(directory, batches, encode, dtypes):
    """Tokenises sentences, batch by batch, into the arrays; returns their numbers."""
    total, last = 0, 0  # tokens so far; end of the last document that has tokens
    with contextlib.ExitStack() as stack:
        files = {
            name: stack.enter_context(_ArrayWriter(directory / f"{name}.npy", dtype))
            for name, dtype in dtypes.items()
        }
        files["sentence_offsets"].write([0])
        files["document_offsets"].write([0])
        for sentences, document_ends, languages, places in batches:
            lengths, ids, columns = encode(sentences)
            _check_places(lengths, places)
            ends = total + np.append(0, np.cumsum(lengths))  # (sentences + 1,)
            files["token_ids"].write(ids)
            for name, values in columns.items():
                if name in files:
                    files[name].write(values)
            if "sentence_languages" in files:
                files["sentence_languages"].write(np.array(languages, "int32")[lengths > 0])
            files["sentence_offsets"].write(ends[1:][lengths > 0])
            bounds = ends[np.array(document_ends, "int64")]
            bounds = bounds[np.diff(bounds, prepend=last) > 0]
            files["document_offsets"].write(bounds)
            total, last = int(ends[-1]), int(bounds[-1]) if len(bounds) else last
    return {
        "num_tokens": total,
        "num_sentences": files["sentence_offsets"].size - 1,
        "num_documents": files["document_offsets"].size - 1,
    }


def _say_unknown(count, num_tokens, tokenizer):
    """Say it if many tokens stand for what the tokenizer does not know."""
    if count > LARGEST_UNKNOWN_SHARE * num_tokens:
        logger.warning(
            "%s of %s tokens (%.1f %%) are unknown to the %s of %s pieces with the fingerprint "
            "%.12s...: it was made for other text.",
            f"{count:,}",
            f"{num_tokens:,}",
            100 * count / num_tokens,
            type(tokenizer).__name__,
            f"{tokenizer.vocabulary_size:,}",
            tokenizer.fingerprint,
        )


def _check_places(lengths, places):
    """Refuses a side of a pair without tokens."""
    place = next((places[number] for number in places if not lengths[number]), None)
    if place is not None:
        raise ValueError(
            "Both sides of a pair of sentences must have text that the tokenizer knows. Remove "
            f"the line from both files. Received: an empty side in {place}"
        )
