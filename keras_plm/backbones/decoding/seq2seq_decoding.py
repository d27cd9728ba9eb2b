"""The decoder of an encoder-decoder a few tokens at a time.

The source is read once: the encoder runs over it, and every block projects it to the keys and
values that its cross-attention reads at every step. Of the text that is written the keys and
values are kept as in a causal Transformer.
"""

from keras import ops

from keras_plm.backbones.decoding.transformer_decoding import (
    CHUNK,
    KeyValueDecoder,
    cache_length,
    empty_cache,
    read_prompt,
    read_tokens,
)

SOURCE = ("source_token_ids", "source_padding_mask", "source_visible", "source_language_ids")


class Seq2SeqDecoder(KeyValueDecoder):
    """Keeps what the blocks project of the source, and of what was read behind it.

    `start` takes the features of the source as well: `source_token_ids` (B, N), and what there is
    of `source_padding_mask`, `source_visible` and `source_language_ids`. The beams of a text read
    one source, which is a constant: it is neither repeated for them nor reordered.

    Args:
        backbone: `Seq2SeqBackbone`.
    """

    def __init__(self, backbone):
        self.backbone = backbone

    def start(self, features):
        backbone, token_ids = self.backbone, features["token_ids"]
        source = {name: features[name] for name in SOURCE if features.get(name) is not None}
        encoded = backbone.encode_source(source, training=False)["encoder_output"]  # (B, N, D)
        stack = backbone.target_stack
        visible = backbone.visible_source(source)  # (B, N)
        source = (
            tuple(block.project_source(encoded) for block in stack.blocks),
            visible if visible is None else visible[:, None],  # (B, 1, N)
        )
        cache, padding = {}, None
        if features.get("padding_mask") is not None:
            hidden = ops.logical_not(ops.cast(features["padding_mask"], "bool"))
            cache["padding"] = padding = ops.sum(ops.cast(hidden, "int32"), axis=1)  # (B,)
        batch, length = token_ids.shape
        places = cache_length(length)
        behind = ((0, 0), (0, places - length))
        token_ids = ops.pad(token_ids, behind)  # (B, S)
        cache["ids"] = {n: ops.pad(features[n], behind) for n in stack.other_embeddings}  # (B, S)
        cache["key_value"] = read_prompt(
            stack,
            empty_cache(stack, batch, places),
            token_ids,
            features["known"],
            cache["ids"],
            chunk=min(length, CHUNK),
            padding=padding,
            source=source,
        )
        return source, cache

    def step(self, constants, cache, token_ids, index):
        places = index + ops.arange(token_ids.shape[1])  # (R,)
        states, key_value = read_tokens(
            self.backbone.target_stack,
            cache["key_value"],
            token_ids,
            index,
            {name: ops.take(ids, places, axis=1) for name, ids in cache["ids"].items()},
            padding=cache.get("padding"),
            source=constants,
        )
        return states, {**cache, "key_value": key_value}
