"""Visibility by order: who sees whom, built on the device from one integer per token.

    row sees key j   iff   order[j] <= step < until[j]
                           step = order[i]      for the content row of token i
                           step = order[i] - 1  for a query row, which must predict token i
                                                without seeing it

Without `until`, a key stays visible for ever. `padding_mask` hides keys only, memory is visible
at every step, and a content row always sees itself, padding included. A window bounds, besides,
how far to the left a row sees, counted over memory and segment. This is XLNet's content mask and
query mask (arXiv:1906.08237, section 2.3 and figure 2), BERT's (order 0 everywhere), a causal one
(order = position) and MPNet's (arXiv:2004.09297, section 2.2) in one rule.
"""

from keras import ops

from keras_plm.ops.rows import gather_rows


def content_visibility(
    order,
    padding_mask=None,
    memory_length=0,
    causal=False,
    window=None,
    until=None,
    memory_mask=None,
):
    """Which keys each content row sees.

    Args:
        order: int tensor of shape (B, T), at least 0.
        padding_mask: bool tensor of shape (B, T) or None. True = a real token.
        memory_length: int. The M keys of memory in front of the T keys of the segment.
        causal: bool. Whether a row sees, besides, no key to its right.
        window: int or None. Whether it sees, besides, only itself and the window - 1 keys to its
            left (and what lies to its right, unless causal).
        until: int tensor of shape (B, T) or None: the step from which on a token is not seen.
        memory_mask: bool tensor of shape (B, M) or None: which keys of memory are seen. It says M
            as well, in place of `memory_length`.

    Returns:
        Bool tensor of shape (B, T, S), S = M + T.
    """
    index = _index(order)  # (B, T)
    visible = _visible(order, index, order, index, padding_mask, causal, until)  # (B, T, T)
    itself = ops.equal(index[:, :, None], index[:, None, :])  # (B, T, T)
    return _within(window, index, ops.logical_or(visible, itself), memory_length, memory_mask)


def query_visibility(
    order,
    target_positions,
    padding_mask=None,
    memory_length=0,
    causal=False,
    window=None,
    until=None,
):
    """Which keys the query row of each target sees: the step before the target's own.

    Args:
        order: int tensor of shape (B, T), at least 0.
        target_positions: int tensor of shape (B, P), the positions of the targets.
        padding_mask: bool tensor of shape (B, T) or None. True = a real token.
        memory_length: int. The M keys of memory in front of the T keys of the segment.
        causal: bool. Whether a row sees, besides, no key to its right.
        window: int or None. Whether it sees, besides, only itself and the window - 1 keys to its
            left (and what lies to its right, unless causal).
        until: int tensor of shape (B, T) or None: the step from which on a token is not seen.

    Returns:
        Bool tensor of shape (B, P, S), S = M + T.
    """
    step = gather_rows(order, target_positions) - 1  # (B, P)
    index = _index(order)
    visible = _visible(step, target_positions, order, index, padding_mask, causal, until)
    return _within(window, target_positions, visible, memory_length)


def hide_masked(visible, *masks):
    """Hide from all rows the keys that masks of Keras leave out, besides.

    Args:
        visible: bool tensor of shape (B, R, S) or (B, 1, S), or None: all is visible.
        masks: bool tensors of shape (B, S), or None: the implicit masks of the keys.

    Returns:
        Bool tensor of shape (B, R or 1, S), or None.
    """
    for mask in masks:
        if mask is not None:
            keys = ops.cast(mask, "bool")[:, None, :]  # (B, 1, S)
            visible = keys if visible is None else ops.logical_and(visible, keys)
    return visible


def mask_of_keys(content, content_mask, memory=None, memory_mask=None):
    """Put the implicit mask of a memory in front of that of a segment.

    Args:
        content: tensor of shape (B, T, D).
        content_mask: bool tensor of shape (B, T) or None.
        memory: tensor of shape (B, M, D) or None.
        memory_mask: bool tensor of shape (B, M) or None.

    Returns:
        Bool tensor of shape (B, S), S = M + T, or None: there is no mask.
    """
    if memory is None or (content_mask is None and memory_mask is None):
        return content_mask
    parts = (memory, memory_mask), (content, content_mask)
    masks = [ops.ones(ops.shape(part)[:2]) if mask is None else mask for part, mask in parts]
    return ops.concatenate([ops.cast(mask, "bool") for mask in masks], axis=1)


def _index(order):
    """The index of each token, as a tensor: the length may be unknown in a Functional graph."""
    return ops.cumsum(ops.ones_like(order), axis=1) - 1  # (B, T)


def _visible(step, row_index, order, key_index, padding_mask, causal, until):
    visible = ops.less_equal(order[:, None, :], step[:, :, None])  # (B, R, T)
    if until is not None:
        visible = ops.logical_and(visible, ops.less(step[:, :, None], until[:, None, :]))
    if causal:
        not_right = ops.less_equal(key_index[:, None, :], row_index[:, :, None])
        visible = ops.logical_and(visible, not_right)
    if padding_mask is not None:
        visible = ops.logical_and(visible, ops.cast(padding_mask, "bool")[:, None, :])
    return visible


def _within(window, row_index, visible, memory_length, memory_mask=None):
    """Put M keys in front that every row sees, and hide what is not within its window."""
    memory = memory_mask[:, None] if memory_mask is not None else None  # (B, 1, M)
    if memory is None and memory_length:
        memory = ops.repeat(ops.ones_like(visible[:, :1, :1]), memory_length, axis=2)
    if memory is not None:
        memory = ops.logical_and(ops.ones_like(visible[:, :, :1]), memory)  # (B, R, M)
        visible = ops.concatenate([memory, visible], axis=2)  # (B, R, S)
    if window is None:
        return visible
    key_index = ops.cumsum(ops.cast(ops.ones_like(visible[:1, :1]), "int32"), axis=2) - 1
    if memory is not None:  # counted here: the M of a batch need not be that of the graph
        key_index = key_index - ops.sum(ops.cast(ops.ones_like(memory[:1, :1]), "int32"))
    distance = ops.cast(row_index, "int32")[:, :, None] - key_index  # (B, R, S)
    return ops.logical_and(visible, ops.less(distance, window))
