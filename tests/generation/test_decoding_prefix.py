import keras
import numpy as np
import pytest

from keras_plm.generation.decoding import Programs, Slots, Writing
from keras_plm.generation.sampling import find_sampler
from keras_plm.tasks import BeamSearch, PrefixLM

SOURCES, LENGTH, MASK, STOP = [[7, 1, 2, 8], [7, 3, 8]], 4, 9, 8


@pytest.fixture(scope="module")
def model(make_transformer, quick):
    keras.utils.set_random_seed(3)
    model = PrefixLM(make_transformer(10, num_segments=6, num_layers=2))
    model.compile(**quick)
    return model


def slots(length):
    """Slots behind the sources, which end at place 6."""
    before, number = 6, len(SOURCES)
    token_ids = np.zeros((number, before + length), "int32")
    padding = [before - len(source) for source in SOURCES]
    for row, source, first in zip(token_ids, SOURCES, padding):
        row[first:before] = source
    places = np.arange(before + length)
    features = {
        "token_ids": token_ids,
        "padding_mask": places >= np.array(padding)[:, None],
        "segment_ids": np.tile(np.where(places < before, 4, 5).astype("int32"), (number, 1)),
    }
    texts = np.full((number, length), -1, "int32")
    return Slots(features, texts, np.ones_like(texts, "bool"), before=before)


def logits_after(model, source, written, mask):
    """The logits of the next token, read anew as a whole."""
    row = [*source, *written, *([MASK] if mask else [])]
    last, place = len(row) - 1, np.arange(10)
    x = {
        "token_ids": [row + [0] * (10 - len(row))],
        "segment_ids": [np.where(place < len(source), 4, 5)],
        "order": [np.maximum(place - len(source) + 1, 0)],
        "target_positions": [[last]],
    }
    x = {name: np.array(value, "int32") for name, value in x.items()}
    x["padding_mask"] = (place <= last)[None]
    return np.array(model.predict_on_batch(x)["tokens"])[0, 0]


@pytest.mark.parametrize("mask", [True, False], ids=["from masks", "from tokens"])
def test_greedy_is_the_loop_that_reads_everything_again(model, mask):
    mask_id = MASK if mask else None
    writing = Writing(find_sampler("greedy"), (7, MASK), (STOP,), mask_id=mask_id)
    texts = Programs(model).write(slots(LENGTH), writing)
    assert texts.shape == (2, LENGTH)
    for source, text in zip(SOURCES, texts):
        written = []
        for token in text:
            if STOP in written:
                break
            logits = logits_after(model, source, written, mask)
            logits[[7, MASK]] = -1e9
            written.append(int(logits.argmax()))
            assert token == written[-1]


def test_beams(model):
    """The score of each is what whole passes give it, for its length."""
    sampler = BeamSearch(num_beams=4, length_penalty=0.7, num_results=3)
    writing = Writing(sampler, stop_ids=(STOP,), mask_id=MASK)
    texts, scores = Programs(model).write(slots(3), writing)
    assert (np.diff(scores, axis=1) <= 0).all()
    for source, text, score in ((s, t[0], v[0]) for s, t, v in zip(SOURCES, texts, scores)):
        total, written = 0.0, []
        for token in text[text >= 0].tolist():
            logits = logits_after(model, source, written, True).astype("float64")
            total += logits[token] - np.log(np.exp(logits).sum())
            written.append(token)
        np.testing.assert_allclose(score, total / ((5 + len(written)) / 6) ** 0.7, atol=1e-4)
