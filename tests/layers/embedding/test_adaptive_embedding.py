import keras
import numpy as np
import pytest
from keras import ops

from keras_plm.layers import AdaptiveEmbedding

IDS = np.array([[0, 9, 10], [17, 18, 29]])


def made(**options):
    embedding = AdaptiveEmbedding(30, 6, embeddings_initializer="normal", **options)
    embedding.build((None, None))
    return embedding


def as_numpy(tensor):
    return np.array(ops.convert_to_numpy(tensor))


def test_each_cluster_has_a_table_and_a_projection():
    embedding = made(cutoffs=(10, 18), div_val=2)
    assert [w.shape for w in embedding.weights] == [
        (10, 6),
        (8, 3),
        (12, 1),
        (6, 6),
        (3, 6),
        (1, 6),
    ]
    tables = [as_numpy(table.embeddings) for table in embedding.tables]
    kernels = [as_numpy(projection.kernel) for projection in embedding.projections]
    places = [(0, 0), (0, 9), (1, 0), (1, 7), (2, 0), (2, 11)]
    expected = [tables[n][row] @ kernels[n] * 6**0.5 for n, row in places]
    found = as_numpy(embedding(IDS)).reshape(6, 6)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_one_table_without_division():
    embedding = made(cutoffs=(10, 18))
    (table,) = embedding.weights
    np.testing.assert_allclose(as_numpy(embedding(IDS)), as_numpy(table)[IDS] * 6**0.5, rtol=1e-6)
    table, kernel = map(as_numpy, (projected := made(cutoffs=(10, 18), embedding_dim=4)).weights)
    assert table.shape == (30, 4)
    expected = table[IDS] @ kernel * 6**0.5
    np.testing.assert_allclose(as_numpy(projected(IDS)), expected, atol=1e-6)


def test_a_table_of_the_same_width_may_stay_as_it_is():
    """As it was for One Billion Word."""
    embedding = made(cutoffs=(10,), div_val=2, project_same_width=False)
    assert embedding.projections[0] is None and embedding.projections[1] is not None
    table = as_numpy(embedding.tables[0].embeddings)
    np.testing.assert_allclose(as_numpy(embedding(IDS[:, :1]))[0], table[:1] * 6**0.5, rtol=1e-6)


@pytest.mark.parametrize("div_val", [1, 2])
def test_rare_tokens_change_their_own_vectors_alone(div_val, gradient):
    """The gradient of other clusters' tables is exactly zero."""
    embedding = made(cutoffs=(10, 18), div_val=div_val)
    table = embedding.tables[-1]
    before = as_numpy(embedding(IDS))
    values = as_numpy(table.embeddings)
    values[-1] += 1
    table.embeddings.assign(values)
    changed = (as_numpy(embedding(IDS)) != before).any(-1)
    np.testing.assert_array_equal(changed, IDS == 29)


@pytest.mark.parametrize("mode", ["int8", "int4"])
def test_quantized_like_any_embedding(mode):
    embedding = made(cutoffs=(10, 18), div_val=2)
    inputs = keras.Input((None,), dtype="int32")
    model = keras.Model(inputs, embedding(inputs))
    before = as_numpy(model(IDS))
    model.quantize(mode)
    assert all(table.quantization_mode == mode for table in embedding.tables)
    near = {"int8": 0.03, "int4": 0.4}[mode] * np.abs(before).max()
    np.testing.assert_allclose(as_numpy(model(IDS)), before, atol=near)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"cutoffs": (18, 10)}, "ascending"),
        ({"cutoffs": (10, 30)}, "from 1 to 29"),
        ({"cutoffs": (10, 31)}, "from 1 to 29"),
        ({"div_val": 0}, "div_val"),
        ({"div_val": 1.5}, "div_val"),
        ({"embedding_dim": 0}, "embedding_dim"),
        ({"project_same_width": None}, "project_same_width"),
        ({"cutoffs": (10, 18), "div_val": 3}, "no width.*6, 2, 0"),
    ],
)
def test_bad_settings(options, message):
    with pytest.raises(ValueError, match=message):
        AdaptiveEmbedding(30, 6, **options)
