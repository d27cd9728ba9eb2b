"""More pieces for a tokenizer that is there: its old ids stay what they are."""

import json
import re

import sentencepiece

from keras_plm.tokenizers.sentence_piece_tokenizer import SentencePieceTokenizer
from keras_plm.tokenizers.sentinel_pieces import sentinel_entries
from keras_plm.tokenizers.subword.subword_tokenizer import SubwordTokenizer
from keras_plm.tokenizers.text_columns import column_items
from keras_plm.tokenizers.text_normalization import without_case_and_accents
from keras_plm.tokenizers.tokenizers_json import piece_entry

# Scripts whose words have no spaces between them: Thai to Khmer, Japanese, Chinese.
NO_SPACES = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff]"
)
# What GPT-1 is given for the texts of its tasks, for the layout "gpt1_transfer"; `train.py`.
TRANSFER_TOKENS = {"start": "_start_", "delimiter": "_delimiter_", "classify": "_classify_"}
# T5's sentinels, the last first, so that their ids count down; `<extra_id_0>` is the last id.
SENTINEL_TOKENS = {f"extra_id_{number}": f"<extra_id_{number}>" for number in reversed(range(100))}
# How much better a new piece is than the pieces that it replaces, in SentencePiece's scores.
MARGIN = 1e-2


def extend_tokenizer(tokenizer, new_tokens):
    """Make a tokenizer that knows new tokens as whole pieces.

    New ids follow the old ones, and texts without the new tokens become the ids that they were. A
    new token is found where no letter or digit is beside it (anywhere, in scripts without spaces).
    In WordPiece and SentencePiece it is a piece as others are, so a longer word may begin with it;
    SentencePiece takes it by its score, a little better than that of the old pieces together.

    Args:
        tokenizer: `SubwordTokenizer`, or `SentencePieceTokenizer` of type Unigram.
        new_tokens: list of str, without whitespace around: words, or several with spaces.

    Returns:
        The new tokenizer, and for each new token the list of the old ids that it was.

    Raises:
        TypeError: if `new_tokens` is no list of strings.
        ValueError: if a token is empty, there twice, a piece already, or unknown to the tokenizer
            (in part), or if it cannot become a piece.

    Example: with the pieces `co` and `##vid` a tokenizer learns "covid", whose old ids are those
    two.
    """
    new_tokens = column_items(new_tokens, "new_tokens", "strings")
    if not new_tokens:
        raise ValueError("new_tokens must have a token at least. Received: []")
    old_ids, seen = [], {}
    for token in new_tokens:
        ids = _old_ids(tokenizer, token)
        if tuple(ids) in seen:
            raise ValueError(
                f"new_tokens must all be different. Received: {seen[tuple(ids)]!r} and {token!r}, "
                "which are the same to this tokenizer"
            )
        seen[tuple(ids)] = token
        old_ids.append(ids)
    if isinstance(tokenizer, SubwordTokenizer):
        extended = _extended_subwords(tokenizer, new_tokens)
    elif isinstance(tokenizer, SentencePieceTokenizer):
        extended = _extended_sentence_pieces(tokenizer, old_ids)
    else:
        raise TypeError(
            "tokenizer must be a SubwordTokenizer or a SentencePieceTokenizer. "
            f"Received: {type(tokenizer).__name__}"
        )
    for index, token in enumerate(new_tokens, start=tokenizer.vocabulary_size):
        if extended.encode(token) != [index]:
            raise ValueError(
                f"{token!r} cannot become a piece of this tokenizer: it splits the text otherwise, "
                f"into {extended.pieces(extended.encode(token))}. Leave it out"
            )
    return extended, old_ids


def add_special_tokens(tokenizer, special_tokens, layout=None):
    """Make a tokenizer that knows more special tokens, which no text becomes.

    New ids follow the old ones, and texts become the ids that they were.

    Args:
        tokenizer: `SubwordTokenizer`.
        special_tokens: dict of str to str, names that the tokenizer has not yet to their pieces,
            such as `TRANSFER_TOKENS`; a piece that it has is the special token from now on.
        layout: str or None. The name of the `RowLayout` of its rows from now on, such as
            "gpt1_transfer"; None: as before.

    Returns:
        The new tokenizer.

    Raises:
        TypeError: if `tokenizer` is no `SubwordTokenizer`: SentencePiece's names are fixed.
        ValueError: if there are none, a name is taken, one is empty, or two share a piece; or
            there is no such layout.

    Example:
    ```text
    tokenizer = add_special_tokens(tokenizer, TRANSFER_TOKENS, layout="gpt1_transfer")
    TextPreprocessor(tokenizer)((["a man sleeps"], ["a man is awake"]))
    # _start_ a man sleeps _delimiter_ a man is awake _classify_
    ```

    Source: GPT-1 (Radford et al. 2018), section 3.3.
    """
    if not isinstance(tokenizer, SubwordTokenizer):
        raise TypeError(
            "Special tokens can be added to a SubwordTokenizer, such as GPT's. "
            f"Received: {type(tokenizer).__name__}"
        )
    valid = isinstance(special_tokens, dict) and special_tokens
    if not valid or not all(isinstance(one, str) and one for one in _flat(special_tokens)):
        raise ValueError(
            "special_tokens must be a dict of names to pieces, at least one. "
            f"Received: {special_tokens!r:.200}"
        )
    taken = sorted(special_tokens.keys() & tokenizer.special_tokens.keys())
    pieces = list(special_tokens.values())
    if taken or len(set(pieces)) < len(pieces):
        raise ValueError(
            "special_tokens must have new names, and a piece of its own each. Received: "
            f"{special_tokens}, where the tokenizer has {tokenizer.special_tokens}"
        )
    content = json.loads(tokenizer.model)
    known = set(tokenizer.pieces(range(tokenizer.vocabulary_size)))
    new = [piece for piece in pieces if piece not in known]
    content["added_tokens"] = [
        *(content.get("added_tokens") or []),
        *(
            _added_token(index, piece, special=True)
            for index, piece in enumerate(new, start=tokenizer.vocabulary_size)
        ),
    ]
    return SubwordTokenizer(
        json.dumps(content, ensure_ascii=False),
        {**tokenizer.special_tokens, **special_tokens},
        layout or tokenizer.layout.name,
        tokenizer.languages,
        **tokenizer.settings,
    )


def _flat(names):
    """Keys and values of a dict."""
    return [*names, *names.values()]


def _old_ids(tokenizer, token):
    """The old ids of a new token, checked."""
    if not isinstance(token, str):
        raise TypeError(f"new_tokens must be strings. Received: {token!r:.100}")
    if not token or token != token.strip():
        raise ValueError(
            "A new token must have characters, and no whitespace around them. "
            f"Received: {token!r:.100}"
        )
    ids = tokenizer.encode(token)
    if not ids or tokenizer.special_token_ids.get("unk") in ids:
        raise ValueError(
            "A new token must have pieces that the tokenizer knows, of which its embedding is the "
            f"mean. Received: {token!r:.100}, which is {tokenizer.pieces(ids)}"
        )
    if len(ids) == 1:
        raise ValueError(
            f"{token!r:.100} is a piece already. Received: id {ids[0]}, {tokenizer.pieces(ids)}"
        )
    return ids


def _extended_subwords(tokenizer, new_tokens):
    """With tokens added to the JSON that the library `tokenizers` takes."""
    content = json.loads(tokenizer.model)
    prepared = new_tokens
    if tokenizer.settings["lower_and_strip"]:
        prepared = [without_case_and_accents(token)[0] for token in new_tokens]
    added = [
        _added_token(index, token, single_word=not NO_SPACES.search(token))
        for index, token in enumerate(prepared, start=tokenizer.vocabulary_size)
    ]
    content["added_tokens"] = [*(content.get("added_tokens") or []), *added]
    return SubwordTokenizer(
        json.dumps(content, ensure_ascii=False),
        tokenizer.special_tokens,
        tokenizer.layout.name,
        tokenizer.languages,
        **tokenizer.settings,
    )


def _added_token(index, content, single_word=False, special=False):
    """A token as the library `tokenizers` lists it."""
    return {
        "id": index,
        "content": content,
        "single_word": single_word,
        "lstrip": False,
        "rstrip": False,
        "normalized": not special,
        "special": special,
    }


def _extended_sentence_pieces(tokenizer, old_ids):
    """With pieces behind the others: a protocol buffer's lists grow at its end."""
    settings = {**tokenizer.settings, "num_sentinels": 0}  # new pieces stand behind the sentinels
    proto = tokenizer.proto + sentinel_entries(tokenizer.settings["num_sentinels"])
    processor = sentencepiece.SentencePieceProcessor(model_proto=proto)
    for ids in old_ids:
        score = sum(processor.get_score(index) for index in ids) + MARGIN
        proto += piece_entry("".join(tokenizer.pieces(ids)), score)
    return SentencePieceTokenizer(proto, layout=tokenizer.layout.name, **settings)
