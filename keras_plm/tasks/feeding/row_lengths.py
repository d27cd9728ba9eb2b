"""How long rows are without padding, and with it; also those of an encoder and a decoder."""

import numpy as np

from keras_plm import features as contract


def row_lengths(x, cut_left=True):
    """How long rows are without padding, if that can be left out.

    Of an encoder and a decoder both sides are cut to one length, that of the longer one.

    Args:
        x: dict of arrays, the features of N examples: (N, T), of characters (N, T, W), or (N, C, T)
            with several rows each; of an encoder and a decoder (N, S) and (N, T).
        cut_left: bool. Whether padding at the start of the rows may be left out: not for a model
            that counts positions from there.

    Returns:
        Pair: int array (N,), or None if a feature does not belong to the tokens, or some rows are
        padded at the left and others at the right; and whether the padding is at the left.
    """
    if isinstance(x, dict) and "source_padding_mask" in x:
        return _pair_lengths(x), False
    can = {name for name, one in contract.FEATURES.items() if one.shape.startswith("BT")}
    known = isinstance(x, dict) and "padding_mask" in x and not set(x) - can
    if not known or np.ndim(x["padding_mask"]) not in (2, 3):
        return None, False
    real = np.asarray(x["padding_mask"], bool)
    real = real.reshape(len(real), -1, real.shape[-1]).any(axis=1)  # (N, T)
    whole = real.shape[1]
    ends = whole - real[:, ::-1].argmax(axis=1)
    if real[:, 0].all():
        return ends, False
    if real[:, -1].all() and cut_left:
        return whole - real.argmax(axis=1), True
    return None, False


def _pair_lengths(x):
    """How long the longer sides of pairs are without padding (N,), or None; see `row_lengths`."""
    sides = {"padding_mask": {}, "source_padding_mask": {}}
    for name, value in x.items():
        side = "source_padding_mask" if name.startswith("source_") else "padding_mask"
        sides[side][name.removeprefix("source_")] = value
    asked = sides["padding_mask"].pop("target_positions", None)  # (N, P)
    if asked is not None and (np.asarray(asked) != np.arange(np.shape(asked)[-1])).any():
        return None
    found = [row_lengths(side) for side in sides.values()]
    if any(lengths is None or at_left for lengths, at_left in found):
        return None
    return np.maximum(*(lengths for lengths, _ in found))


def whole_length(x):
    """How long rows are with padding.

    Args:
        x: dict of arrays, the features of N examples.

    Returns:
        int: T, or the longer one of the lengths of an encoder and a decoder.
    """
    return max(np.shape(x[name])[-1] for name in ("token_ids", "source_token_ids") if name in x)
