"""Functions that are chosen while a program runs, on both backends."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_plm.ops import run_branch, run_loss_branch


@pytest.mark.parametrize("jit", [False, True])
def test_gradients_are_those_of_the_one_that_runs(jit, value_and_gradients):
    weight, other = keras.Variable([2.0, 3.0]), keras.Variable([5.0])

    def run(number):
        branches = [lambda: ops.sum(weight * weight), lambda: ops.sum(other * 3.0)]
        value = run_branch(number, branches, [], [weight, other])
        return value + 0.0 * (ops.sum(weight) + ops.sum(other))  # all have a gradient

    for number, value, gradients in ((0, 13.0, ([4, 6], [0])), (1, 15.0, ([0, 0], [3]))):
        found, by_weight = value_and_gradients(lambda: run(number), [weight, other], jit)
        assert found == value
        for one, expected in zip((weight, other), gradients):
            np.testing.assert_allclose(by_weight[one.path], expected)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="of TensorFlow alone")
def test_tensorflow_has_conditions_and_no_switch():
    """XLA seeks what the branches of a switch read among constants, for hours."""
    import tensorflow as tf

    variable = keras.Variable(1.0)
    branches = [lambda: 1.0 * variable, lambda: 2.0 * variable, lambda: 3.0 * variable]
    for run in (run_branch, run_loss_branch):
        program = tf.function(lambda number, run=run: run(number, branches, []))
        graph = program.get_concrete_function(tf.TensorSpec((), "int32")).graph
        kinds = {operation.type for operation in graph.get_operations()}
        assert kinds & {"If", "StatelessIf"} and not kinds & {"Case", "StatelessCase"}
        assert [float(program(tf.constant(number))) for number in range(3)] == [1.0, 2.0, 3.0]


def test_what_is_assigned_stays(jitted):
    """As in a step of training: of a variable of which values are handed in and out."""
    count = keras.Variable(1.0, trainable=False)

    def counted():
        count.assign(count + 4.0)
        return 1.0 * count

    def run(number, before):
        with keras.StatelessScope([(count, before)]) as scope:
            value = run_branch(number, [lambda: 2.0 * count, counted], [count])
        return value, scope.get_current_value(count)

    if keras.backend.backend() == "jax":
        found = [jitted(run)(number, 1.0) for number in (0, 1)]
        assert [(float(value), float(after)) for value, after in found] == [(2, 1), (5, 5)]
        return
    program = jitted(lambda number: run_branch(number, [lambda: 2.0 * count, counted], [count]))
    for number, value, after in ((0, 2.0, 1.0), (1, 5.0, 5.0)):
        assert float(program(ops.convert_to_tensor(number))) == value
        assert float(count) == after


def test_the_way_of_jax_is_the_same_anywhere(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    count, other = keras.Variable(1.0, trainable=False), keras.Variable(7.0)

    def counted():
        count.assign(count + other)
        return 1.0 * count

    for number, value, after in ((0, 2.0, 1.0), (1, 8.0, 8.0)):
        found = run_branch(number, [lambda: 2.0 * count, counted], [count], [other])
        assert (float(found), float(count), float(other)) == (value, after, 7.0)


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("scale", [None, 8.0])
def test_losses_have_their_gradients_through_tensors_and_variables(jit, scale, value_and_gradients):
    """Of lengths that TensorFlow does not know, and with an operation that XLA gives a shape."""
    below, shared, own = (keras.Variable(one) for one in ([[1.0, 2.0]], [3.0, 4.0], [5.0]))
    calls = keras.Variable(0, trainable=False)

    def run(number):
        rows = ops.broadcast_to(below * 2.0, (3, 2))  # what a backbone gives
        index = ops.zeros((ops.shape(rows)[0], 1), "int32")

        def first():
            return ops.sum(ops.take_along_axis(rows * shared, index, axis=1))

        def second():
            calls.assign_add(1)
            return ops.mean(ops.tile(rows, (ops.shape(rows)[0], 1)) * shared) * own[0]

        loss = run_loss_branch(
            number,
            [first, second, lambda: ops.zeros(())],
            [calls],
            [below, shared, own],
            None if scale is None else ops.convert_to_tensor(scale),
        )
        loss = loss * (scale or 1.0)
        return loss + 0.0 * sum(ops.sum(one) for one in (below, shared, own))

    cases = (
        (18.0, ([[18.0, 0.0]], [6.0, 0.0], [0.0])),
        (55.0, ([[15.0, 20.0]], [5.0, 10.0], [11.0])),
        (0.0, ([[0.0, 0.0]], [0.0, 0.0], [0.0])),
    )
    for number, (value, gradients) in enumerate(cases):
        found, by_weight = value_and_gradients(lambda: run(number), [below, shared, own], jit)
        np.testing.assert_allclose(found, value * (scale or 1.0), rtol=1e-6)
        for one, expected in zip((below, shared, own), gradients):
            np.testing.assert_allclose(
                by_weight[one.path], np.array(expected) * (scale or 1.0), atol=1e-5
            )
    if keras.backend.backend() == "tensorflow":
        assert int(calls) == 1


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="of TensorFlow alone")
@pytest.mark.parametrize("scale", [1.0, 2.0**15])
def test_gradients_of_half_precision_are_scaled_within_the_branch(scale):
    """In a graph; the gradient of what is read in float16 is 2e-8, which float16 has not."""
    import tensorflow as tf

    below = keras.Variable([1.0, 3.0])

    @tf.function
    def gradient(number):
        with tf.GradientTape() as tape:
            rows = ops.cast(below, "float16")
            branches = [
                lambda: ops.sum(ops.cast(rows, "float32") ** 2 * 1e-8),
                lambda: ops.zeros(()),
            ]
            loss = run_loss_branch(number, branches, [], [], ops.convert_to_tensor(scale))
            loss = loss * scale
        return tape.gradient(loss, below.value) / scale

    expected = [2e-8, 6e-8] if scale > 1 else [0, 6e-8]
    np.testing.assert_allclose(gradient(tf.constant(0)), expected, rtol=0.02)
    np.testing.assert_array_equal(gradient(tf.constant(1)), [0, 0])


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="of TensorFlow alone")
def test_a_strategy_has_the_gradients_of_tensorflow():
    import tensorflow as tf

    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with strategy.scope():
        weight = tf.Variable([1.0, 2.0])

    @tf.function
    def gradient(number):
        def step():
            with tf.GradientTape() as tape:
                branches = [lambda: tf.reduce_sum(weight * weight), lambda: tf.zeros(())]
                loss = run_loss_branch(number, branches, [])
            return tape.gradient(loss, weight)

        return strategy.run(step)

    np.testing.assert_array_equal(gradient(tf.constant(0)), [2.0, 4.0])
