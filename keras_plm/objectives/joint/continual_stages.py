"""The stages of ERNIE 2.0's continual training: a new task comes, and the old ones stay.

A literal example, `continual_stages(4, 50)`, each column 50 batches of a task:

    stage 1    20
    stage 2    10  30
    stage 3    10  10  40
    stage 4    10  10  10  50
"""

from keras_plm.checks import check_integer


def continual_stages(num_tasks, steps):
    """Make the table of stages in which each task is trained for as many batches.

    In stage t task t is new, and those before it go on: each gets a (K + 1)-th of its batches in
    every stage after its first, and the rest in that one.

    Args:
        num_tasks: K, how many tasks there are, at least 2.
        steps: int. How many batches of each task there are in all, at least K.

    Returns:
        tuple of K tuples of K int, for `Mixture(stages=...)`.

    Raises:
        ValueError: a number is none of these.

    Source: ERNIE 2.0 (arXiv:1907.12412), sections 3.3 and 5.5, whose table of four tasks and
    50,000 steps the example is, in thousands.
    """
    check_integer("num_tasks", num_tasks, 2)
    check_integer("steps", steps, num_tasks)
    share = steps // (num_tasks + 1)
    stages = []
    for new in range(num_tasks):
        rest = steps - share * (num_tasks - 1 - new)
        stages.append((share,) * new + (rest,) + (0,) * (num_tasks - 1 - new))
    return tuple(stages)
