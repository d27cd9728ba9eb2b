"""An opened preset: its name resolved, its format found and its files read, each of it once."""

import copy
import functools
import os

from keras_plm import files
from keras_plm.checkpoints.released_checkpoint import CONFIG, open_checkpoint
from keras_plm.presets.location import find_preset


class OpenedPreset:
    """A preset whose directory and format are known, to be handed to any `from_preset`.

    A task, its backbone, its preprocessor and its tokenizer are made of one `OpenedPreset`: the
    configuration is read once, and so is every other JSON file. It is a path (`os.fspath`): that
    of the directory. What changes in the directory afterwards may not be seen.

    Args:
        directory: str or path. The directory, which must be there.

    Attributes:
        directory: str or path, as given.
        checkpoint: `keras_plm.presets.ReleasedCheckpoint` or KerasHub's, if the preset is
            somebody else's; None: it is one of this package.

    Raises:
        ValueError: if the configuration is damaged, or of an unknown system.
    """

    def __init__(self, directory):
        self.directory = directory
        self._json = {}
        config = self.read_json(CONFIG) if files.has_entry(directory, CONFIG) else None
        self.checkpoint = open_checkpoint(directory, config)

    def __fspath__(self):
        return os.fspath(self.directory)

    def __repr__(self):
        kind = "of this package" if self.checkpoint is None else repr(self.checkpoint)
        return f"<OpenedPreset {str(self)!r}: {kind}>"

    def __str__(self):
        return os.fspath(self.directory)

    def has(self, name):
        """Whether the directory has a file or link of that name, broken or not."""
        return files.has_entry(self.directory, name)

    def file(self, name):
        """Return the path of a file; see `keras_plm.files.file_inside`."""
        return files.file_inside(self.directory, name)

    def read_json(self, name):
        """Return the contents of a JSON file, a dict of the caller's own.

        Args:
            name: str. The file.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it is a link that leads out, or no JSON object of bounded size.
        """
        if name not in self._json:
            self._json[name] = files.read_json(self.file(name))
        return copy.deepcopy(self._json[name])

    @functools.cached_property
    def tokenizer_files(self):
        """The tokenizer's files in somebody else's checkpoint, or None; see `TokenizerFiles`."""
        with files.reading(str(self)):
            return None if self.checkpoint is None else self.checkpoint.tokenizer()


def open_preset(preset):
    """Open a preset; one that is open already is returned as it is.

    Args:
        preset: str or path, what `find_preset` takes: a directory of this package, of Hugging
            Face, of KerasHub or of an original TensorFlow checkpoint, a name of `list_presets`,
            or a handle "hf://owner/name@revision". Or an `OpenedPreset`.

    Returns:
        `OpenedPreset`.

    Raises:
        FileNotFoundError: if there is no such preset, or it cannot be downloaded.
        ValueError: if its configuration is damaged, or of an unknown system.

    Example:
    ```text
    preset = presets.open_preset("bert_base_en_uncased")
    classifier = TextClassifier.from_preset(preset, num_classes=2)
    tokenizer = Tokenizer.from_preset(preset)
    ```
    """
    return preset if isinstance(preset, OpenedPreset) else OpenedPreset(find_preset(preset))
