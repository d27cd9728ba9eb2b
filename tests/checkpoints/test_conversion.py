import numpy as np
import pytest

from keras_plm.checkpoints.conversion import HUGGING_FACE, TENSORFLOW, Row
from keras_plm.checkpoints.families.xlnet import XLNET

SIZES = dict(vocabulary_size=9, num_layers=3, num_heads=2, hidden_dim=4, intermediate_dim=8)


AXES = {  # of a weight (D, H, K) = (2, 3, 4)
    "DHK": (2, 3, 4),
    "D(HK)": (2, 12),
    "(HK)D": (12, 2),
    "KHD": (4, 3, 2),
    "1D(3HK)": (1, 2, 36),
    "LDHK": (5, 2, 3, 4),
}


@pytest.mark.parametrize("form", [HUGGING_FACE, TENSORFLOW])
@pytest.mark.parametrize("axes", AXES)
def test_axes(form, axes):
    row = Row("ours", "DHK", "theirs", "Theirs", **{f"{form}_axes": axes}, part=1)
    shape = (2, 3, 4)
    stored = row.stored_shape(shape, form, num_layers=5)
    assert stored == AXES[axes]
    array = np.arange(np.prod(stored)).reshape(stored)
    read = row.view(array, shape, form, layer=4)
    assert read.shape == shape and np.shares_memory(read, array)
    again = np.zeros_like(array)
    row.view(again, shape, form, layer=4)[...] = read
    assert ((again == array) | (again == 0)).all() and again.astype(bool).sum() >= read.size - 1


def test_axes_by_example():
    array = np.arange(6).reshape(2, 3)
    row = Row("ours", "IO", "theirs", "Theirs", hugging_face_axes="OI")
    assert row.stored_shape((3, 2), HUGGING_FACE) == (2, 3)
    assert row.stored_shape((3, 2), TENSORFLOW) == (3, 2)
    assert row.view(array, (3, 2), HUGGING_FACE).tolist() == [[0, 3], [1, 4], [2, 5]]
    row = Row("ours", "D", "theirs", "Theirs", tensorflow_axes="LD")
    assert row.view(array, (3,), TENSORFLOW, layer=1).tolist() == [3, 4, 5]
    row = Row("ours", "D", "theirs", "Theirs", hugging_face_axes="11D")
    assert row.view(array[None, :1], (3,), HUGGING_FACE).tolist() == [0, 1, 2]
    row = Row("ours", "DHK", "theirs", hugging_face_axes="D(3HK)", part=2)
    array = np.arange(12).reshape(1, 12)  # of two heads: two queries each, two keys, two values
    assert row.view(array, (1, 2, 2), HUGGING_FACE).tolist() == [[[8, 9], [10, 11]]]


def test_where_weights_are():
    found = XLNET.backbone_weights(SIZES, HUGGING_FACE)
    one = found["block_2/intermediate/kernel"]
    assert one.names == ("transformer.layer.2.ff.layer_1.weight",) and one.shape == (8, 4)
    found = XLNET.backbone_weights(SIZES, TENSORFLOW)
    one = found["block_2/attention/biases/content_bias"]
    assert one.names == ("model/transformer/r_w_bias",) and one.shape == (3, 2, 2)
    assert one.layer == 2


def test_shared_weights_are_stored_for_each_layer():
    tied = {**SIZES, "tied_biases": True}
    one = XLNET.backbone_weights(tied, HUGGING_FACE)["attention_biases/segment_bias"]
    assert one.names == tuple(f"transformer.layer.{i}.rel_attn.r_s_bias" for i in range(3))
    assert one.shape == (2, 2)
    one = XLNET.backbone_weights(tied, TENSORFLOW)["attention_biases/segment_bias"]
    assert one.names == ("model/transformer/r_s_bias",) and one.shape == (2, 2)


def test_tables_of_heads():
    assert XLNET.head_tables("nothing", {}) == []
    assert len(XLNET.head_tables("tokens", {})) == 1 and len(XLNET.head_tables("span", {})) == 2
