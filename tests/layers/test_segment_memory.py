import keras
import numpy as np
import pytest
from keras import ops

from keras_plm.layers import SegmentMemory, UpdateSegmentMemory

LAYERS, LENGTH, WIDTH = 2, 3, 4
SHAPE = (2, LAYERS, LENGTH, WIDTH)
CONTINUES, FRESH = np.array([False, False]), np.array([True, True])


def made(**options):
    return SegmentMemory(LAYERS, LENGTH, WIDTH, **options)


def written(value, training=True):
    """A memory of two rows whose state is a constant."""
    memory = made()
    memory.resize(2, training)
    UpdateSegmentMemory(memory)(np.zeros(2), np.full(SHAPE, value, "float32"), training=training)
    return memory


def test_fresh_rows_are_zero():
    memory = written(3.0)
    rows = ops.convert_to_numpy(memory(np.array([False, True]), training=True))
    assert rows.shape == SHAPE and (rows[0] == 3).all() and not rows[1].any()
    again = ops.convert_to_numpy(memory(CONTINUES, training=True))
    assert (again == 3).all()  # reading changes nothing


def test_two_states():
    memory = written(3.0, training=True)
    memory.resize(1, training=False)  # evaluation may have another batch size
    assert not ops.convert_to_numpy(memory(np.array([False]), training=False)).any()
    UpdateSegmentMemory(memory)(np.zeros(1), np.ones((1, *SHAPE[1:])), training=False)
    assert (ops.convert_to_numpy(memory(np.array([False]), training=False)) == 1).all()
    assert (ops.convert_to_numpy(memory(CONTINUES, training=True)) == 3).all()


def test_no_gradient_flows_into_the_memory(gradient):
    memory = written(3.0)

    def total(value):
        with keras.StatelessScope(state_mapping=[(memory.training_state, value)]):
            return ops.sum(memory(CONTINUES, training=True) ** 2)

    assert not gradient(total, np.ones(SHAPE)).any()


def test_no_gradient_flows_through_the_update(gradient):
    memory = written(0.0)

    def total(value):
        with keras.StatelessScope():
            UpdateSegmentMemory(memory)(np.zeros(2), value, training=True)
            return ops.sum(memory.training_state * 1.0)

    assert not gradient(total, np.ones(SHAPE)).any()


def test_resize():
    memory = made()
    assert memory.resize(2, training=True) and not memory.resize(2, training=True)
    for rows in (1, 3):
        with pytest.raises(ValueError, match=f"training.* 2 rows.* {rows} rows.*forget"):
            memory.resize(rows, training=True)
    memory.forget()
    assert memory.state(True) is None and not memory.weights
    assert memory.resize(3, training=True)
    assert [tuple(weight.shape) for weight in memory.weights] == [(3, LAYERS, LENGTH, WIDTH)]


def test_states_are_not_trainable_and_take_the_compute_dtype():
    memory = made(dtype="mixed_bfloat16")
    memory.resize(2, training=True)
    assert not memory.trainable_weights
    assert memory.training_state.dtype == "bfloat16"
    assert keras.backend.standardize_dtype(memory(FRESH, training=True).dtype) == "bfloat16"


def test_no_state_yet():
    with pytest.raises(ValueError, match="no state yet.*resize"):
        made()(FRESH, training=True)
    memory = written(1.0, training=True)
    with pytest.raises(ValueError, match="no state yet"):
        memory(FRESH, training=False)
    with pytest.raises(ValueError, match="no state yet"):
        UpdateSegmentMemory(memory)(np.zeros(2), np.zeros(SHAPE), training=False)


@pytest.mark.parametrize("rows", [1, 3])
def test_another_batch_size(rows):
    memory = written(1.0)
    with pytest.raises(ValueError, match=f"2 rows.*batch of {rows} rows"):
        memory(np.array([True] * rows), training=True)
    with pytest.raises(ValueError, match=f"2 rows.*batch of {rows} rows"):
        UpdateSegmentMemory(memory)(np.zeros(rows), np.zeros((rows, *SHAPE[1:])), training=True)
    assert (ops.convert_to_numpy(memory(CONTINUES, training=True)) == 1).all()


def model_with_memory(batch_size=2):
    """Counts: the output is the memory's first number plus the input; the memory grows by it."""
    step = keras.Input((1,), name="step")
    fresh = keras.Input((), dtype="bool", name="fresh")
    memory = made(name="memory")
    before = memory(fresh)
    total = before[:, 0, 0, :1] + step
    # A product, since Keras's symbolic sum takes (B, 1, 1, 1) for a bias where L = B.
    new = before + ops.ones_like(before) * total[:, :, None, None]
    total = UpdateSegmentMemory(memory, name="update")(total, new)
    model = keras.Model([step, fresh], keras.layers.Dense(1, kernel_initializer="ones")(total))
    for training in (True, False):
        memory.resize(batch_size, training)
    return model


@pytest.mark.parametrize("jit", [False, True])
def test_is_carried_from_batch_to_batch(jit):
    model = model_with_memory()
    model.compile(loss="mse", optimizer="sgd", jit_compile=jit)
    steps = np.ones((8, 1), "float32")
    fresh = np.array([True, True, False, False, False, True, False, False])
    outputs = model.predict([steps, fresh], batch_size=2, verbose=0)[:, 0]
    # Both rows start, both go on (1 + 1, the sum of what came before, ...), the second starts anew.
    np.testing.assert_allclose(outputs, [1, 1, 2, 2, 4, 1, 8, 2])


@pytest.mark.parametrize("jit", [False, True])
def test_training_and_validation_inside_fit(jit):
    model = model_with_memory()
    model.compile(loss="mse", optimizer=keras.optimizers.SGD(0.0), jit_compile=jit)
    steps, goal = np.ones((6, 1), "float32"), np.zeros((6, 1), "float32")
    fresh = np.array([True, True, False, False, False, False])
    held_out = ([steps[:2], np.array([False, False])], goal[:2])
    for epochs in (1, 2):  # fresh at its start: an epoch forgets the one before
        history = model.fit(
            [steps, fresh],
            goal,
            batch_size=2,
            epochs=epochs,
            shuffle=False,
            validation_data=held_out,
            validation_batch_size=2,
            verbose=0,
        )
    np.testing.assert_allclose(history.history["loss"], [(1 + 4 + 16) / 3] * 2)
    # The evaluation state goes on over three validations: 1, 2, 4.
    np.testing.assert_allclose(history.history["val_loss"], [4.0, 16.0])
    memory = model.get_layer("memory")
    assert (ops.convert_to_numpy(memory.training_state) == 7).all()
    assert (ops.convert_to_numpy(memory.evaluation_state) == 7).all()


def test_states_are_saved_with_nothing(tmp_path):
    import h5py

    model = model_with_memory()
    model([np.ones((2, 1)), FRESH])
    model.save_weights(tmp_path / "model.weights.h5")
    arrays = []
    with h5py.File(tmp_path / "model.weights.h5") as file:
        file.visititems(lambda name, value: arrays.append(name) if hasattr(value, "shape") else 0)
    assert not [name for name in arrays if "memory" in name or "update" in name]

    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    memory = again.get_layer("memory")
    assert again.get_layer("update").memory is memory and memory.state(True) is None
    memory.resize(4, training=False)
    outputs = again.predict([np.ones((4, 1)), np.array([False] * 4)], batch_size=4, verbose=0)
    np.testing.assert_allclose(outputs[:, 0], 1)
