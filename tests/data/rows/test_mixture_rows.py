"""mixture_rows.py: each batch is that of one part, drawn by weight."""

import numpy as np

from keras_plm.data.rows.mixture_rows import DrawnParts, MixtureRows, PartsInStages


class Numbers:
    """A builder whose rows say which they are."""

    def __init__(self, number, steps):
        self.number, self.steps_per_pass, self.batch_size = number, steps, 4

    def __call__(self, step, rows=slice(None)):
        return {"token_ids": np.array([[self.number, step, row] for row in range(4)])[rows]}


def test_each_batch_is_that_of_its_part():
    """The first parts as they were once drawn: a run that goes on must find the same ones."""
    rows = MixtureRows([Numbers(0, 3), Numbers(1, 8)], DrawnParts((3, 1), seed=2))
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
    counts = np.bincount(list(map(DrawnParts([0.2, 0.5, 0.3], 0), range(10_000))))
    share = np.array([0.2, 0.5, 0.3])
    assert np.all(abs(counts / 10_000 - share) < 4 * np.sqrt(share * (1 - share) / 10_000))


def test_the_parts_of_steps_are_independent():
    """Two steps have the same part as often as chance says, whatever lies between them."""
    shares = np.array([0.2, 0.5, 0.3])
    parts = np.array(list(map(DrawnParts(shares, 0), range(5_000))))
    same = (shares**2).sum()
    for lag in (1, 2, 3, 8):
        equal = (parts[lag:] == parts[:-lag]).mean()
        assert abs(equal - same) < 5 * np.sqrt(same * (1 - same) / 5_000)


def test_seeds_draw_other_parts():
    other = list(map(DrawnParts([0.5, 0.5], 1), range(50)))
    assert other != list(map(DrawnParts([0.5, 0.5], 0), range(50)))


STAGES = ((20, 0, 0), (10, 30, 0), (10, 10, 40))


def test_stages_have_exactly_their_batches():
    parts = list(map(PartsInStages(STAGES, 3), range(20 + 40 + 60 + 60)))
    ends = [0, 20, 60, 120, 180]
    counts = [
        np.bincount(parts[start:end], minlength=3).tolist() for start, end in zip(ends, ends[1:])
    ]
    assert counts == [*map(list, STAGES), [10, 10, 40]]  # the last one comes again
    assert parts[20:60] != sorted(parts[20:60]) and parts[60:120] != parts[120:180]


def test_a_stage_is_read_from_anywhere():
    """A batch has the same part whatever was made before it."""
    parts = list(map(PartsInStages(STAGES, 3), range(150)))
    assert [PartsInStages(STAGES, 3)(step) for step in (149, 0, 75, 21)] == [
        parts[step] for step in (149, 0, 75, 21)
    ]
    assert parts[20:] != list(map(PartsInStages(STAGES, 4), range(150)))[20:]


def test_the_order_in_a_stage_is_random():
    """Each place of a stage has each part as often as its share: four standard deviations."""
    drawn = np.array([[PartsInStages(((1, 3),), seed)(n) for n in range(4)] for seed in range(800)])
    assert (drawn.sum(axis=1) == 3).all()
    assert np.all(abs(drawn.mean(axis=0) - 0.75) < 4 * np.sqrt(0.75 * 0.25 / 800))
