import math

import numpy as np
import pytest

from keras_plm import data, models, objectives, presets
from keras_plm.checks import (
    check_choice,
    check_flag,
    check_integer,
    check_integers,
    check_names,
    check_number,
    check_text,
    check_texts,
    constructor_arguments,
    did_you_mean,
    is_integer,
)
from keras_plm.data import train_tokenizer
from keras_plm.layers.activation import get_activation
from keras_plm.tasks import TextPreprocessor
from keras_plm.tasks.training.label_kinds import label_kind


def test_what_passes():
    assert check_integer("n", np.int64(3), 1, 3) == 3
    assert type(check_integer("n", np.int64(3))) is int
    assert check_integer("n", None, 1, none=True) is None
    assert check_number("rate", 0.5, 0, 1) == 0.5 and check_number("rate", np.float32(1), 0, 1) == 1
    assert check_flag("flag", False) is False and check_flag("flag", None, none=True) is None
    assert check_choice("mode", "a", ("a", "b")) == "a"
    assert check_choice("mode", None, ("a",), none=True) is None
    assert is_integer(np.uint8(1)) and not is_integer(True) and not is_integer(1.0)


@pytest.mark.parametrize("value", [0, True, 1.0, "1", None, math.nan, np.array([1, 2])])
def test_integers(value):
    with pytest.raises(ValueError, match="`n` must be an integer of at least 1. Received: n="):
        check_integer("n", value, 1)


@pytest.mark.parametrize("value", [-0.1, 1.1, math.inf, math.nan, True, "a", None, 1j])
def test_numbers(value):
    with pytest.raises(ValueError, match="`rate` must be a number from 0 to 1. Received: rate="):
        check_number("rate", value, 0, 1)


def test_the_wording():
    for call, message in (
        (lambda: check_integer("n", 9, 1, 8), "`n` must be an integer from 1 to 8. Received: n=9."),
        (
            lambda: check_integer("n", 9, most=8, none=True, why=": there are 8 layers"),
            "`n` must be an integer of at most 8, or None: there are 8 layers. Received: n=9.",
        ),
        (lambda: check_integer("n", "a"), "`n` must be an integer. Received: n='a'."),
        (lambda: check_flag("flag", 1), "`flag` must be True or False. Received: flag=1."),
        (
            lambda: check_choice("mode", "c", ("a", "b")),
            "`mode` must be one of ['a', 'b']. Received: mode='c'.",
        ),
    ):
        with pytest.raises(ValueError) as error:
            call()
        assert str(error.value) == message
    with pytest.raises(ValueError) as error:
        check_flag("flag", "x" * 1000)
    assert len(str(error.value)) < 300


def test_near_names():
    known = ("dropout", "num_classes", "num_layers", None, 3)
    assert did_you_mean("droput", known) == " Did you mean 'dropout'?"
    both = did_you_mean(["num_clases", "x", "droput"], known)
    assert both == " Did you mean 'num_classes' and 'dropout'?"
    assert did_you_mean("trust_remote_code", known) == did_you_mean(None, known) == ""
    check_names("A bank", {"dropout": 1}, ("dropout",))
    with pytest.raises(ValueError) as error:
        check_names("A bank", {"droput": 1, "b": 2}, ("size", "dropout"))
    assert str(error.value) == (
        "A bank has no arguments ['b', 'droput']. Did you mean 'dropout'? It takes "
        "['dropout', 'size']."
    )


def test_arguments_are_those_with_a_name():
    class Bank:
        def __init__(self, size, *others, tidy=True, **rest):
            """Takes anything."""

    assert list(constructor_arguments(Bank)) == ["size", "tidy"]


@pytest.mark.parametrize(
    "call, nearest",
    [
        (lambda: objectives.PermutationModeling(sequence_lenght=8), "sequence_length"),
        (lambda: objectives.MaskedModeling(9, 1, selct=None), "select"),
        (lambda: objectives.PrefixModeling.for_tokenizer(None, patern="a"), "pattern"),
        (lambda: objectives.RandomSelection("wrd"), "word"),
        (lambda: objectives.Objective.from_config({"class": "CausalModelling"}), "CausalModeling"),
        (lambda: TextPreprocessor(None, sequence_lenght=8), "sequence_length"),
        (lambda: models.bert(None, sequence_lenght=8), "sequence_length"),
        (lambda: models.ernie1(None, dialog=True), "dialogue"),
        (lambda: models.xlnet(object.__new__(data.SentencePieceTokenizer), "bse"), "base"),
        (lambda: train_tokenizer(["a"], model="wordpeice"), "wordpiece"),
        (lambda: presets.find_preset("bert_base_en_uncasd"), "bert_base_en_uncased"),
        (lambda: get_activation("gelu_tan"), "gelu_tanh"),
        (lambda: get_activation("rellu"), "relu"),
        (lambda: label_kind("binary_crossentropi"), "binary_crossentropy"),
    ],
)
def test_a_typing_error_is_met_by_the_nearest_name(call, nearest):
    with pytest.raises((ValueError, FileNotFoundError)) as error:
        call()
    assert f"Did you mean '{nearest}'?" in str(error.value)
    assert "'self'" not in str(error.value) and "kwargs" not in str(error.value)


@pytest.mark.parametrize(
    ("check", "value", "message"),
    [
        (check_text, "", "`n` must be a string"),
        (check_text, 3, "`n` must be a string"),
        (check_texts, "ab", "`n` must be a list of strings"),
        (check_texts, ["a", 1], "`n` must be a list of strings"),
        (check_integers, [1, 2.5], "`n` must be a tuple of integers"),
    ],
)
def test_words_and_lists_that_are_refused(check, value, message):
    with pytest.raises(ValueError, match=message):
        check("n", value)


def test_words_and_lists():
    assert check_text("n", "a") == "a" and check_text("n", None, none=True) is None
    assert check_texts("n", ("a", "b")) == ["a", "b"] and check_texts("n", None, none=True) is None
    assert check_integers("n", np.array([1, 2]), 1) == (1, 2)
