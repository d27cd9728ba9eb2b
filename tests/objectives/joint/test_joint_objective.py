"""JointObjective: what sums and mixtures have in common."""

import pytest

from keras_plm.objectives import (
    Corruption,
    MaskedModeling,
    Mixture,
    ObjectiveSum,
    RandomSelection,
    SentencePair,
)

MASKED = MaskedModeling(
    100,
    4,
    (0, 1),
    corrupt=Corruption(random_ids="corpus"),
    sequence_length=32,
    rows="sentence_pair",
    segments=True,
)
PAIR = SentencePair(32)
WORDS = MaskedModeling(
    100,
    4,
    (0, 1),
    RandomSelection("word"),
    sequence_length=32,
    rows="sentence_pair",
    segments=True,
)


@pytest.mark.parametrize(
    "joint, heads",
    [
        (ObjectiveSum([MASKED, PAIR]), {"tokens": (5,), "sentence_pair": ()}),
        (Mixture([WORDS, MASKED], [1, 2]), {"tokens": (5,)}),
    ],
)
def test_what_they_share(joint, heads):
    assert isinstance(joint.objectives, tuple)
    assert joint.hides and joint.sequence_length == 32 and joint.samples_per_row == 5
    assert {name: joint.target_shape(name) for name in joint.head_names} == heads
    with pytest.raises(ValueError, match="has the heads .*Received: name='span'"):
        joint.target_shape("span")


@pytest.mark.parametrize("joint", [ObjectiveSum, lambda parts: Mixture(parts, (1, 1))])
@pytest.mark.parametrize("parts", [(MASKED,), MASKED, (MASKED, "PAIR"), None])
def test_parts_are_objectives(joint, parts):
    with pytest.raises(ValueError, match="takes a tuple of two or more objectives"):
        joint(parts)


@pytest.mark.parametrize("joint", [ObjectiveSum, lambda parts: Mixture(parts, (1, 1))])
def test_parts_have_one_length(joint):
    with pytest.raises(ValueError, match=r"the same sequence_length. Received: \[32, 64\]"):
        joint((MASKED, SentencePair(64)))
