"""Where the tokenizer of a released checkpoint is, and what its files say about it."""

from dataclasses import dataclass

from keras_plm import files
from keras_plm.checkpoints.conversion import TokenizerFiles

TOKENIZER_CONFIG = "tokenizer_config.json"
LARGEST_VOCABULARY_BYTES = 20_000_000
# A vocabulary with fewer pieces with a capital letter than this share is of lowercased texts.
CAPITALS = 0.01


@dataclass(frozen=True)
class TokenizerFormat:
    """What is particular about the tokenizers of one architecture.

    Args:
        kind: see `TokenizerFiles`.
        layout: see `TokenizerFiles`.
        files: tuple of dicts of a role to a file's name; the first of which all files are there
            is taken. A `tokenizer.json` that is there as well is named too.
        settings: dict of a setting to what it is where no file says it.
        names: dict of a setting to its name in a Hugging Face `tokenizer_config.json`.
        special: dict of a role ("cls", "sep", "pad", "mask", "unk", "bos", "eos") to the token
            that it has where no file says it.
        languages: str or None. The name, in the config of the model, of a dict of a language's
            name to its id; it becomes the setting "languages".
    """

    kind: str
    layout: str
    files: tuple
    settings: dict
    names: dict
    special: dict
    languages: str | None = None

    def find(self, directory, config):
        """Find the tokenizer in a directory.

        Args:
            directory: the directory.
            config: dict. The configuration of the model.

        Returns:
            `TokenizerFiles`, or None if it has none.

        Raises:
            ValueError: if a setting or a special token is none.
        """
        for names in (*self.files, {"json": "tokenizer.json"}):
            if all(files.has_entry(directory, name) for name in names.values()):
                break
        else:
            return None
        found = {role: files.file_inside(directory, name) for role, name in names.items()}
        if files.has_entry(directory, "tokenizer.json"):
            found["json"] = files.file_inside(directory, "tokenizer.json")
        said = {}
        if files.has_entry(directory, TOKENIZER_CONFIG):
            said = files.read_json(files.file_inside(directory, TOKENIZER_CONFIG))
        settings = {**self.settings}
        for ours, theirs in self.names.items():
            if theirs in said:
                settings[ours] = said[theirs]
            is_number = type(self.settings.get(ours)) is int
            kinds = (int,) if is_number else (bool, type(None))
            if type(settings.get(ours)) not in kinds:
                needed = "an integer" if is_number else "true or false"
                raise ValueError(
                    f"{directory}/{TOKENIZER_CONFIG}: {theirs!r} must be {needed}. "
                    f"Received: {settings[ours]!r:.100}."
                )
        if self.kind == "wordpiece" and settings["lowercase"] is None and "vocabulary" in found:
            settings["lowercase"] = _is_of_lowercase(found["vocabulary"])
        if self.languages:
            settings["languages"] = _languages(config, self.languages)
        special = {role: _special(said, role, token) for role, token in self.special.items()}
        return TokenizerFiles(self.kind, found, settings, self.layout, special)


def _special(said, role, default):
    """The text of a special token; a `tokenizer_config.json` may give it as an object."""
    token = said.get(f"{role}_token") or default
    token = token.get("content") if isinstance(token, dict) else token
    if not isinstance(token, str) or not token:
        raise ValueError(
            f"{TOKENIZER_CONFIG}: '{role}_token' must be a string. Received: {token!r:.100}."
        )
    return token


def _languages(config, key):
    """The ids of the languages by name."""
    languages = config.get(key) or {}
    if not isinstance(languages, dict) or not all(
        isinstance(index, int) and not isinstance(index, bool) and index >= 0
        for index in languages.values()
    ):
        raise ValueError(f"{key!r} must be ids by language. Received: {languages!r:.100}.")
    return dict(languages)


def _is_of_lowercase(path):
    """Whether a vocabulary was made of lowercased texts."""
    if path.stat().st_size > LARGEST_VOCABULARY_BYTES:
        raise ValueError(f"{path} is larger than {LARGEST_VOCABULARY_BYTES} bytes")
    pieces = path.read_text("utf-8", errors="replace").splitlines()
    pieces = [piece for piece in pieces if not piece.startswith(("[", "<"))]
    return sum(piece != piece.lower() for piece in pieces) < CAPITALS * len(pieces)


# What the released XLNet models did to texts.
XLNET = TokenizerFormat(
    kind="sentencepiece",
    layout="xlnet",
    files=({"model": "spiece.model"},),
    settings={"clean_text": True, "keep_accents": False, "split_digit_commas": True},
    names={
        "clean_text": "remove_space",
        "keep_accents": "keep_accents",
        "lowercase": "do_lower_case",
    },
    special={},
)
_BERT_TOKENS = {
    "unk": "[UNK]",
    "cls": "[CLS]",
    "sep": "[SEP]",
    "pad": "[PAD]",
    "mask": "[MASK]",
}
_WORDPIECE = {"lowercase": None, "strip_accents": None, "split_chinese": True}
_WORDPIECE_NAMES = {
    "lowercase": "do_lower_case",
    "strip_accents": "strip_accents",
    "split_chinese": "tokenize_chinese_chars",
}
_BYTE_PAIRS = (
    {"vocabulary": "vocab.json", "merges": "merges.txt"},
    {"vocabulary": "encoder.json", "merges": "vocab.bpe"},
)
BERT = TokenizerFormat(
    kind="wordpiece",
    layout="bert",
    files=({"vocabulary": "vocab.txt"},),
    settings=_WORDPIECE,
    names=_WORDPIECE_NAMES,
    special=_BERT_TOKENS,
)
ROBERTA = TokenizerFormat(
    kind="byte_level_bpe",
    layout="roberta",
    files=_BYTE_PAIRS,
    settings={"add_prefix_space": False},
    names={"add_prefix_space": "add_prefix_space"},
    special={
        "unk": "<unk>",
        "bos": "<s>",
        "eos": "</s>",
        "cls": "<s>",
        "sep": "</s>",
        "pad": "<pad>",
        "mask": "<mask>",
    },
)
MPNET = TokenizerFormat(
    kind="wordpiece",
    layout="roberta",
    files=({"vocabulary": "vocab.txt"},),
    settings=_WORDPIECE,
    names=_WORDPIECE_NAMES,
    special={**ROBERTA.special, "unk": "[UNK]"},
)
XLM = TokenizerFormat(
    kind="xlm_bpe",
    layout="xlm",
    files=_BYTE_PAIRS[:1],
    settings={"lowercase": True},
    names={"lowercase": "do_lowercase_and_remove_accent"},
    special={
        "unk": "<unk>",
        "bos": "<s>",
        "cls": "</s>",
        "sep": "</s>",
        "pad": "<pad>",
        "mask": "<special1>",
    },
    languages="lang2id",
)
GPT = TokenizerFormat(
    kind="bpe",
    layout="gpt",
    files=_BYTE_PAIRS[:1],
    settings={},
    names={},
    special={"unk": "<unk>"},
)
GPT2 = TokenizerFormat(
    kind="byte_level_bpe",
    layout="gpt",
    files=_BYTE_PAIRS,
    settings={"add_prefix_space": False},
    names={"add_prefix_space": "add_prefix_space"},
    special={"unk": "<|endoftext|>", "bos": "<|endoftext|>", "eos": "<|endoftext|>"},
)
# The texts of T5 are as they are; what follows `unk` is for a `tokenizer.json` of subwords.
T5 = TokenizerFormat(
    kind="sentencepiece",
    layout="t5",
    files=({"model": "spiece.model"},),
    settings={"num_sentinels": 100},
    names={"num_sentinels": "extra_ids"},
    special={"unk": "<unk>", "eos": "</s>", "pad": "<pad>"}
    | {f"extra_id_{number}": f"<extra_id_{number}>" for number in range(100)},
)
MARIAN = TokenizerFormat(
    kind="translation",
    layout="marian",
    files=({"source": "source.spm", "target": "target.spm", "vocabulary": "vocab.json"},),
    settings={},
    names={},
    special={"unk": "<unk>", "eos": "</s>", "pad": "<pad>"},
)
TRANSFORMER_XL = TokenizerFormat(
    kind="words",
    layout="transformer_xl",
    files=({"vocabulary": "vocab.txt"},),
    settings={"lowercase": False},
    names={"lowercase": "lower_case"},
    special={"unk": "<unk>", "eos": "<eos>"},
)
