"""SentencePair: the literal example, its rows, its head, bad input."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest

from keras_plm.objectives import SentencePair

FLOATS = {"dtype_policy": keras.DTypePolicy("float32")}


def make_batch():
    """The two rows of the module's docstring."""
    return {
        "token_ids": np.array([[1, 5, 6, 2, 7, 8, 2], [1, 5, 6, 2, 9, 10, 2]], "int32"),
        "padding_mask": np.ones((2, 7), bool),
        "segment_ids": np.array([[0, 0, 0, 0, 1, 1, 1]] * 2, "int32"),
        "functional": np.array([[1, 0, 0, 1, 0, 0, 1]] * 2, bool),
        "sentence_pair": np.array([0, 1], "int32"),
    }


def test_literal_example():
    """The example of the module's docstring."""
    batch = make_batch()
    x, y, sample_weight = SentencePair(7)(batch, None)
    assert set(x) == {"token_ids", "padding_mask", "segment_ids"}
    assert all((array == batch[name]).all() for name, array in x.items())
    assert y["sentence_pair"].tolist() == [0, 1] and y["sentence_pair"].dtype == np.int32
    assert sample_weight["sentence_pair"].tolist() == [1, 1]
    assert sample_weight["sentence_pair"].dtype == np.float32


def test_rows_and_their_settings():
    objective = SentencePair(64, "swapped", 0.2)
    assert objective.rows == "sentence_pair" and not objective.hides
    assert objective.row_settings == dict(sequence_length=64, negative="swapped", short_rate=0.2)
    assert SentencePair(negative="reply").rows == "dialogue"
    assert objective.draws_per_row == 0 and objective.head_names == ("sentence_pair",)
    assert objective.target_shape("sentence_pair") == ()
    with pytest.raises(ValueError, match=r"has the heads \['sentence_pair'\].*name='tokens'"):
        objective.target_shape("tokens")


def test_head_needs_a_pooler():
    keras = pytest.importorskip("keras")
    for backbone in (SimpleNamespace(reads={"causal"}), SimpleNamespace(reads=frozenset())):
        with pytest.raises(ValueError, match="no pooler. Make it with pooler=True"):
            SentencePair().heads(backbone)
    drawn = {"kernel_initializer": lambda: keras.initializers.RandomNormal(stddev=0.03)}
    heads = SentencePair().heads(SimpleNamespace(**FLOATS, **drawn, reads={"pooler"}))
    assert heads["sentence_pair"].name == "sentence_pair"
    assert heads["sentence_pair"].kernel_initializer.stddev == 0.03


@pytest.mark.parametrize(
    "settings, message",
    [
        (dict(sequence_length=0), "`sequence_length` must be an integer of at least 1"),
        (dict(sequence_length=True), "`sequence_length` must be an integer of at least 1"),
        (dict(negative="next"), "`negative` must be one of"),
        (dict(short_rate=1.5), r"`short_rate` must be a number from 0 to 1"),
        (dict(short_rate="0.1"), r"`short_rate` must be a number from 0 to 1"),
        (dict(short_rate=float("nan")), r"`short_rate` must be a number from 0 to 1"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message) as error:
        SentencePair(**settings)
    assert "Received: " in str(error.value)


def test_bad_batches():
    for name in ("sentence_pair", "segment_ids", "padding_mask"):
        batch = make_batch()
        del batch[name]
        with pytest.raises(ValueError, match=f"whose rows are pairs, needs {name}.*no such array"):
            SentencePair(7)(batch, None)
    with pytest.raises(ValueError, match=r"token_ids of the shape \(2, 8\). Received: \(2, 7\)"):
        SentencePair(8)(make_batch(), None)
    batch = make_batch()
    batch["sentence_pair"][1] = 2
    message = r"must be 0 \(belongs together\) or 1 \(does not\). Received: \[0, 2"
    with pytest.raises(ValueError, match=message):
        SentencePair(7)(batch, None)
