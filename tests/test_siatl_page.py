"""Runs docs/siatl.md from top to bottom, as a reader would, with fewer steps."""

import numpy as np
import pytest

FEWER = {"steps_per_epoch=1000": "steps_per_epoch=2", 'size="tiny"': 'size="tiny", lstm_dim=16'}


@pytest.mark.slow
@pytest.mark.usefixtures("quick_compilation")
def test_the_page_runs(run_page):
    texts = ["a fine day", "a foul night", "the day of the train", "a night"]
    names = run_page("siatl", FEWER, texts=texts, labels=[1, 0, 1, 0])
    history = names["classifier"].history.history["loss"]
    assert len(history) == 15 and np.isfinite(history).all()
    layer = names["classifier"].get_layer("auxiliary_lm")
    np.testing.assert_allclose(float(layer.current_weight), np.exp(-2.3), rtol=1e-6)
