"""Configs of older versions are read as what they were."""

import numpy as np
import pytest

from keras_plm.objectives import (
    MaskedModeling,
    Mixture,
    Objective,
    ObjectiveSum,
    PrefixModeling,
    SentencePair,
    SpanBoundary,
    SpanSelection,
)
from keras_plm.objectives.old_configs import translate

# As commit 4718fb3 wrote it.
SPANS = {
    "class": "MaskedModeling",
    "vocabulary_size": 100,
    "mask_token_id": 4,
    "special_token_ids": [0, 1, 2, 3],
    "select": {"class": "SpanSelection", "rate": 0.15, "p": 0.2, "max_length": 10},
    "corrupt": {
        "class": "Corruption",
        "mask": 0.8,
        "random": 0.1,
        "per": "span",
        "random_ids": "ordinary",
    },
    "sequence_length": 32,
    "num_predict": 5,
    "rows": "sentence_pair",
    "segments": True,
    "span_boundary": 20,
    "static_passes": 0,
    "languages": False,
    "positions": False,
    "transform": True,
    "language_exponent": None,
}
PLAIN = {**SPANS, "span_boundary": 0}
PAIR = {"class": "SentencePair", "sequence_length": 32, "negative": "random", "short_rate": 0.1}


def masked():
    today = {name: value for name, value in SPANS.items() if name != "span_boundary"}
    return Objective.from_config(today)


def test_literal_example():
    """The example of the module's docstring."""
    new = translate(SPANS)
    assert new["class"] == "ObjectiveSum" and SPANS["span_boundary"] == 20  # not changed
    first, second = new["objectives"]
    assert second == {"class": "SpanBoundary", "max_length": 20}
    assert "span_boundary" not in first and translate(first) == first
    assert translate(PLAIN) == first and translate(PAIR) is PAIR


def test_what_old_configs_become():
    both = ObjectiveSum((masked(), SpanBoundary(20)))
    assert isinstance(masked(), MaskedModeling) and masked().select == SpanSelection()
    assert Objective.from_config(SPANS) == MaskedModeling.from_config(SPANS) == both
    assert Objective.from_config(PLAIN) == masked()
    sums = {"class": "ObjectiveSum", "objectives": [SPANS, PAIR]}
    assert Objective.from_config(sums) == ObjectiveSum((both, SentencePair(32)))
    mixture = {"class": "Mixture", "objectives": [SPANS, SPANS], "weights": [1, 2]}
    assert Objective.from_config(mixture) == Mixture((both, both), (1, 2))
    prefix = dict(masking=PLAIN, pattern="left_to_right", targets="masked", pattern_segments=True)
    made = Objective.from_config({"class": "PrefixModeling", **prefix})
    assert made == PrefixModeling(masked(), "left_to_right")


def test_the_batches_are_those_of_then(make_text_rows):
    """The numbers of the objective of then: those of the selection, two per slot."""
    objective = Objective.from_config(SPANS)
    assert objective.draws_per_row == SpanSelection().draws(32) + 2 * 5
    assert objective.head_names == ("tokens", "span_boundary")
    assert objective.feature_names == (
        *("token_ids", "padding_mask", "target_positions", "segment_ids"),
        *("left_positions", "right_positions", "span_offsets"),
    )
    batch = make_text_rows(np.random.default_rng(0), 50, 32)
    x, y, _ = objective(batch, np.random.default_rng(1))
    alone, alone_y, _ = masked()(batch, np.random.default_rng(1))
    assert tuple(x) == objective.feature_names and tuple(y) == objective.head_names
    np.testing.assert_array_equal(x["token_ids"], alone["token_ids"])
    np.testing.assert_array_equal(y["span_boundary"], alone_y["tokens"])


@pytest.mark.parametrize("wrong", [True, False, -1, "20", None, [20]])
def test_bad_values_are_refused_as_ever(wrong):
    with pytest.raises(ValueError, match="`max_length` must be an integer"):
        Objective.from_config({**SPANS, "span_boundary": wrong})
    with pytest.raises(ValueError, match="unknown \\['boundary'\\]"):
        Objective.from_config({**SPANS, "boundary": 3})
    with pytest.raises(ValueError, match="takes a MaskedModeling"):
        PrefixModeling(Objective.from_config(SPANS))
