"""Training of tokenizers."""

import contextlib
import io
import itertools
import re
import sys
import tempfile

import sentencepiece

from keras_plm.checks import check_choice, check_integer, did_you_mean
from keras_plm.data.corpus.text_files import read_documents
from keras_plm.data.corpus.text_sources import num_bytes, text_sources
from keras_plm.data.progress import VERBOSE, with_progress
from keras_plm.tokenizers.sentence_piece_tokenizer import SentencePieceTokenizer
from keras_plm.tokenizers.subword.subword_training import train_byte_level, train_wordpiece
from keras_plm.tokenizers.words.word_tokenizer import WordTokenizer

CONTROL_PIECES = ["<cls>", "<sep>", "<pad>", "<mask>", "<eod>"]  # ids 3 to 7
USER_DEFINED_PIECES = ["<eop>", ".", "(", ")", '"', "-", "–", "£", "€"]  # ids 8 to 16
LAYOUTS_OF_MODELS = {  # which layouts can be trained; the first is the model's own
    "sentencepiece": ("xlnet",),
    "wordpiece": ("bert",),
    "bpe": ("roberta", "gpt", "xlm"),
    "word": ("transformer_xl", "elmo", "ulmfit"),
}
SPOOLED_BYTES = 1 << 24  # of lines, that are held in memory; more go to a temporary file
TRAINING_THREADS = 16  # a part of the result, whatever the machine has: EM adds up by thread


def train_tokenizer(
    paths,
    vocabulary_size=32_000,
    text_field="text",
    character_coverage=0.99995,
    max_bytes=200_000_000,
    model="sentencepiece",
    lowercase=False,
    layout=None,
    languages=None,
    verbose="auto",
    min_count=None,
):
    """Trains a tokenizer from text files, or texts in memory.

    The same files and arguments give the same tokenizer on every machine. A vocabulary that is
    larger than the text can carry is lowered, with a printed note.

    Args:
        paths: path, pattern, list of them, or iterable of texts, as in `Corpus.build`. Text is
            read once, and kept in a temporary file meanwhile.
        vocabulary_size: number of pieces, the special ones included.
        text_field: key of the text in JSON, or name of its column in a table.
        character_coverage: share of the characters that get a piece of their own; "bpe" has all,
            "word" none.
        max_bytes: of larger text only every second, fourth, eighth, ... line is learned from.
        model: "sentencepiece": unigrams with XLNet's special pieces and rows; "wordpiece": with
            BERT's; "bpe": byte-level pairs with RoBERTa's; "word": words between white space with
            Transformer-XL's.
        lowercase: bool. Whether the tokenizer lower-cases texts, these and later ones. WordPiece
            drops accents then, as BERT does.
        layout: str or None. The `RowLayout` of the rows, and with it the special tokens; None: the
            model's own, as said above. Of "bpe" also "gpt": GPT-2's, where one special token,
            `<|endoftext|>`, separates documents and nothing stands around a text; and "xlm":
            XLM's, where `</s>` begins, ends and separates texts. Of "word" also "elmo": `<S>` and
            `</S>` around a text; and "ulmfit": words by the rules of fastai, behind `xxbos`.
        languages: list of str, for the layout "xlm": the names of the languages that a model is
            told, which get the ids 0, 1, ... in this order. None: there are none. How much text of
            each there is, is left to `paths`; XLM levels it first (section 3.1).
        verbose: whether progress is said: 0: no; 1: in a line while text is read, and in a
            terminal by the bars of `tokenizers`; 2: when it was read; "auto": 1 in a terminal,
            else 0.
        min_count: int or None. Of "word": how often a word must occur; None: once (fastai: 3).

    Returns:
        A `SentencePieceTokenizer`, a `SubwordTokenizer` or a `WordTokenizer`.

    Raises:
        FileNotFoundError: if a path does not exist.
        ValueError: if a file is empty, not UTF-8 or not what its suffix says, or the vocabulary
            is too small for the characters of the text, or there is no such model, or it has no
            such layout or no languages.

    Source: XLNet (Yang et al., 2019), section 3.1, and the options of its released README; BERT
    (Devlin et al., 2019), section 3; RoBERTa (Liu et al., 2019), section 4.4; GPT-2 (Radford et
    al., 2019), section 2.2; XLM (Conneau and Lample, 2019), section 3.1, whose pairs are of
    characters; ELMo (Peters et al., 2018); Transformer-XL (Dai et al., 2019); ULMFiT (Howard and
    Ruder, 2018).
    """
    if not isinstance(vocabulary_size, int) or vocabulary_size < 1:
        raise ValueError(
            f"vocabulary_size must be a positive integer. Received: {vocabulary_size!r}"
        )
    if not isinstance(lowercase, bool):
        raise ValueError(f"lowercase must be True or False. Received: lowercase={lowercase!r}")
    layout = _layout_of(model, layout)
    languages = _language_ids(languages, layout)
    if min_count is not None and model != "word":
        raise ValueError(
            f'min_count is for model="word". Received: min_count={min_count!r}, model={model!r}'
        )
    check_integer("max_bytes", max_bytes, 1)
    check_choice("verbose", verbose, VERBOSE)
    bars = verbose in ("auto", 1) and sys.stdout.isatty()
    sources, what = text_sources(paths), f"Reading for {vocabulary_size:,} pieces"
    read = _lines_of(sources, text_field)
    read = with_progress(read, what, num_bytes(sources), lambda line: [line], verbose)
    with _spooled(read, max_bytes) as lines:
        if model == "sentencepiece":
            tokenizer = _train_sentencepiece(
                lines(), vocabulary_size, character_coverage, lowercase
            )
        elif model == "wordpiece":
            settings = vocabulary_size, lowercase, character_coverage, bars
            tokenizer = train_wordpiece(lines, *settings)
        elif model == "word":
            settings = vocabulary_size, 1 if min_count is None else min_count, lowercase, layout
            tokenizer = WordTokenizer.train(lines(), *settings)
        else:
            tokenizer = train_byte_level(lines, vocabulary_size, lowercase, layout, languages, bars)
    if tokenizer.vocabulary_size < vocabulary_size:
        print(
            f"The text carries {tokenizer.vocabulary_size:,} pieces: the vocabulary is lowered "
            f"from {vocabulary_size:,} to that."
        )
    return tokenizer


def _layout_of(model, layout):
    """The name of the layout that a model is trained with."""
    if not isinstance(model, str) or model not in LAYOUTS_OF_MODELS:
        raise ValueError(
            f"model must be one of {list(LAYOUTS_OF_MODELS)}. Received: model={model!r:.100}."
            f"{did_you_mean(model, LAYOUTS_OF_MODELS)}"
        )
    layouts = LAYOUTS_OF_MODELS[model]
    if layout is None:
        return layouts[0]
    if layout not in layouts:
        raise ValueError(
            f"layout must be None or one of {layouts} for model={model!r}. "
            f"Received: layout={layout!r:.100}.{did_you_mean(layout, layouts)}"
        )
    return layout


def _language_ids(languages, layout):
    """The languages with their ids, or None."""
    if languages is None:
        return None
    names = list(languages) if isinstance(languages, (list, tuple)) else []
    good = all(isinstance(name, str) and name for name in names)
    if not names or not good or len(set(names)) < len(names) or layout != "xlm":
        raise ValueError(
            'languages must be a list of different names, for model="bpe" with layout="xlm". '
            f"Received: languages={languages!r:.200}, layout={layout!r}"
        )
    return {name: index for index, name in enumerate(names)}


def _train_sentencepiece(lines, vocabulary_size, character_coverage, lowercase):
    """A `SentencePieceTokenizer` of unigrams."""
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=(line.lower() for line in lines) if lowercase else lines,
            model_writer=model,
            model_type="unigram",
            vocab_size=vocabulary_size,
            hard_vocab_limit=False,
            character_coverage=character_coverage,
            max_sentence_length=2**30,
            unk_id=0,
            bos_id=1,
            eos_id=2,
            pad_id=-1,
            control_symbols=CONTROL_PIECES,
            user_defined_symbols=USER_DEFINED_PIECES,
            num_threads=TRAINING_THREADS,
            minloglevel=2,
        )
    except (RuntimeError, OSError) as error:
        needed = re.search(r"required_chars\. \d+ vs (\d+)", str(error))
        if needed or vocabulary_size < 100:
            raise ValueError(
                f"vocabulary_size must be at least {needed[1] if needed else 100}, so that every "
                "character of the text has a piece; raise it, or lower `character_coverage`. "
                f"Received: vocabulary_size={vocabulary_size}"
            ) from None
        raise ValueError(f"SentencePiece could not learn from the text: {error}") from error
    return SentencePieceTokenizer(model.getvalue(), lowercase=lowercase)


def _lines_of(sources, text_field):
    """The lines of all documents that hold text; those of a pair of files are lines as well."""
    for source in sources:
        for text, _ in read_documents(source, text_field):
            yield from (line for line in text.splitlines() if line.strip())


@contextlib.contextmanager
def _spooled(lines, max_bytes):
    """A function that gives the lines again and again, thinned out if they are many."""
    with contextlib.ExitStack() as stack:
        spool, stride = stack.enter_context(tempfile.SpooledTemporaryFile(SPOOLED_BYTES)), 1
        for number, line in enumerate(lines):
            if number % stride:
                continue
            spool.write(f"{line}\n".encode())
            if spool.tell() > max_bytes:
                thinned = stack.enter_context(tempfile.SpooledTemporaryFile(SPOOLED_BYTES))
                thinned.writelines(itertools.islice(_from_begin(spool), 0, None, 2))
                spool.close()
                spool, stride = thinned, 2 * stride
        if not spool.tell():
            raise ValueError("There is no text to learn from. An iterator gives its texts once")
        yield lambda: (line.decode().removesuffix("\n") for line in _from_begin(spool))


def _from_begin(file):
    """The lines of a file that was written."""
    file.seek(0)
    return iter(file)
