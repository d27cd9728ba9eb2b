"""Recurrent backbones a few tokens at a time: the carried state is all that has to be kept."""

from keras import ops

from keras_plm.backbones.decoding.decoder import Decoder


class RecurrentDecoder(Decoder):
    """Keeps the state of a backbone that reads left to right.

    `start` takes a `state` as well, which goes on before the texts: that of `encode`, with a row
    for each of them.

    Args:
        backbone: a `Backbone` that reads "causal" and "state", whose padding leaves its state as
            it is.
    """

    def __init__(self, backbone):
        self.backbone = backbone

    def start(self, features):
        features, token_ids = dict(features), features["token_ids"]
        read = ops.arange(token_ids.shape[1]) < features.pop("known")  # (S,)
        read = ops.broadcast_to(read[None], token_ids.shape)
        if "padding_mask" in features:
            read = ops.logical_and(read, ops.cast(features["padding_mask"], "bool"))
        return None, self.backbone.encode({**features, "padding_mask": read})["state"]

    def step(self, constants, cache, token_ids, index):
        encoded = self.backbone.encode({"token_ids": token_ids, "state": cache})
        return encoded["sequence_output"], encoded["state"]
