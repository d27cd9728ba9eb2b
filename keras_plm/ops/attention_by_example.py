"""Attention on JAX's CPU, one example after the other."""

import keras

FEWEST_ROWS = 8  # fewer, as in generation, are read at once
HIDDEN = -1e30  # the score of what a row does not see


def can_read_by_example(query):
    """Whether JAX can compute attention so, for the queries (B, R, H, K).

    Not outside of a compiled function, where it would compile each call anew, nor on several
    devices, which may have a share of the examples each.
    """
    import jax

    is_alone = jax.device_count() == 1 and keras.distribution.distribution() is None
    is_known = all(isinstance(size, int) for size in query.shape)
    traced = isinstance(query, jax.core.Tracer)
    return is_alone and is_known and traced and query.shape[1] >= FEWEST_ROWS


def attend_by_example(query, key, value, visible=None, causal=False, bias=None, scale=None):
    """Let rows read keys and values, as `keras_plm.ops.attend` does.

    The scores of one example stay in the processor's cache, where those of a batch would be written
    to memory and read from it for every operation. They are not kept for the backward pass, which
    computes them again from queries and keys: that is faster than to read them and takes no memory.

    Args:
        query, key, value, visible, causal, bias, scale: as in `attend`.

    Returns:
        Tensor of shape (B, R, H, K). A row that sees no key gets anything.

    Source: Chen et al., arXiv:1604.06174 (computing again); Dao et al., arXiv:2205.14135 (scores
    that never leave the cache).
    """
    import jax
    from jax import numpy as jnp

    scale = query.shape[-1] ** -0.5 if scale is None else scale
    num_rows, num_keys = query.shape[1], key.shape[1]
    given = {"query": query, "key": key, "value": value, "visible": visible, "bias": bias}
    given = {name: tensor for name, tensor in given.items() if tensor is not None}
    own = {name: tensor for name, tensor in given.items() if len(tensor) == len(query)}
    common = {name: tensor[0] for name, tensor in given.items() if name not in own}

    def read(own):
        one = {**common, **own}
        rows, keys, values = (jnp.swapaxes(one[name], 0, 1) for name in ("query", "key", "value"))
        keys = jnp.swapaxes(keys, 1, 2)  # (H, K, S)
        scores = scale * jnp.matmul(rows, keys, preferred_element_type="float32")  # (H, R, S)
        if bias is not None:
            scores = scores + one["bias"].astype("float32")
        if visible is not None:
            scores = jnp.where(one["visible"], scores, HIDDEN)
        if causal:
            not_after = jnp.arange(num_keys) <= jnp.arange(num_rows)[:, None]
            scores = jnp.where(not_after, scores, HIDDEN)
        shares = jax.nn.softmax(scores).astype(values.dtype)
        return jnp.swapaxes(jnp.matmul(shares, values), 0, 1)  # (R, H, K)

    return jax.lax.map(jax.checkpoint(read), own)
