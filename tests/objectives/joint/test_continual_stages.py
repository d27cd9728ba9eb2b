"""The table of ERNIE 2.0's stages, and that columns add up."""

import numpy as np
import pytest

from keras_plm.objectives.joint.continual_stages import continual_stages


def test_the_papers_tables():
    four = ((20, 0, 0, 0), (10, 30, 0, 0), (10, 10, 40, 0), (10, 10, 10, 50))
    assert continual_stages(4, 50) == four
    assert continual_stages(3, 40) == ((20, 0, 0), (10, 30, 0), (10, 10, 40))


@pytest.mark.parametrize("num_tasks, steps", [(2, 2), (2, 7), (3, 100), (5, 5), (5, 51)])
def test_each_task_has_its_batches_from_its_stage_on(num_tasks, steps):
    table = np.array(continual_stages(num_tasks, steps))
    assert table.shape == (num_tasks, num_tasks)
    assert (table.sum(axis=0) == steps).all()
    assert not np.triu(table, 1).any() and (np.diag(table) > 0).all()


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((1, 10), "`num_tasks` must be an integer of at least 2"),
        ((3, 2), "`steps` must be an integer of at least 3"),
        ((3, 2.5), "`steps` must be an integer"),
    ],
)
def test_bad_numbers(arguments, message):
    with pytest.raises(ValueError, match=message):
        continual_stages(*arguments)
