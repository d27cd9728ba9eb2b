"""How weights are called elsewhere: one table per architecture, used in both directions."""

from dataclasses import dataclass
from typing import Callable

import numpy as np

HUGGING_FACE, TENSORFLOW = "hugging_face", "tensorflow"


@dataclass(frozen=True)
class Row:
    """One line of a conversion table: a weight of ours and what others call it.

    `{layer}` in a name stands for the number of the block. A row whose own name has it not, but
    whose Hugging Face name has it, is one weight of ours for all layers; there it is stored for
    each. `*` in a TensorFlow name stands for any one scope.

    Args:
        ours: the path of our variable; in a table of a head, the path below the head.
        hugging_face: the name of the tensor in a Hugging Face file, or None.
        tensorflow: the name of the variable in a TensorFlow checkpoint, or None.
        shape: the shape of our variable, one letter of `System.sizes` for each axis. Not used
            in tables of heads.
        layout: "same"; "transposed": a Hugging Face kernel is (output, input); "row": the others
            have two leading axes of 1; "stacked": TensorFlow has one variable for all layers.
        optional: whether a checkpoint may lack it.
    """

    ours: str
    hugging_face: str | None
    tensorflow: str | None = None
    shape: str = ""
    layout: str = "same"
    optional: bool = False

    def stored_shape(self, shape, form, num_layers):
        """The shape that a weight of ours has in a checkpoint of that form.

        Args:
            shape: tuple of int, the shape of our variable.
            form: `HUGGING_FACE` or `TENSORFLOW`.
            num_layers: int. The layers L.
        """
        shape = tuple(shape)
        if self.layout == "row":
            return (1, 1, *shape)
        if self.layout == "transposed" and form == HUGGING_FACE:
            return shape[::-1]
        if self.layout == "stacked" and form == TENSORFLOW:
            return (num_layers, *shape)
        return shape

    def to_ours(self, array, form, layer=0):
        """Turn an array of a checkpoint into the value of our variable.

        Args:
            array: numpy array of the shape `stored_shape`.
            form: `HUGGING_FACE` or `TENSORFLOW`.
            layer: int. The block of the variable.
        """
        if self.layout == "row":
            return array[0, 0]
        if self.layout == "transposed" and form == HUGGING_FACE:
            return array.T
        if self.layout == "stacked" and form == TENSORFLOW:
            return array[layer]
        return array

    def to_hugging_face(self, array):
        """Turn the value of our variable into the tensor of a Hugging Face file.

        Args:
            array: numpy array.
        """
        if self.layout == "row":
            array = array[None, None]
        elif self.layout == "transposed":
            array = array.T
        return np.ascontiguousarray(array)


@dataclass(frozen=True)
class Stored:
    """Where a weight of ours is in a checkpoint.

    Args:
        row: `Row`.
        names: tuple of str. The tensors that hold it, all of them equal.
        shape: tuple of int. Their shape.
        layer: int. The block of the weight.
    """

    row: Row
    names: tuple
    shape: tuple
    layer: int


@dataclass(frozen=True)
class System:
    """All that is particular about the checkpoints of one architecture.

    Args:
        class_name: the backbone class.
        model_type: `model_type` in a Hugging Face `config.json`.
        prefix: what a Hugging Face model with a head puts in front of the backbone's names.
        rows: function of the constructor arguments: the table of the backbone.
        sizes: function of the constructor arguments: dict of a letter to a size.
        heads: dict of a head's name to its table, or to a tuple of tables of which one fits.
        tied: dict of a Hugging Face name to the tensor that it must equal, if it is there.
        tensorflow_config: the name of the JSON file beside a TensorFlow checkpoint.
        tensorflow_checkpoint: the prefix of its files.
        read_hugging_face: function of (config, arrays): constructor arguments and notes.
        read_tensorflow: function of (config, arrays): constructor arguments and notes.
        write_hugging_face: function of constructor arguments: the config and notes.
        read_head_settings: function of (config, shapes): arguments of tasks.
        check_head: function of (Hugging Face config, head name): raises if the head is another.
        write_head_config: function of (task, head name, head weights): config of the head.
        tokenizer: dict of settings of the tokenizer, beside its SentencePiece model.
        tokenizer_names: dict of a setting to its name in a Hugging Face `tokenizer_config.json`.
    """

    class_name: str
    model_type: str
    prefix: str
    rows: Callable
    sizes: Callable
    heads: dict
    tied: dict
    tensorflow_config: str
    tensorflow_checkpoint: str
    read_hugging_face: Callable
    read_tensorflow: Callable
    write_hugging_face: Callable
    read_head_settings: Callable
    check_head: Callable
    write_head_config: Callable
    tokenizer: dict
    tokenizer_names: dict

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
            shape = tuple(sizes[letter] for letter in row.shape)
            stored_shape = row.stored_shape(shape, form, len(layers))
            if "{layer}" in row.ours:
                for layer in layers:
                    names = (name.format(layer=layer),)
                    found[row.ours.format(layer=layer)] = Stored(row, names, stored_shape, layer)
            else:
                names = dict.fromkeys(name.format(layer=layer) for layer in layers)
                found[row.ours] = Stored(row, tuple(names), stored_shape, 0)
        return found

    def head_tables(self, head):
        """The tables of a head: usually one, more where a head has several forms.

        Args:
            head: str. The head's name.

        Returns:
            list of tuples of `Row`.
        """
        tables = self.heads.get(head, ())
        return [tables] if tables and isinstance(tables[0], Row) else list(tables)
