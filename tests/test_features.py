import numpy as np
import pytest

from keras_plm.features import FEATURES, check_batch, check_names

BATCH, LENGTH, PREDICTIONS = 2, 4, 3


def batch(**changes):
    """A good batch of every feature, with some replaced (None: left out)."""
    features = {
        "token_ids": np.array([[1, 2, 3, 4], [5, 6, 7, 9]], "int32"),
        "character_ids": np.full((BATCH, LENGTH, 5), 261, "int32"),
        "backward_character_ids": np.full((BATCH, LENGTH, 5), 261, "int32"),
        "padding_mask": np.ones((BATCH, LENGTH), bool),
        "segment_ids": np.array([[0, 0, 1, 2]] * BATCH, "int32"),
        "position_ids": np.array([[2, 3, 4, 1]] * BATCH, "int32"),
        "language_ids": np.array([[0, 0, 1, 1]] * BATCH, "int32"),
        "task_ids": np.zeros((BATCH, LENGTH), "int32"),
        "entity_ids": np.array([[0, 7, 0, 0]] * BATCH, "int32"),
        "candidate_entity_ids": np.array([[0, 7, 99, 0]] * BATCH, "int32"),
        "order": np.array([[0, 1, 0, 2]] * BATCH, "int32"),
        "until": np.array([[9, 9, 1, 9]] * BATCH, "int32"),
        "target_positions": np.array([[1, 3, 0]] * BATCH, "int32"),
        "target_token_ids": np.array([[7, 8, 0]] * BATCH, "int32"),
        "left_positions": np.array([[0, 2, 0]] * BATCH, "int32"),
        "right_positions": np.array([[2, 3, 0]] * BATCH, "int32"),
        "span_offsets": np.array([[0, 1, 0]] * BATCH, "int32"),
        "candidate_ids": np.array([[[1, 9, 0, 7]] * PREDICTIONS] * BATCH, "int32"),
        "source_token_ids": np.array([[1, 9]] * BATCH, "int32"),
        "source_padding_mask": np.ones((BATCH, 2), bool),
        "source_language_ids": np.ones((BATCH, 2), "int32"),
        "source_visible": np.ones((BATCH, 2), bool),
        "answer_mask": np.array([[True, True, False, True]] * BATCH),
        "start_positions": np.array([-1, 3], "int32"),
        "task_number": np.array([2, 2], "int32"),
        "backward": np.array([False, True]),
        "fresh": np.array([True, False]),
        "memory": np.zeros((BATCH, 2, 3, 8), "float32"),
    }
    changed = {**features, **changes}
    return {name: value for name, value in changed.items() if value is not None}


def test_a_good_batch_passes():
    assert set(batch()) == set(FEATURES)
    check_batch(batch(), names=FEATURES, vocabulary_size=10, batch_size=BATCH)
    check_batch({"token_ids": np.array([[0, 9]])}, vocabulary_size=10)


def test_any_width_of_integer_or_float_passes():
    check_batch(batch(token_ids=np.ones((BATCH, LENGTH), "int64")))
    check_batch(batch(token_ids=np.ones((BATCH, LENGTH), "uint16")))
    check_batch(batch(memory=np.zeros((BATCH, 2, 3, 8), "float16")))


def test_lists_pass_as_arrays():
    check_batch({"token_ids": [[1, 2]], "padding_mask": [[True, False]]}, vocabulary_size=3)


IDS = np.ones((BATCH, LENGTH), "int32")
BAD = {
    "characters": (
        dict(character_ids=np.full((BATCH, LENGTH, 5), 262, "int32")),
        r"'character_ids'.*\[0, 262\).*262",
    ),
    "ids are floats": (dict(token_ids=IDS.astype("float32")), "'token_ids'.*int32.*float32"),
    "ids are text": (dict(token_ids=np.array([["a"]])), "'token_ids'.*int32"),
    "ids are objects": (dict(token_ids=np.array([[None]])), "'token_ids'.*int32.*object"),
    "ids are ragged": (dict(token_ids=[[1, 2], [3]]), "'token_ids'.*rectangular"),
    "mask is integers": (dict(padding_mask=IDS), "'padding_mask'.*bool.*int32"),
    "backward is integers": (dict(backward=IDS[:, 0]), "'backward'.*bool"),
    "order is bools": (dict(order=IDS > 0), "'order'.*int32.*bool"),
    "ids lack an axis": (dict(token_ids=IDS[0]), r"'token_ids'.*\(B, T\).*\(4,\)"),
    "fresh has an axis too many": (dict(fresh=IDS[:, :1] > 0), r"'fresh'.*\(B\).*\(2, 1\)"),
    "a row without a token": (
        dict(padding_mask=np.arange(BATCH)[:, None] * np.ones(LENGTH) > 0),
        r"Every row must have a real token.*in the rows \[0\]",
    ),
    "mask is longer": (dict(padding_mask=np.ones((BATCH, 5), bool)), r"'padding_mask'.*T = 4"),
    "order is shorter": (dict(order=IDS[:, :3]), r"'order'.*T = 4.*\(2, 3\)"),
    "segments of another batch": (dict(segment_ids=IDS[:1]), "'segment_ids'.*B = 2"),
    "memory of another batch": (
        dict(memory=np.zeros((1, 2, 3, 8), "float32")),
        r"'memory'.*B = 2.*\(1, 2, 3, 8\)",
    ),
    "no rows": (dict(token_ids=IDS[:0]), "'token_ids'"),
    "no tokens": (dict.fromkeys(FEATURES) | dict(token_ids=IDS[:, :0]), "'token_ids'.*empty"),
    "no targets": (dict(target_positions=IDS[:, :0]), "'target_positions'.*empty"),
    "id is the vocabulary size": (dict(token_ids=IDS * 10), r"'token_ids'.*\[0, 10\).*10 to 10"),
    "id is negative": (dict(token_ids=IDS * -1), r"'token_ids'.*\[0, 10\).*-1"),
    "target past the end": (dict(target_positions=IDS[:, :3] * 4), r"'target_positions'.*\[0, 4\)"),
    "target is negative": (dict(target_positions=IDS[:, :3] * -1), "'target_positions'.*-1"),
    "span past the end": (dict(right_positions=IDS[:, :3] * 4), r"'right_positions'.*\[0, 4\)"),
    "span before the row": (dict(left_positions=IDS[:, :3] * -1), "'left_positions'.*-1"),
    "offset past the end": (dict(span_offsets=IDS[:, :3] * 4), r"'span_offsets'.*\[0, 4\)"),
    "entities of another length": (dict(entity_ids=IDS[:, :3]), r"'entity_ids'.*T = 4"),
    "candidates of another batch": (
        dict(candidate_entity_ids=IDS[:1]),
        "'candidate_entity_ids'.*B = 2",
    ),
    "candidate is the vocabulary size": (
        dict(candidate_ids=np.full((BATCH, PREDICTIONS, 4), 10, "int32")),
        r"'candidate_ids'.*\[0, 10\).*10 to 10",
    ),
    "an entity is negative": (dict(entity_ids=IDS * -1), "'entity_ids'.*-1"),
    "a candidate entity is negative": (
        dict(candidate_entity_ids=IDS * -1),
        "'candidate_entity_ids'.*-1",
    ),
    "spans of other targets": (dict(span_offsets=IDS[:, :2]), r"'span_offsets'.*P = 3"),
    "order is negative": (dict(order=IDS * -1), "'order'.*-1"),
    "order is huge": (dict(order=IDS * 2**30), r"'order'.*2\*\*30"),
    "segment is negative": (dict(segment_ids=IDS * -1), "'segment_ids'.*-1"),
    "memory is NaN": (
        dict(memory=np.full((BATCH, 2, 3, 8), np.nan, "float32")),
        "'memory'.*not finite",
    ),
    "memory is infinite": (
        dict(memory=np.full((BATCH, 2, 3, 8), np.inf, "float32")),
        "'memory'.*not finite",
    ),
    "memory is integers": (dict(memory=np.zeros((BATCH, 2, 3, 8), "int32")), "'memory'.*float32"),
    "unknown feature": (dict(token_type_ids=IDS), "'token_type_ids'.*Known.*segment_ids"),
}


@pytest.mark.parametrize("changes, message", BAD.values(), ids=BAD)
def test_a_bad_batch_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        check_batch(batch(**changes), vocabulary_size=10)


def test_another_batch_size_is_refused():
    with pytest.raises(ValueError, match=r"'token_ids'.*B = 3.*\(2, 4\)"):
        check_batch(batch(), batch_size=3)


@pytest.mark.parametrize(
    "bounds, message",
    [
        ({"segment_ids": 2}, r"'segment_ids' must lie in \[0, 2\).*from 0 to 2"),
        ({"language_ids": 1}, r"'language_ids' must lie in \[0, 1\).*from 0 to 1"),
        ({"position_ids": 4}, r"'position_ids' must lie in \[0, 4\).*from 1 to 4"),
        ({"entity_ids": 7}, r"'entity_ids' must lie in \[0, 7\) \(rows of the table of entity"),
        ({"entity_ids": 1}, r"\[0, 1\) .*1: none was given, see `entity_vectors=`.*from 0 to 7"),
        ({"candidate_entity_ids": 99}, r"\[0, 99\) \(rows of the table of entity.*from 0 to 99"),
    ],
)
def test_bounds_of_a_model(bounds, message):
    check_batch(batch(), bounds={"segment_ids": 3, "sequence_length": LENGTH})
    with pytest.raises(ValueError, match=message):
        check_batch(batch(), bounds=bounds)


def test_rows_longer_than_the_model():
    """Rows that number their own positions, as those with mask copies do, may be longer."""
    check_batch(batch(), bounds={"sequence_length": 3})
    unnumbered = {name: array for name, array in batch().items() if name != "position_ids"}
    with pytest.raises(ValueError, match="positions for 3 tokens. Received: rows of 4"):
        check_batch(unnumbered, bounds={"sequence_length": 3})


def test_a_batch_that_is_no_dict_is_refused():
    with pytest.raises(ValueError, match="dict of features.*ndarray"):
        check_batch(IDS)


@pytest.mark.parametrize("changes", [dict(order=None), dict(padding_mask=None, order=None)])
def test_missing_features_are_refused(changes):
    with pytest.raises(ValueError, match="exactly the features.*'order'.*objective"):
        check_batch(batch(**changes), names=FEATURES)


def test_extra_features_are_refused():
    with pytest.raises(ValueError, match=r"exactly the features \['token_ids'\]"):
        check_batch(batch(), names=("token_ids",))


def test_names():
    check_names(["token_ids", "order"], ["token_ids", "order", "memory"], "It")
    with pytest.raises(ValueError, match=r"It takes.*Received also: \['fresh'\]"):
        check_names(["token_ids", "fresh"], ["token_ids"], "It")
    with pytest.raises(ValueError, match="It needs `token_ids`"):
        check_names(["order"], ["order", "token_ids"], "It")
