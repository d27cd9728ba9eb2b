"""mixture_rows.py: each batch is that of one part, drawn by weight."""

import numpy as np

from keras_plm.data.rows.mixture_rows import MixtureRows, part_at


class Numbers:
    """A builder whose rows say which they are."""

    def __init__(self, number, steps):
        self.number, self.steps_per_pass, self.batch_size = number, steps, 4

    def __call__(self, step, rows=slice(None)):
        return {"token_ids": np.array([[self.number, step, row] for row in range(4)])[rows]}


def test_each_batch_is_that_of_its_part():
    """The first parts as they were once drawn: a run that goes on must find the same ones."""
    rows = MixtureRows([Numbers(0, 3), Numbers(1, 8)], (3, 1), seed=2)
    assert rows.steps_per_pass == 8 and rows.batch_size == 4
    parts = [0, 1, 1, 0, 0, 0, 0, 0, 1, 0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 1, 0, 1, 0, 0]
    for step, part in enumerate(parts):
        batch = rows(step)
        assert batch["part"] == part and isinstance(batch["part"], int)
        assert batch["token_ids"].tolist() == [[part, step, row] for row in range(4)]
        shard = rows(step, slice(2, 4))
        assert shard["part"] == part and shard["token_ids"].tolist() == [
            [part, step, row] for row in (2, 3)
        ]


def test_the_parts_are_as_frequent_as_their_weights():
    """10,000 batches, four standard deviations."""
    counts = np.bincount([part_at(0, step, [0.2, 0.5, 0.3]) for step in range(10_000)])
    share = np.array([0.2, 0.5, 0.3])
    assert np.all(abs(counts / 10_000 - share) < 4 * np.sqrt(share * (1 - share) / 10_000))


def test_the_parts_of_steps_are_independent():
    """Two steps have the same part as often as chance says, whatever lies between them."""
    shares = np.array([0.2, 0.5, 0.3])
    parts = np.array([part_at(0, step, shares) for step in range(5_000)])
    same = (shares**2).sum()
    for lag in (1, 2, 3, 8):
        equal = (parts[lag:] == parts[:-lag]).mean()
        assert abs(equal - same) < 5 * np.sqrt(same * (1 - same) / 5_000)


def test_seeds_draw_other_parts():
    other = [part_at(1, step, [0.5, 0.5]) for step in range(50)]
    assert other != [part_at(0, step, [0.5, 0.5]) for step in range(50)]
