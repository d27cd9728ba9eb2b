"""TwoWayModeling: the literal example, and what it cannot take."""

import numpy as np
import pytest

from keras_plm.objectives import Objective, TwoWayModeling
from keras_plm.tokenizers.words.character_ids import character_ids

WORDS = ["<S>", "the", "cat", "sat"]
BACK = ["</S>", "sat", "cat", "the"]
IDS = {word: number for number, word in enumerate(["<S>", "</S>", "<UNK>", "the", "cat", "sat"])}


def numbers(words):
    return np.array([[IDS[word] for word in words]], "int32")


def make_batch(**changes):
    batch = {
        "token_ids": numbers(WORDS),
        "backward_token_ids": numbers(BACK),
        "forward_targets": numbers([*WORDS[1:], "</S>"]),
        "backward_targets": numbers([*BACK[1:], "<S>"]),
        "padding_mask": np.ones((1, 4), bool),
        "character_ids": character_ids(WORDS)[None],
        "backward_character_ids": character_ids(BACK)[None],
        "fresh": np.array([True]),
    }
    return {**batch, **changes}


def test_the_example():
    objective = TwoWayModeling(4)
    x, y, weight = objective(make_batch(), None)
    assert set(x) == set(objective.feature_names) and objective.contiguous
    assert y["forward"].tolist() == [[IDS[word] for word in ("the", "cat", "sat", "</S>")]]
    assert y["backward"].tolist() == [[IDS[word] for word in ("sat", "cat", "the", "<S>")]]
    np.testing.assert_array_equal(x["backward_character_ids"][0], character_ids(BACK))
    assert all(one.tolist() == [[1.0] * 4] for one in weight.values())
    assert objective.target_shape("backward") == (4,)


def test_padding_has_no_targets():
    real = np.array([[True, True, False, False]])
    _, _, weight = TwoWayModeling(4)(make_batch(padding_mask=real), None)
    assert weight["forward"].tolist() == weight["backward"].tolist() == [[1, 1, 0, 0]]


def test_config():
    objective = TwoWayModeling(7, num_sampled=3)
    assert Objective.from_config(objective.get_config()) == objective
    assert TwoWayModeling() == TwoWayModeling(20, 0)


def test_what_it_cannot_take(make_transformer):
    with pytest.raises(ValueError, match="backward_character_ids"):
        TwoWayModeling(4)({**make_batch(), "backward_character_ids": np.zeros((1, 4, 9))}, None)
    with pytest.raises(ValueError, match="sequence_length=0"):
        TwoWayModeling(0)
    with pytest.raises(ValueError, match="num_sampled=-1"):
        TwoWayModeling(4, -1)
    with pytest.raises(ValueError, match="use a backbone that has them, ELMoBackbone"):
        TwoWayModeling(4).heads(make_transformer(30))
