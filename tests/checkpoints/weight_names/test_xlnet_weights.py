import pytest

from keras_plm.backbones import XLNetBackbone
from keras_plm.checkpoints.conversion import HUGGING_FACE
from keras_plm.checkpoints.families.xlnet import XLNET, read_hugging_face
from keras_plm.checkpoints.weight_names.xlnet_weights import HEADS, sizes


@pytest.mark.parametrize("tied", [False, True])
def test_the_table_names_every_weight(tied):
    arguments = dict(vocabulary_size=9, num_layers=2, num_heads=2, hidden_dim=4, intermediate_dim=8)
    backbone = XLNetBackbone(**arguments, tied_biases=tied)
    weights = {weight.path: tuple(weight.shape) for weight in backbone.weights}
    stored = XLNET.backbone_weights({**arguments, "tied_biases": tied}, HUGGING_FACE)
    assert stored.keys() == weights.keys()
    letters = sizes(arguments)
    for path, one in stored.items():
        assert tuple(letters[letter] for letter in one.row.axes) == weights[path]


def test_the_table_names_every_tensor_of_transformers(cases):
    names = {name for case in cases.values() for name in case["names"]}
    names = {name for name in names if name.startswith("transformer.")}
    arguments, _ = read_hugging_face(cases["lm"]["config"], arrays=None)
    stored = XLNET.backbone_weights(arguments, HUGGING_FACE).values()
    assert {name for one in stored for name in one.names} == names
    shapes = cases["lm"]["shapes"]
    assert all(list(one.shape) == shapes[name] for one in stored for name in one.names)


def test_the_tables_name_every_tensor_of_the_heads(cases):
    names = {name for case in cases.values() for name in case["names"]}
    tables = [table for head in HEADS for table in XLNET.head_tables(head, {})]
    heads = {row.hugging_face for table in tables for row in table}
    bare = {name for name in names if name.startswith(("layer.", "word_embedding", "mask_emb"))}
    assert heads == {name for name in names - bare if not name.startswith("transformer.")}
