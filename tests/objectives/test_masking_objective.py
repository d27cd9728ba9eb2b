"""What the objectives that build on MaskedModeling have of it, and what they refuse."""

from types import SimpleNamespace

import numpy as np
import pytest

from keras_plm.objectives import (
    Corruption,
    MaskedModeling,
    MaskedPermutationModeling,
    PrefixModeling,
    RandomOrderMasking,
    RandomSelection,
)

MASKING = MaskedModeling(
    100,
    4,
    (0, 1, 2),
    RandomSelection("word", 0.3),
    Corruption(random_ids="corpus"),
    16,
    rows="sentence_pair",
    static_passes=3,
)
OBJECTIVES = [
    PrefixModeling(MASKING, "left_to_right", "masked_target", False),
    RandomOrderMasking(MASKING),
    MaskedPermutationModeling(MASKING, 0),
]
each = pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda one: type(one).__name__)


def test_literal_example():
    """The example of the module's docstring."""
    tokenizer = SimpleNamespace(vocabulary_size=100, mask_token_id=4, special_token_ids={"cls": 1})
    settings = dict(pattern="left_to_right", sequence_length=128)
    made = PrefixModeling.for_tokenizer(tokenizer, **settings)
    masking = MaskedModeling.for_tokenizer(tokenizer, sequence_length=128)
    assert made == PrefixModeling(masking, pattern="left_to_right")


@each
def test_what_comes_from_the_masking(objective):
    assert (objective.rows, objective.sequence_length) == ("sentence_pair", 16)
    assert objective.row_settings == {"sequence_length": 16}
    assert objective.num_predict == MASKING.num_predict == 5
    assert objective.static_passes == 3 and objective.samples_per_row == 5
    assert objective.target_shape("tokens") == (5,) and objective.hides


@each
def test_features_and_draws(objective, make_text_rows):
    batch = make_text_rows(np.random.default_rng(0), 6, 16)
    batch["sampled_ids"] = np.full((6, 5), 7, "int32")
    x, y, sample_weight = objective(batch, np.random.default_rng(1))
    assert set(x) == set(objective.feature_names)
    assert set(y) == set(sample_weight) == set(objective.head_names) == {"tokens"}
    assert {array.dtype for array in x.values()} <= {np.dtype("int32"), np.dtype(bool)}
    again, _, _ = objective(batch, np.random.default_rng(1))
    assert all((x[name] == again[name]).all() for name in x)
    extra = 0 if isinstance(objective, PrefixModeling) else 5
    assert objective.draws_per_row == MASKING.draws_per_row + extra


@pytest.mark.parametrize("kind", [type(one) for one in OBJECTIVES], ids=lambda kind: kind.__name__)
def test_bad_masking(kind):
    with pytest.raises(ValueError, match=f"{kind.__name__} takes a MaskedModeling.*None"):
        kind(None)
    with pytest.raises(ValueError, match="takes a MaskedModeling.*SpanBoundary"):
        kind(MaskedModeling(100, 4, span_boundary=20))
    with pytest.raises(ValueError, match="neither languages nor positions.*languages=True"):
        kind(MaskedModeling(100, 4, languages=True))
