"""How long texts may stay that have to fit into one row together."""

import numpy as np


def truncated_lengths(lengths, total):
    """The lengths of texts of which the longest loses a token until they fit.

    Of equally long ones the last loses it. `[[5, 2, 9]]` with `total=12` becomes `[[5, 2, 5]]`.

    Args:
        lengths: (N, K) int, tokens of the K texts of each row.
        total: int, how many tokens there may be in a row.

    Returns:
        (N, K) int.

    Source: BERT (Devlin et al., 2019), `truncate_seq_pair` of `create_pretraining_data.py`.
    """
    lengths = np.asarray(lengths)
    number = lengths.shape[1]
    shortest = np.sort(lengths, axis=1)[:, :-1].cumsum(axis=1)
    shortest = np.concatenate([np.zeros_like(lengths[:, :1]), shortest], axis=1)  # of the first k
    level = ((total - shortest) // np.arange(number, 0, -1)).max(axis=1, keepdims=True)  # (N, 1)
    cut = lengths > level
    missing = total - np.minimum(lengths, level).sum(axis=1, keepdims=True)
    keeps_one_more = cut & (np.cumsum(cut, axis=1) <= missing)
    return np.minimum(lengths, level) + keeps_one_more
