"""What a corpus is made of: sentences of documents, and pairs of aligned lines, with languages."""

from dataclasses import dataclass
from pathlib import Path

from keras_plm.data.corpus.text_files import read_documents, read_pairs, text_paths

BATCH_CHARACTERS = 4_000_000  # text that is tokenised at once


@dataclass(frozen=True)
class CorpusPart:
    """Sentences that follow each other in a document.

    Args:
        sentences: list of str.
        ends: bool. Whether the document ends with them.
        languages: list of int, the language of each; None if the corpus has no languages.
        places: list of str, where each stands, if none of them may be without tokens; else None.
    """

    sentences: list
    ends: bool
    languages: list | None = None
    places: list | None = None


def checked_sources(paths):
    """The files of a corpus and pairs of files, in a list.

    Args:
        paths: a path, or a list of paths and of pairs (tuples) of paths.

    Returns:
        A list of paths and of tuples of two paths.

    Raises:
        FileNotFoundError: if a path does not exist.
        ValueError: if there are none, a pair is not of two, or a file is empty.
    """
    sources = [paths] if isinstance(paths, (str, Path)) else list(paths)
    if not sources:
        text_paths(sources)
    for source in sources:
        if not isinstance(source, (tuple, list)):
            text_paths(source)
        elif len(source) != 2:
            raise ValueError(
                f"A pair of files must be a tuple of two paths. Received: {source!r:.200}"
            )
    return sources


def num_bytes(sources):
    """The size of the files of a corpus.

    Args:
        sources: what `checked_sources` returns.

    Returns:
        int. A file of a pair that is not there, which is said when it is read, counts nothing.
    """
    is_pair = [isinstance(source, (tuple, list)) for source in sources]
    files = [own if pair else text_paths(own) for own, pair in zip(sources, is_pair)]
    paths = [Path(path) for own in files for path in own]
    return sum(path.stat().st_size for path in paths if path.is_file())


def language_ids(sources, languages, tokenizer, pre_split=False):
    """The language of each source as the tokenizer numbers it.

    Args:
        sources: what `checked_sources` returns.
        languages: a name for each source, a tuple of two for a pair, in a list; or None.
        tokenizer: a `Tokenizer`.
        pre_split: bool, see `Tokenizer.language_id`.

    Returns:
        A list with an int, a tuple of two or None for each source; and a dict of the names of
        the languages to their ids, None without languages.

    Raises:
        ValueError: if the tokenizer knows no such language, there are more or fewer of them than
            sources, or a pair has not two different ones.
    """
    if languages is None:
        return [None] * len(sources), None
    names = [languages] if isinstance(languages, str) else list(languages)
    if len(names) != len(sources):
        raise ValueError(
            "languages must name one language per path, and two in a tuple per pair of paths. "
            f"Received: languages={languages!r:.200} for {len(sources)} paths"
        )
    found, ids = {}, []
    for source, name in zip(sources, names):
        is_pair = isinstance(source, (tuple, list))
        named = isinstance(name, (tuple, list)) and len(name) == len(set(name)) == 2
        if is_pair and not named:
            raise ValueError(
                "A pair of files needs a pair of two different languages. Received: "
                f"languages={name!r:.100} for {source!r:.200}"
            )
        own = name if is_pair else [name]
        numbers = [tokenizer.language_id(one, pre_split) for one in own]
        found.update(zip(own, numbers))
        ids.append(tuple(numbers) if is_pair else numbers[0])
    return ids, found


def with_spaces(sentences, text, begins):
    """Gives sentences the space that stood before them, for a tokenizer that keeps spaces.

    Args:
        sentences: list of str, parts of the text in its order.
        text: str, what they were split from.
        begins: bool. Whether nothing stands before the text, or white space that is kept.

    Returns:
        list of str: with one space before each that has white space before it in the text, but
        not before the first of a document, nor where the sentence itself has some.

    Example:

    >>> with_spaces(["He left.", "Why?", "«No»"], "He left.\\nWhy? «No»", begins=True)
    ['He left.', ' Why?', ' «No»']
    """
    text = text.lstrip() if begins else f" {text}"
    spaced, end = [], 0
    for sentence in sentences:
        begin = text.find(sentence, end)
        apart = text[end : max(begin, end)][-1:].isspace() and not sentence[:1].isspace()
        end = end if begin < 0 else begin + len(sentence)
        spaced.append(f" {sentence}" if apart else sentence)
    return spaced


def corpus_parts(sources, languages, text_field, split_sentences, keeps_spaces=False):
    """Reads what `checked_sources` returned, as a stream.

    Args:
        sources: list of paths and of tuples of two paths.
        languages: list of their ids, as `language_ids` returns it.
        text_field: key of the text in JSON lines.
        split_sentences: a function from text to a list of sentences.
        keeps_spaces: bool, `Tokenizer.keeps_spaces`; see `with_spaces`.

    Yields:
        `CorpusPart`; of a pair of files one for each pair of lines, a document of two sentences.

    Raises:
        ValueError: as `read_documents` and `read_pairs`.
    """
    for source, language in zip(sources, languages):
        if isinstance(source, (tuple, list)):
            for pair, places in read_pairs(*source):
                yield CorpusPart(pair, True, language and list(language), places)
        else:
            begins = True
            for text, ends in read_documents(source, text_field):
                sentences = split_sentences(text)
                if keeps_spaces:
                    sentences = with_spaces(sentences, text, begins)
                begins = ends or any(one[-1:].isspace() for one in sentences[-1:])
                known = None if language is None else [language] * len(sentences)
                yield CorpusPart(sentences, ends, known)


def batches_of(parts):
    """Gathers parts until there is enough text to be tokenised at once.

    Args:
        parts: iterable of `CorpusPart`.

    Yields:
        `(sentences, document_ends, languages, places)`: a list of str; after how many of them
        documents end; the language of each, empty without languages; and a dict of the number of
        each sentence that must have tokens to its place.
    """
    sentences, document_ends, languages, places, length = [], [], [], {}, 0
    for part in parts:
        places.update(enumerate(part.places or (), start=len(sentences)))
        sentences += part.sentences
        languages += part.languages or ()
        length += sum(map(len, part.sentences))
        if part.ends:
            document_ends.append(len(sentences))
        if length >= BATCH_CHARACTERS or len(document_ends) >= BATCH_CHARACTERS:
            yield sentences, document_ends, languages, places
            sentences, document_ends, languages, places, length = [], [], [], {}, 0
    if document_ends:
        yield sentences, document_ends, languages, places
