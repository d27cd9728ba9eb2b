"""Transformer-XL a few tokens at a time: keys and values of memory and text are kept.

What a token sees never changes, so neither do its keys and values; and the positions of all
distances are projected once. Reading more tokens takes their rows only: the rows that `encode` has
for the whole text, exactly.
"""

from keras import ops

from keras_plm.backbones.decoding.transformer_decoding import (
    CHUNK,
    KeyValueDecoder,
    all_rows,
    cache_length,
    with_rows,
)


class TransformerXLDecoder(KeyValueDecoder):
    """Keeps the keys and values of the memory and of what was read.

    `start` takes a `state` as well, which goes on before the texts: that of `encode`, with a row
    for each of them. Without one a text begins as in `encode`.

    Args:
        backbone: `TransformerXLBackbone`.
    """

    def __init__(self, backbone):
        self.backbone = backbone

    def start(self, features):
        backbone, token_ids = self.backbone, features["token_ids"]
        state, padding_mask = features.get("state"), features.get("padding_mask")
        if state and padding_mask is not None:
            raise ValueError(
                "Texts that go on from a state begin where it ends: give no `padding_mask`, and "
                "texts of one length."
            )
        length = token_ids.shape[1]
        chunk, places = min(length, CHUNK), cache_length(length)
        token_ids = ops.pad(token_ids, ((0, 0), (0, places - length)))  # (B, T)
        first = backbone.embed(token_ids[:, :1], training=False)
        memories, memory_mask = backbone.start_memories(state, first)
        room = ops.repeat(ops.zeros_like(first), places, axis=1)  # (B, T, D)
        encoding = backbone.position_encoding(room, training=False, memory=memories[0])
        constants = [
            block.attention.project_positions(encoding, places) for block in backbone.blocks
        ]
        cache = {}
        if memory_mask is not None:
            cache["memory_mask"] = memory_mask  # (B, M)
        if padding_mask is not None:
            hidden = ops.logical_not(ops.cast(padding_mask, "bool"))
            cache["padding"] = ops.sum(ops.cast(hidden, "int32"), axis=1)  # (B,)
        cache["key_value"] = tuple(
            _with_room(block, memory, room) for block, memory in zip(backbone.blocks, memories)
        )

        def read(first, cache):
            some = ops.slice(token_ids, (0, first), (token_ids.shape[0], chunk))
            return first + chunk, self.step(constants, cache, some, first)[1]

        begin = (ops.zeros((), "int32"), cache)
        known = features["known"]
        return constants, ops.while_loop(lambda first, _: first < known, read, begin)[1]

    def step(self, constants, cache, token_ids, index):
        backbone, memory_mask = self.backbone, cache.get("memory_mask")
        length = 0 if memory_mask is None else memory_mask.shape[1]  # M
        batch, number = token_ids.shape
        rows_at = ops.arange(number, dtype="int32") + ops.cast(index, "int32")  # (R,)
        keys_at = ops.arange(cache["key_value"][0][0].shape[-2], dtype="int32") - length  # (S,)
        behind = (rows_at[:, None] - keys_at)[None]  # (1, R, S)
        visible = behind >= 0
        if backbone.same_length:
            visible = ops.logical_and(visible, behind < backbone.window(memory_mask))
        if memory_mask is not None:
            text = ops.ones((batch, keys_at.shape[0] - length), "bool")
            seen = ops.concatenate([memory_mask, text], axis=1)  # (B, S)
            visible = ops.logical_and(visible, seen[:, None])
        is_text = None
        if "padding" in cache:  # a memory of zeros ends where the text begins: padding is as well 0
            before = cache["padding"][:, None]  # (B, 1)
            visible = ops.logical_and(visible, (keys_at >= before - length)[:, None])
            is_text = (rows_at >= before)[:, :, None]  # (B, R, 1)
        positions = ops.broadcast_to(rows_at[None], (batch, number))
        rows, updated = backbone.embed(token_ids, training=False), []
        for block, projected, kept in zip(backbone.blocks, constants, cache["key_value"]):
            content = rows if is_text is None else ops.where(is_text, rows, ops.zeros_like(rows))
            written = zip(kept, block.project_tokens(content))
            kept = tuple(with_rows(old, length + index, new) for old, new in written)
            updated.append(kept)
            key, value = map(all_rows, kept)
            projection = projected._replace(key=key, value=value)
            rows = block.read(rows, projection, visible, positions=positions, training=False)
        return rows, {**cache, "key_value": tuple(updated)}


def _with_room(block, memory, room):
    """Keys and values (B, H, S, K) of a memory, and 0 where those of the text will be."""
    parts = [ops.zeros_like(part) for part in block.project_tokens(room)]
    if memory is not None:
        pairs = zip(block.project_tokens(memory), parts)
        parts = [ops.concatenate(pair, axis=1) for pair in pairs]
    return tuple(ops.swapaxes(part, 1, 2) for part in parts)
