"""Whether a batch of rows fits an objective: the errors that would else surface far away."""

import numpy as np


def check_arrays(what, batch, shapes):
    """Refuses a batch without the arrays that an objective takes, or with others of their name.

    Args:
        what: str. Who takes the batch, for the message.
        batch: dict of arrays.
        shapes: dict of name to the shape of one row, such as (T,) or ().

    Raises:
        ValueError: an array is missing or has another shape than (B, *shape of a row), B that of
            the first array.
    """
    first = next(iter(shapes))
    num_rows = np.shape(batch.get(first))[:1] or ("B",)  # None has the shape ()
    for name, row in shapes.items():
        expected = (*num_rows, *row)
        if name not in batch or np.shape(batch[name]) != expected:
            received = np.shape(batch[name]) if name in batch else "no such array"
            raise ValueError(
                f"{what} needs {name} of the shape {expected}. Received: {received}. Make the "
                "rows with this objective."
            )


def check_vocabulary(name, ids, vocabulary_size):
    """Refuses token ids outside the vocabulary.

    Args:
        name: str. What the array is called.
        ids: int array.
        vocabulary_size: V.

    Raises:
        ValueError: an id is negative or V or more.
    """
    low, high = int(ids.min(initial=0)), int(ids.max(initial=0))
    if low < 0 or high >= vocabulary_size:
        raise ValueError(
            f"{name} must lie in the vocabulary, [0, {vocabulary_size}). Received: ids from {low} "
            f"to {high}. Use a corpus made with the model's tokenizer."
        )
