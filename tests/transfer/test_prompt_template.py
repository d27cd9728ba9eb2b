import pytest

from keras_plm import transfer
from keras_plm.transfer import PromptTemplate

EXAMPLE = {"question": "What is 48 plus 76?", "answer": 124}


def test_the_literal_example():
    template = PromptTemplate("Q: {question}\nA:", " {answer}")
    assert template.fill(EXAMPLE) == "Q: What is 48 plus 76?\nA:"
    assert template.complete(EXAMPLE) == " 124"
    assert template.demonstrate(EXAMPLE) == "Q: What is 48 plus 76?\nA: 124"
    assert template.fields == ["question", "answer"]


def test_the_templates_of_the_papers():
    example = {
        **{"question": "Who?", "answer": "Ann", "passage": "Ann ran.", "article": "Long."},
        **{"summary": "Short.", "source": "cheese", "target": "fromage"},
    }
    found = {
        "QUESTION": "Q: Who?\nA:| Ann",
        "READING": "Ann ran.\n\nQ: Who?\nA:| Ann",
        "SUMMARY": "Long.\nTL;DR:| Short.",
        "TRANSLATION": "cheese =| fromage",
        "TRANSLATION_ARROW": "cheese =>| fromage",
    }
    for name, expected in found.items():
        template = getattr(transfer, name)
        assert f"{template.fill(example)}|{template.complete(example)}" == expected


def test_braces():
    template = PromptTemplate("{{{text}}} {text}", " {{}}")
    assert template.fill({"text": "{text} {0} %s"}) == "{{text} {0} %s} {text} {0} %s"
    assert template.complete({}) == " {}" and template.fields == ["text"]


@pytest.mark.parametrize(
    "text",
    [
        "{x.__class__}",
        "{x[0]}",
        "{x.__init__.__globals__[secret]}",
        "{x!r}",
        "{x:>10}",
        "{x:{y}}",
        "{}",
        "{0}",
        "{a b}",
        "{ x}",
    ],
)
def test_nothing_but_names(text):
    with pytest.raises(ValueError, match="name of a field and nothing else.*Received"):
        PromptTemplate(text, " {x}")
    with pytest.raises(ValueError, match="name of a field and nothing else.*Received"):
        PromptTemplate("{x}", text)


def test_no_field_is_looked_into():
    class Secret(str):
        def __format__(self, style):
            raise AssertionError("a format string was run on a field")

    assert PromptTemplate("{x}", "{y}").fill({"x": Secret("text")}) == "text"


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        (("{x", "y"), ValueError, "close its braces"),
        (("x}", "y"), ValueError, "close its braces"),
        (("", "y"), ValueError, "`prompt` must not be empty"),
        (("x", ""), ValueError, "`completion` must not be empty"),
        ((None, "y"), TypeError, "`prompt` must be a string. Received: prompt=None"),
    ],
)
def test_wrong_templates(arguments, error, message):
    with pytest.raises(error, match=message):
        PromptTemplate(*arguments)


@pytest.mark.parametrize(
    "example, error, message",
    [
        ({"y": "a"}, ValueError, r"asks for the field 'x'. Received: \['y'\]"),
        ({"x": None}, TypeError, "field 'x' must be a string or a number. Received: None"),
        ({"x": ["a"]}, TypeError, "must be a string or a number"),
        ({"x": True}, TypeError, "must be a string or a number"),
        ("a", TypeError, "must be a dict of fields. Received: 'a'"),
    ],
)
def test_wrong_examples(example, error, message):
    with pytest.raises(error, match=message):
        PromptTemplate("{x}", "y").fill(example)
