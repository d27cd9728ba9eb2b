"""Runs docs/ernie_thu.md from top to bottom, as a reader would, with fewer steps."""

import numpy as np
import pytest

FEWER = {
    "steps_per_epoch=100": "steps_per_epoch=1",
    "batch_size=16": "batch_size=2",
    'size="tiny"': 'size="tiny", num_layers=2, hidden_dim=16, sequence_length=64',
}


@pytest.mark.slow
@pytest.mark.usefixtures("quick_compilation")
def test_the_page_runs(run_page):
    names = run_page("ernie_thu", FEWER)
    table = names["classifier"].backbone.entity_table
    np.testing.assert_allclose(np.asarray(table.vectors), names["vectors"], rtol=1e-6)
    entities = names["preprocessor"](["bob met ann"])["entity_ids"][0]
    assert sorted(entities[entities > 0]) == [1, 2]
    assert names["text"] == "bob met 。 ann 。"
