import pytest

from keras_plm.checkpoints.families.roberta import MPNET, ROBERTA, read_head_settings

PLAIN = dict(
    vocab_size=9,
    num_hidden_layers=1,
    num_attention_heads=2,
    hidden_size=4,
    intermediate_size=8,
    max_position_embeddings=514,
)


def no_weights():
    raise FileNotFoundError


def read(system, **changes):
    return system.read_hugging_face({**PLAIN, **changes}, no_weights)[0]


def test_values():
    arguments = read(ROBERTA, type_vocab_size=1)
    assert arguments["max_sequence_length"] == 512 and arguments["positions_from_padding"]
    assert arguments["num_segments"] == 1 and not arguments["pooler"]
    arguments = read(MPNET, type_vocab_size=1)
    assert arguments["num_segments"] == 0 and arguments["relative_position_buckets"] == 32
    assert arguments["pooler"]


@pytest.mark.parametrize(
    "system, changes, message",
    [
        (ROBERTA, dict(pad_token_id=0), "pad_token_id=0"),
        (ROBERTA, dict(is_decoder=True), "is_decoder=True"),
        (ROBERTA, dict(max_position_embeddings=2), "must be above 2"),
        (MPNET, dict(relative_attention_num_buckets=64), "relative_attention_num_buckets=64"),
    ],
)
def test_bad_values(system, changes, message):
    with pytest.raises(ValueError, match=message):
        read(system, **changes)


@pytest.mark.parametrize("system", [ROBERTA, MPNET])
def test_there_and_back(system):
    arguments = {**read(system), "head_dim": None, "window": None}
    config, notes = system.write_hugging_face(arguments)
    assert config["max_position_embeddings"] == 514 and config["pad_token_id"] == 1
    again, _ = system.read_hugging_face(config, no_weights)
    assert not notes and {**arguments, **again} == arguments


def test_settings_of_heads(transformer_cases):
    content = transformer_cases["roberta_masked"]
    assert content["config"]["hidden_act"] == "relu"
    shapes = {name: tuple(shape) for name, shape in content["shapes"].items()}
    found = read_head_settings(content["config"], shapes)
    assert found == {"transform": True, "use_bias": True, "head_activation": "gelu"}
    assert read_head_settings({}, {"classifier.out_proj.weight": (5, 4)})["num_classes"] == 5
