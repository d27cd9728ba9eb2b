import pytest

from keras_plm.checkpoints.families.bert import BERT, ERNIE, read_google, read_head_settings

PLAIN = dict(
    vocab_size=9,
    num_hidden_layers=1,
    num_attention_heads=2,
    hidden_size=4,
    intermediate_size=8,
    max_position_embeddings=5,
)


def no_weights():
    raise FileNotFoundError


class Arrays:
    shapes = {"bert.pooler.dense.weight": (4, 4)}


def read(system=BERT, arrays=no_weights, **changes):
    arguments, notes = system.read_hugging_face({**PLAIN, **changes}, arrays)
    assert not notes
    return arguments


def test_defaults_are_those_of_transformers():
    assert read() == dict(
        vocabulary_size=9,
        num_layers=1,
        num_heads=2,
        hidden_dim=4,
        intermediate_dim=8,
        max_sequence_length=5,
        activation="gelu",
        dropout=0.1,
        attention_dropout=0.1,
        layer_norm_epsilon=1e-12,
        initializer_range=0.02,
        normalize_first=False,
        embedding_norm=True,
        num_segments=2,
        num_languages=0,
        num_tasks=0,
        positions_from_padding=False,
        causal=False,
        relative_position_buckets=0,
        pooler=True,
    )


def test_values():
    assert read(type_vocab_size=6)["num_segments"] == 6
    assert read(arrays=lambda: Arrays)["pooler"]
    assert not read(ERNIE, arrays=lambda: type("Bare", (), {"shapes": {}}))["pooler"]
    assert read(ERNIE)["num_tasks"] == 0
    assert read(ERNIE, use_task_id=True)["num_tasks"] == 3
    assert read(ERNIE, use_task_id=True, task_type_vocab_size=16)["num_tasks"] == 16


@pytest.mark.parametrize(
    "changes, message",
    [
        (dict(position_embedding_type="relative_key"), "position_embedding_type='relative_key'"),
        (dict(is_decoder=True), "is_decoder=True"),
        (dict(add_cross_attention=True), "add_cross_attention=True"),
        (dict(type_vocab_size=0), "'type_vocab_size' must be at least 1"),
        (dict(hidden_act="quick_gelu"), "'hidden_act'"),
        (dict(num_attention_heads=3), "must divide"),
        (dict(hidden_size=None), "hidden_size"),
    ],
)
def test_bad_values(changes, message):
    with pytest.raises(ValueError, match=message):
        read(**changes)


def test_google():
    arguments, _ = read_google({**PLAIN, "hidden_act": "gelu", "layer_norm_eps": 3}, no_weights)
    assert arguments["activation"] == "gelu_tanh" and arguments["layer_norm_epsilon"] == 1e-12
    with pytest.raises(ValueError, match="'hidden_act'"):
        read_google({**PLAIN, "hidden_act": "gelu_new"}, no_weights)


@pytest.mark.parametrize("system", [BERT, ERNIE])
def test_there_and_back(system):
    arguments = {**read(system, hidden_act="gelu_new"), "head_dim": None, "window": None}
    config, notes = system.write_hugging_face(arguments)
    again, _ = system.read_hugging_face(config, no_weights)
    assert not notes and {**arguments, **again} == arguments
    with pytest.raises(ValueError, match="num_segments=0"):
        system.write_hugging_face({**arguments, "num_segments": 0})


def test_settings_of_heads(transformer_cases):
    def settings(case):
        content = transformer_cases[case]
        shapes = {name: tuple(shape) for name, shape in content["shapes"].items()}
        return read_head_settings(content["config"], shapes)

    plain = {"transform": True, "use_bias": True, "head_activation": "gelu"}
    assert settings("bert_masked") == {**plain, "head_activation": "relu"}
    assert settings("bert_span") == {**plain, "beam": False}
    found = settings("bert_words")
    assert found["class_names"] == ["O", "B-a/b", "I-a/b"] and found["dropout"] == 0.0
    shapes = {"bert/pooler/dense/kernel": (4, 4), "output_weights": (3, 4)}
    found = read_head_settings({"hidden_act": "gelu"}, shapes)
    assert found["head_activation"] == "gelu_tanh" and found["num_classes"] == 3
