"""mixture_rows.py: each batch is that of one part, drawn by weight."""

import numpy as np

from keras_plm.data.mixture_rows import MixtureRows, part_at


class Numbers:
    """A builder whose rows say which they are."""

    def __init__(self, number, steps):
        self.number, self.steps_per_pass, self.batch_size = number, steps, 4

    def __call__(self, step, rows=slice(None)):
        return {"token_ids": np.array([[self.number, step, row] for row in range(4)])[rows]}


def test_each_batch_is_that_of_its_part():
    rows = MixtureRows([Numbers(0, 3), Numbers(1, 8)], (3, 1), seed=2)
    assert rows.steps_per_pass == 8 and rows.batch_size == 4
    parts = set()
    for step in range(40):
        batch = rows(step)
        part = part_at(2, step, [0.75, 0.25])
        assert batch["part"] == part and isinstance(part, int)
        assert batch["token_ids"].tolist() == [[part, step, row] for row in range(4)]
        shard = rows(step, slice(2, 4))
        assert shard["part"] == part and shard["token_ids"].tolist() == [
            [part, step, row] for row in (2, 3)
        ]
        parts.add(part)
    assert parts == {0, 1}


def test_the_parts_are_as_frequent_as_their_weights():
    """10,000 batches, four standard deviations."""
    counts = np.bincount([part_at(0, step, [0.2, 0.5, 0.3]) for step in range(10_000)])
    share = np.array([0.2, 0.5, 0.3])
    assert np.all(abs(counts / 10_000 - share) < 4 * np.sqrt(share * (1 - share) / 10_000))
    other = [part_at(1, step, [0.5, 0.5]) for step in range(50)]
    assert other != [part_at(0, step, [0.5, 0.5]) for step in range(50)]
