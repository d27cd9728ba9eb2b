"""What writing needs of a backbone: to read a text once, and then a few tokens at a time."""

from abc import ABC, abstractmethod

import keras
from keras import ops


class Decoder(ABC):
    """Abstract base of decoders: `start` reads what is known of some texts, `step` what follows.

    All texts of a batch stand at the same place. What was read last may be read again, and may be
    another token then (a mask, over which the next token is written): what lies behind it counts
    for nothing.

    A cache is a nest of tensors whose first axis is the batch, so that a beam search can repeat
    and reorder it among the beams of a text, which stand one after the other; constants are all
    else: the same for all texts, or of a text and the same for all its beams.
    """

    @abstractmethod
    def start(self, features):
        """Read what is known.

        Args:
            features: dict: `token_ids`, an int tensor (B, S) with room for all that will be read;
                `known`, an int or int tensor, how many of the first places are to be read; what
                lies behind them does not matter. And what the texts have of `segment_ids`,
                `language_ids` and the like, (B, S), and `padding_mask` (B, S), False at first
                places alone. A decoder of query rows takes what its backbone takes, and `used`.

        Returns:
            Pair of the constants and the cache.
        """

    @abstractmethod
    def step(self, constants, cache, token_ids, index):
        """Read some more tokens of each text.

        Args:
            constants: from `start`.
            cache: from `start` or the step before.
            token_ids: int tensor (B, R), the tokens at the places `index` to `index` + R - 1.
            index: int or int tensor.

        Returns:
            Pair of the token states (B, R, D), of which the last predicts the token at the place
            behind it (or at its own, if it is a mask), and the new cache.
        """

    def of_one_text(self, cache):
        """Return the cache of a batch of one text in the form that is quickest for it.

        Args:
            cache: from `start`.

        Returns:
            A cache that `step` takes as well; its first axes need not be the batch.
        """
        return cache


class RecomputingDecoder(Decoder):
    """Reads every text again from its beginning at every step: what a backbone has without its own.

    Args:
        backbone: a `Backbone` that is causal, or that takes an `order`: then what is known sees
            all that is known, and what follows sees what is before it.
    """

    def __init__(self, backbone):
        self.backbone = backbone

    def start(self, features):
        features = dict(features)
        known = features.pop("known")
        return known, features

    def step(self, constants, cache, token_ids, index):
        texts = ops.slice_update(cache["token_ids"], (0, index), token_ids)  # (B, S)
        cache = {**cache, "token_ids": texts}
        features = dict(cache)
        if "causal" not in self.backbone.reads:
            place = ops.cumsum(ops.ones_like(texts), axis=1) - 1
            features["order"] = ops.maximum(place - constants + 1, 0)
        states = self.backbone.encode(features)["sequence_output"]  # (B, S, D)
        places = index + ops.arange(token_ids.shape[1])
        return ops.take(states, places, axis=1), cache


class RecomputingQueries(Decoder):
    """Predicts each slot from all tokens known by then, which all see each other.

    Nothing of an earlier step can be used again, so a step costs a whole pass.

    Args:
        backbone: a `Backbone` that reads "queries".
    """

    def __init__(self, backbone):
        self.backbone = backbone

    def start(self, features):
        features = {name: value for name, value in features.items() if name != "known"}
        filled = ops.zeros_like(features["target_positions"])  # (B, P)
        return None, {**features, "filled": filled}

    def step(self, constants, cache, token_ids, index):
        slots = ops.arange(cache["filled"].shape[1])  # (P,)
        filled = ops.where(slots == index, token_ids[:, :1], cache["filled"])
        slot, order = index + 1, cache["order"]
        own_slot = ops.maximum(order - 1, 0)  # (B, T): the slot of each token that is not known
        features = {name: cache[name] for name in cache if name not in ("filled", "used")}
        features["token_ids"] = ops.where(
            order > 0, ops.take_along_axis(filled, own_slot, axis=1), cache["token_ids"]
        )
        features["order"] = ops.cast(order > slot, "int32")
        target = ops.take(cache["target_positions"], slot, axis=1)
        features["target_positions"] = target[:, None]  # (B, 1)
        return self.backbone.encode(features)["target_output"], {**cache, "filled": filled}


def repeat_cache(cache, number):
    """Repeat every text of a cache.

    Args:
        cache: nest of tensors (B, ...).
        number: int. n.

    Returns:
        Nest of tensors (B * n, ...), the n copies of a text one after the other.
    """
    return keras.tree.map_structure(lambda part: ops.repeat(part, number, axis=0), cache)
