"""Other people's files by our names, in both directions. Numpy only."""

from keras_plm.checkpoints.export import export_huggingface
from keras_plm.checkpoints.released_checkpoint import ReleasedCheckpoint, open_checkpoint

__all__ = [
    "ReleasedCheckpoint",
    "export_huggingface",
    "open_checkpoint",
]
