"""Presets of KerasHub: its directories of BERT, RoBERTa and GPT-2."""

import functools

from keras_plm import files
from keras_plm.checkpoints.conversion import TokenizerFiles, check_arrays
from keras_plm.checkpoints.families.keras_hub_models import (
    HUB_MODELS,
    check_overrides,
    hub_arguments,
    hub_weights,
)
from keras_plm.checkpoints.foreign_checkpoint import ForeignCheckpoint
from keras_plm.checkpoints.formats.h5_arrays import H5Arrays

WEIGHTS_FILE, TOKENIZER_FILE = "model.weights.h5", "tokenizer.json"


class KerasHubCheckpoint(ForeignCheckpoint):
    """A directory that `save_to_preset` of KerasHub wrote, not yet read.

    It stands for a `ReleasedCheckpoint`. Of a task it has the backbone and the tokenizer; the
    weights of heads are not read.

    Args:
        directory: the directory.
        name: str. The class of the KerasHub backbone.
        config: dict. Its constructor arguments.

    Attributes:
        class_name: "TransformerBackbone".
        arguments: dict of its constructor arguments.

    Raises:
        ValueError: if the config is none of such a model.
    """

    class_name = "TransformerBackbone"
    without_heads = "heads of KerasHub are not read"

    def __init__(self, directory, name, config):
        super().__init__(directory)
        self._name = name
        with files.reading(f"{directory}/config.json"):
            self.arguments = hub_arguments(name, config)

    def __repr__(self):
        return f"<KerasHubCheckpoint {str(self.directory)!r}: {self._name}>"

    def backbone_places(self, arguments, strict=True):
        check_overrides(self.arguments, arguments)
        stored = hub_weights(self._name, self.arguments)
        arrays = H5Arrays(files.file_inside(self.directory, WEIGHTS_FILE))
        expected = {array: shape for _, array, shape in stored.values()}
        check_arrays(arrays.path, expected, arrays.shapes, strict=strict)
        left_out = () if arguments.get("pooler") else ("pooler/kernel", "pooler/bias")
        return {
            path: (shape, functools.partial(arrays.read, array))
            for path, (_, array, shape) in stored.items()
            if path not in left_out
        }

    def tokenizer(self):
        """Where the tokenizer is.

        Returns:
            `keras_plm.checkpoints.conversion.TokenizerFiles`, or None if there is none.

        Raises:
            ValueError: if its settings are not those of KerasHub's tokenizer of this model.
        """
        if not files.has_entry(self.directory, TOKENIZER_FILE):
            return None
        hub = HUB_MODELS[self._name]
        expected, form = hub.tokenizer
        saved = files.read_json(files.file_inside(self.directory, TOKENIZER_FILE))
        config = saved.get("config")
        if saved.get("class_name") != expected or not isinstance(config, dict):
            raise ValueError(
                f"{self.directory}/{TOKENIZER_FILE} must describe a {expected}. "
                f"Received: {saved.get('class_name')!r:.100}."
            )
        folder = "assets/tokenizer/"
        found = {"vocabulary": files.file_inside(self.directory, folder + hub.vocabulary)}
        if form.kind == "wordpiece":
            _require(config, {"split": True, "suffix_indicator": "##", "oov_token": "[UNK]"})
            names = {"lowercase": False, "strip_accents": False, "split_on_cjk": True}
            settings = {name: config.get(name, default) for name, default in names.items()}
            settings["split_chinese"] = settings.pop("split_on_cjk")
        else:
            found["merges"] = files.file_inside(self.directory, folder + "merges.txt")
            settings = {"add_prefix_space": bool(config.get("add_prefix_space", False))}
        if not all(isinstance(value, bool) for value in settings.values()):
            raise ValueError(
                f"{self.directory}/{TOKENIZER_FILE} must have true or false. Received: {settings}."
            )
        return TokenizerFiles(form.kind, found, settings, form.layout, dict(form.special))


def open_keras_hub(directory, config):
    """Open a preset of KerasHub; no weights are read.

    Args:
        directory: the directory.
        config: dict, its `config.json`.

    Returns:
        `KerasHubCheckpoint`, or None if it is no preset of one of `HUB_MODELS`.

    Raises:
        ValueError: if it is one, but its config is damaged.
    """
    package, _, name = str(config.get("registered_name")).partition(">")
    if package not in ("keras_hub", "keras_nlp") or name not in HUB_MODELS:
        return None
    arguments = config.get("config")
    if not isinstance(arguments, dict):
        raise ValueError(f"{directory}/config.json has no `config` object.")
    return KerasHubCheckpoint(directory, name, arguments)


def _require(config, values):
    """Refuse other values than the only ones that are known here."""
    found = {name: config.get(name, value) for name, value in values.items()}
    if found != values:
        raise ValueError(f"A KerasHub tokenizer must have {values}. Received: {found}.")
