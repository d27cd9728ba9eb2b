"""Runs the examples of every docstring: fenced ```python blocks, and prompts with their output.

A block stands for itself and imports what it uses; a prompt (>>>) sees the names of its module.
"""

import ast
import doctest
import re
from importlib import import_module
from pathlib import Path

import pytest

import keras_plm

pytestmark = pytest.mark.usefixtures("quick_compilation")

PACKAGE = Path(keras_plm.__file__).parent
FENCE = re.compile(r"```python\n(.*?)```", re.DOTALL)
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef)


def docstrings():
    """Yield (path::name, docstring) of every module, class and function of the package."""
    for path in sorted(PACKAGE.rglob("*.py")):
        place = path.relative_to(PACKAGE.parent).as_posix()
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            text = ast.get_docstring(node) if isinstance(node, DOCUMENTED) else None
            if text:
                yield f"{place}::{getattr(node, 'name', 'module')}", text


# The examples that take over 3 s, by their class: each has several programs traced or compiled.
SLOW = {"CausalLM", "PermutationLM"}
EXAMPLES = [
    pytest.param(
        name,
        code,
        id=f"{name}-{number}",
        marks=[pytest.mark.slow] * (name.split("::")[1] in SLOW),
    )
    for name, text in docstrings()
    for number, code in enumerate(FENCE.findall(text))
]


def test_slow_examples_are_there():
    assert SLOW <= {example.values[0].split("::")[1] for example in EXAMPLES}


@pytest.mark.parametrize("name, code", EXAMPLES)
def test_example_runs(name, code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, f"<example of {name}>", "exec"), {"__name__": "__example__"})


def test_every_layer_is_shown_in_an_example():
    layers = {
        name.split("::")[1]
        for name, text in docstrings()
        if name.startswith("keras_plm/layers/") and not text.startswith("Abstract base")
    }
    code = "\n".join(example.values[1] for example in EXAMPLES)
    unseen = [name for name in layers if name[0].isupper() and not re.search(rf"\b{name}\(", code)]
    assert not unseen


PROMPTS = [pytest.param(name, text, id=name) for name, text in docstrings() if ">>>" in text]


@pytest.mark.parametrize("name, text", PROMPTS)
def test_prompts_answer_as_written(name, text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    place = name.split("::")[0].removesuffix(".py").removesuffix("/__init__")
    names = vars(import_module(place.replace("/", "."))).copy()
    lines = []
    session = doctest.DocTestParser().get_doctest(text, names, name, place, 0)
    result = doctest.DocTestRunner(verbose=False).run(session, out=lines.append)
    assert result.attempted and not result.failed, "".join(lines)


def test_no_example_is_left_unrun():
    """A fence without a language would look like an example and never run."""
    for name, text in docstrings():
        assert text.count("```") == 2 * len(re.findall(r"```[a-z]+\n", text)), name
