"""Small encoder-decoders of every family, which tests share."""

import functools

import keras
import numpy as np
from keras import ops

from keras_plm import families
from keras_plm.backbones import Seq2SeqBackbone

VOCABULARY, WIDTH, LENGTH, SOURCE_LENGTH = 40, 16, 6, 8
RNG = np.random.default_rng(0)
IDS = RNG.integers(0, VOCABULARY, (4, LENGTH)).astype("int32")
SOURCE = RNG.integers(0, VOCABULARY, (4, SOURCE_LENGTH)).astype("int32")
SOURCE_MASK = np.arange(SOURCE_LENGTH) < np.array([[8], [5], [3], [7]])
MASK = np.arange(LENGTH) < np.array([[6], [4], [5], [2]])
BATCH = {
    "source_token_ids": SOURCE,
    "source_padding_mask": SOURCE_MASK,
    "token_ids": IDS,
    "padding_mask": MASK,
}
READ = {"source_token_ids": SOURCE, "source_padding_mask": SOURCE_MASK}
JAX = keras.backend.backend() == "jax"

FORMS = {
    "transformer": families.TRANSFORMER["flags"],
    "marian": {**families.MARIAN["flags"], "zero_token_id": 39},
    "mass": {**families.MASS["flags"], "max_sequence_length": 9},
    "bart": {**families.BART["flags"], "max_sequence_length": 9},
    "t5": {**families.T5["flags"], "head_dim": 3, "relative_position_buckets": 8},
    "t5 1.1": {**families.T5_1_1["flags"], "relative_position_buckets": 6},
    "opennmt": dict(
        positions="halves_inclusive",
        position_offset=1,
        normalize_first=True,
        layer_norm_epsilon=1e-5,
        source_vocabulary_size=45,
        tie_weights=False,
        output_bias=True,
    ),
}


def make(form, **options):
    sizes = dict(num_layers=2, num_heads=2, hidden_dim=WIDTH, intermediate_dim=12)
    options = {**sizes, "num_decoder_layers": 3, "dropout": 0.0, **FORMS[form], **options}
    return Seq2SeqBackbone(VOCABULARY, **options)


@functools.cache
def made(form, **options):
    """A backbone with weights so large that scores matter."""
    backbone, rng = make(form, **options), np.random.default_rng(1)
    for weight in backbone.weights:
        gain = weight.name == "gamma"
        weight.assign(gain + rng.normal(0, 0.4, weight.shape))
    return backbone


@functools.cache
def compiled(backbone):
    if JAX:
        import jax

        return jax.jit(backbone.encode)
    return backbone.encode


def encode(backbone, **given):
    """The outputs as numpy. Compiled on JAX, where many small operations are slow."""
    return keras.tree.map_structure(ops.convert_to_numpy, compiled(backbone)(given))


def tensors(features):
    return {name: ops.convert_to_tensor(array) for name, array in features.items()}


def walk(decoder, known, **features):
    """A function of nothing: the states of all tokens from `known` on, read one by one."""
    features = tensors(features)

    def walk():
        token_ids = features["token_ids"]
        constants, cache = decoder.start({**features, "known": known})

        def step(place, state):
            rows, cache = state
            token = ops.take(token_ids, place, axis=1)[:, None]
            row, cache = decoder.step(constants, cache, token, place)
            return ops.where(ops.arange(LENGTH)[:, None] == place, row, rows), cache

        rows = ops.zeros((len(IDS), LENGTH, decoder.backbone.hidden_dim))
        return ops.fori_loop(known, LENGTH, step, (rows, cache))[0][:, known:]

    return walk


def assert_close(found, expected):
    near = 1e-5 * max(1, np.abs(expected).max())
    np.testing.assert_allclose(ops.convert_to_numpy(found), expected, atol=near)
