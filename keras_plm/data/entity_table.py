"""The table of the vectors of entities that a corpus numbers from 1.

names    Q1        Q7        Q9              vectors of a graph: {"Q1": [.6, .8], "Q9": [0, 1]}
table    0 0       .6 .8     -.28 .96   0 1  row 0: none; Q7, which has none, got one by chance
"""

import logging

import numpy as np

from keras_plm.checks import check_arguments, check_rectangular, integer, texts

logger = logging.getLogger("keras_plm")


@check_arguments
def entity_table(names: texts(), vectors, seed: integer(0) = 0):
    """Lay out the vectors of entities as the rows of a table, in the order of their numbers.

    An entity without a vector gets one of length 1 in a direction that is drawn: it says which
    entity it is and nothing about it. The log "keras_plm" says how many there are.

    Args:
        names: list of N str, the names of the entities 1 to N, such as those of
            `read_entity_names`, or `TransE.entities`.
        vectors: dict of names to vectors (E,); or a pair of a list of names and an array (number
            of names, E), as `read_vectors` returns it.
        seed: int, for the vectors that are drawn.

    Returns:
        float32 array (N + 1, E), of which row 0 is zero.

    Raises:
        ValueError: if a name occurs twice, or vectors are no table of finite numbers with a name
            for each row.
    """
    known, rows = (list(vectors), list(vectors.values())) if isinstance(vectors, dict) else vectors
    known, rows = list(known), check_rectangular("vectors", rows)
    if rows.ndim != 2 or len(rows) != len(known) or rows.dtype.kind not in "fiu" or not rows.size:
        raise ValueError(
            "vectors must be a dict of names to vectors of one length, or a pair of names and an "
            f"array with a row for each. Received: {len(known)} names, an array {rows.shape} of "
            f"{rows.dtype}"
        )
    rows = rows.astype("float32")
    if not np.isfinite(rows).all():
        wrong = known[int(np.argmin(np.isfinite(rows).all(axis=1)))]
        raise ValueError(f"vectors must be finite. Received: that of {wrong!r:.80} is not")
    for what, given in (("names", names), ("vectors", known)):
        if len(set(given)) < len(given):
            twice = next(one for place, one in enumerate(given) if one in given[:place])
            raise ValueError(f"{what} must have each name once. Received: {twice!r:.80} twice")
    table = np.random.default_rng(seed).normal(size=(len(names) + 1, rows.shape[1]))
    table /= np.linalg.norm(table, axis=1, keepdims=True)
    number = {name: place for place, name in enumerate(known)}
    found = np.array([number.get(name, -1) for name in names], "int64")  # (N,)
    table[1:][found >= 0] = rows[found[found >= 0]]
    table[0] = 0
    if (found < 0).any():
        logger.info(
            "%s of %s entities have no vector: each has one that is drawn.",
            f"{np.count_nonzero(found < 0):,}",
            f"{len(names):,}",
        )
    return table.astype("float32")
