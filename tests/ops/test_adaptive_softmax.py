import keras
import numpy as np
from keras import ops

from keras_plm.ops import Cluster, clustered_log_probs, clustered_losses

random = np.random.default_rng(0)


def clusters_of(sizes, width):
    """Clusters of these sizes, the head first."""
    rows = [sizes[0] + len(sizes) - 1, *sizes[1:]]
    tables = [random.normal(size=(size, width)).astype("float32") for size in rows]
    return [Cluster(*map(ops.convert_to_tensor, (table, table[:, 0]))) for table in tables]


def test_probabilities_sum_to_1_in_the_order_of_ids():
    rows = ops.convert_to_tensor(random.normal(size=(5, 4)).astype("float32"))
    clusters = clusters_of((3, 2, 4), 4)
    log_probs = ops.convert_to_numpy(clustered_log_probs(rows, clusters))
    np.testing.assert_allclose(np.exp(log_probs).sum(-1), 1, rtol=1e-5)
    logits = ops.convert_to_numpy(clusters[0].logits(rows))
    of_head = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    of_parts = [np.exp(log_probs[:, part]).sum(-1) for part in (slice(3, 5), slice(5, 9))]
    np.testing.assert_allclose(np.stack(of_parts, -1), of_head[:, 3:], rtol=1e-4)
    np.testing.assert_allclose(np.exp(log_probs[:, :3]), of_head[:, :3], rtol=1e-4)


def test_a_tail_is_computed_in_the_chunks_that_need_it_alone(gradient):
    """A tail that holds NaN spoils the gradients of its own chunk, and no others."""
    clusters = clusters_of((3, 2, 4), 4)
    nothing = ops.full((4, 4), float("nan"))
    clusters[2] = Cluster(nothing, nothing[:, 0])
    targets = np.array([8, 0, 2, 7, 1, 0])

    def loss(rows):
        return ops.sum(clustered_losses(rows, ops.convert_to_tensor(targets), clusters, 3))

    found = gradient(loss, random.normal(size=(6, 4)).astype("float32"))
    np.testing.assert_array_equal(np.isfinite(found).all(-1), targets < 3)


def test_no_tensor_is_as_large_as_the_vocabulary_for_all_rows():
    """Neither forward nor backward, nor what is kept in between."""
    sizes, count, chunks = (10, 400, 600), 24, 4
    clusters = clusters_of(sizes, 4)
    targets = ops.convert_to_tensor(random.integers(0, sum(sizes), count).astype("int32"))
    rows = ops.convert_to_tensor(random.normal(size=(count, 4)).astype("float32"))

    def loss(rows):
        return ops.sum(clustered_losses(rows, targets, clusters, chunks))

    largest = max(sizes_of_tensors(loss, rows))
    assert count // chunks * sizes[-1] <= largest < 2 * count // chunks * sizes[-1]


def sizes_of_tensors(function, value):
    """The sizes of all tensors of a gradient's program, in branches as well."""
    if keras.backend.backend() == "jax":
        import jax.extend

        def inside(jaxpr):
            for equation in jaxpr.eqns:
                yield from (np.prod(one.aval.shape) for one in equation.outvars)
                for inner in jax.extend.core.jaxprs_in_params(equation.params):
                    yield from inside(inner)

        return inside(jax.make_jaxpr(jax.grad(function))(value).jaxpr)
    import tensorflow as tf

    @tf.function
    def derivative(value):
        with tf.GradientTape() as tape:
            tape.watch(value)
            result = function(value)
        return tape.gradient(result, value)

    graph = derivative.get_concrete_function(value).graph
    library = [graph, *(f.graph for f in graph._functions.values() if hasattr(f, "graph"))]
    operations = [one for graph in library for one in graph.get_operations()]
    tensors = [tensor for one in operations for tensor in one.outputs]
    return [tensor.shape.num_elements() or 0 for tensor in tensors if tensor.shape.rank is not None]
