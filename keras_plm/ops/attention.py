"""Dot-product attention: one call for the patterns that a backend can fuse, and the weights."""

import keras
import ml_dtypes
from keras import ops

from keras_plm.ops.attention_by_example import attend_by_example, can_read_by_example


def attend(query, key, value, visible=None, causal=False, bias=None, scale=None):
    """Let rows read keys and values.

    A row that sees no key gets 0; `ops.dot_product_attention` alone gives it the mean of all
    values, which would leak.

    Args:
        query: tensor of shape (B, R, H, K).
        key, value: tensors of shape (B, S, H, K).
        visible: bool tensor of shape (B or 1, R, S), or (B or 1, 1, S) if all rows see the same, or
            None: all is visible.
        causal: bool. Whether row i sees, besides, no key after i; R = S.
        bias: float tensor of shape (B, H, R, S) or (1, H, R, S), added to the scores, or None.
        scale: float or None. What products of queries and keys are multiplied by; None: K^-0.5.

    On a GPU, JAX calls cuDNN's fused kernel for numbers of half precision, heads up to 128 wide
    (256 from Hopper on) and, where something is hidden or added, even R and S. On a CPU, JAX reads
    one example after the other (`attention_by_example.py`).

    Returns:
        Tensor of shape (B, R, H, K).

    Source: Vaswani et al., arXiv:1706.03762, section 3.2.1.
    """
    on_cpu = _platform() == "cpu"
    if on_cpu and can_read_by_example(query):
        output = attend_by_example(query, key, value, visible, causal, bias, scale)
    elif on_cpu and keras.backend.standardize_dtype(query.dtype) == "float16":
        # XLA has no product of float16 on a CPU that gives what JAX asks for, float32.
        rows, keys = ops.cast(query, "float32"), ops.cast(key, "float32")
        weights = attention_weights(rows, keys, visible, causal, bias, scale)
        output = ops.einsum("bhrs,bshk->brhk", ops.cast(weights, value.dtype), value)
    else:
        output = _attend_by_keras(query, key, value, visible, causal, bias, scale)
    if visible is None:
        return output
    sees = _sees_any(visible, causal)[:, :, None, None]  # (B, R or 1, 1, 1)
    return ops.where(sees, output, ops.zeros_like(output))


def _attend_by_keras(query, key, value, visible, causal, bias, scale):
    """`attend` by what Keras and its backend have; a row that sees no key gets anything."""
    mask = None if visible is None else visible[:, None]  # (B, 1, R or 1, S)
    mask, bias, flash_attention = _as_kernels_take_it(query, key, mask, bias)
    return ops.dot_product_attention(
        query,
        key,
        value,
        bias=bias,
        mask=mask,
        scale=scale,
        is_causal=causal,
        flash_attention=flash_attention,
    )


def attention_weights(query, key, visible=None, causal=False, bias=None, scale=None):
    """How much each row reads of each key.

    Args:
        query, key, visible, causal, bias, scale: as in `attend`.

    Returns:
        Tensor of shape (B, H, R, S), float32: each row's weights add up to 1, or are all 0 where
        it sees nothing.
    """
    score = ops.einsum("brhk,bshk->bhrs", query, key)  # (B, H, R, S)
    score = ops.cast(score, "float32") * (query.shape[-1] ** -0.5 if scale is None else scale)
    if bias is not None:
        score = score + ops.cast(bias, "float32")
    if causal:
        not_after = _not_after(score)[None]  # (1, R, S)
        visible = not_after if visible is None else ops.logical_and(visible, not_after)
    if visible is None:
        return ops.softmax(score, axis=-1)
    score = ops.where(visible[:, None], score, -1e30)
    return ops.where(visible[:, None], ops.softmax(score, axis=-1), 0.0)


def _as_kernels_take_it(query, key, mask, bias):
    """The mask, the bias, and whether Keras may call a fused kernel (None: it looks by itself).

    cuDNN takes a mask as a bias with every row written out, and Keras, which looks whether cuDNN
    takes a bias, does not look at masks: JAX then fails, and Keras logs that for each layer. XLA
    makes the bias once for all layers. TPUs have a kernel that takes masks of constants alone and
    without one reads from left to right: Keras 3.15, `wrap_flash_attention`.
    """
    platform = _platform()
    if platform == "tpu":
        return mask, bias, False
    if platform != "gpu" or (mask is None and bias is None):
        return mask, bias, None
    num_rows, num_keys = query.shape[1], key.shape[1]
    if mask is not None:
        dtype = keras.backend.standardize_dtype(query.dtype)
        hidden = 0.7 * float(ml_dtypes.finfo(dtype).min)  # as in JAX: sums do not overflow
        mask = ops.where(mask, 0.0, hidden)
        rows = ops.zeros_like(query[:1, :, :1, :1])  # (1, R, 1, 1)
        mask = ops.cast(mask, query.dtype) + ops.transpose(rows, (0, 2, 1, 3))  # (B, 1, R, S)
        bias = mask if bias is None else ops.cast(bias, query.dtype) + mask
    is_even = None not in (num_rows, num_keys) and num_rows % 2 == num_keys % 2 == 0
    return None, bias, None if is_even else False


def _platform():
    """What JAX computes on: "cpu", "gpu" or "tpu"; None on another backend."""
    if keras.backend.backend() != "jax":
        return None
    import jax

    return jax.devices()[0].platform


def _sees_any(visible, causal):
    """Whether each row sees any key, (B, R) or (B, 1)."""
    if not causal:
        return ops.any(visible, axis=-1)
    if visible.shape[1] == 1:
        return ops.cumsum(ops.cast(visible[:, 0], "int32"), axis=-1) > 0  # (B, S): R = S
    return ops.any(ops.logical_and(visible, _not_after(visible)[None]), axis=-1)


def _not_after(like):
    """Which key is not after which row: (R, S) of the last two axes of a tensor."""
    ones = ops.cast(ops.ones_like(like[(0,) * (len(like.shape) - 2)]), "int32")  # (R, S)
    return ops.cumsum(ones, axis=1) <= ops.cumsum(ones, axis=0)
