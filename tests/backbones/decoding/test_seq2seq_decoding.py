"""The decoder of Seq2SeqBackbone: what is read a few tokens at a time is what `encode` gives."""

import keras
import numpy as np
import pytest
from keras import ops
from seq2seq_forms import (
    BATCH,
    FORMS,
    IDS,
    JAX,
    LENGTH,
    READ,
    SOURCE,
    SOURCE_MASK,
    assert_close,
    encode,
    made,
    tensors,
    walk,
)

from keras_plm.backbones import RecomputingDecoder
from keras_plm.backbones.decoding import transformer_decoding
from keras_plm.backbones.decoding.decoder import repeat_cache

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.mark.parametrize(
    "form, jit",
    [
        *((form, JAX) for form in FORMS),
        pytest.param("t5", not JAX, marks=pytest.mark.slow),
    ],
)
def test_cached_is_recomputed(form, jit, jitted, monkeypatch):
    """Behind a prompt of two tokens, which are read in one or two chunks."""
    monkeypatch.setattr(transformer_decoding, "CHUNK", 4)
    backbone, known = made(form), 2
    expected = encode(backbone, token_ids=IDS, **READ)["sequence_output"]
    assert np.abs(expected).max() > 1
    walked = walk(backbone.decoder(), known, token_ids=IDS, **READ)
    assert_close((jitted(walked) if jit else walked)(), expected[:, known:])


def test_what_is_not_visible_of_the_source_is_not_read():
    backbone, visible = made("mass"), np.ones_like(SOURCE_MASK)
    visible[:, 1:3] = visible[2] = False
    features = {**READ, "token_ids": IDS, "source_visible": visible}
    expected = encode(backbone, **features)["sequence_output"]
    assert_close(walk(backbone.decoder(), 0, **features)(), expected)


def test_without_masks_and_by_the_decoder_that_reads_all_again():
    backbone = made("marian")
    features = {"source_token_ids": SOURCE, "token_ids": IDS}
    expected = encode(backbone, **features)["sequence_output"]
    for decoder in (backbone.decoder(), RecomputingDecoder(backbone)):
        assert_close(walk(decoder, 1, **features)(), expected[:, 1:])


@pytest.mark.parametrize("form", ["bart", "t5"])
def test_texts_that_begin_later(form):
    """Padded at the left: positions are counted from where a text begins."""
    backbone, padding = made(form), np.array([0, 2, 1, 3])
    places = np.arange(LENGTH)
    features = {**READ, "token_ids": IDS, "padding_mask": places >= padding[:, None]}
    position_ids = np.maximum(places - padding[:, None], 0).astype("int32")
    expected = encode(backbone, **features, position_ids=position_ids)["sequence_output"]
    assert_close(walk(backbone.decoder(), 4, **features)(), expected[:, 4:])


def test_several_tokens_at_once_and_beams():
    """The cache is repeated, reordered among the beams of a text, and read on."""
    backbone = made("t5 1.1")
    decoder = backbone.decoder()
    constants, cache = decoder.start(tensors({**READ, "token_ids": IDS}) | {"known": 2})
    sizes = {len(leaf) for leaf in keras.tree.flatten(cache)}
    assert sizes == {4}  # every leaf has the batch on its first axis
    rows, cache = decoder.step(constants, cache, ops.convert_to_tensor(IDS[:, 2:4]), 2)
    expected = encode(backbone, **{**BATCH, "padding_mask": np.ones_like(IDS, bool)})
    assert_close(rows, expected["sequence_output"][:, 2:4])
    order = np.array([1, 0, 2, 2, 5, 5, 6, 7])  # of two beams for each text
    beams = keras.tree.map_structure(lambda leaf: ops.take(leaf, order, 0), repeat_cache(cache, 2))
    texts = order // 2
    rows, _ = decoder.step(constants, beams, ops.convert_to_tensor(IDS[texts, 4:]), 4)
    assert_close(rows, expected["sequence_output"][texts, 4:])


def test_the_source_is_read_once():
    """A step runs no encoder and projects no source."""
    backbone = made("bart")
    decoder = backbone.decoder()
    constants, cache = decoder.start(tensors({**READ, "token_ids": IDS}) | {"known": 1})
    _, cache = decoder.step(constants, cache, ops.convert_to_tensor(IDS[:, 1:2]), 1)
    assert list(cache) == ["ids", "key_value"] and not cache["ids"]
    projections, visible = constants
    assert len(projections) == 3 and projections[0][0].shape == (4, SOURCE.shape[1], 2, 8)
    assert visible.shape == (4, 1, SOURCE.shape[1])
