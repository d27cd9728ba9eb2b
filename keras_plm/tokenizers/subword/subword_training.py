"""Training of WordPiece and of byte-level pairs, the same from the same lines on every machine."""

import collections
import json

import tokenizers
from tokenizers import models, normalizers, pre_tokenizers, trainers

from keras_plm.tokenizers.subword import subword_models
from keras_plm.tokenizers.subword.subword_tokenizer import SubwordTokenizer

WORDPIECE_TOKENS = {
    "pad": "[PAD]",
    "unk": "[UNK]",
    "cls": "[CLS]",
    "sep": "[SEP]",
    "mask": "[MASK]",
}
BYTE_LEVEL_TOKENS = {
    "bos": "<s>",
    "pad": "<pad>",
    "eos": "</s>",
    "unk": "<unk>",
    "mask": "<mask>",
    "cls": "<s>",
    "sep": "</s>",
}
GPT_TOKENS = dict.fromkeys(("unk", "bos", "eos"), "<|endoftext|>")  # between documents
XLM_TOKENS = {**BYTE_LEVEL_TOKENS, "cls": "</s>"}  # </s> begins texts, ends and separates them
SPECIAL_TOKENS_OF_BYTES = {  # by layout
    "roberta": BYTE_LEVEL_TOKENS,
    "gpt": GPT_TOKENS,
    "xlm": XLM_TOKENS,
}
LEAST_COUNT = 2  # of a pair that is merged


def train_wordpiece(lines, vocabulary_size, lowercase, character_coverage, bars=False):
    """Learns a WordPiece vocabulary: BERT's special tokens, the characters, merges of them.

    Args:
        lines: function of no arguments that gives an iterator of strings; it is called twice.
        vocabulary_size: number of pieces at most.
        lowercase: bool. Whether case and accents are dropped.
        character_coverage: share of the characters that get a piece of their own.
        bars: bool. Whether the library shows its progress, in a terminal.

    Returns:
        A `SubwordTokenizer`.

    Raises:
        ValueError: if the vocabulary is too small for the characters of the text.
    """
    backend = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    characters = _characters(map(backend.normalizer.normalize_str, lines()), character_coverage)
    # Listed as special, they get their ids before the library's hash table can shuffle them.
    inner = [f"##{one}" for one in characters if _continues_words(one, backend)]
    special = list(WORDPIECE_TOKENS.values())
    _check_size(vocabulary_size, len(special) + len(characters) + len(inner))
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocabulary_size,
        min_frequency=LEAST_COUNT,
        special_tokens=special + inner,
        initial_alphabet=characters,
        limit_alphabet=len(characters),
        show_progress=bars,
    )
    backend.train_from_iterator(lines(), trainer)
    found = backend.get_vocab()
    first = special + characters + inner
    merged = sorted(found.keys() - set(first), key=found.get)
    vocabulary = {piece: index for index, piece in enumerate(first + merged)}
    content = subword_models.wordpiece(vocabulary, "[UNK]", lowercase)
    return SubwordTokenizer(json.dumps(content), WORDPIECE_TOKENS, layout="bert")


def train_byte_level(
    lines, vocabulary_size, lowercase, layout="roberta", languages=None, bars=False
):
    """Learns byte-level pairs: RoBERTa's or other special tokens, the 256 bytes, merges of them.

    Args:
        lines: function of no arguments that gives an iterator of strings.
        vocabulary_size: number of pieces at most.
        lowercase: bool. Whether the text is lower-cased.
        layout: str, "roberta", "gpt" or "xlm". GPT-2's has one special token, `<|endoftext|>`,
            which separates documents (the last id in the released GPT-2, here the first).
        languages: dict of the names of languages to their ids, or None.
        bars: bool. Whether the library shows its progress, in a terminal.

    Returns:
        A `SubwordTokenizer`.

    Raises:
        ValueError: if the vocabulary is too small for the bytes.

    Source: Radford et al. (2019), section 2.2; RoBERTa (Liu et al., 2019), section 4.4.
    """
    special_tokens = SPECIAL_TOKENS_OF_BYTES[layout]
    special = list(dict.fromkeys(special_tokens.values()))
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    _check_size(vocabulary_size, len(special) + len(alphabet))
    backend = tokenizers.Tokenizer(models.BPE())
    backend.normalizer = normalizers.Lowercase() if lowercase else None
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        min_frequency=LEAST_COUNT,
        special_tokens=special,
        initial_alphabet=alphabet,
        show_progress=bars,
    )
    backend.train_from_iterator(lines(), trainer)
    model = json.loads(backend.to_str())["model"]
    content = subword_models.byte_level(model["vocab"], model["merges"], lowercase=lowercase)
    return SubwordTokenizer(json.dumps(content), special_tokens, layout, languages)


def _characters(lines, coverage):
    """The most frequent characters that make up a share of a text, sorted."""
    counts = collections.Counter()
    for line in lines:
        counts.update(line)
    counts = {one: count for one, count in counts.items() if not one.isspace()}
    rest = coverage * sum(counts.values())
    kept = []
    for one in sorted(counts, key=lambda one: (-counts[one], one)):
        if rest <= 0:
            break
        kept.append(one)
        rest -= counts[one]
    return sorted(kept)


def _continues_words(character, backend):
    """Whether a character may stand within a word."""
    text = backend.normalizer.normalize_str(f"a{character}")
    return len(backend.pre_tokenizer.pre_tokenize_str(text)) == 1


def _check_size(vocabulary_size, needed):
    if vocabulary_size < needed:
        raise ValueError(
            f"vocabulary_size must be at least {needed}, so that every character of the text has "
            "a piece; raise it, or lower `character_coverage`. "
            f"Received: vocabulary_size={vocabulary_size}"
        )
