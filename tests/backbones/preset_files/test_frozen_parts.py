"""What is frozen is named by the outermost layer that is, and read without trusting the file."""

import json

import pytest

from keras_plm.backbones import Backbone


@pytest.fixture
def preset(make_transformer, tmp_path):
    """Of a backbone whose table, first block and one attention are frozen."""
    backbone = make_transformer(40, num_layers=2, num_segments=0)
    for layer in (backbone.token_embedding, backbone.blocks[0], backbone.blocks[1].attention):
        layer.trainable = False
    backbone.save_to_preset(tmp_path / "preset")
    return tmp_path / "preset"


NAMES = ["token_embedding", "block_0", "block_1.attention"]


def trained(backbone):
    return {one.path.split("/")[0] for one in backbone.trainable_weights}


def test_names(preset):
    assert json.loads((preset / "config.json").read_text())["config"]["frozen"] == NAMES
    backbone = Backbone.from_preset(preset)
    assert backbone.get_config()["frozen"] == NAMES
    assert not trained(backbone) & {"token_embedding", "block_0"}
    backbone.trainable = False
    assert "frozen" not in backbone.get_config()  # all of it is


def test_others_may_be_asked_for(preset):
    every = Backbone.from_preset(preset, frozen=[])
    assert "frozen" not in every.get_config()
    assert len(every.trainable_weights) == len(every.weights)
    other = Backbone.from_preset(preset, frozen=["position_embedding", "block_7.attention"])
    assert other.get_config()["frozen"] == ["position_embedding"]  # the others are not there


@pytest.mark.parametrize("frozen", [3, "block_0", [1], {"block_0": True}])
def test_what_is_no_list_of_names(frozen, preset):
    config = json.loads((preset / "config.json").read_text())
    config["config"]["frozen"] = frozen
    (preset / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="config.json.*`frozen` must be a list of strings"):
        Backbone.from_preset(preset)
