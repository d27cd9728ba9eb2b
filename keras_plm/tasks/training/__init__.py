"""How tasks are fed, checked, guarded and saved while they train."""

from keras_plm.tasks.training.checkpoint import Checkpoint, resume

__all__ = [
    "Checkpoint",
    "resume",
]
