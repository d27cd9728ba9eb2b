"""The two streams against a slow computation, formula by formula, in double precision.

The released code's own numbers are those of tests/backbones/test_knowledge.py.
"""

import math

import keras
import numpy as np
import pytest
from keras import ops

from keras_plm.layers import KnowledgeFusionBlock

random = np.random.default_rng(0)
CONTENT, ENTITIES = (random.normal(size=(4, 5, width)).astype("float32") for width in (8, 6))
HAS_ENTITY = np.array([[1, 0, 1, 0, 0], [1, 0, 0, 0, 0], [1, 1, 1, 1, 1], [0, 0, 0, 1, 0]], bool)
REAL = np.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 1, 1, 1, 0], [1, 1, 1, 1, 1]], bool)
large = keras.initializers.RandomNormal(stddev=0.7)


def made(**options):
    block = KnowledgeFusionBlock(2, 4, 12, 6, 3, kernel_initializer=large, **options)
    block.build(CONTENT.shape, ENTITIES.shape)
    for weight in block.weights:
        if weight.name in ("bias", "beta"):
            weight.assign(random.normal(size=weight.shape))
    return block


def numbers(tensor):
    return np.asarray(ops.convert_to_numpy(tensor), "float64")


def dense(layer, rows):
    return rows @ numbers(layer.kernel) + numbers(layer.bias)


def norm(layer, rows):
    centred = rows - rows.mean(axis=-1, keepdims=True)
    scale = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + layer.epsilon)
    return centred / scale * numbers(layer.gamma) + numbers(layer.beta)


def attended(layer, rows, keys):
    """Rows of one example read those of them that are keys."""

    def heads(projection):
        return np.einsum("td,dhk->thk", rows, numbers(projection.kernel)) + numbers(projection.bias)

    query, key, value = map(heads, (layer.query, layer.key, layer.value))
    scores = np.einsum("rhk,shk->hrs", query, key) / math.sqrt(query.shape[-1])
    scores = np.where(keys[None], scores, -np.inf)
    shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
    shares /= shares.sum(axis=-1, keepdims=True)
    read = np.einsum("hrs,shk->rhk", shares, value)
    output = layer.attention_output
    return np.einsum("rhk,hkd->rd", read, numbers(output.kernel)) + numbers(output.bias)


def gelu(x):
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


@pytest.mark.parametrize("entity_attention", [True, False])
def test_formulas(entity_attention):
    block = made(entity_attention=entity_attention)
    visible = np.repeat(REAL[:, None], 5, axis=1)
    visible[2, 1, 3] = False  # of one row alone
    tokens, entities = block(CONTENT, ENTITIES, HAS_ENTITY, visible)
    for example in range(4):
        w, e = CONTENT[example].astype("float64"), ENTITIES[example].astype("float64")
        m = HAS_ENTITY[example]
        a = norm(block.attention_norm, w + attended(block.attention, w, visible[example]))
        b = e
        if entity_attention:
            read = attended(block.entity_attention, e, np.repeat(m[None], 5, axis=0))
            b = norm(block.entity_attention_norm, e + read)
        b = b * m[:, None]
        h = gelu(dense(block.intermediate, a) + dense(block.entity_intermediate, b))
        w = norm(block.feedforward_norm, a + dense(block.feedforward_output, h))
        e = norm(block.entity_norm, b + dense(block.entity_output, h))
        np.testing.assert_allclose(numbers(tokens)[example], w, rtol=0, atol=2e-5)
        np.testing.assert_allclose(numbers(entities)[example], e, rtol=0, atol=2e-5)


def test_entities_of_tokens_without_one_are_not_read():
    block = made()
    other = np.where(HAS_ENTITY[..., None], ENTITIES, 9 * ENTITIES)
    for one, two in zip(block(CONTENT, ENTITIES, HAS_ENTITY), block(CONTENT, other, HAS_ENTITY)):
        np.testing.assert_array_equal(numbers(one), numbers(two))


def test_without_a_mask_all_have_entities():
    block = made()
    every = np.ones((4, 5), bool)
    for one, two in zip(block(CONTENT, ENTITIES), block(CONTENT, ENTITIES, every)):
        np.testing.assert_allclose(numbers(one), numbers(two), rtol=0, atol=1e-6)


def test_no_entity_at_all_is_finite():
    for one in made()(CONTENT, ENTITIES, np.zeros((4, 5), bool)):
        assert np.isfinite(numbers(one)).all()


def test_dropout_is_that_of_training_alone():
    block = made(dropout=0.5, attention_dropout=0.5)
    given = CONTENT, ENTITIES, HAS_ENTITY
    for one, two in zip(block(*given), block(*given)):
        np.testing.assert_array_equal(numbers(one), numbers(two))
    for one, two in zip(block(*given, training=True), block(*given)):
        assert (np.abs(numbers(one) - numbers(two)) > 1e-3).mean() > 0.5


def test_refuses():
    with pytest.raises(ValueError, match="multiple of `entity_heads`. Received: entity_dim=6"):
        KnowledgeFusionBlock(2, 4, 12, 6, 4)
    with pytest.raises(ValueError, match="entities of the width 6, its `entity_dim`"):
        KnowledgeFusionBlock(2, 4, 12, 6, 3)(CONTENT, CONTENT)
    with pytest.raises(ValueError, match="activation"):
        KnowledgeFusionBlock(2, 4, 12, 6, 3, activation="gleu")
