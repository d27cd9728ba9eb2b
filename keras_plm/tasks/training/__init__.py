"""How tasks are compiled, checked, guarded and saved while they train."""

from keras_plm.tasks.training.checkpoint import Checkpoint, resume

__all__ = [
    "Checkpoint",
    "resume",
]
