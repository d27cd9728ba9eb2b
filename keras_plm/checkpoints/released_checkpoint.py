"""Released checkpoints: a directory of somebody else's files, by the names of our weights."""

import functools
import logging
import re

import numpy as np

from keras_plm import files
from keras_plm.checkpoints.conversion import HUGGING_FACE, TENSORFLOW, check_arrays
from keras_plm.checkpoints.families import awd_lstm
from keras_plm.checkpoints.families.bart import BART, MARIAN
from keras_plm.checkpoints.families.bert import BERT, ERNIE
from keras_plm.checkpoints.families.distilbert import DISTILBERT
from keras_plm.checkpoints.families.elmo import open_elmo
from keras_plm.checkpoints.families.ernie_thu import CONFIG_FILE as ERNIE_CONFIG
from keras_plm.checkpoints.families.ernie_thu import ERNIE_THU
from keras_plm.checkpoints.families.gpt import GPT, GPT2
from keras_plm.checkpoints.families.mass import MASS
from keras_plm.checkpoints.families.roberta import MPNET, ROBERTA
from keras_plm.checkpoints.families.t5 import T5
from keras_plm.checkpoints.families.transformer_xl import TRANSFORMER_XL
from keras_plm.checkpoints.families.xlm import XLM
from keras_plm.checkpoints.families.xlnet import XLNET
from keras_plm.checkpoints.foreign_checkpoint import ForeignCheckpoint
from keras_plm.checkpoints.formats.safetensors_arrays import SafetensorsArrays
from keras_plm.checkpoints.formats.tensorflow_arrays import TensorflowArrays
from keras_plm.checkpoints.keras_hub_checkpoint import open_keras_hub

# Of several systems with one backbone, the first that can say what a model is exports it.
SYSTEMS = (
    *(XLNET, TRANSFORMER_XL),
    *(BERT, ERNIE, ROBERTA, MPNET, XLM, DISTILBERT, GPT, GPT2),
    ERNIE_THU,
    *(BART, MARIAN, T5, MASS),
)
CONFIG = "config.json"
# SpanBERT's and UniLM's configs, and others of their time, do not say that they are BERT's.
BERT_KEYS = {"hidden_size", "num_attention_heads", "intermediate_size", "type_vocab_size"}

logger = logging.getLogger("keras_plm")


class ReleasedCheckpoint(ForeignCheckpoint):
    """A Hugging Face directory or an original TensorFlow checkpoint, not yet read.

    Args:
        directory: the directory.
        system: `System`, whose checkpoint it is.
        form: `HUGGING_FACE` or `TENSORFLOW`.
        config: dict, its configuration.
        open_arrays: function that opens its `SafetensorsArrays` or `TensorflowArrays`; it is
            called when they are needed.

    Attributes:
        class_name: the name of the backbone class.
        arguments: dict of the constructor arguments that the configuration gives.

    Raises:
        ValueError: if the configuration is none of the system's.
    """

    def __init__(self, directory, system, form, config, open_arrays):
        super().__init__(directory)
        self.system, self.form, self.config = system, form, config
        self._open_arrays = open_arrays
        read = system.read_hugging_face if form == HUGGING_FACE else system.read_tensorflow
        name = CONFIG if form == HUGGING_FACE else system.tensorflow_config
        with files.reading(f"{directory}/{name}"):
            self.arguments, self._notes = read(config, lambda: self.arrays)
            files.check_config(self.arguments)
        self.class_name = system.class_name

    def __repr__(self):
        return f"<ReleasedCheckpoint {str(self.directory)!r}: {self.system.name}, {self.form}>"

    @functools.cached_property
    def arrays(self):
        """The arrays, of which only names and shapes have been read."""
        return self._open_arrays()

    def backbone_places(self, arguments, strict=True):
        for note in self._notes:
            logger.warning("%s: %s.", self.directory, note)
        stored = self.system.backbone_weights(arguments, self.form)
        expected = {name: one.shape for one in stored.values() for name in one.names}
        optional = {name for one in stored.values() if one.row.optional for name in one.names}
        shapes = self.arrays.shapes
        check_arrays(
            self.arrays.path,
            expected,
            shapes,
            optional,
            known={name for name in shapes if self._is_spare(name)},
            dtypes={
                name: ("floats", dtype)
                for name, dtype in self.arrays.no_floats.items()
                if name in expected
            },
            strict=strict,
            never_spare={
                name for name in shapes if any(_fits(p, name) for p in self.system.never_spare)
            },
        )
        new = sorted(path for path, one in stored.items() if not set(one.names) <= shapes.keys())
        if new:
            logger.warning("%s: weights that it has not start new: %s", self.directory, new)
        return {
            path: (one.own_shape, functools.partial(self._read, one))
            for path, one in stored.items()
            if path not in new
        }

    def head_weights(self, heads):
        found = {head: self._head_names(head, shapes) for head, shapes in heads.items()}
        values = {
            head: {
                row.ours: row.view(self.arrays.read(name), heads[head][row.ours], self.form)
                for row, name in names.items()
            }
            for head, names in found.items()
            if isinstance(names, dict)
        }
        return values, {head: why for head, why in found.items() if isinstance(why, str)}

    def settings(self):
        return self.system.read_head_settings(self.config, self.arrays.shapes)

    def tokenizer(self):
        return self.system.tokenizer.find(self.directory, self.config)

    def _read(self, one):
        """Read one weight of ours."""
        array = self.arrays.read(one.names[0])
        return one.row.view(array, one.own_shape, self.form, one.layer)

    def _head_names(self, head, shapes):
        """For each row of the head's table the name of its array; or why it has not this head."""
        tables = self.system.head_tables(head, self.arguments)
        if not tables:
            return f"no {self.system.name} has such a head there"
        found = [{row: self._find(getattr(row, self.form)) for row in table} for table in tables]
        whole = [names for names in found if all(names.values())]
        if not whole:
            own = [names for names in found if {row.ours for row in names} == shapes.keys()]
            missing = [getattr(r, self.form) for r, name in (own or found)[0].items() if not name]
            return f"the checkpoint has no {missing}"
        names = whole[0]  # of forms of which one holds the other the larger one comes first
        other = self.form == HUGGING_FACE and names and self.system.other_head(self.config, head)
        if other:
            return other
        if {row.ours for row in names} != shapes.keys():
            return (
                f"its weights there are {sorted(row.ours for row in names)}, those of this task "
                f"{sorted(shapes)}"
            )
        for row, name in names.items():
            needed = row.stored_shape(shapes[row.ours], self.form)
            if self.arrays.shapes[name] != needed:
                return f"{name!r} has the shape {self.arrays.shapes[name]} there, here {needed}"
            if name in self.arrays.no_floats:
                return f"{name!r} holds {self.arrays.no_floats[name]} there, and no floats"
        if self.form == HUGGING_FACE:
            self._check_tied(head)
        return names

    def _check_tied(self, head):
        """Refuse a copy of a shared weight that is not equal to it."""
        for copy, original in self.system.copies(self.arguments, [head]).items():
            if not {copy, original} <= self.arrays.shapes.keys():
                continue
            if not np.array_equal(self.arrays.read(copy), self.arrays.read(original)):
                raise ValueError(
                    f"{self.arrays.path} has a {copy!r} that differs from {original!r}. This "
                    "head uses the embedding of the backbone as its output matrix; its own "
                    "cannot be loaded. Load the backbone alone."
                )

    def _find(self, pattern):
        """The name of the array that a name with `*` stands for, or None."""
        if pattern is None:
            return None
        found = [name for name in self.arrays.shapes if _fits(pattern, name)]
        return found[0] if len(found) == 1 else None

    @functools.cached_property
    def _spare(self):
        """Names, and patterns with `*`, of what a model may do without."""
        system, arguments = self.system, self.arguments
        tables = (table for head in system.heads for table in system.head_tables(head, arguments))
        patterns = {getattr(row, self.form) for table in tables for row in table} - {None}
        return system.copies(arguments).keys(), (*patterns, *system.spare)

    def _is_spare(self, name):
        """Whether a model may do without what has that name."""
        names, patterns = self._spare
        return name in names or any(_fits(pattern, name) for pattern in patterns)


def open_checkpoint(directory, config=None):
    """Open somebody else's checkpoint; only its configuration is read.

    Args:
        directory: the directory.
        config: dict or None. The contents of its `config.json`, if they were read already.

    Returns:
        `ReleasedCheckpoint`, or what stands for one: `KerasHubCheckpoint`, `ELMoCheckpoint`,
        `AWDLSTMCheckpoint`; or None if the directory holds no configuration of others.

    Raises:
        ValueError: if the configuration is damaged, or of an unknown system.
    """
    if files.has_entry(directory, CONFIG):
        if config is None:
            config = files.read_json(files.file_inside(directory, CONFIG))
        if config.keys() >= BERT_KEYS:
            known = ERNIE_THU if "layer_types" in config else BERT
            config = {"model_type": known.model_type, **config}
        if "model_type" in config and "registered_name" not in config:
            return _open_hugging_face(directory, config)
        return open_keras_hub(directory, config)
    if files.has_entry(directory, ERNIE_CONFIG):
        config = files.read_json(files.file_inside(directory, ERNIE_CONFIG))
        return _open_hugging_face(directory, {**config, "model_type": ERNIE_THU.model_type})
    for system in SYSTEMS:
        if system.tensorflow_config and files.has_entry(directory, system.tensorflow_config):
            config = files.read_json(files.file_inside(directory, system.tensorflow_config))
            open_arrays = functools.partial(
                TensorflowArrays, directory, system.tensorflow_checkpoint
            )
            return ReleasedCheckpoint(directory, system, TENSORFLOW, config, open_arrays)
    return open_elmo(directory)


def _open_hugging_face(directory, config):
    """A Hugging Face directory."""
    by_type = {system.model_type: system for system in SYSTEMS}
    kind = config["model_type"]
    if kind == awd_lstm.MODEL_TYPE:
        return awd_lstm.AWDLSTMCheckpoint(directory)
    if not isinstance(kind, str) or kind not in by_type:
        raise ValueError(
            f"{directory} holds a Hugging Face model of the type {kind!r:.100}. Known are "
            f"{sorted([*by_type, awd_lstm.MODEL_TYPE])}."
        )
    system = by_type[kind]
    open_arrays = functools.partial(
        SafetensorsArrays,
        directory,
        system.prefix,
        system.old_names,
        system.ignored,
        functools.partial(system.missing, config),
    )
    return ReleasedCheckpoint(directory, system, HUGGING_FACE, config, open_arrays)


def _fits(pattern, name):
    """Whether a name is what a pattern with `*` for one scope stands for."""
    parts = (re.escape(part) for part in pattern.split("*"))
    return re.fullmatch("[^/]+".join(parts), name) is not None
