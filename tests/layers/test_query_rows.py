import keras
import numpy as np
from keras import ops

from keras_plm.layers import QueryRows, TokenAndQueryEmbedding


def test_every_row_is_the_query_vector():
    embedding = TokenAndQueryEmbedding(10, 4)
    rows = ops.convert_to_numpy(QueryRows(embedding)(np.array([[0, 2, 2], [1, 0, 0]])))
    vector = ops.convert_to_numpy(embedding.query_vector)
    np.testing.assert_array_equal(rows, np.broadcast_to(vector, (2, 3, 4)))


def test_takes_the_dtype_of_the_embedding():
    embedding = TokenAndQueryEmbedding(10, 4, dtype="mixed_bfloat16")
    rows = QueryRows(embedding)(np.array([[0]]))
    assert keras.backend.standardize_dtype(rows.dtype) == "bfloat16"


def test_gradient_reaches_the_vector(gradient):
    embedding = TokenAndQueryEmbedding(10, 4)
    embedding.build((None, None))

    def total(vector):
        with keras.StatelessScope(state_mapping=[(embedding.query_vector, vector)]):
            return ops.sum(QueryRows(embedding)(np.array([[0, 2, 2]])))

    np.testing.assert_array_equal(gradient(total, np.ones(4)), [3, 3, 3, 3])


def test_shares_its_embedding_with_the_model_after_reload(tmp_path):
    token_ids = keras.Input((None,), dtype="int32")
    targets = keras.Input((None,), dtype="int32")
    embedding = TokenAndQueryEmbedding(10, 4)
    model = keras.Model([token_ids, targets], [embedding(token_ids), QueryRows(embedding)(targets)])
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert len(again.weights) == len(model.weights) == 2
    inputs = [np.array([[1, 2, 3]]), np.array([[0, 1]])]
    for before, after in zip(model(inputs), again(inputs)):
        np.testing.assert_array_equal(ops.convert_to_numpy(before), ops.convert_to_numpy(after))


def test_from_config_leaves_the_config_as_it_is():
    config = QueryRows(TokenAndQueryEmbedding(10, 4)).get_config()
    copy = dict(config)
    QueryRows.from_config(config)
    assert config == copy
