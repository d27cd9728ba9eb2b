"""ERNIE 2.0's labels: the literal examples of the modules, configs, heads, what does not fit."""

import json

import numpy as np
import pytest

from keras_plm.objectives import Mixture, Objective, ObjectiveSum
from keras_plm.objectives.labels.capitals import Capitals
from keras_plm.objectives.labels.discourse_relation import DISCOURSE_MARKERS, DiscourseRelation
from keras_plm.objectives.labels.sentence_distance import SentenceDistance
from keras_plm.objectives.labels.sentence_reordering import SentenceReordering
from keras_plm.objectives.labels.token_document import TokenDocument

TASKS = [
    Capitals(7, "packed", segments=True),
    TokenDocument(7, segments=True),
    SentenceReordering(7, 4),
    SentenceDistance(7),
    DiscourseRelation(7),
]


def row(ids, **labels):
    """A batch of one row: 1 is [CLS], 2 is [SEP], 0 is padding."""
    ids = np.array([ids], "int32")
    batch = {"token_ids": ids, "padding_mask": ids > 0, "functional": ids < 3}
    batch["segment_ids"] = np.zeros_like(ids)
    return batch | {name: np.array([value]) for name, value in labels.items()}


def test_capitals():
    """`Bob met IBM people`, whose second word has two pieces."""
    batch = row([1, 10, 11, 12, 13, 14, 2], capitals=[0, 1, 0, 0, 1, 0, 0])
    x, y, weight = Capitals(7)(batch, None)
    assert set(x) == {"token_ids", "padding_mask"}
    assert y["capitals"].tolist() == [[0, 1, 0, 0, 1, 0, 0]]
    assert weight["capitals"].tolist() == [[0, 1, 1, 1, 1, 1, 0]]


def test_tokens_and_their_document():
    batch = row([1, 10, 11, 12, 2], token_document=[-1, 1, 0, 0, -1])
    _, y, weight = TokenDocument(5)(batch, None)
    assert y["token_document"].tolist() == [[0, 1, 0, 0, 0]]
    assert weight["token_document"].tolist() == [[0, 1, 1, 1, 0]]
    assert TokenDocument(5).rows == "token_document"


@pytest.mark.parametrize("objective, most", [(TASKS[2], 32), (TASKS[3], 2), (TASKS[4], 25)])
def test_labels_of_rows(objective, most):
    """The last class is one, and one more is none."""
    name = objective.label
    assert objective.rows == name and len(objective.classes) == most + 1
    x, y, weight = objective(row([1, 9, 2, 8, 2, 0, 0], **{name: most}), None)
    assert set(x) == {"token_ids", "padding_mask", "segment_ids"}
    assert y[name].tolist() == [most] and weight[name].tolist() == [1.0]
    with pytest.raises(ValueError, match=rf"{name} must be 0 .*Received: \[{most + 1}\]"):
        objective(row([1, 9, 2, 8, 2, 0, 0], **{name: most + 1}), None)


def test_markers_are_different_and_lower_case():
    assert len(set(DISCOURSE_MARKERS)) == len(DISCOURSE_MARKERS) == 26
    assert all(marker == marker.lower().strip() for marker in DISCOURSE_MARKERS)


@pytest.mark.parametrize("objective", TASKS)
def test_configs(objective):
    again = Objective.from_config(json.loads(json.dumps(objective.get_config())))
    assert again == objective and type(again) is type(objective)


def test_they_share_a_mixture():
    """One graph has the features of all, and the corpus the columns that any of them needs."""
    mixture = Mixture(tuple(TASKS), (1,) * 5, task_ids=True)
    assert mixture.columns == ("capitals", "discourse_markers")
    assert mixture.head_settings["sentence_reordering"] == 33
    assert mixture.row_settings["parts"][2] == (
        "sentence_reordering",
        {"sequence_length": 7, "num_parts": 4},
    )
    both = ObjectiveSum((TASKS[3], TASKS[0].__class__(7, "sentence_distance")))
    assert both.columns == ("capitals",)


@pytest.mark.parametrize("number", [1, 6, 2.0, None, True])
def test_bad_number_of_parts(number):
    with pytest.raises(ValueError, match="`num_parts` must be an integer from 2 to 5"):
        SentenceReordering(7, number)
