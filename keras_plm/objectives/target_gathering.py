"""From a mask of targets to P slots per row, the form in which models take them."""

import numpy as np


def gather_targets(token_ids, targets, num_predict):
    """Lists the targets of each row in ascending positions, padded to `num_predict`.

    Args:
        token_ids: (B, T) int32.
        targets: (B, T) bool, at most `num_predict` per row.
        num_predict: P.

    Returns:
        target_positions (B, P) int32 (0 where unused), target ids (B, P) int32 (0 where unused),
        weights (B, P) float32 (1 for a target, 0 where unused).
    """
    shape = (len(targets), num_predict)
    positions, weights = np.zeros(shape, "int32"), np.zeros(shape, "float32")
    token_targets = np.zeros(shape, "int32")
    used = np.arange(num_predict) < targets.sum(axis=1)[:, None]  # (B, P)
    rows, columns = np.nonzero(targets)  # row by row, ascending
    positions[used], token_targets[used], weights[used] = columns, token_ids[rows, columns], 1
    return positions, token_targets, weights
