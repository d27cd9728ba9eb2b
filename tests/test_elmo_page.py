"""Runs docs/elmo.md from top to bottom, as a reader would."""

import shutil
from pathlib import Path

import numpy as np
import pytest

FIXTURES = Path(__file__).parent / "fixtures"

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.mark.slow
def test_the_page_runs(run_page, tmp_path):
    shutil.copytree(FIXTURES / "elmo_bilm_tf", tmp_path / "elmo_bilm_tf")
    names = run_page("elmo")
    (vectors,) = names["vectors"]
    assert vectors.shape == (4, 32) and np.isfinite(vectors).all()
    assert names["texts"].shape == (2, 64) and names["own"].count_params() > 0
