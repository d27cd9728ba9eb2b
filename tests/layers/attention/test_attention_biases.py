import numpy as np
from keras import ops

from keras_plm.backbones import XLNetBackbone
from keras_plm.layers import AttentionBiases, TransformerXLBlock


def test_adds_one_bias_per_term():
    layer = AttentionBiases(2, 3, initializer="random_normal")
    query = np.random.default_rng(0).normal(size=(1, 4, 2, 3)).astype("float32")
    terms = layer(query)
    for term, bias in zip(terms, (layer.content_bias, layer.position_bias, layer.segment_bias)):
        expected = query + ops.convert_to_numpy(bias)
        np.testing.assert_allclose(ops.convert_to_numpy(term), expected, rtol=1e-6)
    assert len({ops.convert_to_numpy(bias).tobytes() for bias in layer.weights}) == 3


def test_without_segments():
    layer = AttentionBiases(2, 3, segments=False)
    assert layer(np.zeros((1, 4, 2, 3), "float32"))[2] is None
    assert len(layer.weights) == 2


def test_blocks_share_a_set():
    shared = AttentionBiases(2, 4)
    blocks = [TransformerXLBlock(2, 4, 16, biases=shared) for _ in range(2)]
    assert all(block.attention.biases is shared for block in blocks)


def test_tied_biases_of_a_backbone(tmp_path):
    sizes = dict(num_layers=3, num_heads=2, hidden_dim=8, intermediate_dim=16)
    tied = XLNetBackbone(20, **sizes, tied_biases=True)
    untied = XLNetBackbone(20, **sizes)
    assert untied.count_params() - tied.count_params() == 2 * 3 * 8
    shared = [w.path for w in tied.weights if "attention_biases" in w.path]
    assert shared == [f"attention_biases/{n}_bias" for n in ("content", "position", "segment")]

    random = np.random.default_rng(0)
    for weight in tied.weights:
        weight.assign(random.normal(size=weight.shape))
    tied.save_to_preset(str(tmp_path / "tied"))
    again = XLNetBackbone.from_preset(str(tmp_path / "tied"))
    x = {
        "token_ids": np.array([[3, 4, 5, 6]]),
        "padding_mask": np.ones((1, 4), bool),
        "segment_ids": np.array([[0, 0, 1, 2]]),
    }
    np.testing.assert_array_equal(*(ops.convert_to_numpy(m(x)) for m in (tied, again)))
    blocks = {id(block.attention.biases) for block in again.blocks}
    assert blocks == {id(again.blocks[0].attention.biases)}
