import keras
import numpy as np
import pytest

from keras_plm.backbones import XLNetBackbone
from keras_plm.tasks import BeamSearch, PrefixLM, TextPreprocessor

SOURCES = ["the dog was red", "a fish"]


@pytest.fixture(scope="module")
def model(make_transformer, wordpiece, quick):
    backbone = make_transformer(wordpiece.vocabulary_size, num_segments=6)
    model = PrefixLM(backbone, TextPreprocessor(wordpiece, 32))
    model.compile(**quick)
    return model


def test_generate(model, wordpiece):
    texts = model.generate(SOURCES, 5)
    assert len(texts) == 2 and all(isinstance(text, str) for text in texts)
    assert "[" not in "".join(texts)
    assert model.generate(SOURCES[1:], 5) == texts[1:]
    best = model.generate(SOURCES, 4, BeamSearch(3, 0.7, num_results=2))
    assert [len(own) for own in best] == [2, 2]
    drawn = [model.generate(SOURCES, 5, "random", seed=seed) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_texts_that_do_not_repeat_themselves(model, wordpiece, monkeypatch):
    """Each of six tokens once, those of the source among them: a stop comes behind."""
    words = sorted(set(wordpiece.encode("the dog was red a fish")))[:6]
    others = set(range(wordpiece.vocabulary_size)) - {*words, wordpiece.special_token_id("sep")}
    kept, write_batches = [], model._programs.write_batches
    monkeypatch.setattr(
        model._programs, "write_batches", lambda *all: kept.extend(write_batches(*all)) or kept
    )
    limits = dict(min_length=6, no_repeat_ngram_size=1, forbidden_token_ids=sorted(others))
    model.generate(SOURCES, 6, **limits)
    assert [sorted(ids.tolist()) for ids in kept] == [words] * 2


def test_learns_to_stop(make_transformer, wordpiece, graph):
    """Rows of a source and its copy, as the features of `PrefixModeling`; "next" targets."""
    backbone = make_transformer(wordpiece.vocabulary_size, num_segments=2)
    model = PrefixLM(backbone, TextPreprocessor(wordpiece, 32), False, pattern_segments=False)
    model.compile(keras.optimizers.Adam(2e-2), **graph)
    row, segments = model.preprocessor.pair_row(*[wordpiece.encode("a fish")] * 2)
    first = segments.index(1)
    x = {
        "token_ids": [row],
        "segment_ids": [segments],
        "padding_mask": [[True] * len(row)],
        "order": [np.maximum(np.arange(len(row)) - first + 1, 0)],
        "target_positions": [np.arange(first - 1, len(row) - 1)],
    }
    kinds = {"padding_mask": "bool"}
    x = {name: np.tile(value, (4, 1)).astype(kinds.get(name, "int32")) for name, value in x.items()}
    y = {"tokens": x["token_ids"][:, first:]}
    weights = {"tokens": np.ones(y["tokens"].shape, "float32")}
    model.fit(x, y, 4, sample_weight=weights, epochs=25, verbose=0)
    assert model.generate(["a fish"], 8) == ["a fish"]
    with pytest.raises(ValueError, match="use `Pretrainer`"):
        model.fit(["a text"], verbose=0)


def test_a_long_source_loses_its_end(model, wordpiece, caplog):
    """64 positions: 5 for what is written, 2 for [CLS] and [SEP]."""
    ids = wordpiece.encode("the dog was red " * 20)
    assert wordpiece.encode(fits := wordpiece.decode(ids[:57])) == ids[:57]
    texts = model.generate(["a fish", "the dog was red " * 20], 5)
    (record,) = caplog.records
    assert record.getMessage() == (
        "1 of 2 sources are longer than the 57 tokens that the backbone's 64 positions leave "
        f"beside `max_length` and special tokens, the first of them source 1 with {len(ids)}: they "
        "lose their ends."
    )
    caplog.clear()
    assert model.generate(["a fish", fits], 5) == texts
    assert not caplog.records
    with pytest.raises(ValueError, match="1 of 1 sources are longer than the 57 .*shorten"):
        strict = PrefixLM(model.backbone, TextPreprocessor(wordpiece, 32, truncate=False))
        strict.generate(["the dog was red " * 20], 5)


def test_wrong_input(model, make_transformer):
    with pytest.raises(ValueError, match="1 of 1 sources are longer than the 0 tokens .*Lower"):
        model.generate(["the dog was red"], 63)
    with pytest.raises(ValueError, match="has an empty text in row 1"):
        model.generate(["a", ""], 5)
    with pytest.raises(TypeError, match="list of texts"):
        model.generate("a text", 5)
    for wrong in (0, 2.0, True, None):
        with pytest.raises(ValueError, match="`max_length` must be an integer"):
            model.generate(["a"], wrong)
    with pytest.raises(ValueError, match="`min_length` must be at most `max_length`"):
        model.generate(["a"], 5, min_length=6)
    with pytest.raises(ValueError, match="Texts need a preprocessor"):
        PrefixLM(make_transformer(12, num_segments=6)).generate(["a"], 5)


def test_wrong_backbones(make_transformer):
    with pytest.raises(ValueError, match="CausalLM"):
        PrefixLM(make_transformer(12, causal=True, num_segments=6))
    with pytest.raises(ValueError, match="num_segments=6, or 0. Received: num_segments=2"):
        PrefixLM(make_transformer(12))
    with pytest.raises(TypeError, match="TransformerBackbone"):
        PrefixLM(XLNetBackbone(20, 1, 2, 8, 16))
