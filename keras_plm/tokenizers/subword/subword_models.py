"""The pipelines of subword tokenizers, as a `tokenizer.json` of the library `tokenizers` has them.

Each function returns a dict: how a text is normalised, split into words, and these into pieces.
"""

# What `str.split` splits at.
WHITESPACE = "\t-\r\x1c- \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}


def wordpiece(vocabulary, unknown, lowercase=True, strip_accents=None, split_chinese=True):
    """BERT's: words of letters, marks of punctuation alone, and the longest pieces first.

    Args:
        vocabulary: dict of a piece to its id; pieces within a word start with `##`.
        unknown: str. The piece for words that have no pieces.
        lowercase: bool. Whether the text is lower-cased.
        strip_accents: bool or None. Whether accents are dropped; None as `lowercase` says.
        split_chinese: bool. Whether each Chinese character is a word.

    Source: Wu et al., arXiv:1609.08144, section 4.1; `tokenization.py`, released with BERT.
    """
    normalizer = {
        "type": "BertNormalizer",
        "clean_text": True,
        "handle_chinese_chars": split_chinese,
        "strip_accents": strip_accents,
        "lowercase": lowercase,
    }
    model = {
        "type": "WordPiece",
        "unk_token": unknown,
        "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100,
        "vocab": vocabulary,
    }
    decoder = {"type": "WordPiece", "prefix": "##", "cleanup": True}
    return _pipeline(model, {"type": "BertPreTokenizer"}, decoder, normalizer)


def byte_level(vocabulary, merges, add_prefix_space=False, lowercase=False):
    """GPT-2's and RoBERTa's: pairs of bytes, where a space belongs to the word after it.

    Args:
        vocabulary: dict of a piece to its id.
        merges: list of pairs of str, the first merge first.
        add_prefix_space: bool. Whether a text that starts without a space gets one.
        lowercase: bool. Whether the text is lower-cased.

    Source: Radford et al. (2019), section 2.2; the released `encoder.py`.
    """
    splitter = {**BYTE_LEVEL, "add_prefix_space": add_prefix_space}
    normalizer = {"type": "Lowercase"} if lowercase else None
    return _pipeline(_merging(vocabulary, merges), splitter, BYTE_LEVEL, normalizer)


def word_end(vocabulary, merges, unknown):
    """GPT-1's: BERT's lower-cased words, pairs of characters; `</w>` ends the last of a word.

    Args:
        vocabulary: dict of a piece to its id.
        merges: list of pairs of str, the first merge first.
        unknown: str. The piece for unknown characters.

    Source: Sennrich et al., arXiv:1508.07909; the words as `transformers` makes them, since the
    original's come from spaCy and ftfy.
    """
    normalizer = {
        "type": "BertNormalizer",
        "clean_text": True,
        "handle_chinese_chars": True,
        "strip_accents": None,
        "lowercase": True,
    }
    model = _merging(vocabulary, merges, unknown, "</w>")
    return _pipeline(model, {"type": "BertPreTokenizer"}, _WORD_END_DECODER, normalizer)


def whitespace_word_end(vocabulary, merges, unknown):
    """XLM's: words separated by whitespace, pairs of characters; `</w>` ends the last of a word.

    Args: as `word_end`.

    Source: Conneau and Lample, arXiv:1901.07291, section 4.1. The original splits words by Moses
    first; its rule for case and accents is `lower_and_strip` of `SubwordTokenizer`.
    """
    model = _merging(vocabulary, merges, unknown, "</w>")
    splitter = {
        "type": "Split",
        "pattern": {"Regex": f"[{WHITESPACE}]+"},
        "behavior": "Removed",
        "invert": False,
    }
    return _pipeline(model, splitter, _WORD_END_DECODER)


_WORD_END_DECODER = {"type": "BPEDecoder", "suffix": "</w>"}


def _merging(vocabulary, merges, unknown=None, suffix=None):
    """A model of byte pairs."""
    return {
        "type": "BPE",
        "dropout": None,
        "unk_token": unknown,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": suffix,
        "fuse_unk": False,
        "byte_fallback": False,
        "ignore_merges": False,
        "vocab": vocabulary,
        "merges": [list(pair) for pair in merges],
    }


def _pipeline(model, pre_tokenizer, decoder, normalizer=None):
    """All of a `tokenizer.json` that decides about ids."""
    return {
        "version": "1.0",
        "added_tokens": [],
        "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer,
        "decoder": decoder,
        "model": model,
    }
