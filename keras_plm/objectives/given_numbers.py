"""Random numbers that were drawn already, for objectives that are parts of another."""


class GivenNumbers:
    """Hands out the rows of a table of uniform random numbers, as a generator would.

    An objective draws `rng.random((rows, draws_per_row))`, block after block of rows. A part of a
    sum gets its own columns of the whole row's numbers this way, so a row of the sum depends on
    its own numbers only.

    Args:
        uniform: (B, N) float in [0, 1).

    Raises:
        ValueError: from `random`, if another shape or more rows are asked for than are left.
    """

    def __init__(self, uniform):
        self._uniform = uniform
        self._next = 0

    def random(self, shape):
        """The next `shape[0]` rows.

        Args:
            shape: (rows, N).
        """
        begin, end = self._next, self._next + shape[0]
        num_rows, num_columns = self._uniform.shape
        if len(shape) != 2 or shape[1] != num_columns or end > num_rows:
            raise ValueError(
                f"There are {num_rows - begin} rows of {num_columns} numbers left. Received: "
                f"shape={shape}"
            )
        self._next = end
        return self._uniform[begin:end]
