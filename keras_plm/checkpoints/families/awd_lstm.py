"""fastai's AWD-LSTMs, such as those of WikiText-103, to read: weights alone say what they are.

They come as pickles, which are never opened here. Export each once, where PyTorch is installed,
into a directory of its own:

    import torch, safetensors.torch
    state = torch.load("lstm_fwd.pth", map_location="cpu", weights_only=True)
    state = {name: value.clone() for name, value in state.get("model", state).items()}
    safetensors.torch.save_file(state, "wt103_fwd/model.safetensors")

`lstm_bwd.pth`, of backward texts, has the same names. Language models have `0.` before the
names of the encoder and `1.decoder` behind it, classifiers `0.module.` and `1.layers`, what
`save_encoder` writes nothing; fastai 0.7 called the table `encoder_with_dropout.embed`.

torch's gates have the order of ours. It has two biases, of which ours is the sum.

Source: fastai 1.0 and 2.8, `text/models/awdlstm.py`; 0.7, `fastai/lm_rnn.py`.
"""

import functools
import re

import numpy as np

from keras_plm import files
from keras_plm.checkpoints.conversion import check_arrays
from keras_plm.checkpoints.safetensors_arrays import FILE, SafetensorsArrays

PREFIXES = r"(?:0\.)?(?:module\.)?"
LAYER = "rnns.{layer}."
# Our weight: what is summed, (name, whether it is transposed), each by its names of all versions.
TABLE = "token_embedding/embeddings"
NAMES = {
    "gates/kernel": ("module.weight_ih_l0",),
    "recurrent_kernel": ("weight_hh_l0_raw", "module.weight_hh_l0_raw"),
}
BIASES = ("module.bias_ih_l0", "module.bias_hh_l0")
TABLES = ("encoder.weight", "encoder_with_dropout.embed.weight")
# Copies of other arrays, and what is not of the backbone.
SPARE = r"encoder_dp\.emb\.weight|rnns\.\d+\.module\.weight_hh_l0|1\..*"
HEADS = {
    "tokens": {"bias": "1.decoder.bias"},
    "label": {
        f"{ours}_{index}/{part}": f"1.layers.{index}.{theirs}"
        for index, dense in enumerate(("dense", "logits"))
        for ours, part, theirs in (
            ("norm", "gamma", "0.weight"),
            ("norm", "beta", "0.bias"),
            ("norm", "moving_mean", "0.running_mean"),
            ("norm", "moving_variance", "0.running_var"),
            (dense, "kernel", "1.weight"),
        )
    },
}


class AWDLSTMCheckpoint:
    """A directory with an exported AWD-LSTM, not yet read. It stands for a `ReleasedCheckpoint`.

    Args:
        directory: the directory.
        arrays: `SafetensorsArrays`.

    Attributes:
        class_name: "AWDLSTMBackbone".
        arguments: dict of its constructor arguments, from the shapes; dropouts are the defaults.

    Raises:
        ValueError: if the arrays are none of an AWD-LSTM.
    """

    class_name = "AWDLSTMBackbone"

    def __init__(self, directory, arrays):
        self.directory, self.arrays = directory, arrays
        self._stored = {_own_name(name): name for name in arrays.shapes}
        self.arguments = self._read_sizes()

    def __repr__(self):
        return f"<AWDLSTMCheckpoint {str(self.directory)!r}>"

    def _read_sizes(self):
        """Constructor arguments by the shapes of the table and of the recurrent matrices."""
        shapes = {name: self.arrays.shapes[stored] for name, stored in self._stored.items()}
        table = next((shapes[name] for name in TABLES if name in shapes), ())
        layers = [name for name in shapes if re.fullmatch(r"rnns\.\d+\.(module\.)?.*_raw", name)]
        widths = [shapes[name][-1] for name in sorted(layers) if len(shapes[name]) == 2]
        if len(table) != 2 or len(widths) != len(layers):
            raise ValueError(
                f"{self.arrays.path} must have the table {TABLES[0]!r} and recurrent matrices. "
                f"Received: {sorted(self.arrays.shapes)[:20]}."
            )
        files.check_count(len(layers))
        return {
            "vocabulary_size": table[0],
            "num_layers": len(layers),
            "hidden_dim": table[1],
            "lstm_dim": widths[0],
        }

    def backbone_weights(self, arguments, strict=True):
        """The values of a backbone's weights; see `ReleasedCheckpoint.backbone_weights`."""
        places = self.backbone_places(arguments, strict)
        return ((path, read()) for path, (_, read) in places.items())

    def backbone_places(self, arguments, strict=True):
        """Where the values of a backbone's weights are, after all shapes have been compared.

        Args:
            arguments: dict of the constructor arguments of the backbone.
            strict: bool. Whether arrays that stand apart from the model are refused.

        Returns:
            dict of our path to its shape and a function that reads it; see `ReleasedCheckpoint`.

        Raises:
            ValueError: if arrays are missing, unexpected or misshapen, all in one message.
        """
        table = self._weight_table(arguments)
        expected = {
            name: shape[::-1] if transposed else shape
            for names, transposed, shape in table.values()
            for name in names
        }
        known = {name for own, name in self._stored.items() if re.fullmatch(SPARE, own)}
        check_arrays(self.arrays.path, expected, self.arrays.shapes, known=known, strict=strict)
        return {
            path: (shape, functools.partial(self._sum, names, transposed))
            for path, (names, transposed, shape) in table.items()
        }

    def _weight_table(self, arguments):
        """Our path to the arrays that are summed, whether transposed, and the shape of ours."""
        size, width = arguments["vocabulary_size"], arguments["hidden_dim"]
        table = {TABLE: ([self._name("", TABLES)], False, (size, width))}
        before = width
        for layer in range(arguments["num_layers"]):
            is_last = layer == arguments["num_layers"] - 1
            own = width if is_last else arguments["lstm_dim"]
            begin, path = LAYER.format(layer=layer), f"lstm_{layer}/"
            shapes = {"gates/kernel": (before, 4 * own), "recurrent_kernel": (own, 4 * own)}
            for ours, shape in shapes.items():
                table[path + ours] = ([self._name(begin, NAMES[ours])], True, shape)
            biases = [self._name(begin, (one,)) for one in BIASES]
            table[f"{path}gates/bias"] = (biases, False, (4 * own,))
            before = own
        return table

    def _name(self, begin, names):
        """The stored name of the first of some names that there is; else the first."""
        found = [self._stored[begin + name] for name in names if begin + name in self._stored]
        return found[0] if found else begin + names[0]

    def _sum(self, names, transposed):
        """The sum of arrays, as ours."""
        array = sum(self.arrays.read(name) for name in names)
        return np.ascontiguousarray(array.T) if transposed else array

    def head_weights(self, heads):
        """The values of the heads that the file has; see `ReleasedCheckpoint.head_weights`."""
        values, new = {}, {}
        for head, shapes in heads.items():
            names = HEADS.get(head, {})
            found = {}
            for path, shape in shapes.items():
                name = names.get(path)
                stored = self.arrays.shapes.get(name)
                if stored != (tuple(shape)[::-1]):
                    new[head] = f"the checkpoint has no {path!r} of the shape {tuple(shape)}"
                    break
                found[path] = functools.partial(self._sum, [name], len(shape) == 2)
            else:
                values[head] = {path: read() for path, read in found.items()}
        return values, new

    def settings(self):
        """No settings of tasks."""
        return {}

    def tokenizer(self):
        """None: the words come apart, see `convert_pickled_vocabulary`."""


def open_awd_lstm(directory):
    """Open an exported AWD-LSTM; only names and shapes are read.

    Args:
        directory: the directory.

    Returns:
        `AWDLSTMCheckpoint`, or None if it has no such file.

    Raises:
        ValueError: if the file is damaged, or is none.
    """
    if not files.has_entry(directory, FILE):
        return None
    arrays = SafetensorsArrays(directory)
    if not any(name.endswith("weight_hh_l0_raw") for name in arrays.shapes):
        return None
    return AWDLSTMCheckpoint(directory, arrays)


def _own_name(name):
    """A name of the encoder without what stands before it; of heads as it is."""
    return name if name.startswith("1.") else re.sub(f"^{PREFIXES}", "", name)
