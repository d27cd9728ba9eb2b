"""Runs docs/ernie2.md from top to bottom, as a reader would, with fewer steps."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

PAGE = Path(__file__).parents[1] / "docs" / "ernie2.md"
BOOK = Path(__file__).parent / "fixtures" / "botchan.txt"
FEWER = {
    "task_steps=1000)": "task_steps=5, num_layers=1, hidden_dim=16, intermediate_dim=16)",
    "5 * 1000": "2",
}


@pytest.mark.slow
@pytest.mark.usefixtures("quick_compilation")
def test_the_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(BOOK, "novels.txt")
    text, names = PAGE.read_text("utf-8"), {"__name__": "__ernie2__"}
    for block in re.finditer(r"```python\n(.*?)```", text, re.DOTALL):
        code, line = block.group(1), text[: block.start(1)].count("\n")
        if line < 40:  # the first block
            assert all(many in code for many in FEWER)
        for many, few in FEWER.items():
            code = code.replace(many, few)
        exec(compile("\n" * line + code, str(PAGE), "exec"), names)
    assert names["classifier"].backbone.task_id == 3 and len(names["groups"]) == 6
    parts = [int(names["examples"].batch_at(n)[0]["task_ids"][0, 0]) for n in range(25)]
    assert parts == [part for part in range(5) for _ in range(5)]
    assert np.isfinite(names["model"].history.history["loss"]).all()
