import keras
import numpy as np
import pytest
from keras import ops

from keras_plm.tasks import TextClassifier
from keras_plm.tasks.optimizers.adam_weight_decay import AdamWeightDecay
from keras_plm.tasks.optimizers.dense_gradients import dense_gradients
from keras_plm.tasks.optimizers.grouped_optimizer import GroupedOptimizer

IDS = np.array([[1, 1, 2, 1], [3, 1, 2, 2]])  # in a batch 1 comes four times, 2 three, 3 once


def made_model():
    inputs = keras.Input((4,), dtype="int32")
    table = keras.layers.Embedding(5, 3, name="table")
    return keras.Model(inputs, table(inputs))


def ours(**options):
    return AdamWeightDecay(0.01, weight_decay=0.0, epsilon=1e-20, **options)


OPTIMIZERS = {
    "ours": ours,
    "of groups": lambda **options: GroupedOptimizer(
        keras.optimizers.Adam(0.01, epsilon=1e-20, **options), [["table/embeddings"]]
    ),
    "scaled": lambda **options: keras.optimizers.LossScaleOptimizer(ours(**options), 2.0),
}


COMPILATIONS = {
    "graph": {"jit_compile": False},
    "eager": {"run_eagerly": True},
    "xla": {"jit_compile": True},
}


@pytest.mark.parametrize("compilation", COMPILATIONS.values(), ids=COMPILATIONS)
@pytest.mark.parametrize("make_optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_a_row_that_is_read_often_has_one_gradient(make_optimizer, compilation):
    """In a first step Adam moves each weight by its rate, however large the gradient is."""
    model = made_model()
    model.compile(make_optimizer(), "mse", **compilation)
    before = np.array(ops.convert_to_numpy(model.weights[0]))
    y = np.random.default_rng(0).normal(size=(2, 4, 3)).astype("float32")
    model.train_on_batch(IDS, y)
    moved = np.abs(ops.convert_to_numpy(model.weights[0]) - before)
    np.testing.assert_allclose(moved, 0.01 * np.array([[0], [1], [1], [1], [0]]) + 0 * moved, 1e-3)


@pytest.mark.parametrize("skip_non_finite", [None, 10])
def test_the_norm_is_that_of_sums(make_transformer, quick, skip_non_finite):
    """Any optimizer in a task: a gradient that is clipped to a norm has that norm."""
    model = TextClassifier(make_transformer(10), 2)
    norm = 1e-3
    optimizer = keras.optimizers.SGD(1.0, global_clipnorm=norm)
    model.compile(optimizer, skip_non_finite=skip_non_finite, **quick)
    before = [np.array(ops.convert_to_numpy(one)) for one in model.trainable_variables]
    x = {"token_ids": 3 + IDS, "padding_mask": IDS > 0, "segment_ids": IDS // 3}
    model.train_on_batch(x, np.array([0, 1]))
    after = [ops.convert_to_numpy(one) for one in model.trainable_variables]
    squares = sum(np.square(one - other).sum() for one, other in zip(after, before))
    assert np.sqrt(squares) == pytest.approx(norm, rel=1e-2)
    assert "apply_gradients" not in vars(optimizer)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="gradients of TensorFlow")
def test_rows_of_a_table_are_summed():
    import tensorflow as tf

    rows = tf.IndexedSlices(tf.constant([[1.0], [2.0], [4.0]]), tf.constant([2, 0, 2]), (3, 1))
    plain = tf.constant([1.0])
    found = dense_gradients([rows, None, plain])
    np.testing.assert_array_equal(found[0], [[2.0], [0.0], [5.0]])
    assert found[1] is None and found[2] is plain
