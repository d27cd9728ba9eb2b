import json

import numpy as np
import pytest

from keras_plm.tasks import ChoicePreprocessor

SEP, CLS, PAD = 4, 3, 5
CONTEXT, CHOICES = "I could not understand what they were talking about", ["the boat", "two houses"]


@pytest.fixture(scope="module")
def preprocessor(tokenizer):
    return ChoicePreprocessor(tokenizer, sequence_length=64)


def row(features, choice=0, example=0):
    mask = features["padding_mask"][example, choice]
    assert mask.tolist() == sorted(mask.tolist())  # left padding
    ids, segments = (features[name][example, choice][mask] for name in ("token_ids", "segment_ids"))
    assert (features["token_ids"][example, choice][~mask] == PAD).all()
    return ids.tolist(), segments.tolist()


@pytest.mark.parametrize(
    "questions, asked",
    [
        (None, "{}"),
        (["what is there?"], "what is there? {}"),
        (["there is _ at home"], "there is {} at home"),
    ],
)
def test_layout(questions, asked, preprocessor, tokenizer):
    x = ([CONTEXT], [CHOICES]) if questions is None else ([CONTEXT], questions, [CHOICES])
    features = preprocessor(x)
    assert {array.shape for array in features.values()} == {(1, 2, 64)}
    context = tokenizer.encode(CONTEXT)
    for number, choice in enumerate(CHOICES):
        second = tokenizer.encode(asked.format(choice))[-16:]
        ids, segments = row(features, number)
        assert ids == context + [SEP] + second + [SEP, CLS]
        assert segments == [0] * (len(context) + 1) + [1] * (len(second) + 1) + [2]


def test_choices_do_not_see_each_other(preprocessor):
    both = preprocessor(([CONTEXT], [CHOICES]))
    turned = preprocessor(([CONTEXT], [CHOICES[::-1]]))
    for name in both:
        np.testing.assert_array_equal(both[name][:, ::-1], turned[name])


def test_what_is_cut(tokenizer):
    preprocessor = ChoicePreprocessor(tokenizer, 32)
    assert preprocessor.max_choice_length == 8
    question = "who could understand what they were talking about"
    features = preprocessor(([CONTEXT * 3], [question], [["two", "boat"]]))
    ids, segments = row(features)
    assert len(ids) == 32
    second = tokenizer.encode(question + " two")
    assert len(second) > 8
    assert ids == tokenizer.encode(CONTEXT * 3)[:21] + [SEP] + second[-8:] + [SEP, CLS]


def test_what_is_cut_is_said(tokenizer, caplog):
    """A long choice keeps its end, as in run_race.py; others are what they were."""
    preprocessor = ChoicePreprocessor(tokenizer, 32, max_choice_length=6)
    long = "who could understand what they were talking about"
    x = (["the boat", CONTEXT * 3], [[long, "we"], [f"the {long}", f"a {long}"]])
    features = preprocessor(x)
    assert features["token_ids"].shape == (2, 2, 32)
    ends = tokenizer.encode(long)[-6:]
    assert row(features)[0] == [*tokenizer.encode("the boat"), SEP, *ends, SEP, CLS]
    whole = [len(tokenizer.encode(choice)) for own in x[1] for choice in own]
    (record,) = caplog.records
    assert record.getMessage() == (
        "3 of 4 choices with their questions are longer than `max_choice_length`=6 tokens, the "
        f"first of them of example 0 with {whole[0]}: they lose their beginnings, and in 1 "
        "examples choices became the same by that, and 2 of 4 rows lose the ends of their contexts."
    )
    caplog.clear()
    preprocessor((["the boat"], [["we", "a"]]))
    assert not caplog.records


def test_arrays_of_choices(preprocessor):
    expected = preprocessor(([CONTEXT, "a"], [CHOICES, ["b", "c"]]))
    got = preprocessor((np.array([CONTEXT, "a"]), np.array([CHOICES, ["b", "c"]])))
    np.testing.assert_array_equal(expected["token_ids"], got["token_ids"])


@pytest.mark.parametrize(
    "x, error, message",
    [
        ([["a"], [["b", "c"]]], ValueError, "must be a tuple.*Received: list"),
        ((["a"],), ValueError, "Received: 1 elements"),
        ((["a", "b"], [["c", "d"]]), ValueError, "2 contexts, 2 questions, 1 lists of choices"),
        ((["a"], ["q", "r"], [["c", "d"]]), ValueError, "1 contexts, 2 questions"),
        ((["a", "b"], [["c", "d"], ["e"]]), ValueError, "1 for example 1, 2 for example 0"),
        ((["a"], [["c"]]), ValueError, "at least 2. Received: 1 for example 0"),
        ((["a"], [["c", ""]]), ValueError, "choices of example 0 has an empty text in row 1"),
        ((["a"], [[]]), ValueError, "choices of example 0 holds no texts"),
        (([""], [["c", "d"]]), ValueError, "Contexts has an empty text in row 0"),
        ((["a"], [" "], [["c", "d"]]), ValueError, "Questions has an empty text in row 0"),
        ((["a"], ["cd"]), TypeError, "choices of example 0 must be a list.*one text: 'cd'"),
        ((["a"], [np.array([["c", "d"]])]), TypeError, "example 0 must have one dimension"),
        ((["a"], {"a": ["c", "d"]}), TypeError, "Choices must be a list.*not a dict"),
        ((["a"], [["c", 4]]), TypeError, "must be a string. Received: 4"),
        ((["a"], "cd"), TypeError, "list of lists of texts. Received one text: 'cd'"),
    ],
)
def test_bad_input(preprocessor, x, error, message):
    with pytest.raises(error, match=message):
        preprocessor(x)


@pytest.mark.parametrize("length, choice", [(64, 61), (64, 0), (64, "9"), (64, True), (7, None)])
def test_bad_lengths(tokenizer, length, choice):
    with pytest.raises(ValueError, match="Received"):
        ChoicePreprocessor(tokenizer, length, choice)


def test_config_and_preset(tokenizer, tmp_path):
    preprocessor = ChoicePreprocessor(tokenizer, 64, max_choice_length=9)
    json.dumps(preprocessor.get_config())
    assert ChoicePreprocessor.from_config(preprocessor.get_config()).max_choice_length == 9
    preprocessor.save_to_preset(str(tmp_path / "preset"))
    again = ChoicePreprocessor.from_preset(str(tmp_path / "preset"))
    assert (again.sequence_length, again.max_choice_length) == (64, 9)
    assert ChoicePreprocessor.from_preset(str(tmp_path / "preset"), max_choice_length=None)
