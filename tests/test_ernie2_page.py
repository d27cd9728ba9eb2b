"""Runs docs/ernie2.md from top to bottom, as a reader would, with fewer steps."""

import numpy as np
import pytest

FEWER = {
    "task_steps=1000)": "task_steps=5, num_layers=1, hidden_dim=16, intermediate_dim=16)",
    "5 * 1000": "2",
}


@pytest.mark.slow
@pytest.mark.usefixtures("quick_compilation")
def test_the_page_runs(run_page):
    names = run_page("ernie2", FEWER)
    assert names["classifier"].backbone.task_id == 3 and len(names["groups"]) == 6
    parts = [int(names["examples"].batch_at(n)[0]["task_ids"][0, 0]) for n in range(25)]
    assert parts == [part for part in range(5) for _ in range(5)]
    assert np.isfinite(names["model"].history.history["loss"]).all()
