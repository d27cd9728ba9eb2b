import pytest

from keras_plm.checkpoints.families.keras_hub_models import (
    HUB_MODELS,
    check_overrides,
    hub_arguments,
    hub_weights,
)

SIZES = dict(
    vocabulary_size=23,
    num_layers=2,
    num_heads=2,
    hidden_dim=8,
    intermediate_dim=12,
    max_sequence_length=9,
    dropout=0.2,
)


def test_arguments_of_a_bert():
    config = {**SIZES, "num_segments": 3, "name": "bert", "trainable": True, "dtype": "bfloat16"}
    assert hub_arguments("BertBackbone", config) == {
        **SIZES,
        "num_segments": 3,
        "attention_dropout": 0.2,
        "activation": "gelu_tanh",
        "layer_norm_epsilon": 1e-12,
        "pooler": True,
        "dtype": "bfloat16",
    }


def test_weights_of_a_gpt2():
    weights = hub_weights("GPT2Backbone", hub_arguments("GPT2Backbone", SIZES))
    assert weights["block_1/attention/query/kernel"] == (
        "transformer_layer_1/self_attention/query/kernel",
        "layers/transformer_decoder_1/_self_attention_layer/query_dense/vars/0",
        (8, 2, 4),
    )
    assert weights["block_0/intermediate/bias"][1:] == (
        "layers/transformer_decoder/_feedforward_intermediate_dense/vars/1",
        (12,),
    )
    assert len(weights) == 2 + 2 * 16 + 2


@pytest.mark.parametrize("name", HUB_MODELS)
def test_paths_are_all_different(name):
    config = {**SIZES, **({"num_segments": 2} if name == "BertBackbone" else {})}
    weights = hub_weights(name, hub_arguments(name, config))
    assert len({variable for variable, _, _ in weights.values()}) == len(weights)
    assert len({stored for _, stored, _ in weights.values()}) == len(weights)


@pytest.mark.parametrize(
    "name, changes, message",
    [
        ("T5Backbone", {}, "must be one of .* Received: 'T5Backbone'"),
        ("GPT2Backbone", {"num_segments": 2}, "'num_segments'"),
        ("BertBackbone", {}, "'num_segments'"),
        ("GPT2Backbone", {"num_layers": 10**6}, "num_layers"),
        ("GPT2Backbone", {"dtype": "int8_from_float32"}, "none that are quantized"),
        ("GPT2Backbone", {"dtype": {"class_name": "DTypePolicyMap", "config": {}}}, "quantized"),
    ],
)
def test_wrong_configurations_are_refused(name, changes, message):
    with pytest.raises(ValueError, match=message):
        hub_arguments(name, {**SIZES, **changes})


def test_overrides():
    check_overrides({"num_layers": 2, "dropout": 0.1}, {"num_layers": 2, "dropout": 0.3})
    with pytest.raises(ValueError, match="cannot be changed. Received: {'num_layers': 3}"):
        check_overrides({"num_layers": 2}, {"num_layers": 3})
