"""Text as token ids on disk: tokenised once, opened as memory maps, split by document."""

import functools
import json
import os
from pathlib import Path

import numpy as np

from keras_plm.checks import check_integer, did_you_mean
from keras_plm.data.corpus.columns import COLUMNS
from keras_plm.data.corpus.corpus_files import CHUNK, MARKER, read_corpus
from keras_plm.data.corpus.corpus_parts import corpus_parts, language_ids
from keras_plm.data.corpus.corpus_writing import write_corpus
from keras_plm.data.corpus.sentences import split_sentences
from keras_plm.data.corpus.text_sources import num_bytes, text_sources
from keras_plm.data.progress import with_progress
from keras_plm.files import atomic_directory, digest


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
        span_marks: (N,) uint8: 0 outside of all given spans, 1 for the first token of a span, 2
            for its others; None if none were asked for. So with all columns, see `columns.py`.
        sentence_languages: (number of sentences,) int32, ids of languages; None if none were named.
        word_characters: (V + U, 50) uint16, the characters of each word of the vocabulary, then of
            each of the U others, which the column `unknown_words` numbers from 1; None but of a
            `WordTokenizer` of `characters=True`.
        sentence_offsets: (number of sentences + 1,) int64, from 0 to N.
        document_offsets: (number of documents + 1,) int64, a subset of `sentence_offsets`.
        documents: (num_documents,) int64, the indices of the documents that this corpus or part
            of one consists of, ascending. Document d is
            `token_ids[document_offsets[d] : document_offsets[d + 1]]`.
        num_documents, num_tokens, num_sentences: their numbers in these documents.
        tokenizer_fingerprint, vocabulary_size, special_token_ids: those of the tokenizer.
        layout: str, the name of the tokenizer's `RowLayout`.
        languages: dict of the names of the languages to their ids; empty without any.
    """

    def __init__(self, directory, info, arrays, documents=None):
        self.directory = Path(directory)
        self.tokenizer_fingerprint = info["tokenizer_fingerprint"]
        self.vocabulary_size = info["vocabulary_size"]
        self.special_token_ids = dict(info["special_token_ids"])
        self.layout = info["layout"]
        self.languages = dict(info.get("languages") or {})
        self._info, self._arrays = info, arrays
        self.token_ids = arrays["token_ids"]
        for name in COLUMNS:  # word_starts, span_marks, sentence_languages
            setattr(self, name, arrays.get(name))
        self.word_characters = arrays.get("word_characters")
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

    @functools.cached_property
    def fingerprint(self):
        """SHA-256, as hexadecimal digits, of all that examples are made of; reads all of it."""
        info = {name: value for name, value in self._info.items() if name != "sha256"}
        mark = json.dumps(info, sort_keys=True)
        return digest({**self._arrays, "documents": self.documents}, mark)

    def __repr__(self):
        return (
            f"<Corpus {str(self.directory)!r}: {self.num_documents:,} documents, "
            f"{self.num_sentences:,} sentences, {self.num_tokens:,} tokens of "
            f"{self.vocabulary_size:,} pieces>"
        )

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
        split_words=None,
        find_spans=None,
        languages=None,
        pre_split=False,
        annotate=None,
        verbose="auto",
    ):
        """Tokenises text files, or texts in memory, into a directory, and opens it.

        The result is the same for any `num_workers`, memory stays bounded whatever the size of
        the files, and the directory appears only when it is complete; an older corpus of that
        name is replaced, anything else is not. What was read, and what was skipped in folders, is
        said in the log "keras_plm", and also if more than 1 % of the tokens are unknown ones.

        Args:
            paths: path of a file or of a folder, pattern such as "texts/**/*.txt", or list of
                these. By its suffix, before `.gz` if it is compressed, a file holds JSON values
                (`.jsonl`, `.ndjson`, `.json`), a table (`.csv`, `.tsv`), or else plain text with
                blank lines between documents; docs/corpora.md has the table. A tuple of two paths
                is a pair of files, see `build_pairs`. Or an iterable of texts, each of them a
                document: a list, a generator, a column of a table; see `keras_plm.data.Texts`.
            tokenizer: a `Tokenizer`.
            directory: where the corpus shall lie.
            text_field: key of the text in JSON, or name of its column in a table.
            split_sentences: a function from text to a list of sentences; it gets a document (a
                part of one, if it is longer than 1,000,000 characters) with its line ends. None
                means that each line is a sentence. White space between sentences is one space to
                a tokenizer that keeps spaces (GPT-2's, RoBERTa's), and nothing to others.
            num_workers: threads that tokenise, while one more reads and splits; with 1 nothing runs
                beside it. None: one per core that is ours, at most 8.
            split_words: a function from a sentence to the list of its words, which cover it but
                for white space: a segmenter of Chinese, or `str.split`. None: the tokenizer says
                where words start.
            find_spans: a function from a sentence to a list of (begin, end), the characters of
                its phrases or names. They may not overlap. None: there are no spans.
            languages: list with the name of the language of each path, one that the tokenizer
                knows, and a tuple of two for a pair of files. None: there are no languages.
            pre_split: whether the words of all texts are already separated by spaces, which
                languages such as Chinese need, see `Tokenizer.language_id`.
            annotate: dict of names of columns to functions from a sentence to a list of (begin,
                end, number), the characters that have it; see
                `keras_plm.data.corpus.columns.COLUMNS`. None: there are no other columns.
            verbose: whether progress is said: 0: no; 1: in one line; 2: at the end; "auto": 1 in
                a terminal, else 0.

        Returns:
            A `Corpus`.

        Raises:
            FileNotFoundError: if a path does not exist.
            ValueError: if a file is empty, not UTF-8 or not what its suffix says, if there is no
                text, if `directory` exists and is no corpus, or if words do not cover their
                sentence or spans are not in it, or a language is unknown. A full disk is an
                OSError. Nothing is left behind.
        """
        if num_workers is None:
            num_workers = min(_num_cores(), 8)
        check_integer("num_workers", num_workers, 1)
        if unknown := sorted(set(annotate or ()) - COLUMNS.keys()):
            raise ValueError(
                "annotate must name columns of keras_plm.data.corpus.columns.COLUMNS: "
                f"{sorted(COLUMNS)}. Received: {unknown}.{did_you_mean(unknown, COLUMNS)}"
            )
        sources = text_sources(paths)
        ids, known = language_ids(sources, languages, tokenizer, pre_split)
        split = split_sentences or str.splitlines
        parts = corpus_parts(sources, ids, text_field, split, tokenizer.keeps_spaces)
        what, total = f"Corpus {Path(directory).name}", num_bytes(sources)
        parts = with_progress(parts, what, total, lambda part: part.sentences, verbose)
        with atomic_directory(directory, overwrite_marker=MARKER) as partial:
            functions = split_words, find_spans, known, annotate
            write_corpus(partial, parts, tokenizer, num_workers, *functions)
        return cls.open(directory)

    @classmethod
    def build_pairs(
        cls,
        sources,
        targets,
        tokenizer,
        directory,
        languages=None,
        num_workers=None,
        verbose="auto",
    ):
        """Tokenises sentences and their translations into a directory, and opens it.

        Line n of a source and line n of its target are a document of exactly two sentences. For
        pairs and other text in one corpus, give pairs of files to `build`.

        Args:
            sources: path or list of paths of plain text files.
            targets: as many paths of files with as many lines each.
            tokenizer: a `Tokenizer`; targets are tokenised by its `target`.
            directory: where the corpus shall lie.
            languages: the names of the languages of the sources and of the targets, two different
                ones that the tokenizer knows. None: there are no languages.
            num_workers, verbose: as in `build`.

        Returns:
            A `Corpus`.

        Raises:
            FileNotFoundError: if a path does not exist.
            ValueError: if files have different numbers of lines, a line is empty, a file is not
                UTF-8, or for what `build` refuses.
        """
        sources, targets = (
            [paths] if isinstance(paths, (str, Path)) else list(paths)
            for paths in (sources, targets)
        )
        if len(sources) != len(targets):
            raise ValueError(
                "There must be as many files of targets as of sources. Received: "
                f"{len(sources)} sources and {len(targets)} targets"
            )
        return cls.build(
            list(zip(sources, targets)),
            tokenizer,
            directory,
            num_workers=num_workers,
            languages=None if languages is None else [languages] * len(sources),
            verbose=verbose,
        )

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
                start where a sentence does, ids outside the vocabulary, arrays that are not what
                was built, by their SHA-256.
        """
        info, arrays = read_corpus(directory)
        return cls(directory, info, arrays)

    def split(self, held_out=0.05, seed=0):
        """Splits the documents at random into two corpora over the same arrays.

        Args:
            held_out: share of the documents in the second part, between 0 and 1; each part gets
                at least one.
            seed: of the choice, an integer; the same corpus and seed give the same parts. None is
                0: what was held out of one run must not be trained on in the next.

        Returns:
            `(rest, held-out part)`, two `Corpus`.

        Raises:
            ValueError: if there is only one document, `held_out` is not between 0 and 1, or the
                seed is no integer of at least 0.
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
        seed = check_integer("seed", seed, 0, none=True) or 0
        drawn = np.random.default_rng(seed).permutation(self.documents)
        parts = np.sort(drawn[number:]), np.sort(drawn[:number])
        return tuple(Corpus(self.directory, self._info, self._arrays, part) for part in parts)

    def token_counts(self):
        """How often every id occurs, an integer array (V,)."""
        counts = np.zeros(self.vocabulary_size, "int64")
        for run in np.split(self.documents, np.flatnonzero(np.diff(self.documents) != 1) + 1):
            begin, end = self.document_offsets[[run[0], run[-1] + 1]]
            for start in range(begin, end, CHUNK):
                ids = self.token_ids[start : min(start + CHUNK, end)]
                counts += np.bincount(ids, minlength=self.vocabulary_size)
        return counts

    def unigram_entropy(self):
        """The entropy of the corpus's own unigram distribution, in nats per token.

        It is the cross-entropy that a model without any context could reach here.

        Returns:
            A float.
        """
        counts = self.token_counts()
        share = counts[counts > 0] / counts.sum()
        return float(-(share * np.log(share)).sum())

    def check_tokenizer(self, tokenizer):
        """Refuses a tokenizer that is not the one that the corpus was built with.

        Args:
            tokenizer: a `Tokenizer`.

        Raises:
            ValueError: if the fingerprints differ.
        """
        if tokenizer.fingerprint != self.tokenizer_fingerprint:
            raise ValueError(
                f"The corpus {self.directory} was built with another tokenizer. Build it again "
                "with this one, or use the one it was built with. Received: "
                f"fingerprint={tokenizer.fingerprint}, expected {self.tokenizer_fingerprint}"
            )


def _num_cores():
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _open_part(directory, documents):
    """Opens a corpus, or a part of one, in another process."""
    corpus = Corpus.open(directory)
    return Corpus(directory, corpus._info, corpus._arrays, documents)
