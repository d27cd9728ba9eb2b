import numpy as np
from keras import ops

from keras_plm.layers import TokenAndQueryEmbedding


def made(**options):
    embedding = TokenAndQueryEmbedding(10, 4, **options)
    embedding.build((None, None))
    return embedding


def test_looks_up_rows():
    embedding = made()
    table = ops.convert_to_numpy(embedding.token_embedding.embeddings)
    result = ops.convert_to_numpy(embedding(np.array([[3, 9, 3]])))
    np.testing.assert_array_equal(result[0], table[[3, 9, 3]])


def test_query_vector_starts_frozen_and_random():
    embedding = made(embeddings_initializer="random_normal")
    assert not embedding.query_vector.trainable
    assert [weight.path for weight in embedding.trainable_weights] == [
        embedding.token_embedding.embeddings.path
    ]
    vector = ops.convert_to_numpy(embedding.query_vector)
    assert vector.std() > 0
    assert not np.allclose(vector, ops.convert_to_numpy(embedding.token_embedding.embeddings)[0])


def test_query_vector_can_be_set_free():
    embedding = made()
    embedding.train_query_vector(True)
    assert len(embedding.trainable_weights) == 2
    embedding.trainable = False
    assert not embedding.trainable_weights and not embedding.query_vector.trainable
    embedding.trainable = True
    assert len(embedding.trainable_weights) == 2
    embedding.train_query_vector(False)
    assert len(embedding.trainable_weights) == 1


def test_query_vector_stays_frozen_when_the_layer_is_set_free():
    embedding = made()
    for trainable in (True, False, True):
        embedding.trainable = trainable
        assert not embedding.query_vector.trainable
    assert embedding.token_embedding.trainable
    again = TokenAndQueryEmbedding.from_config({**embedding.get_config(), "trainable": True})
    again.build((None, None))
    assert len(again.trainable_weights) == 1


def test_output_matrix_is_the_table():
    embedding = made()
    rows = np.random.default_rng(0).normal(size=(1, 2, 4)).astype("float32")
    logits = ops.convert_to_numpy(embedding.token_embedding(rows, reverse=True))
    table = ops.convert_to_numpy(embedding.token_embedding.embeddings)
    np.testing.assert_allclose(logits, rows @ table.T, atol=1e-6)
