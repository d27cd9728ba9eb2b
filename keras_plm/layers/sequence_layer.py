"""Layers that take sequences: what an implicit mask of Keras does in them."""

from keras_plm.layers.composite_layer import CompositeLayer


class SequenceLayer(CompositeLayer):
    """Abstract base of the layers that take a sequence, and honour its implicit mask.

    Keras attaches a mask (B, T) to the outputs of `Embedding(mask_zero=True)` and `Masking`; False
    is padding. It hands it to `call` under the name of the argument and `_mask`, or as `mask` where
    there is one tensor alone, and there it hides keys (`keras_plm.ops.hide_masked`). Outputs that
    are sequences have the mask of the sequence that they were made of.

    Attributes:
        masked_outputs: tuple of bool. Which outputs have a state for each token of the first
            argument, and so its mask.
    """

    masked_outputs = (True,)

    def compute_mask(self, inputs, previous_mask):
        """Return the mask of each output.

        Args:
            inputs: the first argument of the call.
            previous_mask: bool tensor, its mask, or None.

        Returns:
            Bool tensor or None; where there are several outputs, a tuple of such.
        """
        masks = tuple(previous_mask if masked else None for masked in self.masked_outputs)
        return masks if len(masks) > 1 else masks[0]
