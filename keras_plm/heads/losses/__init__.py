"""Losses that heads have, beside Keras's."""
