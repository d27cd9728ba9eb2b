import types

import numpy as np
import pytest

from keras_plm.checkpoints.families.transformer_config import (
    TransformerConfig,
    has_pooler,
    read_classes,
    read_count,
    write_heads,
)

TABLE = TransformerConfig(
    model_type="thing",
    sizes={
        "vocabulary_size": "v",
        "num_heads": "h",
        "hidden_dim": "d",
        "max_sequence_length": "n",
    },
    numbers={"dropout": ("p", 0.1)},
    activation=("act", "gelu"),
    flags={"causal": True},
    free=("num_segments", "pooler"),
    required={"kind": "absolute"},
    constants={"pad": 1},
    extra_positions=2,
)
CONFIG = dict(v=9, h=2, d=4, n=7)


def test_there_and_back():
    arguments = TABLE.read({**CONFIG, "act": "relu", "p": 0.3})
    assert arguments == {
        "vocabulary_size": 9,
        "num_heads": 2,
        "hidden_dim": 4,
        "max_sequence_length": 5,
        "dropout": 0.3,
        "activation": "relu",
        "normalize_first": False,
        "embedding_norm": True,
        "num_languages": 0,
        "num_tasks": 0,
        "positions_from_padding": False,
        "causal": True,
        "relative_position_buckets": 0,
    }
    arguments |= {"head_dim": 2, "window": None, "num_segments": 5, "pooler": True}
    config = TABLE.write(arguments)
    expected = {**CONFIG, "act": "relu", "p": 0.3, "pad": 1}
    assert config == {"model_type": "thing", "dtype": "float32", **expected}


@pytest.mark.parametrize(
    "changes, message",
    [
        (dict(v=None), "positive integers"),
        (dict(h=3), "'h' must divide 'd'. Received: 3 and 4"),
        (dict(n=2), "'n' must be above 2"),
        (dict(kind="relative"), "A thing with kind='relative' is not supported"),
        (dict(act="quick_gelu"), "'act' must be one of"),
        (dict(p="much"), "'p' must be a number"),
    ],
)
def test_bad_configs(changes, message):
    with pytest.raises(ValueError, match=message):
        TABLE.read({**CONFIG, **changes})


@pytest.mark.parametrize(
    "changes", [dict(causal=False), dict(window=3), dict(head_dim=7), dict(num_tasks=2)]
)
def test_models_that_it_has_not(changes):
    arguments = {**TABLE.read(CONFIG), "head_dim": None, "window": None, **changes}
    name = next(iter(changes))
    with pytest.raises(ValueError, match=f"It has .*'{name}'.* Received: .*'{name}'"):
        TABLE.write(arguments)


def test_counts():
    assert read_count({"n": 3}, "n", 2) == 3 and read_count({}, "n", 2) == 2
    for wrong in (-1, 0, 1.5):
        with pytest.raises(ValueError, match="'n' must be"):
            read_count({"n": wrong}, "n", 2, least=1)


def test_poolers():
    class Arrays:
        shapes = {"a.pooler.dense.weight": (2, 2)}

    def none():
        raise FileNotFoundError

    assert has_pooler(lambda: Arrays, ("a.pooler.dense.weight",), default=False)
    assert not has_pooler(lambda: Arrays, ("b.pooler.dense.weight",), default=True)
    assert has_pooler(none, (), default=True) and not has_pooler(none, (), default=False)


def test_classes():
    shapes = {"classifier.weight": (2, 4), "qa_outputs.weight": (2, 4)}
    config = {"id2label": {"0": "no", "1": "yes"}, "first": None, "second": 0.2}
    found = read_classes(config, shapes, ("x", "classifier.weight"), ("first", "second"))
    expected = {"num_classes": 2, "class_names": ["no", "yes"], "dropout": 0.2, "beam": False}
    assert found == expected
    assert read_classes(config, {}, ("classifier.weight",), ("second",)) == {}
    one = read_classes(config, {"classifier.weight": (1, 4)}, ("classifier.weight",), ("second",))
    assert one == {"dropout": 0.2}  # a number, or a choice
    many = {**config, "problem_type": "multi_label_classification"}
    assert read_classes(many, shapes, ("classifier.weight",), ())["multi_label"] is True


def test_heads():
    class Task:
        dropout = 0.3

        class backbone:
            activation = "relu"

        class head:
            activation = "gelu"

        heads = {"tokens": head}

    weights = {"logits/kernel": np.zeros((4, 2))}
    assert write_heads("rate")(Task, "label", weights)["rate"] == 0.3
    assert "rate" not in write_heads(None)(Task, "token_label", weights)
    assert write_heads("rate")(Task, "span", weights) == {}
    assert write_heads("rate", "gelu")(Task, "tokens", {"transform/kernel": 1}) == {}
    assert write_heads("rate")(Task, "tokens", {"bias": 1}) == {}
    Task.heads["label"] = types.SimpleNamespace(summary=None, activation=None)
    Task.backbone.pooler, Task.backbone.summary_row = False, "first"
    first = write_heads("rate", summary={"label": ("first", "linear")})
    assert first(Task, "label", weights)["rate"] == 0.3
    last = write_heads("rate", summary={"label": ("last", "linear")})
    with pytest.raises(ValueError, match=r"reads \('last', 'linear'\) .*\('first', 'linear'\)"):
        last(Task, "label", weights)
    with pytest.raises(ValueError, match="'relu' in transformers. Received: 'gelu'"):
        write_heads("rate")(Task, "tokens", {"transform/kernel": 1})
