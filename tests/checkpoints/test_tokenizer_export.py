import json

import pytest
import tokenizers

from keras_plm.checkpoints.conversion import TokenizerFiles
from keras_plm.checkpoints.families.bart import BART, MARIAN
from keras_plm.checkpoints.families.bert import BERT
from keras_plm.checkpoints.families.gpt import GPT2
from keras_plm.checkpoints.families.t5 import T5
from keras_plm.checkpoints.families.xlm import XLM
from keras_plm.checkpoints.families.xlnet import XLNET
from keras_plm.checkpoints.tokenizer_export import export_tokenizer


class Layout:
    name, start, between, end = "bert", ("cls",), ("sep",), ("sep",)
    segments, pad_left = (0, 1, 1), False


class Wordpiece:
    """What the exporter takes of a tokenizer of subwords."""

    vocabulary = {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "a": 3, "b": 4}
    model = json.dumps(
        {
            "version": "1.0",
            "normalizer": {
                "type": "BertNormalizer",
                "clean_text": True,
                "handle_chinese_chars": True,
                "strip_accents": None,
                "lowercase": True,
            },
            "pre_tokenizer": {"type": "BertPreTokenizer"},
            "decoder": None,
            "added_tokens": [],
            "model": {
                "type": "WordPiece",
                "vocab": vocabulary,
                "unk_token": "[UNK]",
                "continuing_subword_prefix": "##",
                "max_input_chars_per_word": 100,
            },
        }
    )
    settings = {"lower_and_strip": False}
    special_tokens = {"unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]"}
    layout = Layout

    def special_token_id(self, role):
        return self.vocabulary[self.special_tokens[role]]


def config_of(directory):
    return json.loads((directory / "tokenizer_config.json").read_text())


def test_rows_are_laid_out_as_ours(tmp_path):
    export_tokenizer(BERT, Wordpiece(), 7, tmp_path)
    theirs = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    row = theirs.encode("A b")
    assert (row.ids, row.type_ids) == ([1, 3, 4, 2], [0, 0, 0, 0])
    row = theirs.encode("A b", "b")
    assert (row.ids, row.type_ids) == ([1, 3, 4, 2, 4, 2], [0, 0, 0, 0, 1, 1])
    assert config_of(tmp_path) == {
        "unk_token": "[UNK]",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "padding_side": "right",
        "model_input_names": ["input_ids", "token_type_ids", "attention_mask"],
        "model_max_length": 7,
        "tokenizer_class": "PreTrainedTokenizerFast",
    }


def test_texts_as_they_are(tmp_path):
    class Bare(Wordpiece):
        class layout(Layout):
            start = between = end = ()

    export_tokenizer(GPT2, Bare(), None, tmp_path)
    theirs = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert theirs.encode("a b").ids == [3, 4]
    assert "model_max_length" not in config_of(tmp_path)


def test_xlm_has_two_files(tmp_path):
    class Pairs(Wordpiece):
        model = json.dumps({"model": {"vocab": {"a": 0, "b</w>": 1}, "merges": [["a", "b</w>"]]}})
        settings = {"lower_and_strip": True}

    export_tokenizer(XLM, Pairs(), 512, tmp_path)
    assert json.loads((tmp_path / "vocab.json").read_text()) == {"a": 0, "b</w>": 1}
    assert (tmp_path / "merges.txt").read_text() == "#version: 0.2\na b</w>\n"
    config = config_of(tmp_path)
    assert config["tokenizer_class"] == "XLMTokenizer" and config["do_lowercase_and_remove_accent"]
    found = XLM.tokenizer.find(tmp_path, {})
    assert isinstance(found, TokenizerFiles) and set(found.files) == {"vocabulary", "merges"}


def test_sentencepiece(tmp_path):
    class Tokenizer:
        proto, settings = b"a model", {"lowercase": True, "split_digit_commas": True}

    export_tokenizer(XLNET, Tokenizer, None, tmp_path)
    assert (tmp_path / "spiece.model").read_bytes() == b"a model"
    assert config_of(tmp_path) == {"do_lower_case": True, "tokenizer_class": "XLNetTokenizer"}
    for system in (BART, MARIAN):  # transformers has none that reads it
        with pytest.raises(ValueError, match="no tokenizer of this kind"):
            export_tokenizer(system, Tokenizer, None, tmp_path)


def test_sentinels_are_no_part_of_the_model(tmp_path):
    class Tokenizer:
        proto, settings = b"a model", {"lowercase": False, "num_sentinels": 100}

    export_tokenizer(T5, Tokenizer, None, tmp_path)
    assert (tmp_path / "spiece.model").read_bytes() == b"a model"
    assert config_of(tmp_path) == {"extra_ids": 100, "tokenizer_class": "T5Tokenizer"}


@pytest.mark.parametrize("target", [b"of target", None])
def test_translation(target, tmp_path):
    class Tokenizer:
        source_proto, target_proto, settings = b"of source", target, {"special_tokens": {}}
        pieces_by_id = ["</s>", "<unk>", "▁a"]
        special_tokens = {"eos": "</s>", "unk": "<unk>"}

    export_tokenizer(MARIAN, Tokenizer, 512, tmp_path)
    assert (tmp_path / "source.spm").read_bytes() == b"of source"
    assert (tmp_path / "target.spm").read_bytes() == (target or b"of source")
    ids = json.loads((tmp_path / "vocab.json").read_text("utf-8"))
    assert ids == {"</s>": 0, "<unk>": 1, "▁a": 2}
    assert config_of(tmp_path) == {
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "tokenizer_class": "MarianTokenizer",
        "model_max_length": 512,
    }
    with pytest.raises(ValueError, match="no tokenizer of this kind"):
        export_tokenizer(T5, Tokenizer, None, tmp_path)
