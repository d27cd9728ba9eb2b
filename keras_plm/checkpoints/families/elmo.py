"""ELMo's released pairs: `*options.json` and `*weights.hdf5`, to read.

TensorFlow's cell has its gates in the order i, j, f, o, of which ours is i, f, j, o; it adds 1 to f
when it runs, which our bias holds; its one matrix has the rows of the input above those of the
state. The file has no vector for padding, which is our first, 0.

Source: allenai/bilm-tf, `bilm/model.py` and `training.py`; arXiv:1802.05365.
"""

import functools
import os

import numpy as np

from keras_plm import files
from keras_plm.checkpoints.config_values import read_choice, read_flag, read_number, read_sizes
from keras_plm.checkpoints.conversion import check_arrays
from keras_plm.checkpoints.foreign_checkpoint import ForeignCheckpoint
from keras_plm.checkpoints.formats.h5_arrays import H5Arrays
from keras_plm.features import NUM_CHARACTERS, WORD_LENGTH

OPTIONS, WEIGHTS = "options.json", "weights.hdf5"
RELEASED_VOCABULARY = 793_471  # words of the One Billion Word Benchmark, with <S>, </S>, <UNK>


class ELMoCheckpoint(ForeignCheckpoint):
    """A directory with a released pair of ELMo, not yet read.

    Args:
        directory: the directory.
        options: str. The name of its options.

    Attributes:
        class_name: "ELMoBackbone".
        arguments: dict of its constructor arguments.

    Raises:
        ValueError: if the options are none of ELMo's.
    """

    class_name = "ELMoBackbone"
    without_heads = "the released files of ELMo have no heads"

    def __init__(self, directory, options):
        super().__init__(directory)
        self._options = options
        config = files.read_json(files.file_inside(directory, options))
        with files.reading(f"{directory}/{options}"):
            self.arguments = read_options(config)
            files.check_config(self.arguments)

    def backbone_places(self, arguments, strict=True):
        name = _only_file(self.directory, WEIGHTS)
        if name is None:
            raise FileNotFoundError(
                f"{self.directory} must have one file `*{WEIGHTS}` beside its `{self._options}`."
            )
        arrays = H5Arrays(files.file_inside(self.directory, name))
        table = weight_table(arguments)
        expected = {name: shape for name, shape, _, _ in table.values()}
        check_arrays(arrays.path, expected, arrays.shapes, strict=strict)
        return {
            path: (shape, functools.partial(_read, arrays, name, ours))
            for path, (name, _, shape, ours) in table.items()
        }


def open_elmo(directory):
    """Open a released pair; only its options are read.

    Args:
        directory: the directory.

    Returns:
        `ELMoCheckpoint`, or None if it has no file `*options.json`, or several.

    Raises:
        ValueError: if the options are damaged.
    """
    options = _only_file(directory, OPTIONS)
    return None if options is None else ELMoCheckpoint(directory, options)


def _only_file(directory, ending):
    """The name of the only file with an ending, or None."""
    found = [name for name in os.listdir(directory) if name.endswith(ending)]
    return found[0] if len(found) == 1 else None


def read_options(options):
    """Translate the options of a released pair.

    Args:
        options: dict.

    Returns:
        dict of constructor arguments of `ELMoBackbone`.

    Raises:
        ValueError: if a value is missing, or is none that ELMo has.
    """
    recurrent, characters = options.get("lstm"), options.get("char_cnn")
    if not isinstance(recurrent, dict) or not isinstance(characters, dict):
        raise ValueError(
            "ELMo's options must have `lstm` and `char_cnn`: words are read by their characters. "
            f"Received: {sorted(options)}."
        )
    fixed = {"n_characters": NUM_CHARACTERS, "max_characters_per_token": WORD_LENGTH}
    found = {name: characters.get(name) for name in fixed}
    if found != fixed:
        raise ValueError(
            f"ELMo's `char_cnn` must have {fixed} (261 characters are those of training: write "
            f"{NUM_CHARACTERS}). Received: {found}."
        )
    embedding = characters.get("embedding")
    sizes = {"num_layers": "n_layers", "projection_dim": "projection_dim", "lstm_dim": "dim"}
    filters = characters.get("filters")
    if not isinstance(filters, list) or not all(_is_filter(one) for one in filters):
        raise ValueError(f"`filters` must be pairs of sizes. Received: {filters!r:.200}.")
    known = {"relu": "relu", "tanh": "tanh"}
    return {
        "vocabulary_size": read_number(options, "n_tokens_vocab", RELEASED_VOCABULARY, int),
        **read_sizes(recurrent, sizes),
        **read_sizes(embedding if isinstance(embedding, dict) else {}, {"character_dim": "dim"}),
        "filters": [list(one) for one in filters],
        "num_highways": read_number(characters, "n_highway", 0, int),
        "activation": read_choice(characters, "activation", known, "relu"),
        "cell_clip": read_number(recurrent, "cell_clip", None) or None,
        "projection_clip": read_number(recurrent, "proj_clip", None) or None,
        "skip_connections": read_flag(recurrent, "use_skip_connections", False),
    }


def _is_filter(one):
    """Whether a value is a pair of positive integers."""
    sizes = [type(size) is int and size > 0 for size in one] if isinstance(one, list) else []
    return sizes == [True, True]


def weight_table(arguments):
    """Where each weight of an `ELMoBackbone` is.

    Args:
        arguments: dict of the constructor arguments of the backbone.

    Returns:
        dict of our path to the name of an array, its shape, the shape of our weight, and a
        function from the one to the other.
    """
    words = _word_rows(arguments)
    table = {f"character_cnn/{path}": row for path, row in words.items()}
    narrow, wide = arguments["projection_dim"], arguments["lstm_dim"]
    for number, direction in enumerate(("forward", "backward")):
        for layer in range(arguments["num_layers"]):
            cell = f"RNN_{number}/RNN/MultiRNNCell/Cell{layer}/LSTMCell/"
            ours, whole = f"{direction}_lstm_{layer}/", (2 * narrow, 4 * wide)
            matrix, half = f"{cell}W_0", (narrow, 4 * wide)
            table |= {
                f"{ours}gates/kernel": (matrix, whole, half, _gates_of_input),
                f"{ours}recurrent_kernel": (matrix, whole, half, _gates_of_state),
                f"{ours}gates/bias": (f"{cell}B", (4 * wide,), (4 * wide,), _gate_biases),
                f"{ours}projection": (f"{cell}W_P_0", *[(wide, narrow)] * 2, np.asarray),
            }
    return table


def _word_rows(arguments):
    """The part of `weight_table` that reads words, by the path below `character_cnn`."""
    depth, filters = arguments["character_dim"], arguments["filters"]
    width = sum(number for _, number in filters)

    def same(name, *shape):
        return name, shape, shape, np.asarray

    table = {
        "character_embedding/embeddings": (
            "char_embed",
            (NUM_CHARACTERS - 1, depth),
            (NUM_CHARACTERS, depth),
            _with_padding,
        )
    }
    for index, (length, number) in enumerate(filters):
        kernel, ours = (1, length, depth, number), f"convolution_{index}"
        table[f"{ours}/kernel"] = (f"CNN/W_cnn_{index}", kernel, kernel[1:], _first)
        table[f"{ours}/bias"] = same(f"CNN/b_cnn_{index}", number)
    for index in range(arguments["num_highways"]):
        # "carry" is what gates the transformed part.
        for ours, theirs in (("gate", "carry"), ("transform", "transform")):
            name, scope = f"highway_{index}_{ours}", f"CNN_high_{index}"
            table[f"{name}/kernel"] = same(f"{scope}/W_{theirs}", width, width)
            table[f"{name}/bias"] = same(f"{scope}/b_{theirs}", width)
    if width != arguments["projection_dim"]:
        table["projection/kernel"] = same("CNN_proj/W_proj", width, arguments["projection_dim"])
        table["projection/bias"] = same("CNN_proj/b_proj", arguments["projection_dim"])
    return table


def _read(arrays, name, ours):
    """Read one weight of ours."""
    return np.ascontiguousarray(ours(arrays.read(name)))


def _first(array):
    """Without the first axis, of length 1."""
    return array[0]


def _with_padding(array):
    """With a row of 0 before the others."""
    return np.pad(array, ((1, 0), (0, 0)))


def _in_our_order(array):
    """Gates i, j, f, o as i, f, j, o."""
    i, j, f, o = np.split(array, 4, axis=-1)
    return np.concatenate([i, f, j, o], axis=-1)


def _gates_of_input(array):
    """The upper half of the matrix."""
    return _in_our_order(array[: len(array) // 2])


def _gates_of_state(array):
    """The lower half of the matrix."""
    return _in_our_order(array[len(array) // 2 :])


def _gate_biases(array):
    """The biases, with the 1 of the forget gate."""
    return _in_our_order(array) + np.repeat(np.float32([0, 1, 0, 0]), len(array) // 4)
