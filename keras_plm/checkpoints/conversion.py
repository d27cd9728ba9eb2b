"""How weights are called elsewhere: one table per architecture, used in both directions."""

import logging
import re
from dataclasses import dataclass, field
from typing import Any, Callable

import numpy as np

HUGGING_FACE, TENSORFLOW = "hugging_face", "tensorflow"

logger = logging.getLogger("keras_plm")


@dataclass(frozen=True)
class Row:
    """One line of a conversion table: a weight of ours and what others call it.

    `{layer}` in a name stands for the number of the block. A row whose own name has it not, but
    whose Hugging Face name has it, is one weight of ours for all layers; there it is stored for
    each. `*` in a TensorFlow name stands for any one scope.

    Axes are written as letters, one for each axis of our weight, and a stored tensor's axes by
    the same letters: "FD" is the transposed of "DF"; in "(HK)D" the axes H and K are one. What is
    only in the stored axes is not in our weight: "1" has the length 1, of the three parts "3" our
    weight is the one that `part` says, and of the layers "L" the one of its block.

    Args:
        ours: the path of our variable; in a table of a head, the path below the head.
        axes: the axes of our variable. In a table of a backbone `System.sizes` has their lengths.
        hugging_face: the name of the tensor in a Hugging Face file, or None.
        tensorflow: the name of the variable in a TensorFlow checkpoint, or None.
        hugging_face_axes: the axes of that tensor; None if they are ours.
        tensorflow_axes: the axes of that variable; None if they are ours.
        part: int. Which third of the stored tensor our weight is, if its axes have a "3".
        optional: whether a checkpoint may lack it.
    """

    ours: str
    axes: str
    hugging_face: str | None
    tensorflow: str | None = None
    hugging_face_axes: str | None = None
    tensorflow_axes: str | None = None
    part: int = 0
    optional: bool = False

    def stored_shape(self, shape, form, num_layers=1):
        """The shape of the tensor that holds a weight of ours in a checkpoint of that form.

        Args:
            shape: tuple of int, the shape of our variable.
            form: `HUGGING_FACE` or `TENSORFLOW`.
            num_layers: int. The layers L.
        """
        lengths = {"1": 1, "3": 3, "L": num_layers, **dict(zip(self.axes, shape))}
        return tuple(
            int(np.prod([lengths[letter] for letter in group])) for group in self._groups(form)
        )

    def view(self, stored, shape, form, layer=0):
        """Our weight within a stored tensor: a view, to be read or to be written.

        Args:
            stored: contiguous numpy array of the shape `stored_shape`.
            shape: tuple of int, the shape of our variable.
            form: `HUGGING_FACE` or `TENSORFLOW`.
            layer: int. The block of the variable.
        """
        lengths = {"1": 1, "3": 3, "L": stored.shape[0], **dict(zip(self.axes, shape))}
        letters = "".join(self._groups(form))
        chosen = {"1": 0, "3": self.part, "L": layer}
        index = tuple(slice(None) if x in self.axes else chosen[x] for x in letters)
        left = [letter for letter in letters if letter in self.axes]
        view = stored.reshape([lengths[letter] for letter in letters])[index]
        return view.transpose([left.index(letter) for letter in self.axes])

    def _groups(self, form):
        """The stored axes, each as the letters that are one in it."""
        axes = getattr(self, f"{form}_axes") or self.axes
        return [group.strip("()") for group in re.findall(r"\(\w+\)|\w", axes)]


@dataclass(frozen=True)
class Stored:
    """Where a weight of ours is in a checkpoint.

    Args:
        row: `Row`.
        names: tuple of str. The tensors that hold it, all of them equal.
        shape: tuple of int. Their shape.
        own_shape: tuple of int. The shape of our weight.
        layer: int. The block of the weight.
    """

    row: Row
    names: tuple
    shape: tuple
    own_shape: tuple
    layer: int


@dataclass(frozen=True)
class TokenizerFiles:
    """The files of a released tokenizer, and what is said about them.

    Args:
        kind: "sentencepiece", "wordpiece", "byte_level_bpe", "bpe" (GPT-1), "xlm_bpe", "words" or
            "translation" (Marian).
        files: dict of a role to a path: "model" (a SentencePiece model), "source", "target" (one of
            each side), "vocabulary", "merges", "json" (a `tokenizer.json`, alone or beside the
            others).
        settings: dict of settings of the tokenizer; None where nothing says it.
        layout: how its rows are laid out: "xlnet", "bert", "roberta", "xlm", "gpt",
            "transformer_xl", "t5" or "marian".
        special: dict of a role ("cls", "sep", "pad", "mask", "unk", "bos", "eos") to its token.
    """

    kind: str
    files: dict
    settings: dict
    layout: str
    special: dict


@dataclass(frozen=True)
class System:
    """All that is particular about the checkpoints of one architecture.

    Args:
        name: what the names of its classes begin with in transformers, such as "Bert".
        class_name: the backbone class. Where several systems have the same, the first that can
            say what a model is (`write_hugging_face`) exports it.
        model_type: `model_type` in a Hugging Face `config.json`.
        prefix: what a Hugging Face model with a head puts in front of the backbone's names.
        rows: function of the constructor arguments: the table of the backbone.
        sizes: function of the constructor arguments: dict of a letter to a size.
        heads: dict of a head's name to its table, or to a tuple of tables of which one fits, or to
            a function of the constructor arguments that gives them.
        tied: dict of a head's name to a dict of a Hugging Face name to the tensor that it must
            equal, if it is there; or to a function of the constructor arguments that gives it.
        stand_ins: function of (Hugging Face config, names of the tensors of a file): dict of the
            name of a tensor that the file lacks to that of the one which stands for it; None: a
            copy that `tied` has stands for what it is tied to.
        read_hugging_face: function of (config, arrays): constructor arguments and notes.
        write_hugging_face: function of constructor arguments: the config and notes.
        read_head_settings: function of (config, shapes): arguments of tasks.
        other_head: function of (Hugging Face config, head name): None, or a str: which other head
            it is that the checkpoint has under the names of this one; raises if it is this one,
            but ours cannot compute it.
        write_head_config: function of (task, head name, head weights): config of the head.
        architectures: dict of the sorted names of a model's heads to what the name of its class
            in transformers ends with.
        tokenizer: `keras_plm.checkpoints.tokenizer_format.TokenizerFormat`.
        tensorflow_config: the name of the JSON file beside a TensorFlow checkpoint, or None if
            there are no such checkpoints.
        tensorflow_checkpoint: the prefix of its files.
        read_tensorflow: function of (config, arrays): constructor arguments and notes.
        old_names: dict of the end of a Hugging Face name, as old files have it, to that of today.
        ignored: pattern of the names of Hugging Face tensors that are no weights, but constants.
        spare: tuple of patterns, with `*`, of names that a checkpoint may have more than a model
            needs: a pooler that the user leaves out.
        never_spare: tuple of patterns of names that are part of the backbone under other
            arguments, and stand alone; see `check_arrays`.
    """

    name: str
    class_name: str
    model_type: str
    prefix: str
    rows: Callable
    sizes: Callable
    heads: dict
    tied: dict
    read_hugging_face: Callable
    write_hugging_face: Callable
    read_head_settings: Callable
    other_head: Callable
    write_head_config: Callable
    architectures: dict
    tokenizer: Any
    tensorflow_config: str | None = None
    tensorflow_checkpoint: str | None = None
    read_tensorflow: Callable | None = None
    stand_ins: Callable | None = None
    old_names: dict = field(default_factory=dict)
    ignored: str | None = None
    spare: tuple = ()
    never_spare: tuple = ()

    def backbone_weights(self, arguments, form):
        """Where each weight of a backbone is in a checkpoint.

        Args:
            arguments: dict of constructor arguments.
            form: `HUGGING_FACE` or `TENSORFLOW`.

        Returns:
            dict of our path to `Stored`.
        """
        sizes = self.sizes(arguments)
        layers = range(arguments["num_layers"])
        found = {}
        for row in self.rows(arguments):
            name = getattr(row, form)
            shape = tuple(sizes[letter] for letter in row.axes)
            stored_shape = row.stored_shape(shape, form, len(layers))
            if "{layer}" in row.ours:
                for layer in layers:
                    path, names = row.ours.format(layer=layer), (name.format(layer=layer),)
                    found[path] = Stored(row, names, stored_shape, shape, layer)
            else:
                names = tuple(dict.fromkeys(name.format(layer=layer) for layer in layers))
                found[row.ours] = Stored(row, names, stored_shape, shape, 0)
        return found

    def head_tables(self, head, arguments):
        """The tables of a head: usually one, more where a head has several forms.

        Args:
            head: str. The head's name.
            arguments: dict of constructor arguments of the backbone.

        Returns:
            list of tuples of `Row`.
        """
        tables = self.heads.get(head, ())
        tables = tables(arguments) if callable(tables) else tables
        return [tables] if tables and isinstance(tables[0], Row) else list(tables)

    def copies(self, arguments, heads=None):
        """Which tensors of a file are copies of others.

        Args:
            arguments: dict of constructor arguments of the backbone.
            heads: names of heads, or None: all.

        Returns:
            dict of the name of a tensor to that of which it is a copy.
        """
        tied = [names for head, names in self.tied.items() if heads is None or head in heads]
        tied = [names(arguments) if callable(names) else names for names in tied]
        return {copy: name for names in tied for copy, name in names.items()}

    def missing(self, config, names):
        """Which tensors that a file lacks others of it stand for.

        Args:
            config: dict, the Hugging Face config.
            names: the names of its tensors.

        Returns:
            dict of the name of what is missing to that of the tensor which stands for it.
        """
        if self.stand_ins is not None:
            return self.stand_ins(config, names)
        copies = self.copies({}).items()
        return {name: copy for copy, name in copies if copy in names and name not in names}


def check_arrays(
    path, expected, found, optional=(), known=(), dtypes=None, strict=True, never_spare=()
):
    """Refuse a file whose arrays are not those that a model needs, in one message.

    Without `strict`, unexpected arrays are passed over, which is said in the log "keras_plm", if
    they stand apart from the model. Those that stand beside arrays of the model are refused in any
    case, as with them it would compute something else: a block more than the model has
    (`bert.encoder.layer.12...` beside 0 to 11), an adapter in a block, one more embedding. "Beside"
    means that the first two parts of their names are the same, numbers apart.

    Args:
        path: the file or directory, for the message.
        expected: dict of str to tuple. The shapes that the model needs.
        found: dict of str to tuple. The shapes that the file has.
        optional: names that may be missing.
        known: names that may be there.
        dtypes: dict of str to pairs (data type needed, data type found) of arrays, or None: they
            are not compared.
        strict: bool. Whether every unexpected array is refused.
        never_spare: names that are refused as if they stood beside others.

    Raises:
        ValueError: naming all missing, unexpected and misshapen arrays, and those of another data
            type.
    """
    misshapen = [
        f"{name} (expected {tuple(expected[name])}, received {tuple(found[name])})"
        for name in sorted(expected.keys() & found.keys())
        if tuple(expected[name]) != tuple(found[name])
    ]
    unexpected = sorted(found.keys() - expected.keys() - set(known))
    places = {_place(name) for name in expected}
    apart = [n for n in unexpected if _place(n) not in places and n not in never_spare]
    problems = {
        "missing": sorted(expected.keys() - found.keys() - set(optional)),
        "unexpected": unexpected,
        "of another shape": misshapen,
        "of another data type": [
            f"{name} (expected {needed}, received {received})"
            for name, (needed, received) in sorted((dtypes or {}).items())
            if needed != received
        ],
    }
    if not strict and apart == unexpected and not any({**problems, "unexpected": []}.values()):
        if apart:
            logger.warning(
                "%s: %d arrays that this model has not are passed over: %s. `strict=True` refuses "
                "them.",
                path,
                len(apart),
                _listed(apart),
            )
        return
    if any(problems.values()):
        report = "; ".join(
            f"{len(names)} {problem}: {_listed(names)}"
            for problem, names in problems.items()
            if names
        )
        raise ValueError(
            f"{path} does not hold the weights of this model: {report}. Use the configuration "
            "that the weights were saved with."
        )


def _place(name):
    """The first two parts of a name, without numbers: ("bert", "encoder"), ("layers", "block")."""
    return tuple(re.sub(r"_?\d+", "", part) for part in re.split("[./]", name)[:2])


def _listed(names):
    """Up to twenty names."""
    return ", ".join(names[:20]) + (", ..." if names[20:] else "")
