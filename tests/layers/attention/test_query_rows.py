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
