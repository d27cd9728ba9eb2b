"""Where the parts of a preset are, and under which names: by name, of ours, or of others."""

from keras_plm.checkpoints.export import export_huggingface
from keras_plm.checkpoints.released_checkpoint import ReleasedCheckpoint, open_checkpoint
from keras_plm.families import TRANSFORMER_SIZES, num_parameters
from keras_plm.presets.catalogue import Preset, list_presets
from keras_plm.presets.location import cache_directory, find_preset
from keras_plm.presets.opened_preset import OpenedPreset, open_preset

__all__ = [
    "OpenedPreset",
    "Preset",
    "ReleasedCheckpoint",
    "TRANSFORMER_SIZES",
    "cache_directory",
    "export_huggingface",
    "extend_vocabulary",
    "find_preset",
    "list_presets",
    "num_parameters",
    "open_checkpoint",
    "open_preset",
]


def __getattr__(name):
    """Hand on what needs models from above, when it is asked for: the one import upwards."""
    if name == "extend_vocabulary":
        from keras_plm.transfer.vocabulary_extension import extend_vocabulary

        return extend_vocabulary
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
