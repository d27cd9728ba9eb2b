import numpy as np
import pytest

from keras_plm.backbones import TransformerBackbone
from keras_plm.checkpoints.conversion import HUGGING_FACE, TENSORFLOW
from keras_plm.checkpoints.weight_names.transformer_weights import (
    CONV1D,
    DENSE,
    LINEAR,
    OPENAI,
    OPTIONAL,
    PARTS,
    part_rows,
    sizes,
    transformer_rows,
)

ARGUMENTS = dict(
    vocabulary_size=9,
    num_layers=1,
    num_heads=2,
    hidden_dim=6,
    intermediate_dim=8,
    max_sequence_length=5,
)
EVERYTHING = dict(
    num_segments=3,
    num_languages=4,
    num_tasks=2,
    positions_from_padding=True,
    relative_position_buckets=32,
    normalize_first=True,
    pooler=True,
    embedding_norm=True,
)
NOTHING = {name: type(value)() for name, value in EVERYTHING.items()} | {"head_dim": 4}


@pytest.mark.parametrize("flags", [EVERYTHING, NOTHING], ids=["everything", "nothing"])
def test_every_weight_is_in_the_table(flags):
    arguments = {**ARGUMENTS, **{n: v for n, v in flags.items() if n != "head_dim" or v}}
    arguments |= {n: bool(v) for n, v in arguments.items() if n in ("pooler", "normalize_first")}
    backbone = TransformerBackbone(**arguments)
    rows = transformer_rows({part: part for part in PARTS})(arguments)
    lengths = sizes(arguments)
    table = {
        row.ours.format(layer=0): tuple(lengths[letter] for letter in row.axes) for row in rows
    }
    assert table == {weight.path: tuple(weight.shape) for weight in backbone.weights}


def test_styles():
    (kernel, bias) = part_rows("block_{layer}/attention/key", PARTS[KEY], "a", CONV1D, "b", OPENAI)
    assert (kernel.hugging_face, kernel.tensorflow, kernel.part) == ("a.weight", "b/w", 1)
    assert kernel.stored_shape((6, 2, 3), HUGGING_FACE) == (6, 18)
    assert kernel.stored_shape((6, 2, 3), TENSORFLOW) == (1, 6, 18)
    assert bias.stored_shape((2, 3), TENSORFLOW) == (18,)
    kernel, bias = part_rows("logits", DENSE, "c", LINEAR)
    assert kernel.stored_shape((6, 2), HUGGING_FACE) == (2, 6) and kernel.tensorflow is None
    assert bias.stored_shape((2,), HUGGING_FACE) == (2,)


KEY = "block_{layer}/attention/key"


def test_the_heads_of_linear_layers():
    kernel, _ = part_rows(KEY, PARTS[KEY], "a")
    stored = np.arange(24).reshape(6, 4)  # torch's (output, input) of 2 heads of 3
    ours = kernel.view(stored, (4, 2, 3), HUGGING_FACE)
    assert ours.shape == (4, 2, 3)
    rows = np.ones((1, 4)) * [[1, 2, 3, 4]]
    expected = (rows @ stored.T).reshape(1, 2, 3)
    np.testing.assert_array_equal(np.einsum("bd,dhk->bhk", rows, ours), expected)


def test_a_part_that_a_system_has_not():
    rows = transformer_rows({part: part for part in PARTS if part != "pooler"})
    with pytest.raises(ValueError, match=r"no weights for \['pooler'\]. Received: \{'pooler': 1\}"):
        rows({**ARGUMENTS, "pooler": 1})
    assert set(OPTIONAL) < set(PARTS)
