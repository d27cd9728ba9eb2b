"""ERNIE of Tsinghua: what thunlp/ERNIE computed, read under its names, kept and written again."""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest
from keras import ops
from safetensors.numpy import load_file

from keras_plm import presets, tasks
from keras_plm.backbones import Backbone, KnowledgeBackbone
from keras_plm.checkpoints.families.ernie_thu import ERNIE_THU
from keras_plm.objectives import MaskedModeling, ObjectiveSum, SentencePair

SHARED = runpy.run_path(str(Path(__file__).parents[2] / "backbones" / "ernie_thu.py"))
reference, features = SHARED["reference"], SHARED["features"]
REAL = reference()["padding_mask"].astype(bool)


def no_weights():
    raise FileNotFoundError


def read(**changes):
    arguments, notes = ERNIE_THU.read_hugging_face({**SHARED["CONFIG"], **changes}, no_weights)
    assert not notes
    return arguments


@pytest.fixture
def directory(tmp_path):
    return SHARED["write_released"](tmp_path / "released")


@pytest.fixture
def vectors():
    return {"entity_vectors": reference()["entity_table"]}


def numbers(tensor):
    return np.array(ops.convert_to_numpy(tensor))


def test_a_config():
    assert read() == dict(
        vocabulary_size=60,
        num_layers=5,
        num_heads=4,
        hidden_dim=32,
        intermediate_dim=64,
        max_sequence_length=24,
        activation="gelu",
        dropout=0.1,
        attention_dropout=0.1,
        layer_norm_epsilon=1e-12,
        initializer_range=0.02,
        num_segments=2,
        block_types=["text", "fuse", "fuse_attend", "fuse_attend", "text"],
        entity_dim=100,
        entity_heads=4,
    )


def test_what_layer_types_leave_out_is_of_the_text_alone():
    assert read(layer_types=["sim", "norm"])["block_types"][1:] == ["fuse_attend", *["text"] * 3]
    assert read(entity_hidden_size=8, entity_num_attention_heads=2)["entity_dim"] == 8


@pytest.mark.parametrize("types", [["sim"] * 6, ["sum"], "sim", [3], None])
def test_bad_types(types):
    with pytest.raises(ValueError, match=r"'layer_types' must be a list of at most 5 of \['mix'"):
        read(layer_types=types)


def test_every_head_in_the_tasks_that_hold_it(directory, vectors, assert_near, caplog):
    """The logits of the released code, and no word in the log."""
    every = np.tile(np.arange(9, dtype="int32"), (3, 1))
    x = {**features(), "target_positions": every}
    masked = tasks.MaskedLM.from_preset(directory, **vectors)
    found = masked({name: x[name] for name in masked.input_names_of_task()})
    found = found["tokens"] if isinstance(found, dict) else found
    assert_near(numbers(found)[REAL], reference()["mlm_logits"][REAL])
    objective = ObjectiveSum(
        (
            MaskedModeling(60, 4, sequence_length=9, rows="sentence_pair", segments=True),
            SentencePair(9),
        )
    )
    pretrainer = tasks.Pretrainer.from_preset(directory, objective=objective, **vectors)
    found = numbers(pretrainer.heads["sentence_pair"](reference()["pooled"]))
    assert_near(found, reference()["nsp_logits"])
    assert not caplog.records


def test_presets_and_exports_hold_all_of_it(directory, vectors, tmp_path, assert_near, caplog):
    task = tasks.MaskedLM.from_preset(directory, **vectors)
    task.save_to_preset(tmp_path / "own")
    presets.export_huggingface(task, tmp_path / "export")
    config = json.loads((tmp_path / "export" / "config.json").read_text())
    assert config["layer_types"] == SHARED["CONFIG"]["layer_types"]
    assert config["model_type"] == "ernie_thu" and config["entity_hidden_size"] == 20
    for place in ("own", "export"):
        again = Backbone.from_preset(tmp_path / place, **vectors)
        assert isinstance(again, KnowledgeBackbone)
        encoded = again.encode(features())
        assert_near(numbers(encoded["sequence_output"])[REAL], reference()["hidden_5"][REAL])
    written, theirs = load_file(tmp_path / "export" / "model.safetensors"), SHARED["weights"]()
    other = {"cls.predictions.decoder.weight", *(n for n in theirs if "_ent.transform" in n)}
    other |= {name for name in theirs if name.startswith("cls.seq_relationship")}
    assert written.keys() == theirs.keys() - other  # heads of other tasks, and a copy
    for name, array in written.items():
        np.testing.assert_array_equal(array, theirs[name], name)
    assert not caplog.records


def test_a_config_of_another_name(directory, vectors, assert_near):
    """Renamed by a user: `layer_types` says whose it is."""
    (directory / "ernie_config.json").rename(directory / "config.json")
    backbone = Backbone.from_preset(directory, **vectors)
    found = numbers(backbone.encode(features())["pooled_output"])
    assert_near(found, reference()["pooled"])


def test_a_file_of_other_blocks_is_refused(tmp_path):
    types = ["sim", "mix", "mix", "norm", "sim"]
    directory = SHARED["write_released"](tmp_path / "other", layer_types=types)
    with pytest.raises(ValueError, match="unexpected: bert.encoder.layer.2.attention.output_ent"):
        KnowledgeBackbone.from_preset(directory)
    types = ["norm", "mix", "norm", "norm", "sim"]
    directory = SHARED["write_released"](tmp_path / "more", layer_types=types)
    with pytest.raises(ValueError, match="missing: bert.encoder.layer.0.attention.output_ent"):
        KnowledgeBackbone.from_preset(directory)


def test_a_pickle_is_not_opened(directory):
    (directory / "model.safetensors").rename(directory / "pytorch_model.bin")
    with pytest.raises(FileNotFoundError, match="pytorch_model.bin is a pickle.*convert it once"):
        KnowledgeBackbone.from_preset(directory)
