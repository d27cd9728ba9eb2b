"""Runs docs/siatl.md from top to bottom, as a reader would, with fewer steps."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

PAGE = Path(__file__).parents[1] / "docs" / "siatl.md"
BOOK = Path(__file__).parent / "fixtures" / "botchan.txt"
FEWER = {"steps_per_epoch=1000": "steps_per_epoch=2", 'size="tiny"': 'size="tiny", lstm_dim=16'}


@pytest.mark.slow
@pytest.mark.usefixtures("quick_compilation")
def test_the_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(BOOK, "novels.txt")
    text = PAGE.read_text("utf-8")
    texts = ["a fine day", "a foul night", "the day of the train", "a night"]
    names = {"__name__": "__siatl__", "texts": texts, "labels": [1, 0, 1, 0]}
    for block in re.finditer(r"```python\n(.*?)```", text, re.DOTALL):
        code, line = block.group(1), text[: block.start(1)].count("\n")
        for many, few in FEWER.items():
            assert many in code
            code = code.replace(many, few)
        exec(compile("\n" * line + code, str(PAGE), "exec"), names)
    history = names["classifier"].history.history["loss"]
    assert len(history) == 15 and np.isfinite(history).all()
    layer = names["classifier"].get_layer("auxiliary_lm")
    np.testing.assert_allclose(float(layer.current_weight), np.exp(-2.3), rtol=1e-6)
