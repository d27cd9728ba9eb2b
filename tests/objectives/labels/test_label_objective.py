"""Labels of pairs and of tokens: the literal example, own classes, sums, bad input."""

from dataclasses import dataclass
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from keras_plm.objectives import (
    MaskedModeling,
    Mixture,
    Objective,
    ObjectiveSum,
    PairLabel,
    SentencePair,
    TokenLabel,
)


@dataclass(frozen=True)
class Capitals(TokenLabel):
    """The example of the module's docstring."""

    label = "capitals"
    classes = ("lower case", "with a capital")


@dataclass(frozen=True)
class Distance(PairLabel):
    """How far apart two texts are (ERNIE 2.0)."""

    label = "distance"
    classes = ("neighbours", "of one document", "of two")
    rows = "distances"


@dataclass(frozen=True)
class Nearness(Distance):
    """The same head with another number of classes."""

    classes = ("near", "far")


BACKBONE = SimpleNamespace(
    dtype_policy=keras.DTypePolicy("float32"),
    reads={"pooler"},
    kernel_initializer=lambda: keras.initializers.RandomNormal(stddev=0.03),
)


def make_batch():
    """The row of the module's docstring, with -1 for a token whose case is not known."""
    ids = np.array([[1, 5, 6, 7, 8, 2, 0]], "int32")
    return {
        "token_ids": ids,
        "padding_mask": ids > 0,
        "functional": ids < 5,
        "word_starts": ids >= 0,
        "segment_ids": np.zeros_like(ids),
        "capitals": np.array([[0, 0, 0, 0, 1, 0, 0]], "int8"),
        "distance": np.array([2]),
    }


def test_literal_example():
    """The example of the module's docstring."""
    batch = make_batch()
    x, y, weight = Capitals(7)(batch, None)
    assert set(x) == {"token_ids", "padding_mask"} == set(Capitals(7).feature_names)
    assert y["capitals"].tolist() == [[0, 0, 0, 0, 1, 0, 0]] and y["capitals"].dtype == np.int32
    assert weight["capitals"].tolist() == [[0, 1, 1, 1, 1, 0, 0]]
    assert weight["capitals"].dtype == np.float32
    batch["capitals"][0, 2:6] = -1, 1, 1, 1
    _, y, weight = Capitals(7, segments=True)(batch, None)
    assert y["capitals"].tolist() == [[0, 0, 0, 1, 1, 0, 0]]  # SEP is not asked, nor is -1
    assert weight["capitals"].tolist() == [[0, 1, 0, 1, 1, 0, 0]]


def test_labels_of_pairs():
    x, y, weight = Distance(7)(make_batch(), None)
    assert set(x) == {"token_ids", "padding_mask", "segment_ids"}
    assert y["distance"].tolist() == [2] and weight["distance"].tolist() == [1]
    assert Distance(7).target_shape("distance") == () and Distance(7).rows == "distances"
    assert Capitals(7).target_shape("capitals") == (7,) and not Capitals(7).hides


def test_heads_by_name():
    head = Distance(7).heads(BACKBONE)["distance"]
    assert (type(head).__name__, head.name) == ("SentencePairHead", "distance")
    assert tuple(head.targets) == ("B", 3) and head.kernel_initializer.stddev == 0.03
    assert type(head).from_config(head.get_config()).num_classes == 3
    head = Capitals(7).heads(BACKBONE)["capitals"]
    assert type(head).__name__ == "TokenHead" and tuple(head.targets) == ("BT", 2)
    with pytest.raises(ValueError, match="Distance reads the pooled output.*pooler=True"):
        Distance(7).heads(SimpleNamespace(reads=frozenset()))


def test_in_a_sum_with_masks():
    masked = MaskedModeling(50, 4, (0, 1, 2), sequence_length=7)
    both, batch = ObjectiveSum((Capitals(7), masked)), make_batch()
    x, y, weight = both(batch, np.random.default_rng(0))
    alone, alone_y, _ = masked(batch, np.random.default_rng(0))
    assert set(x) == set(both.feature_names) == set(alone)
    assert all((x[name] == alone[name]).all() for name in alone)
    assert (x["token_ids"] != batch["token_ids"]).any()
    assert y["capitals"].tolist() == [[0, 0, 0, 0, 1, 0, 0]]
    assert (y["tokens"] == alone_y["tokens"]).all()
    assert both.target_shape("capitals") == (7,)


def test_one_head_of_a_mixture_has_one_number_of_classes():
    assert Mixture((Distance(7), Distance(7)), (1, 2)).head_settings == {"distance": 3}
    with pytest.raises(ValueError, match=r"share the head 'distance'.*Received: \[3, 2\]"):
        Mixture((Distance(7), Nearness(7)), (1, 1))


def test_bad_labels():
    batch = make_batch()
    batch["distance"] = np.array([3])
    with pytest.raises(ValueError, match=r"0 \(neighbours\), 1 \(of one document\) or 2 .*\[3\]"):
        Distance(7)(batch, None)
    batch["distance"], batch["capitals"] = np.array([-1]), batch["capitals"] - 2
    with pytest.raises(ValueError, match=r"distance must be .*Received: \[-1\]"):
        Distance(7)(batch, None)
    with pytest.raises(ValueError, match=r"capitals must be .*Received: \[-2, -1\]"):
        Capitals(7)(batch, None)
    with pytest.raises(ValueError, match=r"Capitals needs token_ids of the shape \(1, 8\)"):
        Capitals(8)({**batch, "functional": np.zeros((1, 8), bool)}, None)
    del batch["capitals"]
    with pytest.raises(ValueError, match="Capitals needs capitals of the shape.*no such array"):
        Capitals(7)(batch, None)
    with pytest.raises(ValueError, match="`sequence_length` must be an integer of at least 1"):
        Capitals(0)


def test_bases_are_no_objectives():
    for name in ("PairLabel", "TokenLabel", "LabelObjective"):
        with pytest.raises(ValueError, match="Unknown objective"):
            Objective.from_config({"class": name, "sequence_length": 7})
    with pytest.raises(TypeError, match="abstract"):
        PairLabel(7)
    assert list(SentencePair().get_config()) == [
        "class", "sequence_length", "negative", "short_rate"
    ]  # fmt: skip
