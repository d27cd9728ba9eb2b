import numpy as np
import pytest

from keras_plm.presets.conversion import HUGGING_FACE, TENSORFLOW, Row
from keras_plm.presets.xlnet import XLNET

SIZES = dict(vocabulary_size=9, num_layers=3, num_heads=2, hidden_dim=4, intermediate_dim=8)


@pytest.mark.parametrize("form", [HUGGING_FACE, TENSORFLOW])
@pytest.mark.parametrize("layout", ["same", "transposed", "row", "stacked"])
def test_layouts(form, layout):
    row = Row("ours", "theirs", "Theirs", layout=layout)
    stored = row.stored_shape((2, 3), form, num_layers=5)
    array = np.arange(np.prod(stored)).reshape(stored)
    assert row.to_ours(array, form, layer=4).shape == (2, 3)


def test_layouts_by_example():
    array = np.arange(6).reshape(2, 3)
    row = Row("ours", "theirs", "Theirs", layout="transposed")
    assert row.stored_shape((3, 2), HUGGING_FACE, 1) == (2, 3)
    assert row.stored_shape((3, 2), TENSORFLOW, 1) == (3, 2)
    assert row.to_ours(array, HUGGING_FACE).tolist() == [[0, 3], [1, 4], [2, 5]]
    assert row.to_hugging_face(array.T).tolist() == array.tolist()
    assert row.to_hugging_face(array.T).flags.c_contiguous
    row = Row("ours", "theirs", "Theirs", layout="stacked")
    assert row.stored_shape((3,), TENSORFLOW, 2) == (2, 3)
    assert row.to_ours(array, TENSORFLOW, layer=1).tolist() == [3, 4, 5]
    assert row.stored_shape((3,), HUGGING_FACE, 2) == (3,)
    row = Row("ours", "theirs", "Theirs", layout="row")
    assert row.stored_shape((3,), TENSORFLOW, 2) == (1, 1, 3)
    assert row.to_hugging_face(np.arange(3)).shape == (1, 1, 3)


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
    assert XLNET.head_tables("nothing") == []
    assert len(XLNET.head_tables("label")) == 1 and len(XLNET.head_tables("span")) == 2
