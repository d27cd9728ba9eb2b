"""The adaptive softmax against transformers' Transformer-XL, and against its formulas in numpy."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

from keras_plm.heads import AdaptiveSoftmaxHead
from keras_plm.layers import AdaptiveEmbedding

pytestmark = pytest.mark.usefixtures("quick_compilation")

FIXTURES = Path(__file__).parents[2] / "fixtures"
WIDTH, VOCABULARY, CUTOFFS = 6, 30, (10, 18)
random = np.random.default_rng(3)
ROWS = random.normal(size=(3, 7, WIDTH)).astype("float32")
MIXED = random.integers(0, VOCABULARY, (3, 7))


def made(tie_weights=True, tie_projections="all_but_first", cutoffs=CUTOFFS, dtype=None, **options):
    """A head with weights so large that scores matter."""
    options = {"div_val": 2, "cutoffs": cutoffs, **options}
    embedding = AdaptiveEmbedding(VOCABULARY, WIDTH, dtype=dtype, **options)
    head = AdaptiveSoftmaxHead(
        embedding, tie_weights=tie_weights, tie_projections=tie_projections, num_chunks=3
    )
    head.build(ROWS.shape)
    for number, weight in enumerate(head.weights):
        values = np.random.default_rng(number).normal(scale=0.7, size=weight.shape)
        weight.assign(values.astype("float32"))
    return head


def as_numpy(tensor):
    return np.array(ops.convert_to_numpy(ops.cast(tensor, "float32")))


def log_softmax(logits):
    logits = logits - logits.max(-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def by_the_formulas(head, rows):
    """Log-probabilities of all tokens, cluster by cluster, in float64."""
    arrays = {
        v.path.removeprefix(f"{head.name}/"): as_numpy(v).astype("float64") for v in head.weights
    }
    rows, found = rows.astype("float64"), []
    ends = (*head.cutoffs, head.vocabulary_size)
    for n, (start, end) in enumerate(zip((0, *ends), ends)):
        one_table = len(head.tables) == 1
        table = "" if not head.tie_weights else f"{head.token_embedding.name}/"
        suffix = "" if not head.tie_weights else "/embeddings"
        table = arrays[f"{table}table_{0 if one_table else n}{suffix}"]
        bias = arrays[f"bias_{0 if one_table else n}"]
        if one_table:
            table, bias = table[start:end], bias[start:end]
        projection = arrays.get(f"projection_{n}")
        if projection is None:
            tied = f"{head.token_embedding.name}/projection_{0 if one_table else n}/kernel"
            projection = arrays.get(tied)
        inner = rows if projection is None else rows @ projection.T
        if n == 0 and head.cutoffs:
            table = np.concatenate([table, arrays["cluster_kernel"]])
            bias = np.concatenate([bias, arrays["cluster_bias"]])
        found.append(log_softmax(inner @ table.T + bias))
    first, *tails = found
    parts = [first[..., : ends[0]]]
    parts += [first[..., ends[0] + n, None] + tail for n, tail in enumerate(tails)]
    return np.concatenate(parts, -1)


def picked(log_probs, token_ids):
    return -np.take_along_axis(log_probs, token_ids[..., None], -1)[..., 0]


def assert_near(found, expected):
    np.testing.assert_allclose(found, expected, atol=1e-5 * max(1, np.abs(expected).max()))


@pytest.fixture
def losses(jitted):
    """The losses of a head; of JAX compiled, which would compile every tail by itself."""
    compiles = jitted if keras.backend.backend() == "jax" else lambda function: function

    def losses(head):
        function = compiles(lambda rows, token_ids: head.losses_of(rows, token_ids))
        return lambda rows, token_ids: as_numpy(function(rows, token_ids))

    return losses


KINDS = {
    "narrower": {},
    "untied": {"tie_weights": False, "tie_projections": "none"},
    "all projections tied": {"tie_projections": "all"},
    "the same width as it is": {"project_same_width": False},
    "one table": {"div_val": 1},
    "one table, projected": {"div_val": 1, "embedding_dim": 4},
    "one table, untied": {"div_val": 1, "tie_weights": False},
    "one cluster": {"cutoffs": ()},
    "many clusters": {"cutoffs": (1, 2, 29), "div_val": 1},
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_formulas(kind, losses):
    """Of losses and of all log-probabilities, whichever clusters the targets are in."""
    head = made(**KINDS[kind])
    expected = by_the_formulas(head, ROWS)
    np.testing.assert_allclose(np.exp(expected).sum(-1), 1)
    assert_near(as_numpy(head.logits(ROWS)), expected)
    losses_of = losses(head)
    for token_ids in (MIXED, np.zeros_like(MIXED), np.full_like(MIXED, VOCABULARY - 1)):
        assert_near(losses_of(ROWS, token_ids), picked(expected, token_ids))


@pytest.mark.parametrize("count", [1, 3, 4])
def test_any_number_of_rows(count, losses):
    """Fewer than there are chunks, as many, and more."""
    head = made()
    rows, token_ids = ROWS[0, :count], MIXED[0, :count]
    expected = picked(by_the_formulas(head, rows), token_ids)
    assert_near(losses(head)(rows, token_ids), expected)


# === Outputs of transformers ===


def read_fixture(name):
    with np.load(FIXTURES / f"txl_{name}.npz") as file:
        arrays = dict(file)
    return arrays, json.loads(str(arrays["meta"]))


def released_head(arrays, meta):
    """A head with the weights of a fixture."""
    embedding = AdaptiveEmbedding(
        meta["vocab_size"],
        meta["d_model"],
        meta["d_embed"],
        cutoffs=meta["cutoffs"],
        div_val=meta["div_val"],
    )
    tied = meta["tie_word_embeddings"]
    head = AdaptiveSoftmaxHead(
        embedding,
        tie_weights=tied,
        tie_projections="all_but_first" if tied else "none",
        num_chunks=3,
    )
    head.build((None, None, meta["d_model"]))
    for n, table in enumerate(embedding.tables):
        table.embeddings.assign(arrays[f"w/transformer.word_emb.emb_layers.{n}.weight"])
        head.biases[n].assign(arrays[f"w/crit.out_layers.{n}.bias"])
        if not tied:
            head.own_tables[n].assign(arrays[f"w/crit.out_layers.{n}.weight"])
    for n, projection in enumerate(embedding.projections):
        if projection is not None:
            projection.kernel.assign(arrays[f"w/transformer.word_emb.emb_projs.{n}"].T)
    for n, projection in enumerate(head.own_projections):
        if projection is not None:
            projection.assign(arrays[f"w/crit.out_projs.{n}"].T)
    if head.cutoffs:
        head.cluster_kernel.assign(arrays["w/crit.cluster_weight"])
        head.cluster_bias.assign(arrays["w/crit.cluster_bias"])
    return head


RELEASED = ("plain", "div1", "div2", "div4_untied", "div1_projected")


@pytest.mark.parametrize("name", RELEASED)
def test_what_transformers_computed(name, losses):
    arrays, meta = read_fixture(name)
    head = released_head(arrays, meta)
    losses_of = losses(head)
    for number in range(3):
        embedded = head.token_embedding(arrays[f"token_ids_{number}"])
        assert_near(as_numpy(embedded), arrays[f"zero/hidden_{number}_0"])
        rows, targets = arrays[f"zero/hidden_{number}_3"], arrays[f"targets_{number}"]
        assert_near(losses_of(rows, targets), arrays[f"zero/nll_{number}"])
        assert_near(as_numpy(head.logits(rows)), arrays[f"zero/log_probs_{number}"])


def gradients(head, weights, rows, token_ids, jit):
    """Of the mean loss, by the weights; on either backend."""
    if keras.backend.backend() == "jax":
        import jax

        def loss(values):
            with keras.StatelessScope(list(zip(weights, values))):
                return ops.mean(head.losses_of(rows, token_ids))

        derivative = jax.grad(loss)
        found = (jax.jit(derivative) if jit else derivative)([one.value for one in weights])
    else:
        import tensorflow as tf

        def derivative(rows, token_ids):
            with tf.GradientTape() as tape:
                loss = ops.mean(head.losses_of(rows, token_ids))
            found = tape.gradient(loss, [one.value for one in weights])
            return [tf.convert_to_tensor(one) for one in found]

        if jit:
            derivative = tf.function(derivative, jit_compile=True)
        found = derivative(ops.convert_to_tensor(rows), ops.convert_to_tensor(token_ids))
    return [as_numpy(one) for one in found]


@pytest.mark.slow
@pytest.mark.parametrize("jit", [False, True], ids=["eager", "jit"])
def test_gradients_of_transformers(jit):
    """Of the weights that the softmax alone has."""
    arrays, meta = read_fixture("div2")
    head = released_head(arrays, meta)
    weights = [head.cluster_kernel, head.cluster_bias, head.own_projections[0], *head.biases]
    names = ["cluster_weight", "cluster_bias", "out_projs.0"]
    names += [f"out_layers.{n}.bias" for n in range(3)]
    found = gradients(head, weights, arrays["zero/hidden_1_3"], arrays["targets_1"], jit)
    for name, one in zip(names, found):
        expected = arrays[f"grad/crit.{name}"]
        assert_near(one.T if name == "out_projs.0" else one, expected)


# === In a model ===


def test_the_loss_and_the_perplexity_are_means_by_weight():
    """A weight of 0 is padding, whatever its target."""
    head = made()
    log_probs = by_the_formulas(head, ROWS)
    weights = random.integers(0, 3, MIXED.shape).astype("float32")
    weights[1] = 0
    mean = (picked(log_probs, MIXED) * weights).sum() / weights.sum()
    other = np.where(weights > 0, MIXED, VOCABULARY - 1)
    for token_ids in (MIXED, other):
        head.perplexity.reset_state()
        loss = head.loss(token_ids, head(ROWS), weights)
        assert float(loss) == pytest.approx(mean, rel=1e-5)
        assert float(head.perplexity.result()) == pytest.approx(np.exp(mean), rel=1e-5)
    head.loss(MIXED[:1, :2], ROWS[:1, :2])  # all weights are 1, and there are fewer targets
    losses = picked(log_probs, MIXED)
    mean = ((losses * weights).sum() + losses[0, :2].sum()) / (weights.sum() + 2)
    assert float(head.perplexity.result()) == pytest.approx(np.exp(mean), rel=1e-5)
    by_example = head.loss(MIXED, ROWS, np.array([1.0, 0.0, 3.0], "float32"))
    expected = (losses[0].mean() + 3 * losses[2].mean()) / 4
    assert float(by_example) == pytest.approx(expected, rel=1e-5)


def test_an_implicit_mask_leaves_targets_out():
    head = made()
    ids = np.array([[1, 2, 0], [3, 0, 0], [4, 5, 6]])
    rows = keras.layers.Embedding(7, WIDTH, mask_zero=True)(ids)
    losses = picked(by_the_formulas(head, as_numpy(rows)), MIXED[:, :3])
    assert float(head.loss(MIXED[:, :3], head(rows))) == pytest.approx(
        losses[ids > 0].mean(), rel=1e-5
    )


def test_softmax_in_float32_under_mixed_precision():
    """Logits are of bfloat16 matrices; probabilities sum to 1 as float32 does."""
    head = made(dtype="mixed_bfloat16")
    assert keras.backend.standardize_dtype(head(ROWS).dtype) == "bfloat16"
    log_probs = head.logits(ROWS)
    losses = head.losses_of(ROWS, MIXED)
    for one in (log_probs, losses):
        assert keras.backend.standardize_dtype(one.dtype) == "float32"
    np.testing.assert_allclose(np.exp(as_numpy(log_probs)).sum(-1), 1, rtol=1e-5)
    near = 0.2  # how a compiler rounds between products is its own affair
    np.testing.assert_allclose(as_numpy(losses), picked(as_numpy(log_probs), MIXED), atol=near)
    assert np.abs(as_numpy(log_probs) - by_the_formulas(head, ROWS)).max() < near


def test_weights_are_shared_or_the_heads_own():
    def own(**options):
        head = made(**options)
        shared = {id(weight) for weight in head.token_embedding.weights}
        return {v.path.split("/")[-1] for v in head.weights if id(v) not in shared}

    always = {"cluster_kernel", "cluster_bias", "bias_0", "bias_1", "bias_2"}
    assert own() == always | {"projection_0"}
    assert own(tie_projections="all") == always
    tables = {"table_0", "table_1", "table_2"}
    projections = {"projection_0", "projection_1", "projection_2"}
    assert own(tie_weights=False, tie_projections="none") == always | tables | projections
    assert own(div_val=1) == {"cluster_kernel", "cluster_bias", "bias_0"}
    assert own(cutoffs=()) == {"bias_0", "projection_0"}


def test_quantized_and_adapted_tables_are_read_as_they_are():
    head = made(tie_projections="all")
    embedding = head.token_embedding
    embedding.tables[1].enable_lora(2)
    embedding.tables[1].lora_embeddings_b.assign(np.ones((2, 3), "float32"))
    table = as_numpy(embedding.tables[1](np.arange(8)))
    for layer in (embedding.tables[0], embedding.projections[2]):
        layer.quantize("int8")
    kernel = as_numpy(embedding.projections[2](np.eye(1, dtype="float32")))
    clusters = head._clusters()
    np.testing.assert_allclose(as_numpy(clusters[1].table), table, atol=1e-6)
    quantized = as_numpy(embedding.tables[0](np.arange(10)))
    np.testing.assert_allclose(as_numpy(clusters[0].table)[:10], quantized, atol=1e-6)
    np.testing.assert_allclose(as_numpy(clusters[2].projection), kernel, atol=1e-6)


def test_over_the_table_of_any_backbone():
    table = keras.layers.ReversibleEmbedding(VOCABULARY, WIDTH, embeddings_initializer="normal")
    head = AdaptiveSoftmaxHead(table, cutoffs=[10, 18])
    head.build(ROWS.shape)
    embeddings = as_numpy(table.embeddings)
    kernel = as_numpy(head.cluster_kernel)
    logits = ROWS @ np.concatenate([embeddings[:10], kernel]).T
    tail = log_softmax(ROWS @ embeddings[18:].T)
    expected = log_softmax(logits)[..., 11, None] + tail
    assert_near(as_numpy(head.logits(ROWS))[..., 18:], expected)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"cutoffs": (18, 10)}, "ascending"),
        ({"cutoffs": (10, 10)}, "ascending"),
        ({"cutoffs": (10, VOCABULARY)}, "from 1 to 29"),
        ({"cutoffs": (0, 10)}, "from 1 to 29"),
        ({"cutoffs": 10}, "a list of"),
        ({"cutoffs": (1.5,)}, "integers"),
        ({"tie_projections": "some"}, "tie_projections"),
        ({"tie_weights": 1}, "tie_weights"),
        ({"num_chunks": 0}, "num_chunks"),
    ],
)
def test_bad_settings(options, message):
    table = keras.layers.ReversibleEmbedding(VOCABULARY, WIDTH)
    with pytest.raises(ValueError, match=message):
        AdaptiveSoftmaxHead(table, **options)


def test_cutoffs_are_given_once():
    embedding = AdaptiveEmbedding(VOCABULARY, WIDTH, cutoffs=CUTOFFS)
    with pytest.raises(ValueError, match="those of the `AdaptiveEmbedding`"):
        AdaptiveSoftmaxHead(embedding, cutoffs=CUTOFFS)
