from types import SimpleNamespace

import numpy as np
import pytest

from keras_plm.checkpoints.families.gpt import GPT, GPT2, read_head_settings, read_openai

PLAIN = dict(vocab_size=9, n_layer=1, n_head=2, n_embd=4, n_positions=5)


def read(system, **changes):
    return system.read_hugging_face({**PLAIN, **changes}, None)[0]


def test_values():
    arguments = read(GPT)
    assert arguments["causal"] and not arguments["embedding_norm"]
    assert arguments["activation"] == "gelu_tanh"  # of this name; another is not erf either
    assert not arguments["normalize_first"] and arguments["intermediate_dim"] == 16
    arguments = read(GPT2, n_inner=7, activation_function="gelu")
    assert arguments["normalize_first"] and arguments["intermediate_dim"] == 7
    assert arguments["activation"] == "gelu" and arguments["layer_norm_epsilon"] == 1e-5
    config = {"n_ctx": 5, **{k: v for k, v in PLAIN.items() if k != "n_positions"}}
    assert GPT.read_hugging_face(config, None)[0]["max_sequence_length"] == 5


@pytest.mark.parametrize(
    "changes, message",
    [
        (dict(scale_attn_weights=False), "scale_attn_weights=False"),
        (dict(scale_attn_by_inverse_layer_idx=True), "scale_attn_by_inverse_layer_idx=True"),
        (dict(add_cross_attention=True), "add_cross_attention=True"),
        (dict(n_inner=0), "'n_inner' must be at least 1"),
        (dict(n_embd=5), "must divide"),
    ],
)
def test_bad_values(changes, message):
    with pytest.raises(ValueError, match=message):
        read(GPT2, **changes)


def test_what_is_dropped_is_said():
    _, (note,) = GPT.read_hugging_face({**PLAIN, "embd_pdrop": 0.3}, None)
    assert "`embd_pdrop` is dropped" in note


@pytest.mark.parametrize("system", [GPT, GPT2])
def test_there_and_back(system):
    arguments = {**read(system), "head_dim": None, "window": None}
    config, _ = system.write_hugging_face(arguments)
    again, notes = system.read_hugging_face(config, None)
    assert not notes and {**arguments, **again} == arguments
    wide = {**arguments, "intermediate_dim": 7}
    if system is GPT2:
        assert system.write_hugging_face(wide)[0]["n_inner"] == 7
    else:
        with pytest.raises(ValueError, match="four times as wide"):
            system.write_hugging_face(wide)


def test_openai():
    arguments, _ = read_openai(dict(n_vocab=9, n_ctx=5, n_embd=4, n_head=2, n_layer=1), None)
    assert arguments["vocabulary_size"] == 9 and arguments["max_sequence_length"] == 5
    with pytest.raises(ValueError, match="vocab_size"):
        read_openai(dict(n_ctx=5, n_embd=4, n_head=2, n_layer=1), None)


def test_settings_of_heads():
    language_model = {"transform": False, "use_bias": False}
    assert read_head_settings({}, {}) == language_model
    score = {**language_model, "summarise": False, "logits_bias": False, "dropout": 0.0}
    assert read_head_settings({}, {"score.weight": (1, 4)}) == score
    names = {"id2label": {"0": "no", "1": "yes"}, "problem_type": "multi_label_classification"}
    assert read_head_settings(names, {"score.weight": (2, 4)}) == {
        **score,
        "num_classes": 2,
        "class_names": ["no", "yes"],
        "multi_label": True,
    }
    choice = {"summarise": False, "summary_activation": "linear", "pooling": "last"}
    assert read_head_settings(
        {"summary_first_dropout": 0.3}, {"multiple_choice_head.summary.weight": (1, 4)}
    ) == {**language_model, **choice, "dropout": 0.3}


@pytest.mark.parametrize("system, last", [(GPT, 0), (GPT2, 8)])
def test_configs_of_heads(system, last):
    """By padding transformers finds the last token of a text."""
    head = SimpleNamespace(summary=None, activation=None)
    task = SimpleNamespace(
        heads={"label": head, "choice": head},
        backbone=SimpleNamespace(pooler=False, summary_row="last", vocabulary_size=9),
        dropout=0.2,
    )
    weights = {"logits/kernel": np.zeros((4, 2))}
    assert system.write_head_config(task, "label", weights)["pad_token_id"] == last
    task.preprocessor = SimpleNamespace(tokenizer=SimpleNamespace(pad_token_id=3))
    assert system.write_head_config(task, "label", weights)["pad_token_id"] == 3
    choice = {"summary_type": "cls_index", "summary_first_dropout": 0.2}
    assert system.write_head_config(task, "choice", weights) == choice
