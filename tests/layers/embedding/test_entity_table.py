import keras
import numpy as np
import pytest
from keras import ops

from keras_plm.checkpoints.formats.h5_arrays import describe_weights_file
from keras_plm.layers import EntityTable

VECTORS = np.array([[0, 0], [1, 2], [3, -4]], "float32")


def made():
    table = EntityTable(2, 2)
    table.give(VECTORS)
    return table


def test_rows_of_the_table():
    table = made()
    found = ops.convert_to_numpy(table(np.array([[2, 0, 1]])))
    np.testing.assert_array_equal(found, [[[3, -4], [0, 0], [1, 2]]])
    found = ops.convert_to_numpy(table(np.array(1)))
    np.testing.assert_array_equal(found, [1, 2])


def test_it_is_never_trained():
    table = made()
    assert table.trainable_weights == [] and len(table.weights) == 1
    table.trainable = True
    assert table.trainable_weights == []


def test_without_entities_there_is_no_weight_and_all_vectors_are_zero():
    table = EntityTable(0, 3)
    found = ops.convert_to_numpy(table(np.array([[0, 0]])))
    np.testing.assert_array_equal(found, np.zeros((1, 2, 3)))
    assert found.dtype == "float32" and not table.weights
    table.give(np.zeros((1, 3)))


def test_files_of_models_leave_it_out(tmp_path):
    ids = keras.Input((None,), dtype="int32")
    model = keras.Model(ids, keras.layers.Dense(3)(made()(ids)))
    model.save_weights(tmp_path / "model.weights.h5")
    shapes = {shape for shape, _ in describe_weights_file(tmp_path / "model.weights.h5").values()}
    assert shapes == {(2, 3), (3,)}
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    table, dense = again.layers[1:]
    assert not ops.convert_to_numpy(table.vectors).any()
    table.give(VECTORS)
    given = np.array([[1, 2, 0]])
    expected = ops.convert_to_numpy(model(given))
    np.testing.assert_array_equal(ops.convert_to_numpy(again(given)), expected)
    dense.kernel.assign(0 * dense.kernel)
    again.load_weights(tmp_path / "model.weights.h5")  # and leave it as it is
    np.testing.assert_array_equal(ops.convert_to_numpy(again(given)), expected)


@pytest.mark.parametrize(
    "vectors, message",
    [
        (VECTORS[:2], r"\(N \+ 1, E\) = \(3, 2\).*\(2, 2\).*num_entities=1, entity_dim=2"),
        (VECTORS[:, :1], r"= \(3, 2\): row 0"),
        (VECTORS[::-1], "Row 0 of `entity_vectors` must be zero"),
        (np.where(VECTORS == 2, np.inf, VECTORS), "must be finite. Received: row 1"),
        (np.full((3, 2), 1e39), "must be finite. Received: row 0"),
        ([[0, 0], [1]], "rectangular"),
    ],
)
def test_bad_vectors(vectors, message):
    table = made()
    with pytest.raises(ValueError, match=message):
        table.give(vectors)
    np.testing.assert_array_equal(ops.convert_to_numpy(table.vectors), VECTORS)


def test_bad_sizes():
    with pytest.raises(ValueError, match="`num_entities` must be an integer of at least 0"):
        EntityTable(-1, 2)
    with pytest.raises(ValueError, match="`entity_dim` must be an integer of at least 1"):
        EntityTable(1, 0)
