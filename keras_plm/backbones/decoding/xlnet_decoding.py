"""XLNet one token at a time: keys and values of every known token are projected once.

What a content row knows is fixed by the order: it sees the tokens up to its own step and no
later one. So its keys and values never change once they are there, and predicting the next token
takes two rows: the content row of the token that was just filled in, which adds its keys and
values, and the query row of the token to predict. The distribution is the one that the two-stream
pass of `encode` has for the same `order`, exactly.
"""

from keras import ops

from keras_plm.backbones.decoding.decoder import Decoder
from keras_plm.layers import QueryRows
from keras_plm.ops import content_visibility, gather_rows, query_visibility


class XLNetDecoder(Decoder):
    """Fills slots in their order: `start` reads what is known, a step adds what was filled in.

    A step reads the one token of the slot `index` and predicts that of the slot behind it.

    Args:
        backbone: `XLNetBackbone`.
    """

    def __init__(self, backbone):
        self.backbone = backbone

    def start(self, features):
        projections, cache = known_rows(self.backbone, features)
        return [one._replace(key=None, value=None) for one in projections], cache

    def step(self, constants, cache, token_ids, index):
        row, cache = next_row(self.backbone, constants, cache, index + 1, token_ids[:, 0])
        return row[:, None], cache


def known_rows(backbone, features):
    """Project keys and values of all layers for the tokens that are known from the start.

    Args:
        backbone: `XLNetBackbone`.
        features: dict of `token_ids`, `padding_mask`, `segment_ids`, `order` and
            `target_positions`, as in `encode`. Slot p of the targets is filled at step p: its
            token has the order p + 1, known tokens have 0. `used` (B, P) bool says which slots
            have a target.

    Returns:
        Tuple of a list of L `Projection`s, and a cache: a nest of tensors whose first axis is the
        batch, so that a beam search can repeat and reorder it.
    """
    token_ids, order = features["token_ids"], features["order"]
    targets, segment_ids = features["target_positions"], features["segment_ids"]
    seen_by = {"padding_mask": features["padding_mask"], "causal": backbone.causal}
    visible = content_visibility(order, **seen_by)  # (B, T, T)
    same_segment = ops.equal(segment_ids[:, :, None], segment_ids[:, None, :])  # (B, T, T)
    content = backbone.embedding(token_ids)  # (B, T, D)
    position_encoding = backbone.position_encoding(content, training=False)
    projections = []
    for block in backbone.blocks:
        projections.append(block.project(content, position_encoding))
        content = block.read(content, projections[-1], visible, same_segment, training=False)
    cache = {
        "key_value": tuple((projection.key, projection.value) for projection in projections),
        "positions": targets,  # (B, P)
        "used": features["used"],  # (B, P)
        "content_visible": gather_rows(visible, targets),  # (B, P, T)
        "query_visible": query_visibility(order, targets, **seen_by),  # (B, P, T)
        "same_segment": gather_rows(same_segment, targets),  # (B, P, T)
    }
    return projections, cache


def next_row(backbone, projections, cache, slot, last_ids):
    """Add the token of the last slot to the cache and predict the token of this one.

    Args:
        backbone: `XLNetBackbone`.
        projections: list of L `Projection`s from `known_rows`, for their positions.
        cache: the cache of `known_rows` or of the step before; its batch may be repeated.
        slot: int or int tensor. The slot p to predict.
        last_ids: int tensor of shape (B,): what was filled into slot p - 1. It counts for
            nothing at slot 0 and where slot p - 1 is not used.

    Returns:
        Tuple of the query row (B, D) after the last block, and the new cache.
    """
    before = ops.maximum(slot - 1, 0)

    def of_both(name_of_content, name_of_query):
        """What belongs to the content row of the last slot, and to the query row of this one."""
        pair = (
            ops.take(cache[name_of_content], before, axis=1),
            ops.take(cache[name_of_query], slot, axis=1),
        )
        return ops.stack(pair, axis=1)  # (B, 2, ...)

    positions = of_both("positions", "positions")  # (B, 2)
    visible = of_both("content_visible", "query_visible")  # (B, 2, T)
    same_segment = of_both("same_segment", "same_segment")  # (B, 2, T)
    index = ops.arange(ops.shape(visible)[2], dtype=positions.dtype)  # (T,)
    is_new = ops.logical_and(ops.take(cache["used"], before, axis=1), slot > 0)  # (B,)
    written = ops.logical_and(index[None] == positions[:, :1], is_new[:, None])  # (B, T)
    written = written[:, :, None, None]

    content = backbone.embedding(last_ids[:, None])  # (B, 1, D)
    query = QueryRows(backbone.embedding)(positions[:, 1:])  # (B, 1, D)
    rows = ops.concatenate([content, query], axis=1)  # (B, 2, D)
    key_value = []
    for block, projection, (key, value) in zip(backbone.blocks, projections, cache["key_value"]):
        content = rows[:, :1]  # (B, 1, D)
        key = ops.where(written, block.attention.key(content), key)  # (B, T, H, K)
        value = ops.where(written, block.attention.value(content), value)
        key_value.append((key, value))
        projection = projection._replace(key=key, value=value)
        rows = block.read(rows, projection, visible, same_segment, positions, training=False)
    return rows[:, 1], {**cache, "key_value": tuple(key_value)}
