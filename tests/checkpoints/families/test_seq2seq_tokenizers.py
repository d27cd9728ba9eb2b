"""The tokenizers of Marian, T5 and BART: read from a directory of transformers, and written."""

import base64
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from keras_plm.backbones import Backbone
from keras_plm.checkpoints import export_huggingface
from keras_plm.tokenizers import Tokenizer

REFERENCE = Path(__file__).parents[2] / "fixtures" / "seq2seq_reference.npz"


def write_config(directory, case):
    """A directory with a configuration, and without weights."""
    with np.load(REFERENCE) as file:
        config = json.loads(str(file["cases"]))[case]["config"]
    directory.mkdir(exist_ok=True)
    (directory / "config.json").write_text(json.dumps(config))
    return str(directory)


def model_of(directory, tokenizer):
    """What is exported of a task."""
    backbone = Backbone.from_preset(directory, load_weights=False)
    return SimpleNamespace(backbone=backbone, preprocessor=SimpleNamespace(tokenizer=tokenizer))


@pytest.mark.parametrize("case", ["marian", "t5"])
def test_a_tokenizer_goes_both_ways(case, seq2seq_tokenizers, tmp_path):
    directory = write_config(tmp_path / "theirs", case)
    for name, content in seq2seq_tokenizers[case].items():
        if name != "tokenizer.json":
            Path(directory, name).write_bytes(base64.b64decode(content))
    tokenizer = Tokenizer.from_preset(directory)
    texts, ids = (seq2seq_tokenizers[name][case] for name in ("texts", "ids"))
    assert [tokenizer.layout.lay_out(tokenizer, row)[0] for row in tokenizer.encode(texts)] == ids
    export_huggingface(model_of(directory, tokenizer), str(tmp_path / "ours"))
    assert Tokenizer.from_preset(str(tmp_path / "ours")) == tokenizer
    for name, content in seq2seq_tokenizers[case].items():
        if name.endswith((".spm", ".model")):
            assert Path(tmp_path, "ours", name).read_bytes() == base64.b64decode(content)


def test_the_tokenizers_json_of_a_t5(seq2seq_tokenizers, tmp_path):
    """Since transformers 5 that file is all that it saves; the ids are those of the model."""
    directory = write_config(tmp_path, "t5")
    content = base64.b64decode(seq2seq_tokenizers["t5"]["tokenizer.json"])
    (tmp_path / "tokenizer.json").write_bytes(content)
    tokenizer = Tokenizer.from_preset(directory)
    texts, ids = (seq2seq_tokenizers[name]["t5"] for name in ("texts", "ids"))
    assert [tokenizer.layout.lay_out(tokenizer, row)[0] for row in tokenizer.encode(texts)] == ids
    assert tokenizer.special_token_id("extra_id_0") == tokenizer.vocabulary_size - 1 == 399


@pytest.mark.parametrize("case", ["marian", "t5"])
def test_a_tokenizer_of_subwords_goes_both_ways(case, sentinels, tmp_path):
    model = model_of(write_config(tmp_path / "theirs", case), sentinels)
    export_huggingface(model, str(tmp_path / "ours"))
    back = Tokenizer.from_preset(str(tmp_path / "ours"))
    assert back.encode("The badger was angry.") == sentinels.encode("The badger was angry.")
    if case == "t5":
        assert back.special_token_ids.items() <= sentinels.special_token_ids.items()
        assert back.special_token_id("extra_id_7") == sentinels.special_token_id("extra_id_7")


def test_the_rows_of_bart(seq2seq_tokenizers, subword_fixture, tmp_path):
    directory = write_config(tmp_path, "bart")
    for name, text in subword_fixture["files"]["byte_level"].items():
        (tmp_path / name).write_bytes(text.encode())
    tokenizer = Tokenizer.from_preset(directory)
    for texts, ids in seq2seq_tokenizers["pairs"]:
        rows = [tokenizer.encode(text) for text in texts if text is not None]
        assert tokenizer.layout.lay_out(tokenizer, *rows)[0] == ids
