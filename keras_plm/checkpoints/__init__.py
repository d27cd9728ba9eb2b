"""Other people's files by our names, in both directions. Numpy only."""

from keras_plm.checkpoints.entity_vectors import read_entity_vectors
from keras_plm.checkpoints.export import export_huggingface
from keras_plm.checkpoints.formats.pickled_vocabulary import convert_pickled_vocabulary
from keras_plm.checkpoints.released_checkpoint import ReleasedCheckpoint, open_checkpoint
from keras_plm.checkpoints.word_vectors import read_vectors

__all__ = [
    "ReleasedCheckpoint",
    "convert_pickled_vocabulary",
    "export_huggingface",
    "open_checkpoint",
    "read_entity_vectors",
    "read_vectors",
]
