"""What objectives do with rows that continue those of the batch before, and other refusals."""

import numpy as np
import pytest

from keras_plm.objectives import (
    CausalModeling,
    MaskedModeling,
    MaskedPermutationModeling,
    Mixture,
    ObjectiveSum,
    RandomOrderMasking,
    SentencePair,
)
from keras_plm.objectives.random_order.permutation_modeling import local_permutation

LENGTH = 12


def masking(**settings):
    return MaskedModeling(50, 4, (0, 1, 2, 3, 4), sequence_length=LENGTH, **settings)


@pytest.fixture
def batch():
    """Rows of running text, of which the second begins."""
    ids = np.random.default_rng(0).integers(5, 50, (3, LENGTH)).astype("int32")
    functional = np.zeros((3, LENGTH), bool)
    functional[:, [0, -1]] = True
    return {
        "token_ids": ids,
        "padding_mask": np.ones((3, LENGTH), bool),
        "functional": functional,
        "word_starts": np.ones((3, LENGTH), bool),
        "fresh": np.array([False, True, False]),
    }


@pytest.mark.parametrize(
    "make",
    [
        lambda masked: masked,
        RandomOrderMasking,
        lambda masked: MaskedPermutationModeling(masked, 2),
    ],
)
def test_masks_say_which_rows_begin(make, batch):
    objective = make(masking(rows="stream"))
    x, _, _ = objective(batch, np.random.default_rng(1))
    assert set(x) == set(objective.feature_names)
    np.testing.assert_array_equal(x["fresh"], batch["fresh"])
    plain = make(masking(rows="packed"))
    assert "fresh" not in plain.feature_names
    without, _, _ = plain(batch, np.random.default_rng(1))
    assert "fresh" not in without
    for name, value in without.items():  # the same is hidden
        np.testing.assert_array_equal(x[name], value)


def test_a_mixture_of_unequal_rows_that_go_on():
    masked = masking(rows="stream", num_predict=2)
    same = Mixture((masked, masking(rows="stream", num_predict=2, static_passes=0)), (1, 2))
    assert "fresh" in same.feature_names
    other = masking(rows="stream", num_predict=2, language_exponent=0.5)
    with pytest.raises(ValueError, match="must be the same for all objectives of a mixture"):
        Mixture((masked, other), (1, 1))


def test_a_sum_agrees_on_the_passes():
    pairs = SentencePair(LENGTH)
    assert ObjectiveSum((masking(rows="sentence_pair", static_passes=3), pairs)).static_passes == 3
    with pytest.raises(ValueError, match="Only one objective of a sum may hide"):
        ObjectiveSum((masking(rows="packed"), CausalModeling(LENGTH, rows="packed")))


def test_a_permutation_divides_the_part():
    selected = np.zeros((2, 8), bool)
    order = local_permutation(selected, selected, np.tile(np.arange(4), (2, 1)))
    assert order.shape == (2, 8)
    with pytest.raises(ValueError, match=r"must divide.*permutation.shape=\(2, 3\), length=8"):
        local_permutation(selected, selected, np.tile(np.arange(3), (2, 1)))
