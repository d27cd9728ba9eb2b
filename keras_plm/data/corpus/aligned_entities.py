"""Text whose entities are known already: two files of lines that say the same, token by token.

tokens      2  3  7  8  2  1  9      two sentences: of three tokens, of one
entities    2  3  Q1  Q1  #UNK#  1  Q7

token_ids   7   8   2   |  9
entities    1   0   0   |  7            with entity_ids={"Q1": 1, "Q7": 7}
"""

import itertools
from pathlib import Path

import numpy as np

from keras_plm.checks import check_arguments, check_kind, is_integer, kind
from keras_plm.data.corpus.corpus import Corpus
from keras_plm.data.corpus.corpus_files import MARKER
from keras_plm.data.corpus.corpus_parts import CorpusPart, batches_of
from keras_plm.data.corpus.corpus_writing import write_encoded
from keras_plm.data.corpus.text_lines import read_lines
from keras_plm.files import atomic_directory
from keras_plm.tokenizers.tokenizer import Tokenizer

NONE = "#UNK#"  # what the files of entities have at tokens without one


@check_arguments
def build_entity_corpus(
    token_path, entity_path, tokenizer: kind(Tokenizer), directory, entity_ids: kind(dict)
):
    """Make a corpus of documents whose tokens and entities stand in two aligned files.

    Line n of each is a document: the number of its sentences, then for each of them its length
    and its items, with white space between all; of the tokens their ids, of the entities the name
    of what each token is a part of, or `#UNK#`. A name goes on over all tokens of a mention, and
    the corpus has its number at the first: two mentions of one entity without a token between are
    one.

    Args:
        token_path: path of the file of token ids, maybe gzipped.
        entity_path: path of the file of entities, maybe gzipped.
        tokenizer: the `Tokenizer` that the ids are of.
        directory: where the corpus shall lie; what is there is treated as by `Corpus.build`.
        entity_ids: dict of the names of entities to their numbers, from 1. Mentions of others are
            ordinary text.

    Returns:
        A `Corpus` with the column `entities`.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: naming the line, if the files have not the same lines, sentences and lengths,
            an id is outside the vocabulary, or a count is none; if no document has a token, or
            `directory` exists and is no corpus; or if a number of `entity_ids` is below 1.

    Source: ERNIE (Zhang et al., 2019, arXiv:1905.07129), section 3.4, and the released sample of
    its pretraining data (thunlp/ERNIE, `wiki_token` and `wiki_entity`, read by
    `create_instances.py`).
    """
    _check_entity_ids(entity_ids)
    if getattr(tokenizer, "characters", False):
        raise ValueError(
            "Files of token ids have no characters of words: use a tokenizer without them. "
            f"Received: {type(tokenizer).__name__} of characters=True"
        )
    encode = _AlignedEncoder(tokenizer, entity_ids)
    documents = _aligned_documents(Path(token_path), Path(entity_path), tokenizer.vocabulary_size)
    with atomic_directory(directory, overwrite_marker=MARKER) as partial:
        parts = (CorpusPart(sentences, True) for sentences in documents)
        own = {"has_spans": False, "languages": None, "columns": ["entities"]}
        write_encoded(partial, batches_of(parts), encode, tokenizer, own)
    return Corpus.open(directory)


def read_entity_names(entity_path):
    """Return the names of entities in a file that `build_entity_corpus` takes.

    Args:
        entity_path: path of the file, maybe gzipped.

    Returns:
        list of str, each name once, in the order in which they come.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: naming the line, if it is not what it should be.
    """
    names, path = {}, Path(entity_path)
    for number, line in enumerate(read_lines(path), 1):
        for sentence in _sentences(line, f"{path}, line {number}"):
            names.update(dict.fromkeys(sentence))
    names.pop(NONE, None)
    return list(names)


class _AlignedEncoder:
    """Sentences of ids and of names, pairs, to arrays."""

    def __init__(self, tokenizer, entity_ids):
        self.tokenizer, self.entity_ids = tokenizer, entity_ids
        self.num_unknown = 0  # of the tokens so far

    def __call__(self, sentences):
        """Lengths of the sentences, ids, and a dict of the columns."""
        lengths = np.array([len(one) for one in sentences], "int64")
        ids = np.fromiter((int(one) for pairs in sentences for one, _ in pairs), "int32")
        unknown = self.tokenizer.special_token_ids.get("unk", -1)
        self.num_unknown += int(np.count_nonzero(ids == unknown))
        starts = self.tokenizer.starts_words(ids)
        starts[(np.cumsum(lengths) - lengths)[lengths > 0]] = True  # a sentence starts a word
        entities = np.fromiter(
            itertools.chain.from_iterable(map(self._numbers, sentences)), "int32", len(ids)
        )
        return lengths, ids, {"word_starts": starts, "entities": entities}

    def _numbers(self, pairs):
        """The number of each name that differs from the one before, 0 for others."""
        names = [NONE, *(name for _, name in pairs)]
        for before, name in itertools.pairwise(names):
            yield 0 if name == before else self.entity_ids.get(name, 0)


def _aligned_documents(token_path, entity_path, vocabulary_size):
    """Yields each document as a list of sentences, lists of pairs of an id and a name."""
    lines = itertools.zip_longest(read_lines(token_path), read_lines(entity_path))
    for number, (tokens, entities) in enumerate(lines, 1):
        place = f"{entity_path}, line {number}"
        if tokens is None or entities is None:
            ended = token_path if tokens is None else entity_path
            raise ValueError(
                "Tokens and entities must be aligned, with as many lines each. Received: "
                f"{ended} ends before line {number}"
            )
        ids = _sentences(tokens, f"{token_path}, line {number}")
        names = _sentences(entities, place)
        lengths = [list(map(len, one)) for one in (ids, names)]
        if lengths[0] != lengths[1]:
            wrong = [pair for pair in itertools.zip_longest(*lengths) if pair[0] != pair[1]]
            raise ValueError(
                f"{place} must be aligned with {token_path}: as many sentences, of the same "
                f"lengths. Received: {len(ids)} sentences of tokens and {len(names)} of entities; "
                f"the first that differ have {wrong[0][0]} tokens and {wrong[0][1]} entities"
            )
        for one in itertools.chain.from_iterable(ids):
            if not one.isdecimal() or int(one) >= vocabulary_size:
                raise ValueError(
                    f"{token_path}, line {number}: token ids must be within "
                    f"[0, {vocabulary_size}), as those of the tokenizer. Received: {one!r:.40}"
                )
        yield [list(zip(*pair)) for pair in zip(ids, names)]


def _sentences(line, place):
    """The items of each sentence of a line."""
    items, sentences, at = line.split(), [], 1
    for _ in range(_count(items[:1], place)):
        end = at + 1 + _count(items[at : at + 1], place)
        sentences.append(items[at + 1 : end])
        at = end
    if at != len(items):
        raise ValueError(
            f"{place} must have as many items as its lengths say. Received: {len(items)} items, "
            f"of which the lengths say {at}"
        )
    return sentences


def _count(items, place):
    """A number of sentences or items."""
    found = items[0] if items else "the end of the line"
    if not found.isdecimal() or len(found) > 9:
        raise ValueError(
            f"{place} must have the number of its sentences, and before each sentence that of its "
            f"items. Received: {found!r:.40}"
        )
    return int(found)


def _check_entity_ids(entity_ids):
    """Refuses numbers that no row of a table has."""
    for name, number in entity_ids.items():
        check_kind("a name of entity_ids", name, str)
        if not is_integer(number) or not 1 <= number < 2**31 - 1:
            raise ValueError(
                "entity_ids must be numbers from 1, rows of the table of vectors, of which row 0 "
                f"is for no entity. Received: {name!r:.40}: {number!r:.40}"
            )
