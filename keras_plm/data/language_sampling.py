"""How often each language is read: rare ones more often than they occur, frequent ones less.

Of 8 rows in one language and 2 in another, with the exponent 0.5:

    share of the rows      p = 0.8, 0.2
    p ** 0.5               0.894, 0.447
    share of a pass        q = 0.667, 0.333     6 or 7 of the 10 rows, and 3 or 4, by a draw
    the rows of a pass     6 or 7 of the 8 rows, drawn; the 2 rows, one or two of them twice
"""

import numpy as np


def language_shares(counts, exponent):
    """The shares q of languages in a pass, q_i ~ p_i ** exponent.

    Args:
        counts: (G,) numbers above 0, how many rows there are of each.
        exponent: float. 1: as they occur; 0: all alike.

    Returns:
        (G,) float, with the sum 1.

    Source: XLM (Conneau and Lample, 2019), section 3.1.
    """
    powers = (np.asarray(counts, float) / np.sum(counts)) ** exponent
    return powers / powers.sum()


def sample_rows(languages, exponent, rng):
    """Draws the rows of a pass, as many as there are.

    The number of rows of each language is its share of them, rounded up or down by a draw so that
    it is right on average. A language that gets more rows than it has repeats all of them, the
    rest is drawn from them; one that gets fewer leaves some out.

    Args:
        languages: (R,) int, the language of each row, or (R, 2) int, those of its two texts,
            which together count as one.
        exponent: see `language_shares`.
        rng: `numpy.random.Generator`.

    Returns:
        (R,) int, indices of the rows.
    """
    _, group, counts = np.unique(languages, axis=0, return_inverse=True, return_counts=True)
    group, total = group.ravel(), len(languages)
    bounds = np.cumsum(language_shares(counts, exponent)) * total
    bounds = np.floor(np.append(bounds[:-1], total) + rng.random()).astype("int64")
    chosen = []
    for number, wanted in enumerate(np.diff(bounds, prepend=0)):
        rows = np.flatnonzero(group == number)
        repeats, rest = divmod(int(wanted), len(rows))
        chosen += [np.tile(rows, repeats), rng.choice(rows, rest, replace=False)]
    return np.concatenate(chosen)
