import keras
import numpy as np
import pytest
from keras import ops

from keras_plm.backbones import TransformerBackbone
from keras_plm.backbones.decoding import transformer_decoding
from keras_plm.backbones.decoding.transformer_decoding import (
    cache_length,
    empty_cache,
    read_prompt,
    read_tokens,
)

BATCH, LENGTH, VOCABULARY = 4, 11, 30

pytestmark = pytest.mark.usefixtures("quick_compilation")

FORMS = {
    "gpt1": {"num_segments": 0, "embedding_norm": False, "activation": "gelu_tanh"},
    "gpt3": {"embedding_norm": False, "normalize_first": True, "window": [3, None], "head_dim": 5},
    "counted, with distances": {"positions_from_padding": True, "relative_position_buckets": 8},
    "languages and tasks": {"num_languages": 3, "num_tasks": 2},
    "another task": {"num_tasks": 3, "task_id": 2},
}


def made(**options):
    """A backbone with weights so large that scores matter, and biases that are not 0."""
    sizes = dict(num_layers=2, num_heads=2, hidden_dim=16, intermediate_dim=32)
    options = {"causal": True, "initializer_range": 0.4, "max_sequence_length": LENGTH, **options}
    backbone = TransformerBackbone(VOCABULARY, **sizes, **options)
    rng = np.random.default_rng(1)
    for weight in backbone.weights:
        if weight.path.split("/")[-1] in ("bias", "beta"):
            weight.assign(rng.normal(size=weight.shape, scale=0.3))
    return backbone


def tokens():
    return np.random.default_rng(0).integers(1, VOCABULARY, (BATCH, LENGTH)).astype("int32")


def walk(backbone, known, constants=None):
    """A function of ids (B, T): the rows of all tokens from `known` on, read one by one."""

    def walk(token_ids):
        length = cache_length(LENGTH)
        ids = ops.pad(token_ids, ((0, 0), (0, length - LENGTH)))
        cache = empty_cache(backbone, BATCH, length)
        cache = read_prompt(backbone, cache, ids, known, constants)

        def step(position, state):
            rows, cache = state
            token = ops.take(token_ids, position, axis=1)[:, None]
            row, cache = read_tokens(backbone, cache, token, position, constants)
            return ops.where(ops.arange(LENGTH)[:, None] == position, row, rows), cache

        rows = ops.zeros((BATCH, LENGTH, backbone.hidden_dim))
        return ops.fori_loop(known, LENGTH, step, (rows, cache))[0][:, known:]

    return walk


JAX = keras.backend.backend() == "jax"  # where compiling takes less time than not
EVERY_FORM = [(form, JAX) for form in FORMS]


@pytest.mark.parametrize(
    "form, jit", [*EVERY_FORM, pytest.param("gpt3", not JAX, marks=pytest.mark.slow)]
)
def test_cached_is_recomputed(form, jit, jitted, monkeypatch):
    monkeypatch.setattr(transformer_decoding, "CHUNK", 4)
    assert cache_length(LENGTH) == 12
    backbone, ids, known, constants = made(**FORMS[form]), tokens(), 5, {}
    features = {"token_ids": ids}
    if form == "languages and tasks":
        constants = {"language_ids": 2, "task_ids": 1}
        features |= {name: np.full_like(ids, value) for name, value in constants.items()}
    expected = ops.convert_to_numpy(backbone.encode(features)["sequence_output"])
    walked = walk(backbone, known, constants)
    got = (jitted(walked) if jit else walked)(ops.convert_to_tensor(ids))
    assert np.abs(expected).max() > 1
    np.testing.assert_allclose(ops.convert_to_numpy(got), expected[:, known:], atol=1e-5)


def test_many_tokens_at_once_are_one_by_one():
    """Without any prompt, and in the two halves of a text."""
    backbone, ids = made(**FORMS["gpt3"]), ops.convert_to_tensor(tokens())
    cache = empty_cache(backbone, BATCH, LENGTH)
    first, cache = read_tokens(backbone, cache, ids[:, :7], 0)
    second, _ = read_tokens(backbone, cache, ids[:, 7:], 7)
    got = ops.convert_to_numpy(ops.concatenate([first, second], axis=1))
    expected = ops.convert_to_numpy(backbone.encode({"token_ids": ids})["sequence_output"])
    np.testing.assert_allclose(got, expected, atol=1e-5)


UNILM = {
    "unilm": {"num_segments": 6},
    "with distances": {"num_segments": 2, "relative_position_buckets": 8, "window": [None, 4]},
}


@pytest.mark.parametrize("form", UNILM)
def test_sequence_to_sequence_with_masks(form):
    """A mask behind what is written, whose keys are dropped, sees what it sees in `encode`."""
    backbone, source, mask = made(causal=False, max_sequence_length=16, **UNILM[form]), 6, 29
    first, second = backbone.num_segments - 2, backbone.num_segments - 1
    ids, padding = tokens(), np.array([0, 2, 5, 1], "int32")
    cache = empty_cache(backbone, BATCH, LENGTH)
    options = {"source_length": source, "padding": ops.convert_to_tensor(padding)}
    segments = {"segment_ids": first}
    _, cache = read_tokens(
        backbone, cache, ops.convert_to_tensor(ids[:, :source]), 0, segments, **options
    )
    columns = np.arange(LENGTH)
    for place in range(source, LENGTH):
        pair = np.stack([ids[:, place - 1], np.full(BATCH, mask, "int32")], axis=1)
        segments = {"segment_ids": np.array([first if place == source else second, second])}
        got, cache = read_tokens(
            backbone, cache, ops.convert_to_tensor(pair), place - 1, segments, **options
        )
        real = (columns >= padding[:, None]) & (columns <= place)  # what is not written yet
        row = {
            "token_ids": np.where(columns == place, mask, ids),
            "padding_mask": real,
            "position_ids": np.maximum(columns - padding[:, None], 0),
            "segment_ids": np.tile(np.where(columns < source, first, second), (BATCH, 1)),
            "order": np.tile(np.maximum(columns - source + 1, 0), (BATCH, 1)),
        }
        expected = ops.convert_to_numpy(backbone.encode(row)["sequence_output"])
        got = ops.convert_to_numpy(got)
        np.testing.assert_allclose(got[:, 1], expected[:, place], atol=1e-5)


def test_what_lies_behind_a_position_does_not_matter():
    """Not what a cache holds there, and not what is read after it."""
    backbone, ids = made(**FORMS["gpt1"]), ops.convert_to_tensor(tokens())
    empty = empty_cache(backbone, BATCH, LENGTH)
    full = keras.tree.map_structure(lambda part: part + 1e6, empty)
    rows = [read_tokens(backbone, cache, ids[:, :5], 0)[0] for cache in (empty, full)]
    np.testing.assert_array_equal(*map(ops.convert_to_numpy, rows))


def test_the_length_of_a_cache():
    assert [cache_length(n) for n in (1, 63, 64, 65, 640)] == [1, 63, 64, 128, 640]
