"""Layers that have layers inside: what is frozen is so all the way down."""

import keras


class CompositeLayer(keras.layers.Layer):
    """Abstract base of layers with layers inside, which `trainable=False` freezes, too.

    Keras freezes them when `layer.trainable` is set, and not when it is an argument, as it is of
    every layer that is read from a file: what was frozen would be trained again.
    """

    def _post_build(self):
        super()._post_build()
        if not self.trainable:
            for layer in self._layers:
                layer.trainable = False
