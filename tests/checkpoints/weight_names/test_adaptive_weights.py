"""What transformers saved of an adaptive embedding and softmax, under each of three namings."""

import re
from pathlib import Path

import numpy as np
import pytest

from keras_plm.checkpoints.weight_names.adaptive_weights import adaptive_weights

FIXTURES = Path(__file__).parents[2] / "fixtures"
ENDS = (0, 16, 32, 54)


def hugging_face(name):
    with np.load(FIXTURES / f"txl_{name}.npz") as file:
        return {key[2:]: file[key] for key in file if key.startswith("w/")}


def tensorflow(arrays):
    """The same weights as the original code has them: kernels (in, out), a bias per cluster."""
    made = {}
    tables = [name for name in arrays if "emb_layers" in name]
    for number in range(len(tables)):
        place = "transformer/adaptive_embed/"
        place += f"cutoff_{number}/" if len(tables) > 1 else ""
        made[f"{place}lookup_table"] = arrays[f"transformer.word_emb.emb_layers.{number}.weight"]
        projection = arrays.get(f"transformer.word_emb.emb_projs.{number}")
        if projection is not None:
            made[f"{place}proj_W"] = projection.T
    for number, (start, end) in enumerate(zip(ENDS, ENDS[1:])):
        place = f"transformer/adaptive_softmax/cutoff_{number}"
        if len(tables) == 1:
            made[f"{place}/b"] = arrays["crit.out_layers.0.bias"][start:end]
        else:
            made[f"{place}/b"] = arrays[f"crit.out_layers.{number}.bias"]
        projection = arrays.get(f"crit.out_projs.{number}")
        if projection is not None:
            made[f"{place}/proj"] = projection.T
    made["transformer/adaptive_softmax/cutoff_0/cluster_W"] = arrays["crit.cluster_weight"]
    made["transformer/adaptive_softmax/cutoff_0/cluster_b"] = arrays["crit.cluster_bias"]
    made["transformer/layer_0/rel_attn/o/kernel/Adam"] = np.zeros(3)
    return made


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


@pytest.mark.parametrize("name", ["div1", "div2", "div4_untied", "div1_projected"])
def test_each_naming_gives_the_same(name):
    arrays = hugging_face(name)
    expected = adaptive_weights(arrays)
    copies = {key for key in expected if key.startswith("tokens/table")}  # TensorFlow has none
    tied = {key: value for key, value in expected.items() if key not in copies}
    assert_same(adaptive_weights(tensorflow(arrays)), tied)
    original = {re.sub("^transformer.", "", key): value for key, value in arrays.items()}
    for key in ("crit.cluster_weight", "crit.cluster_bias"):
        original[key] = original[key][::-1]
    assert_same(adaptive_weights(original, columns="descending"), expected)


def test_shapes_are_ours():
    found = {name: array.shape for name, array in adaptive_weights(hugging_face("div2")).items()}
    assert found == {
        **{f"token_embedding/table_{n}/embeddings": (16 + 6 * (n == 2), 16 >> n) for n in range(3)},
        **{f"token_embedding/projection_{n}/kernel": (16 >> n, 16) for n in range(3)},
        **{f"tokens/table_{n}": (16 + 6 * (n == 2), 16 >> n) for n in range(3)},
        **{f"tokens/projection_{n}": (16 >> n, 16) for n in range(3)},
        **{f"tokens/bias_{n}": (16 + 6 * (n == 2),) for n in range(3)},
        "tokens/cluster_kernel": (2, 16),
        "tokens/cluster_bias": (2,),
    }
    arrays = hugging_face("div2")
    kernel = adaptive_weights(arrays)["token_embedding/projection_1/kernel"]
    np.testing.assert_array_equal(kernel, arrays["transformer.word_emb.emb_projs.1"].T)


def test_one_cluster_and_an_unknown_order():
    table, bias = np.ones((5, 3)), np.arange(5)
    given = {"transformer/adaptive_embed/lookup_table": table}
    given["transformer/adaptive_softmax/bias"] = bias
    expected = {"token_embedding/table_0/embeddings": table, "tokens/bias_0": bias}
    assert_same(adaptive_weights(given), expected)
    with pytest.raises(ValueError, match="columns='torch'"):
        adaptive_weights(given, columns="torch")
