"""Where the parts of a preset are, and under which names: by name, of ours, or of others."""

from keras_plm.presets.catalogue import Preset, list_presets
from keras_plm.presets.export import export_huggingface
from keras_plm.presets.location import cache_directory, find_preset
from keras_plm.presets.released_checkpoint import ReleasedCheckpoint, open_checkpoint

__all__ = [
    "ReleasedCheckpoint",
    "Preset",
    "cache_directory",
    "export_huggingface",
    "find_preset",
    "list_presets",
    "open_checkpoint",
]
