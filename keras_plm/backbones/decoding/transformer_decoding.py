"""A Transformer a few tokens at a time: keys and values of what was read are kept.

Under a causal pattern what a row sees never changes, so neither do its keys and values. Reading
more tokens takes their rows only, which first write their own keys and values at their positions
and then read what lies before them: the rows that `encode` has for the whole text, exactly. All
rows of a batch stand at the same place; where one has read fewer tokens of its own than the others,
what it wrote behind them is hidden from every row before, and is overwritten in time.

That is also how a mask is read that is to be predicted (UniLM): behind the last token, where it
sees all before it and itself, and where the next token is written over it.
"""

from keras import ops

from keras_plm.backbones.decoding.decoder import Decoder

CHUNK = 64  # how many tokens of a prompt are read at once


class KeyValueDecoder(Decoder):
    """Abstract base of decoders whose cache has `key_value`, of the form of `empty_cache`."""

    def of_one_text(self, cache):
        return {**cache, "key_value": of_one_text(cache["key_value"])}


class TransformerDecoder(KeyValueDecoder):
    """Keeps the keys and values of what was read.

    A causal backbone reads what is known causally as well. One that is not reads it in both
    directions, all at once, so `known` is an int then; what follows sees what is before it.

    Args:
        backbone: `TransformerBackbone`.
    """

    def __init__(self, backbone):
        self.backbone = backbone

    def start(self, features):
        backbone, token_ids, known = self.backbone, features["token_ids"], features["known"]
        batch, length = token_ids.shape
        chunk, places = min(length, CHUNK), cache_length(length)
        if isinstance(known, int):  # no more is read than is known
            chunk = max(1, min(known, CHUNK))
            places = max(length, -(-known // chunk) * chunk)
        whole = {n: features[n] for n in ("token_ids", *backbone.other_embeddings) if n in features}
        behind = ((0, 0), (0, places - length))
        whole = {name: ops.pad(ids, behind) for name, ids in whole.items()}  # (B, S)
        token_ids = whole.pop("token_ids")
        cache, padding = {"ids": whole}, None
        if "padding_mask" in features:
            hidden = ops.logical_not(ops.cast(features["padding_mask"], "bool"))
            cache["padding"] = padding = ops.sum(ops.cast(hidden, "int32"), axis=1)  # (B,)
        key_value = empty_cache(backbone, batch, places)
        if backbone.causal:
            key_value = read_prompt(backbone, key_value, token_ids, known, whole, chunk, padding)
        else:
            own = {name: ids[:, :known] for name, ids in whole.items()}
            options = {"source_length": known, "padding": padding}
            _, key_value = read_tokens(backbone, key_value, token_ids[:, :known], 0, own, **options)
        return None, {**cache, "key_value": key_value}

    def step(self, constants, cache, token_ids, index):
        places = index + ops.arange(token_ids.shape[1])  # (R,)
        own = {name: ops.take(ids, places, axis=1) for name, ids in cache["ids"].items()}
        key_value, padding = cache["key_value"], cache.get("padding")
        states, key_value = read_tokens(
            self.backbone, key_value, token_ids, index, own, padding=padding
        )
        return states, {**cache, "key_value": key_value}


def cache_length(length):
    """How many positions a cache has: a multiple of the tokens that are read at once.

    Args:
        length: int. How many tokens will be read, T.

    Returns:
        int, at least `length`.
    """
    chunk = min(length, CHUNK)
    return -(-length // chunk) * chunk


def empty_cache(backbone, batch_size, length):
    """A cache in which nothing was read.

    Args:
        backbone: `TransformerBackbone`.
        batch_size: int. B.
        length: int. The positions S, from `cache_length`.

    Returns:
        Tuple of L pairs (key, value) of tensors of shape (B, H, S, K): a nest whose first axis is
        the batch, so that a beam search can repeat and reorder it. Of any other order XLA would
        make a copy in this one for each product with a row; see `of_one_text`, too.
    """
    attention = backbone.blocks[0].attention
    shape = (batch_size, attention.num_heads, length, attention.key_dim)
    zeros = ops.zeros(shape, dtype=backbone.compute_dtype)
    return tuple((zeros, zeros) for _ in backbone.blocks)


def of_one_text(cache):
    """The cache of one text without the axis of the batch: with it XLA copies all for each token.

    Args:
        cache: tuple of pairs of tensors (1, H, S, K).

    Returns:
        Tuple of pairs of tensors (H, S, K), which `read_tokens` takes as well.
    """
    return tuple((key[0], value[0]) for key, value in cache)


def read_tokens(
    backbone,
    cache,
    token_ids,
    first,
    constants=None,
    source_length=0,
    padding=None,
    training=False,
    source=None,
):
    """Read some more tokens of each text.

    Args:
        backbone: `TransformerBackbone`, or the decoder's stack of a `Seq2SeqBackbone`. It reads
            causally, whatever its own pattern.
        cache: from `empty_cache`, `of_one_text` or the call before.
        token_ids: int tensor of shape (B, R), those at the places `first` to `first` + R - 1.
        first: int or int tensor. At most S - R.
        constants: dict of str to int, or to an int tensor that broadcasts to (B, R): the values
            of `segment_ids`, `language_ids` and the like; missing: 0.
        source_length: int. How many places at the beginning all rows see. The call that reads
            them reads all of them.
        padding: int tensor of shape (B,) or None: how many of the first places of each text are
            padding. Positions are counted from there.
        training: bool.
        source: pair of L pairs, what each block projected of another sequence (see
            `TransformerBlock.project_source`), and a bool tensor (B, 1, N), which of it is
            visible, or None; None: the blocks read none.

    Returns:
        Tuple of the rows (B, R, D), as `sequence_output` of `encode`, and the new cache.
    """
    before = 0 if padding is None else ops.cast(padding, "int32")[:, None]  # (B, 1)
    rows_at = ops.arange(token_ids.shape[1], dtype="int32") + ops.cast(first, "int32")  # (R,)
    keys_at = ops.arange(cache[0][0].shape[-2], dtype="int32")  # (S,)
    positions = backbone.counted_positions(rows_at[None] - before)  # (B or 1, R)
    known = {"task_ids": getattr(backbone, "task_id", 0), **(constants or {})}
    ids = {
        name: ops.broadcast_to(ops.cast(known.get(name, 0), "int32"), token_ids.shape)
        for name in backbone.other_embeddings
    }
    rows = backbone.embed(token_ids, positions, ids, training=training)  # (B, R, D)
    bias = None
    if backbone.relative_position_bias is not None:
        key_positions = backbone.counted_positions(keys_at[None] - before)  # (B or 1, S)
        bias = backbone.relative_position_bias(positions, key_positions)  # (B or 1, H, R, S)
    behind = (rows_at[:, None] - keys_at[None])[None]  # (1, R, S)
    seen = ops.logical_or(behind >= 0, keys_at < source_length)
    if padding is not None:
        seen = ops.logical_and(seen, (keys_at[None] >= before)[:, None])  # (B, R, S)
    updated, options = [], {"bias": bias, "training": training}
    projections, options["source_visible"] = source or ([None] * len(cache), None)
    layers = zip(backbone.blocks, backbone.windows, cache, projections)
    for block, window, kept, projection in layers:
        visible = seen if window is None else ops.logical_and(seen, behind < window)
        kept = tuple(with_rows(old, first, new) for old, new in zip(kept, block.project(rows)))
        updated.append(kept)
        key_value = tuple(all_rows(one) for one in kept)
        rows = block.read(rows, key_value, visible, source=projection, **options)
    if backbone.final_norm is not None:
        rows = backbone.final_norm(rows)
    return rows, tuple(updated)


def with_rows(kept, first, rows):
    """Write rows into a part of a cache.

    Args:
        kept: tensor of shape (B, H, S, K), or (H, S, K) of one text.
        first: int or int tensor, the place of the first row.
        rows: tensor of shape (B, R, H, K).

    Returns:
        Tensor of the shape of `kept`.
    """
    rows = ops.swapaxes(rows, 1, 2)  # (B, H, R, K)
    if len(kept.shape) == 3:
        return ops.slice_update(kept, (0, first, 0), rows[0])
    return ops.slice_update(kept, (0, 0, first, 0), rows)


def all_rows(kept):
    """A part of a cache as attention reads it.

    Args:
        kept: tensor of shape (B, H, S, K), or (H, S, K) of one text.

    Returns:
        Tensor of shape (B, S, H, K).
    """
    return ops.swapaxes(kept if len(kept.shape) == 4 else kept[None], 1, 2)


def read_prompt(
    backbone, cache, token_ids, count, constants=None, chunk=None, padding=None, source=None
):
    """Read what all texts of a batch begin with, some tokens at once.

    Args:
        backbone: `TransformerBackbone`.
        cache: from `empty_cache`.
        token_ids: int tensor of shape (B, S). What lies behind the prompt does not matter.
        count: int or int tensor. How many tokens to read; some behind them may be read as well.
        constants: as in `read_tokens`, or int tensors of the shape of `token_ids`.
        chunk: int or None. How many tokens are read at once; None: `CHUNK`, or S if it is less.
        padding, source: as in `read_tokens`.

    Returns:
        The new cache.
    """
    chunk = chunk or min(token_ids.shape[1], CHUNK)
    shape = (token_ids.shape[0], chunk)

    def read(first, cache):
        def some(ids):
            per_place = len(getattr(ids, "shape", ())) == 2
            return ops.slice(ids, (0, first), shape) if per_place else ids

        own = {name: some(ids) for name, ids in (constants or {}).items()}
        tokens = some(token_ids)  # (B, <= CHUNK)
        options = {"padding": padding, "source": source}
        _, cache = read_tokens(backbone, cache, tokens, first, own, **options)
        return first + chunk, cache

    begin = (ops.zeros((), "int32"), cache)
    return ops.while_loop(lambda first, _: first < count, read, begin)[1]
