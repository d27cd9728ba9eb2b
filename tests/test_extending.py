"""Runs docs/extending.md from top to bottom, as a reader would."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "extending.md"
BOOK = Path(__file__).parent / "fixtures" / "botchan.txt"

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.mark.slow
def test_the_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = PAGE.read_text("utf-8")
    names = {"__name__": "__extending__", "paths": [str(BOOK)]}
    for block in re.finditer(r"```python\n(.*?)```", text, re.DOTALL):
        line = text[: block.start(1)].count("\n")
        exec(compile("\n" * line + block.group(1), str(PAGE), "exec"), names)
    assert len(names["texts"]) == 1 and len(names["scores"]) == 1
