"""fastai's AWD-LSTM, as a language model, its encoder alone, or within a classifier; to read.

fastai publishes pickles, which are never opened here. If you trust one, convert it once, where
PyTorch is installed; all sizes follow from the shapes:

    import json, torch, safetensors.torch
    state = torch.load("lstm_fwd.pth", map_location="cpu", weights_only=True)
    state = {name: one.clone().contiguous() for name, one in state.get("model", state).items()}
    safetensors.torch.save_file(state, "model.safetensors")
    json.dump({"model_type": "awd_lstm"}, open("config.json", "w"))

Its gates stand in our order; it has two biases, which are added up. Dropped matrices are stored
twice, of which the whole one ends in `_raw`.

Source: fastai, `text/models/awdlstm.py`; Merity et al., arXiv:1708.02182.
"""

import functools
import re

import numpy as np

from keras_plm import files
from keras_plm.checkpoints.conversion import check_arrays
from keras_plm.checkpoints.foreign_checkpoint import ForeignCheckpoint
from keras_plm.checkpoints.formats.safetensors_arrays import SafetensorsArrays

MODEL_TYPE = "awd_lstm"
COPIES = (
    r"(module\.)?(encoder_dp\.emb|encoder_with_dropout\.embed)\.weight"
    r"|(module\.)?rnns\.\d+\.module\.weight_hh_l0"
)
OLD_NAMES = {".module.weight_hh_l0_raw": ".weight_hh_l0_raw"}


class AWDLSTMCheckpoint(ForeignCheckpoint):
    """A directory with an exported state of fastai.

    Args:
        directory: the directory.

    Attributes:
        class_name: "AWDLSTMBackbone".
        arguments: dict of its constructor arguments.

    Raises:
        FileNotFoundError: if there are no weights.
        ValueError: if the weights are none of an AWD-LSTM.
    """

    class_name = "AWDLSTMBackbone"

    def __init__(self, directory):
        super().__init__(directory)
        self._arrays = SafetensorsArrays(directory, "0.", OLD_NAMES, COPIES)
        shapes = self._arrays.shapes
        self._prefix = "0.module." if "0.module.encoder.weight" in shapes else "0."
        with files.reading(str(self._arrays.path)):
            self.arguments = _sizes(shapes, self._prefix)

    def backbone_places(self, arguments, strict=True):
        table = _weight_table(arguments, self._prefix)
        shapes = self._arrays.shapes
        expected = {name: shape for names, shape, _ in table.values() for name in names}
        heads = {name for name in shapes if name.startswith("1.")}
        check_arrays(self._arrays.path, expected, shapes, known=heads, strict=strict)
        return {
            path: (ours(np.empty(shape, "i1")).shape, functools.partial(self._read, names, ours))
            for path, (names, shape, ours) in table.items()
        }

    def _read(self, names, ours):
        """Read one weight of ours, the sum of some arrays."""
        return np.ascontiguousarray(ours(sum(map(self._arrays.read, names))))

    def head_weights(self, heads):
        """The bias of the language model's head; others are not read; see `ForeignCheckpoint`."""
        values, why = {}, {}
        for head, shapes in heads.items():
            bias = {"bias": self._arrays.shapes.get("1.decoder.bias")}
            if head == "tokens" and shapes == bias:
                self._check_tied()
                values[head] = {"bias": self._arrays.read("1.decoder.bias")}
            else:
                why[head] = "the checkpoint has no such head"
        return values, why

    def _check_tied(self):
        """Refuse a decoder that is not the embedding."""
        names = "1.decoder.weight", f"{self._prefix}encoder.weight"
        if names[0] in self._arrays.shapes and not np.array_equal(*map(self._arrays.read, names)):
            raise ValueError(
                f"{self._arrays.path} has a {names[0]!r} that differs from {names[1]!r}. This head "
                "uses the embedding of the backbone as its output matrix; its own cannot be "
                "loaded. Load the backbone alone."
            )

    def settings(self):
        """The language model's head has a bias and no transform."""
        return {"transform": False, "use_bias": True}


def _sizes(shapes, prefix):
    """The sizes of a backbone, from the shapes of its arrays."""
    layers = [re.match(re.escape(prefix) + r"rnns\.(\d+)\.", name) for name in shapes]
    numbers = {int(found[1]) for found in layers if found}
    embedding = shapes.get(f"{prefix}encoder.weight", ())
    matrix = shapes.get(f"{prefix}rnns.0.weight_hh_l0_raw", ())
    if len(embedding) != 2 or len(matrix) != 2 or numbers != set(range(len(numbers))):
        raise ValueError(
            "An AWD-LSTM must have 'encoder.weight', and 'rnns.0.weight_hh_l0_raw', 'rnns.1...'. "
            f"Received: {sorted(shapes)[:20]}."
        )
    return {
        "vocabulary_size": embedding[0],
        "num_layers": len(numbers),
        "hidden_dim": embedding[1],
        "lstm_dim": matrix[1],
    }


def _weight_table(arguments, prefix):
    """dict of our path to names of arrays, their shape, and a function from their sum to ours."""
    width = arguments["hidden_dim"]
    shape = arguments["vocabulary_size"], width
    table = {"token_embedding/embeddings": ((f"{prefix}encoder.weight",), shape, np.asarray)}
    for layer in range(arguments["num_layers"]):
        is_last = layer == arguments["num_layers"] - 1
        below, width = width, arguments["hidden_dim" if is_last else "lstm_dim"]
        ours, theirs = f"lstm_{layer}", f"{prefix}rnns.{layer}"
        biases = tuple(f"{theirs}.module.bias_{one}_l0" for one in ("ih", "hh"))
        kernels = (f"{theirs}.module.weight_ih_l0",), (f"{theirs}.weight_hh_l0_raw",)
        table |= {
            f"{ours}/gates/kernel": (kernels[0], (4 * width, below), np.transpose),
            f"{ours}/recurrent_kernel": (kernels[1], (4 * width, width), np.transpose),
            f"{ours}/gates/bias": (biases, (4 * width,), np.asarray),
        }
    return table
