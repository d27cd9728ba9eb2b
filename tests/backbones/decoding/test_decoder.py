"""What every decoder keeps to: the batch on the first axis, and the states of whole passes."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_plm.backbones import RecomputingDecoder, TransformerBackbone, XLNetBackbone
from keras_plm.backbones.decoding.decoder import RecomputingQueries, repeat_cache

BATCH, LENGTH, KNOWN, VOCABULARY = 3, 9, 5, 20
SIZES = dict(num_layers=2, num_heads=2, hidden_dim=8, intermediate_dim=16)

pytestmark = pytest.mark.usefixtures("quick_compilation")

FORMS = {
    "causal": {"causal": True, "num_segments": 0},
    "causal, with a window and languages": {"causal": True, "window": [3], "num_languages": 2},
    "behind a source": {"num_segments": 3, "relative_position_buckets": 8},
}


def transformer(form):
    backbone = TransformerBackbone(
        VOCABULARY, **SIZES, **FORMS[form], max_sequence_length=LENGTH, initializer_range=0.5
    )
    rng = np.random.default_rng(0)
    features = {"token_ids": rng.integers(0, VOCABULARY, (BATCH, LENGTH)).astype("int32")}
    for name, table in backbone.other_embeddings.items():
        ids = rng.integers(0, table.input_dim, (BATCH, LENGTH))
        features[name] = ids.astype("int32")
    return backbone, {name: ops.convert_to_tensor(ids) for name, ids in features.items()}


def slots():
    """Two targets in each row, and XLNet."""
    backbone = XLNetBackbone(VOCABULARY, **SIZES, initializer_range=0.5)
    order = np.zeros((BATCH, LENGTH), "int32")
    order[:, [7, 2]] = 1, 2
    features = {
        "token_ids": np.random.default_rng(0).integers(0, VOCABULARY, order.shape).astype("int32"),
        "padding_mask": np.ones(order.shape, bool),
        "segment_ids": np.zeros_like(order),
        "order": order,
        "target_positions": np.tile(np.array([7, 2], "int32"), (BATCH, 1)),
        "used": np.ones((BATCH, 2), bool),
    }
    return backbone, {name: ops.convert_to_tensor(value) for name, value in features.items()}


def read(decoder, features, known=KNOWN, copies=1):
    """The states of what lies behind the known places, read in parts."""
    constants, cache = decoder.start({**features, "known": known})
    cache = repeat_cache(cache, copies)
    states = []
    for index, number in ((KNOWN, 1), (KNOWN + 1, 2), (KNOWN + 3, 1)):
        tokens = ops.repeat(features["token_ids"][:, index : index + number], copies, axis=0)
        rows, cache = decoder.step(constants, cache, tokens, index)
        states.append(ops.convert_to_numpy(rows))
    return np.concatenate(states, axis=1)


@pytest.mark.parametrize("form", FORMS)
def test_its_own_decoder_is_the_one_that_recomputes(form):
    backbone, features = transformer(form)
    order = None
    if not backbone.causal:  # the source sees itself, what follows sees what is before it
        order = np.maximum(np.arange(LENGTH) - KNOWN + 1, 0)
        order = {"order": np.tile(order.astype("int32"), (BATCH, 1))}
    whole = backbone.encode({**features, **(order or {})})["sequence_output"]
    expected = ops.convert_to_numpy(whole)[:, KNOWN:]
    assert np.abs(expected).max() > 1
    for decoder in (backbone.decoder(), RecomputingDecoder(backbone)):
        np.testing.assert_allclose(read(decoder, features), expected, atol=1e-5)


@pytest.mark.parametrize("form", FORMS)
def test_texts_can_be_repeated(form):
    backbone, features = transformer(form)
    for decoder in (backbone.decoder(), RecomputingDecoder(backbone)):
        repeated = read(decoder, features, copies=2)
        np.testing.assert_allclose(
            repeated, np.repeat(read(decoder, features), 2, axis=0), atol=1e-5
        )


@pytest.mark.parametrize("form", ["causal", "causal, with a window and languages"])
def test_how_much_is_known_may_be_a_tensor(form):
    backbone, features = transformer(form)
    for decoder in (backbone.decoder(), RecomputingDecoder(backbone)):
        known = ops.convert_to_tensor(KNOWN, "int32")
        np.testing.assert_allclose(
            read(decoder, features, known), read(decoder, features), atol=1e-5
        )


def test_padding_before_a_text():
    """What is padded has the states of the text alone, counted from its first token."""
    backbone, features = transformer("causal")
    decoder, token_ids = backbone.decoder(), features["token_ids"]
    padded = ops.concatenate([token_ids[:, :2] * 0, token_ids[:, :-2]], axis=1)
    mask = ops.convert_to_tensor(np.tile(np.arange(LENGTH) >= 2, (BATCH, 1)))
    found = read(decoder, {"token_ids": padded, "padding_mask": mask})
    expected = ops.convert_to_numpy(backbone.encode(features)["sequence_output"])
    np.testing.assert_allclose(found, expected[:, KNOWN - 2 : -2], atol=1e-5)


@pytest.mark.parametrize("kind", [*FORMS, "queries", "queries, recomputed"])
def test_every_leaf_of_a_cache_has_the_batch_first(kind):
    if kind in FORMS:
        backbone, features = transformer(kind)
        decoders = [backbone.decoder(), RecomputingDecoder(backbone)]
    else:
        backbone, features = slots()
        own = kind == "queries"
        decoders = [backbone.decoder() if own else RecomputingQueries(backbone)]
    for decoder in decoders:
        constants, cache = decoder.start({**features, "known": KNOWN})
        _, after = decoder.step(constants, cache, features["token_ids"][:, :1], 0)
        keras.tree.assert_same_structure(cache, after)
        for leaf, other in zip(*map(keras.tree.flatten, (cache, after))):
            assert leaf.shape[0] == BATCH and leaf.shape == other.shape
