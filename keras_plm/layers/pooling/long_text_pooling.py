"""Concat pooling of texts that are too long for the gradient to go through all of them."""

import types

import keras
from keras import ops

from keras_plm.checks import check_arguments, integer
from keras_plm.layers.composite_layer import CompositeLayer


@keras.saving.register_keras_serializable(package="keras_plm")
class LongTextPooling(CompositeLayer):
    """Reads texts by a backbone with a state, and pools all token states as `ConcatPooling` does.

    The gradient goes through the last tokens of each text alone. Those before are read window by
    window, without dropout, as in evaluation: their states enter maximum and mean by accumulators,
    and what is carried enters the last tokens as a constant. So memory does not grow with the
    text; what comes out is the same.

    Args:
        backbone: `Backbone` of token ids alone that reads left to right and carries a state, which
            padding leaves as it is.
        gradient_length: int. Through how many of the last real tokens of a text the gradient goes.
        window_length: int. How many tokens of the others are read at once.

    Call arguments:
        token_ids: int tensor of shape (B, T).
        padding_mask: bool tensor of shape (B, T). True = a real token, on whatever side the others
            stand. A text without any gives 0.

    Returns:
        Tensor of shape (B, 3D).

    Raises:
        ValueError: if the backbone carries no state, or reads more than token ids.

    Example:
    ```python
    import numpy as np
    from keras_plm.backbones import AWDLSTMBackbone
    from keras_plm.layers import ConcatPooling, LongTextPooling

    backbone = AWDLSTMBackbone(vocabulary_size=50, num_layers=2, hidden_dim=4, lstm_dim=8)
    token_ids, real = np.arange(12).reshape(2, 6), np.ones((2, 6), bool)
    pooled = LongTextPooling(backbone, gradient_length=3, window_length=2)(token_ids, real)
    rows = backbone.encode({"token_ids": token_ids})["sequence_output"]
    np.testing.assert_allclose(pooled, ConcatPooling()(rows), atol=1e-6)
    ```

    Source: ULMFiT, arXiv:1801.06146, section 3.3 (BPT3C); fastai's `SentenceEncoder`, whose
    `max_len` of 20 windows of 70 tokens is 1,400.
    """

    @check_arguments
    def __init__(
        self,
        backbone,
        gradient_length: integer(1) = 1400,
        window_length: integer(1) = 70,
        **kwargs,
    ):
        super().__init__(**kwargs)
        reads, inputs = getattr(backbone, "reads", ()), getattr(backbone, "input", ())
        fits = {"causal", "state"} <= set(reads) and set(inputs) == {"token_ids", "padding_mask"}
        if not fits:
            raise ValueError(
                "`gradient_length` needs a backbone of token ids that reads left to right and "
                f"carries a state, such as AWDLSTMBackbone. Received: {type(backbone).__name__}, "
                f"which reads {sorted(reads)} of {sorted(inputs)}."
            )
        self.backbone = backbone
        self.gradient_length = gradient_length
        self.window_length = window_length
        # The layers are the backbone's; Keras does not look into it.
        self._graph = types.SimpleNamespace(read=_reader(backbone))

    def build(self, token_ids_shape, padding_mask_shape):
        pass

    def call(self, token_ids, padding_mask, training=None):
        length = ops.shape(token_ids)[1]
        number = _at_least_0(length - self.gradient_length + self.window_length - 1)
        number = number // self.window_length
        before = number * self.window_length
        total = before + length - _at_least_0(length - self.gradient_length)
        token_ids, real = _moved_to_the_end(token_ids, ops.cast(padding_mask, "bool"), total)
        carried = self._start(token_ids)
        if not isinstance(number, int) or number:
            carried = self._read_earlier(token_ids[:, :before], real[:, :before], number, carried)
        state, largest, total = carried
        rows, _ = self._graph.read(
            ({"token_ids": token_ids[:, before:], "padding_mask": real[:, before:]}, state),
            training=training,
        )
        largest, total = _gathered(rows, real[:, before:], largest, total)
        counts = ops.sum(ops.cast(real, "float32"), axis=1, keepdims=True)  # (B, 1)
        last = ops.cast(rows[:, -1], "float32")
        pooled = ops.concatenate([last, largest, total / ops.maximum(counts, 1.0)], axis=-1)
        return ops.cast(ops.where(counts > 0, pooled, 0.0), self.compute_dtype)  # (B, 3D)

    def _start(self, token_ids):
        """The state before a text, and maximum and sum over no rows, (B, D) each."""
        zeros = ops.zeros_like(token_ids[:, :1])  # (B, 1)
        specs = self.backbone.state_spec()
        state = keras.tree.map_structure(lambda one: _zeros(zeros, one.shape[1:], one.dtype), specs)
        total = _zeros(zeros, (self.backbone.hidden_dim,), "float32")
        return state, total - float("inf"), total

    def _read_earlier(self, token_ids, real, number, carried):
        """Read windows one after the other; what comes of them has no gradient."""
        window = (-1, number, self.window_length)
        token_ids = ops.transpose(ops.reshape(token_ids, window), (1, 0, 2))  # (N, B, W)
        real = ops.transpose(ops.reshape(real, window), (1, 0, 2))

        def read(index, carried):
            state, largest, total = carried
            ids, shown = (ops.take(one, index, axis=0) for one in (token_ids, real))
            features = {"token_ids": ids, "padding_mask": shown}
            rows, state = self._graph.read((features, state), training=False)
            carried = state, *_gathered(rows, shown, largest, total)
            return keras.tree.map_structure(ops.stop_gradient, carried)

        carried = ops.fori_loop(0, number, read, carried)
        return keras.tree.map_structure(ops.stop_gradient, carried)

    def compute_output_spec(self, token_ids, *args, **kwargs):
        shape = (token_ids.shape[0], 3 * self.backbone.hidden_dim)
        return keras.KerasTensor(shape, dtype=self.compute_dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "backbone": keras.saving.serialize_keras_object(self.backbone),
            "gradient_length": self.gradient_length,
            "window_length": self.window_length,
        }

    @classmethod
    def from_config(cls, config):
        backbone = keras.saving.deserialize_keras_object(config["backbone"])
        return cls(**{**config, "backbone": backbone})


def _reader(backbone):
    """A model of features and state to token states and the new state."""
    specs = keras.tree.map_structure(
        lambda one: keras.Input(one.shape[1:], dtype=one.dtype), backbone.state_spec()
    )
    features = {
        "token_ids": keras.Input((None,), dtype="int32"),
        "padding_mask": keras.Input((None,), dtype="bool"),
    }
    encoded = backbone.encode({**features, "state": specs})
    return keras.Model((features, specs), (encoded["sequence_output"], encoded["state"]))


def _at_least_0(number):
    """A number, which is no int where a length is not known, or 0."""
    return max(number, 0) if isinstance(number, int) else ops.maximum(number, 0)


def _zeros(like, shape, dtype):
    """Zeros (B, ...) for as many examples."""
    zeros = ops.reshape(ops.cast(like, dtype), (-1, *[1] * len(shape)))
    return ops.tile(zeros, (1, *shape))


def _moved_to_the_end(token_ids, real, length):
    """Rows (B, length) whose real tokens stand at the end, and which of them are real."""
    reach = ops.shape(token_ids)[1]
    behind = ops.argmax(ops.cast(real[:, ::-1], "int32"), axis=1)  # (B,), padding at the right
    place = ops.arange(length, dtype="int32")[None] + ops.cast(reach - length, "int32")
    place = place - ops.cast(behind, "int32")[:, None]  # (B, length)
    within = ops.logical_and(place >= 0, place < reach)
    place = ops.clip(place, 0, reach - 1)
    real = ops.logical_and(ops.take_along_axis(real, place, axis=1), within)
    return ops.take_along_axis(token_ids, place, axis=1), real


def _gathered(rows, real, largest, total):
    """Maximum and sum (B, D) so far, and over the real ones of more rows (B, T, D)."""
    rows, shown = ops.cast(rows, "float32"), real[..., None]
    highest = ops.max(ops.where(shown, rows, -float("inf")), axis=1)
    return ops.maximum(largest, highest), total + ops.sum(ops.where(shown, rows, 0.0), axis=1)
