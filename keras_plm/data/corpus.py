"""Text as token ids on disk: tokenised once, opened as memory maps, split by document."""

import json
import os
from pathlib import Path

import numpy as np

from keras_plm.data.sentences import split_sentences
from keras_plm.data.text_files import read_documents
from keras_plm.files import atomic_directory, check_config, file_inside, load_array, read_json

FORMAT = 1
BATCH_CHARACTERS = 4_000_000  # text that is tokenised at once
CHUNK = 1 << 24  # elements of an array that are looked at at once
ARRAYS = {
    "token_ids": ("uint16", "int32"),
    "word_starts": ("bool",),
    "sentence_offsets": ("int64",),
    "document_offsets": ("int64",),
}
COUNTS = ("num_tokens", "num_sentences", "num_documents", "vocabulary_size")


class Corpus:
    """Token ids of many documents with the bounds of documents, sentences and words.

    Made by `Corpus.build` or `Corpus.open`. The arrays are read-only memory maps of the whole
    directory; a part made by `split` shares them and names its documents in `documents`. There
    are no special ids among the tokens: whoever makes rows puts them in. Copies that go to
    another process open the directory again.

    Attributes:
        directory: where the corpus lies.
        token_ids: (N,) uint16 or int32.
        word_starts: (N,) bool, True where a token may start a word.
        sentence_offsets: (number of sentences + 1,) int64, from 0 to N.
        document_offsets: (number of documents + 1,) int64, a subset of `sentence_offsets`.
        documents: (num_documents,) int64, the indices of the documents that this corpus or part
            of one consists of, ascending. Document d is
            `token_ids[document_offsets[d] : document_offsets[d + 1]]`.
        num_documents, num_tokens, num_sentences: their numbers in these documents.
        tokenizer_fingerprint, vocabulary_size, special_token_ids: those of the tokenizer.
    """

    def __init__(self, directory, info, arrays, documents=None):
        self.directory = Path(directory)
        self.tokenizer_fingerprint = info["tokenizer_fingerprint"]
        self.vocabulary_size = info["vocabulary_size"]
        self.special_token_ids = dict(info["special_token_ids"])
        self._info, self._arrays = info, arrays
        self.token_ids = arrays["token_ids"]
        self.word_starts = arrays["word_starts"]
        self.sentence_offsets = arrays["sentence_offsets"]
        self.document_offsets = arrays["document_offsets"]
        if documents is None:
            documents = np.arange(info["num_documents"])
            self.num_tokens, self.num_sentences = info["num_tokens"], info["num_sentences"]
        else:
            begin, end = self.document_offsets[documents], self.document_offsets[documents + 1]
            sentences = np.searchsorted(self.sentence_offsets, [begin, end])
            self.num_tokens = int((end - begin).sum())
            self.num_sentences = int((sentences[1] - sentences[0]).sum())
        self.documents = documents
        self.num_documents = len(documents)

    def __reduce__(self):
        return _open_part, (self.directory, self.documents)

    @classmethod
    def build(
        cls,
        paths,
        tokenizer,
        directory,
        text_field="text",
        split_sentences=split_sentences,
        num_workers=None,
    ):
        """Tokenises text files into a directory, and opens it.

        The result is the same for any `num_workers`, memory stays bounded whatever the size of
        the files, and the directory appears only when it is complete; an older corpus of that
        name is replaced, anything else is not.

        Args:
            paths: path or list of paths: files (`.jsonl` holds one JSON object per line, any
                other name plain text with blank lines between documents) or directories of them.
            tokenizer: a `SentencePieceTokenizer`.
            directory: where the corpus shall lie.
            text_field: key of the text in JSON lines.
            split_sentences: a function from text to a list of sentences; it gets a document (a
                part of one, if it is longer than 1,000,000 characters) with its line ends. None
                means that each line is a sentence.
            num_workers: threads that tokenise. None: one per core that is ours, at most 8.

        Returns:
            A `Corpus`.

        Raises:
            FileNotFoundError: if a path does not exist.
            ValueError: if a file is empty or not UTF-8, if there is no text, or if `directory`
                exists and is no corpus. A full disk is an OSError. Nothing is left behind.
        """
        if num_workers is None:
            num_workers = min(_num_cores(), 8)
        if not isinstance(num_workers, int) or num_workers < 1:
            raise ValueError(f"num_workers must be a positive integer. Received: {num_workers!r}")
        pieces = read_documents(paths, text_field)
        with atomic_directory(directory, overwrite_marker="corpus.json") as partial:
            counts = _write_arrays(
                partial, pieces, tokenizer, split_sentences or str.splitlines, num_workers
            )
            if not counts["num_documents"]:
                raise ValueError(f"There is no text to tokenise. Received: paths={paths!r}")
            info = {
                "format": FORMAT,
                "tokenizer_fingerprint": tokenizer.fingerprint,
                "vocabulary_size": tokenizer.vocabulary_size,
                "special_token_ids": tokenizer.special_token_ids,
                **counts,
            }
            (partial / "corpus.json").write_text(json.dumps(info, indent=2), encoding="utf-8")
        return cls.open(directory)

    @classmethod
    def open(cls, directory):
        """Opens what `build` wrote, after looking through all of it once.

        Args:
            directory: the corpus's directory.

        Returns:
            A `Corpus`.

        Raises:
            ValueError: if the directory is no corpus, or is damaged: sizes that do not agree,
                offsets that do not rise from 0 to the number of tokens, documents that do not
                start where a sentence does, ids outside the vocabulary.
        """
        if not (Path(directory) / "corpus.json").is_file():
            raise ValueError(
                f"{directory} is no corpus: it has no corpus.json. Make one with Corpus.build."
            )
        info = read_json(file_inside(directory, "corpus.json"))
        _check_info(info, directory)
        arrays = {
            name: load_array(file_inside(directory, f"{name}.npy"), dtype, ndim=1)
            for name, dtype in ARRAYS.items()
        }
        _check_arrays(info, arrays, directory)
        return cls(directory, info, arrays)

    def split(self, held_out=0.05, seed=0):
        """Splits the documents at random into two corpora over the same arrays.

        Args:
            held_out: share of the documents in the second part, between 0 and 1; each part gets
                at least one.
            seed: of the choice, an integer; the same corpus and seed give the same parts.

        Returns:
            `(rest, held-out part)`, two `Corpus`.

        Raises:
            ValueError: if there is only one document, or `held_out` is not between 0 and 1.
        """
        if not 0 < held_out < 1:
            raise ValueError(f"held_out must be between 0 and 1. Received: held_out={held_out}")
        if self.num_documents < 2:
            raise ValueError(
                f"{self.directory} cannot be split: it must have at least 2 documents. Put blank "
                "lines between documents, or build the held-out text as a corpus of its own. "
                f"Received: {self.num_documents} document"
            )
        number = min(max(1, round(held_out * self.num_documents)), self.num_documents - 1)
        drawn = np.random.default_rng(seed).permutation(self.documents)
        parts = np.sort(drawn[number:]), np.sort(drawn[:number])
        return tuple(Corpus(self.directory, self._info, self._arrays, part) for part in parts)

    def unigram_entropy(self):
        """The entropy of the corpus's own unigram distribution, in nats per token.

        It is the cross-entropy that a model without any context could reach here.

        Returns:
            A float.
        """
        counts = np.zeros(self.vocabulary_size, "int64")
        for run in np.split(self.documents, np.flatnonzero(np.diff(self.documents) != 1) + 1):
            begin, end = self.document_offsets[[run[0], run[-1] + 1]]
            for start in range(begin, end, CHUNK):
                ids = self.token_ids[start : min(start + CHUNK, end)]
                counts += np.bincount(ids, minlength=self.vocabulary_size)
        share = counts[counts > 0] / counts.sum()
        return float(-(share * np.log(share)).sum())

    def check_tokenizer(self, tokenizer):
        """Refuses a tokenizer that is not the one that the corpus was built with.

        Args:
            tokenizer: a `SentencePieceTokenizer`.

        Raises:
            ValueError: if the fingerprints differ.
        """
        if tokenizer.fingerprint != self.tokenizer_fingerprint:
            raise ValueError(
                f"The corpus {self.directory} was built with another tokenizer. Build it again "
                "with this one, or use the one it was built with. Received: "
                f"fingerprint={tokenizer.fingerprint}, expected {self.tokenizer_fingerprint}"
            )


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


def _write_arrays(directory, pieces, tokenizer, split, num_workers):
    """Tokenises documents, batch by batch, into the four arrays; returns their numbers."""
    vocabulary_size = tokenizer.vocabulary_size
    token_dtype = "uint16" if vocabulary_size <= 65_536 else "int32"
    starts = tokenizer.word_starts  # (V,)
    total, last = 0, 0  # tokens so far; end of the last document that has tokens
    with (
        _ArrayWriter(directory / "token_ids.npy", token_dtype) as ids_file,
        _ArrayWriter(directory / "word_starts.npy", "bool") as starts_file,
        _ArrayWriter(directory / "sentence_offsets.npy", "int64") as sentences_file,
        _ArrayWriter(directory / "document_offsets.npy", "int64") as documents_file,
    ):
        sentences_file.write([0])
        documents_file.write([0])
        for sentences, document_ends in _batches(pieces, split):
            encoded = tokenizer.encode(sentences, num_threads=num_workers)
            ids = np.array([one for row in encoded for one in row], token_dtype)
            ends = total + np.cumsum([0] + [len(row) for row in encoded])  # (sentences + 1,)
            ids_file.write(ids)
            starts_file.write(starts[ids])
            sentences_file.write(ends[1:][np.diff(ends) > 0])
            bounds = ends[document_ends]
            bounds = bounds[np.diff(bounds, prepend=last) > 0]
            documents_file.write(bounds)
            total, last = int(ends[-1]), int(bounds[-1]) if len(bounds) else last
    return {
        "num_tokens": total,
        "num_sentences": sentences_file.size - 1,
        "num_documents": documents_file.size - 1,
    }


def _batches(pieces, split):
    """Yields `(sentences, after how many of them a document ends)` for a bounded text."""
    sentences, document_ends, length = [], [], 0
    for text, ends in pieces:
        sentences += split(text)
        length += len(text)
        if ends:
            document_ends.append(len(sentences))
        if length >= BATCH_CHARACTERS or len(document_ends) >= BATCH_CHARACTERS:
            yield sentences, document_ends
            sentences, document_ends, length = [], [], 0
    if document_ends:
        yield sentences, document_ends


def _num_cores():
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _check_info(info, directory):
    """Refuses a corpus.json that lacks something or holds anything odd."""
    if info.get("format") != FORMAT:
        raise ValueError(
            f"{directory} must have corpus format {FORMAT}: build it again with this version. "
            f"Received: format={info.get('format')!r}"
        )
    check_config(info, limits=dict.fromkeys(COUNTS, 2**48))
    counts = [info.get(name) for name in COUNTS]
    special = info.get("special_token_ids")
    if any(type(count) is not int or count < 1 for count in counts):
        raise ValueError(f"{directory}/corpus.json needs positive {COUNTS}. Received: {counts}")
    if not isinstance(info.get("tokenizer_fingerprint"), str) or not isinstance(special, dict):
        raise ValueError(
            f"{directory}/corpus.json needs tokenizer_fingerprint and special_token_ids. "
            f"Received: {sorted(info)}"
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
        "word_starts": info["num_tokens"],
        "sentence_offsets": info["num_sentences"] + 1,
        "document_offsets": info["num_documents"] + 1,
    }
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
    for chunk in _chunks(arrays["word_starts"].view("uint8")):
        if chunk.max() > 1:
            raise ValueError(f"{directory} is damaged: word_starts must be 0 or 1")


def _chunks(array, overlap=0):
    """Consecutive parts of an array, each with the first elements of the next."""
    for start in range(0, len(array), CHUNK):
        yield array[start : start + CHUNK + overlap]


def _open_part(directory, documents):
    """Opens a corpus, or a part of one, in another process."""
    corpus = Corpus.open(directory)
    return Corpus(directory, corpus._info, corpus._arrays, documents)
