"""Runs docs/elmo.md from top to bottom, as a reader would."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

PAGE = Path(__file__).parents[1] / "docs" / "elmo.md"
FIXTURES = Path(__file__).parent / "fixtures"

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.mark.slow
def test_the_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(FIXTURES / "botchan.txt", "novels.txt")
    shutil.copytree(FIXTURES / "elmo_bilm_tf", "elmo_bilm_tf")
    text, names = PAGE.read_text("utf-8"), {"__name__": "__elmo__"}
    for block in re.finditer(r"```python\n(.*?)```", text, re.DOTALL):
        line = text[: block.start(1)].count("\n")
        exec(compile("\n" * line + block.group(1), str(PAGE), "exec"), names)
    (vectors,) = names["vectors"]
    assert vectors.shape == (4, 32) and np.isfinite(vectors).all()
    assert names["texts"].shape == (2, 64) and names["own"].count_params() > 0
