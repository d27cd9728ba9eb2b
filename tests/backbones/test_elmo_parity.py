"""ELMoBackbone equals the released bilm-tf: a trained model, its sentences and its outputs.

tests/fixtures/elmo_bilm_tf has three lists of ten sentences, of which the n-th of each are batch n,
and the top layer of both directions, with the state carried from batch to batch.
"""

import functools
import json
import pathlib

import h5py
import keras
import numpy as np
import pytest
from keras import ops

from keras_plm.backbones import Backbone
from keras_plm.tokenizers.words.character_ids import character_ids

pytestmark = pytest.mark.usefixtures("quick_compilation")

DIRECTORY = pathlib.Path(__file__).parents[1] / "fixtures" / "elmo_bilm_tf"
LISTS, LENGTH = 3, 60


@functools.cache
def batches():
    """Characters (3, 60, 50) of each batch, and the expected vectors of each of its sentences."""
    sentences = json.loads((DIRECTORY / "lm_embeddings_sentences.json").read_text("utf-8"))
    found = []
    for number in range(10):
        characters, vectors = np.zeros((LISTS, LENGTH, 50), "int32"), []
        for one in range(LISTS):
            words = ["<S>", *sentences[one][number].split(), "</S>"]
            characters[one, : len(words)] = character_ids(words)
            with h5py.File(DIRECTORY / f"lm_embeddings_{one}.hdf5") as file:
                vectors.append(np.concatenate(file[str(number)], axis=-1))  # forward, backward
        found.append((characters, vectors))
    return found


@pytest.fixture(scope="module")
def backbone():
    return Backbone.from_preset(DIRECTORY)


def assert_top_layer(encoded, vectors):
    rows = ops.convert_to_numpy(encoded["sequence_output"])
    for own, expected in zip(rows, vectors, strict=True):
        length = len(expected)
        np.testing.assert_allclose(own[1 : length + 1], expected, rtol=0, atol=5e-6)
        assert not own[length + 2 :].any()


def test_the_first_batch(backbone):
    """Without a state, and without compilation."""
    characters, vectors = batches()[0]
    assert_top_layer(backbone.encode({"character_ids": characters}), vectors)
    assert np.abs(vectors[0]).max() > 0.5


def test_ten_batches_with_carried_state(backbone, jitted):
    encode = jitted(backbone.encode)
    specs = backbone.state_spec(LISTS)
    state = keras.tree.map_structure(lambda one: ops.zeros(one.shape), specs)
    for characters, vectors in batches():
        features = {"character_ids": ops.convert_to_tensor(characters), "state": state}
        encoded = encode(features)
        assert_top_layer(encoded, vectors)
        state = encoded["state"]


def test_a_text_is_not_what_went_before(backbone):
    """Without a state the second batch has other vectors than behind the first."""
    characters, vectors = batches()[1]
    encoded = backbone.encode({"character_ids": characters})
    rows = ops.convert_to_numpy(encoded["sequence_output"])[0, 1 : len(vectors[0]) + 1]
    assert np.abs(rows - vectors[0]).max() > 1e-3


def test_saved_and_loaded(backbone, tmp_path):
    backbone.save_to_preset(tmp_path / "preset")
    characters, vectors = batches()[0]
    again = Backbone.from_preset(tmp_path / "preset")
    assert_top_layer(again.encode({"character_ids": characters}), vectors)


def test_what_was_read(backbone):
    config = backbone.get_config()
    assert (config["lstm_dim"], config["projection_dim"], config["num_layers"]) == (64, 16, 2)
    assert not config["skip_connections"] and config["cell_clip"] == 3
    table = ops.convert_to_numpy(backbone.character_cnn.character_embedding.embeddings)
    assert not table[0].any() and table[1:].any(axis=1).all()
