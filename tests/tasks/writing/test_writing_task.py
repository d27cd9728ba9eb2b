"""Tasks that write behind a source: lengths share programs, and no text depends on that."""

import pytest

from keras_plm.backbones import Seq2SeqBackbone
from keras_plm.tasks import PrefixLM, Seq2SeqLM, Seq2SeqPreprocessor, TextPreprocessor

SOURCES = ["the dog was red", "a fish", "the boat"]
LONGEST = 40


@pytest.fixture(scope="module", params=["prefix", "seq2seq"])
def model(request, make_transformer, wordpiece, byte_level, quick):
    if request.param == "prefix":
        backbone = make_transformer(
            wordpiece.vocabulary_size, num_segments=6, max_sequence_length=LONGEST
        )
        model = PrefixLM(backbone, TextPreprocessor(wordpiece, 32))
    else:
        backbone = Seq2SeqBackbone(
            byte_level.vocabulary_size,
            *(2, 2, 16, 32),
            dropout=0.0,
            initializer_range=0.3,
            positions="learned",
            max_sequence_length=LONGEST,
        )
        model = Seq2SeqLM(backbone, Seq2SeqPreprocessor(byte_level, 24, LONGEST))
    model.compile(**quick)
    return model


@pytest.mark.parametrize("sampler", ["greedy", "random"])
def test_more_is_computed_than_is_wanted(model, sampler, monkeypatch):
    """Up to the positions: a prefix needs some for its sources, a decoder for nothing else."""
    room = LONGEST - 10 if isinstance(model, PrefixLM) else LONGEST
    computed, write = [], model._programs.write
    monkeypatch.setattr(
        model._programs,
        "write",
        lambda slots, writing: computed.append(slots.used.shape) or write(slots, writing),
    )
    options = dict(sampler=sampler, seed=1, min_length=9, no_repeat_ngram_size=2)
    lengths = (17, 19, room - 1)
    found = [model.generate(SOURCES, length, **options) for length in lengths]
    assert computed[:2] == [(4, 18), (4, 20)] and computed[2][1] >= room - 1
    monkeypatch.setattr("keras_plm.tasks.writing.writing_task.STEPWISE", ())
    assert found == [model.generate(SOURCES, length, **options) for length in lengths]
    assert computed[3:] == [(4, length) for length in lengths]
