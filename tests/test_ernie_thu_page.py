"""Runs docs/ernie_thu.md from top to bottom, as a reader would, with fewer steps."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

PAGE = Path(__file__).parents[1] / "docs" / "ernie_thu.md"
BOOK = Path(__file__).parent / "fixtures" / "botchan.txt"
FEWER = {"steps_per_epoch=100": "steps_per_epoch=1", "batch_size=16": "batch_size=2"}
SMALL = {'size="tiny"': 'size="tiny", num_layers=2, hidden_dim=16, sequence_length=64'}


@pytest.mark.slow
@pytest.mark.usefixtures("quick_compilation")
def test_the_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(BOOK, "novels.txt")
    text = PAGE.read_text("utf-8")
    names = {"__name__": "__ernie_thu__"}
    for block in re.finditer(r"```python\n(.*?)```", text, re.DOTALL):
        code, line = block.group(1), text[: block.start(1)].count("\n")
        for many, few in {**FEWER, **SMALL}.items():
            code = code.replace(many, few)
        exec(compile("\n" * line + code, str(PAGE), "exec"), names)
    table = names["classifier"].backbone.entity_table
    np.testing.assert_allclose(np.asarray(table.vectors), names["vectors"], rtol=1e-6)
    entities = names["preprocessor"](["bob met ann"])["entity_ids"][0]
    assert sorted(entities[entities > 0]) == [1, 2]
    assert names["text"] == "bob met 。 ann 。"
