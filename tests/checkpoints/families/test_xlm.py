import pytest

from keras_plm.checkpoints.families.xlm import (
    read_head_settings,
    read_hugging_face,
    write_hugging_face,
)

PLAIN = dict(vocab_size=9, n_layers=1, n_heads=2, emb_dim=4, max_position_embeddings=5)


def read(**changes):
    return read_hugging_face({**PLAIN, **changes}, arrays=None)[0]


def test_values():
    assert read()["num_languages"] == 0 and read()["intermediate_dim"] == 16
    assert read(n_langs=3)["num_languages"] == 3
    assert read(n_langs=3, use_lang_emb=False)["num_languages"] == 0
    assert read(n_langs=1)["num_languages"] == 0
    assert read(causal=True)["causal"] and not read()["causal"]
    assert read(gelu_activation=False)["activation"] == "relu"
    config = {"n_words": 30, **{k: v for k, v in PLAIN.items() if k != "vocab_size"}}
    assert read_hugging_face(config, None)[0]["vocabulary_size"] == 30


@pytest.mark.parametrize(
    "changes, message",
    [
        (dict(asm=True), "asm=True"),
        (dict(is_encoder=False), "is_encoder=False"),
        (dict(n_langs="3"), "'n_langs'"),
        (dict(gelu_activation="gelu"), "'gelu_activation'"),
    ],
)
def test_bad_values(changes, message):
    with pytest.raises(ValueError, match=message):
        read(**changes)


def test_what_is_dropped_is_said():
    _, (note,) = read_hugging_face({**PLAIN, "sinusoidal_embeddings": True}, arrays=None)
    assert "`sinusoidal_embeddings` is dropped" in note


def test_there_and_back():
    for changes in ({}, dict(n_langs=3, causal=True, gelu_activation=False)):
        arguments = {**read(**changes), "head_dim": None, "window": None}
        config, _ = write_hugging_face(arguments)
        assert {**arguments, **read_hugging_face(config, None)[0]} == arguments
    for wrong in (dict(num_languages=1), dict(intermediate_dim=8), dict(pooler=True)):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            write_hugging_face({**arguments, **wrong})


def test_settings_of_heads():
    language_model = {"transform": False, "use_bias": True}
    assert read_head_settings({}, {}) == language_model
    assert read_head_settings({"dropout": 0.3}, {"classifier.weight": (2, 4)}) == {
        **language_model,
        "num_classes": 2,
        "dropout": 0.3,
    }
    summary = {"pooling": "first", "summary_activation": "linear", "dropout": 0.1}
    shapes = {"sequence_summary.summary.weight": (2, 4)}
    label = {**language_model, **summary, "summarise": False, "num_classes": 2}
    assert read_head_settings({}, shapes) == label
    shapes["logits_proj.weight"] = (1, 2)
    choice = {**language_model, **summary, "summarise": True, "summary_dim": 2, "dropout": 0.2}
    assert read_head_settings({"summary_first_dropout": 0.2}, shapes) == choice
