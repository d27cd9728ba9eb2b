import json

import pytest

from keras_plm.checkpoints.families import xlnet

PLAIN = dict(vocab_size=9, n_layer=1, n_head=2, d_model=4, d_inner=8)


def read(**changes):
    return xlnet.read_hugging_face({**PLAIN, **changes}, arrays=None)


def test_defaults_are_those_of_transformers():
    arguments, notes = read()
    assert arguments == dict(
        vocabulary_size=9,
        num_layers=1,
        num_heads=2,
        hidden_dim=4,
        intermediate_dim=8,
        activation="gelu",
        dropout=0.1,
        attention_dropout=0.1,
        layer_norm_epsilon=1e-12,
        initializer_range=0.02,
        memory_length=512,
        reuse_length=0,
        clamp_length=None,
        causal=False,
    )
    assert notes == []


@pytest.mark.parametrize(
    "changes, expected",
    [
        (dict(mem_len=None, reuse_len=None), dict(memory_length=0, reuse_length=0)),
        (dict(mem_len=7, reuse_len=3), dict(memory_length=7, reuse_length=3)),
        (dict(clamp_len=0), dict(clamp_length=None)),
        (dict(clamp_len=5), dict(clamp_length=5)),
        (dict(attn_type="uni"), dict(causal=True)),
        (dict(attn_type="uni", same_length=True), dict(causal=True, same_length=True)),
        (dict(ff_activation="gelu_new"), dict(activation="gelu_tanh")),
        (dict(ff_activation="gelu_pytorch_tanh"), dict(activation="gelu_tanh")),
        (dict(ff_activation="relu"), dict(activation="relu")),
        (dict(vocab_size=None, n_token=30), None),
        (dict(dropout=0.3, layer_norm_eps=1e-5), dict(dropout=0.3, layer_norm_epsilon=1e-5)),
        (dict(untie_r=True), dict()),
        (dict(d_head=2), dict()),
    ],
)
def test_values(changes, expected):
    if expected is None:
        with pytest.raises(ValueError, match="vocab_size"):
            read(**changes)
        return
    arguments, notes = read(**changes)
    assert {name: arguments[name] for name in expected} == expected and not notes


def test_an_older_name_of_the_vocabulary():
    config = {name: value for name, value in PLAIN.items() if name != "vocab_size"}
    arguments, _ = xlnet.read_hugging_face({**config, "n_token": 30}, arrays=None)
    assert arguments["vocabulary_size"] == 30


@pytest.mark.parametrize(
    "changes, note", [(dict(bi_data=True), "`bi_data`"), (dict(same_length=True), "`same_length`")]
)
def test_what_is_dropped_is_said(changes, note):
    arguments, (said,) = read(**changes)
    assert note in said and "same_length" not in arguments


@pytest.mark.parametrize(
    "changes, message",
    [
        (dict(n_layer="2"), "n_layer"),
        (dict(n_head=0), "n_head"),
        (dict(d_model=True), "d_model"),
        (dict(d_head=3), "d_head=3, d_model=4, n_head=2"),
        (dict(ff_activation="quick_gelu"), "'ff_activation'.*'quick_gelu'"),
        (dict(ff_activation=["gelu"]), "'ff_activation'"),
        (dict(attn_type="both"), "'attn_type'.*'both'"),
        (dict(clamp_len="3"), "'clamp_len'"),
        (dict(dropout="much"), "'dropout'"),
    ],
)
def test_bad_values(changes, message):
    with pytest.raises(ValueError, match=message):
        read(**changes)


def test_the_original_config():
    config = dict(n_token=9, n_layer=1, n_head=2, d_model=4, d_inner=8, d_head=2)
    arguments, _ = xlnet.read_tensorflow({**config, "ff_activation": "gelu"}, arrays=None)
    assert arguments["activation"] == "gelu_tanh" and "tied_biases" not in arguments
    arguments, _ = xlnet.read_tensorflow({**config, "untie_r": False}, arrays=None)
    assert arguments["tied_biases"]
    with pytest.raises(ValueError, match="'ff_activation'"):
        xlnet.read_tensorflow({**config, "ff_activation": "swish"}, arrays=None)


def test_configs_there_and_back(cases):
    for case, content in cases.items():
        config = {**content["config"], "untie_r": True}
        arguments, _ = xlnet.read_hugging_face(config, arrays=None)
        backbone_arguments = {
            **dict(activation_dropout=None, same_length=False, tied_biases=False),
            **arguments,
        }
        written, notes = xlnet.write_hugging_face(backbone_arguments)
        assert not notes
        again = json.loads(json.dumps(written))
        assert xlnet.read_hugging_face(again, arrays=None)[0] == arguments, case
        same = set(written) & set(config)
        assert len(same) > 20
        assert {key: written[key] for key in same} == {key: config[key] for key in same}


def test_what_a_config_cannot_say():
    arguments, _ = read()
    arguments |= dict(activation_dropout=0.0, attention_dropout=0.2)
    _, (note,) = xlnet.write_hugging_face(arguments)
    assert "'attention_dropout': 0.2" in note and "'activation_dropout': 0.0" in note
    with pytest.raises(ValueError, match="no activation for 'elu'"):
        xlnet.write_hugging_face({**arguments, "activation": "elu"})


def test_heads_that_compute_something_else():
    assert xlnet.XLNET.other_head({"summary_type": "attn"}, "tokens") is None
    assert xlnet.XLNET.other_head({}, "label") is None
    for changes in (dict(summary_type="attn"), dict(summary_activation="sigmoid")):
        with pytest.raises(ValueError, match=f"{next(iter(changes))}=.*new head"):
            xlnet.XLNET.other_head(changes, "label")


def test_settings_of_heads(cases):
    def settings(case):
        content = cases[case]
        shapes = {name: tuple(shape) for name, shape in content["shapes"].items()}
        return xlnet.read_head_settings(content["config"], shapes)

    summary = {"pooling": "last", "summary_activation": "tanh", "summarise": True}
    assert settings("classes") == {"num_classes": 3, "dropout": 0.1, **summary}
    names = {"num_classes": 3, "class_names": ["no", "LABEL_0", "I/O."]}
    first = {**summary, "pooling": "first", "dropout": 0.1}
    assert settings("first") == {**names, **first, "multi_label": True}
    bare = {"summarise": False, "summary_activation": "linear", "dropout": 0.1}
    assert settings("bare_choices") == {**bare, "pooling": "first"}
    assert settings("words") == {"num_classes": 3, "class_names": ["O", "B-a/b", "I-a/b"]}
    assert settings("span") == {"beam": False}
    assert settings("beam") == {"beam": True, "start_top": 3, "end_top": 2}
    assert settings("lm") == {}
    shapes = {"model/classification_sst-2/logit/kernel": (4, 2)}
    assert xlnet.read_head_settings({}, shapes) == {"num_classes": 2}
