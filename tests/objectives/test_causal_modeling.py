"""CausalModeling: the literal example, who sees whom, padding, heads, bad input."""

from types import SimpleNamespace

import numpy as np
import pytest

from keras_plm.objectives import CausalModeling
from keras_plm.objectives.causal_modeling import document_ends

EOD = 2


def make_batch():
    """The row of the module's docstring: the cat sat <eod> dogs barked, padding."""
    return {
        "token_ids": np.array([[10, 11, 12, EOD, 13, 14, 0]], "int32"),
        "padding_mask": np.array([[1, 1, 1, 1, 1, 1, 0]], bool),
        "functional": np.array([[0, 0, 0, 1, 0, 0, 1]], bool),
    }


def sees(x):
    """Who sees whom, (B, T, T), as the rule says; a row sees itself."""
    step, order, until = x["order"][:, :, None], x["order"][:, None], x["until"][:, None]
    visible = (order <= step) & (step < until) & x["padding_mask"][:, None]
    return visible | np.eye(len(order[0, 0]), dtype=bool)


def test_literal_example():
    """The example of the module's docstring."""
    x, y, sample_weight = CausalModeling(7)(make_batch(), None)
    assert set(x) == set(CausalModeling(7).feature_names)
    assert x["order"].tolist() == [[0, 1, 2, 3, 4, 5, 0]]
    assert x["until"].tolist() == [[3, 3, 3, 7, 7, 7, 7]]
    assert x["target_positions"].tolist() == [[0, 1, 2, 3, 4, 5]]
    assert y["tokens"].tolist() == [[11, 12, EOD, 13, 14, 0]]
    assert sample_weight["tokens"].tolist() == [[1, 1, 1, 1, 1, 0]]
    assert {array.dtype for array in (x["order"], x["until"], y["tokens"])} == {np.dtype("int32")}
    assert sample_weight["tokens"].dtype == np.float32
    assert np.flatnonzero(sees(x)[0, 4]).tolist() == [3, 4]  # dogs sees <eod> and itself
    plain, same, _ = CausalModeling(7, documents_apart=False)(make_batch(), None)
    assert set(plain) == {"token_ids", "padding_mask", "target_positions"}
    assert same["tokens"].tolist() == y["tokens"].tolist()


def test_who_sees_whom_by_gradient(reach):
    x, _, _ = CausalModeling(7)(make_batch(), None)
    content, _ = reach(x)
    table = ["1000000", "1100000", "1110000", "0001000", "0001100", "0001110"]
    assert ["".join(str(int(key)) for key in row) for row in content[:6]] == table
    plain, _, _ = CausalModeling(7, documents_apart=False)(make_batch(), None)
    content, _ = reach(plain, causal=True, normalize_first=True)
    np.testing.assert_array_equal(content[:6, :6], np.tril(np.ones((6, 6), bool)))
    assert not content[:6, 6].any()


def test_documents_of_random_rows(make_text_rows):
    """A row sees what stands before it in its own document, counted token by token."""
    batch = make_text_rows(np.random.default_rng(0), 300, 24)
    x, y, sample_weight = CausalModeling(24)(batch, None)
    real, weights = batch["padding_mask"], sample_weight["tokens"]
    visible = sees(x)
    for row in range(300):
        document, number = [], 0
        for i in range(24):
            number += bool(batch["functional"][row, i] and real[row, i])
            document.append(number)
        for i in np.flatnonzero(real[row]):
            expected = [j for j in range(i + 1) if document[j] == document[i]]
            assert np.flatnonzero(visible[row, i]).tolist() == expected
        assert weights[row].sum() == real[row].sum() - 1
    np.testing.assert_array_equal(y["tokens"], batch["token_ids"][:, 1:] * (weights > 0))


def test_padding_at_the_left():
    batch = {name: values[:, ::-1] for name, values in make_batch().items()}
    x, y, sample_weight = CausalModeling(7)(batch, None)
    assert sample_weight["tokens"].tolist() == [[0, 1, 1, 1, 1, 1]]  # not from the padding
    assert y["tokens"].tolist() == [[0, 13, EOD, 12, 11, 10]]
    assert not sees(x)[0, 1:, 0].any()


def test_document_ends():
    begins = np.array([[0, 0, 1, 1, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 1]], bool)
    assert document_ends(begins).tolist() == [[2, 2, 3, 5, 5], [5] * 5, [4, 4, 4, 4, 5]]


def test_languages():
    languages = np.array([[1, 1, 1, 1, 3, 3, 0]], "int32")
    objective = CausalModeling(7, languages=True)
    x, _, _ = objective({**make_batch(), "language_ids": languages}, None)
    assert x["language_ids"] is languages and set(x) == set(objective.feature_names)
    with pytest.raises(ValueError, match="languages=True. needs rows that say their languages"):
        objective(make_batch(), None)


def test_nothing_is_drawn_and_every_token_counts():
    objective = CausalModeling(7)
    assert objective.draws_per_row == 0 and objective.num_predict == 6
    assert objective.target_shape("tokens") == (6,)
    assert objective.row_settings == {"sequence_length": 7} and objective.rows == "packed"


def test_heads(make_transformer):
    backbone = make_transformer(10, causal=True)
    head = CausalModeling(7).heads(backbone)["tokens"]
    assert head.transform is None and not head.use_bias
    assert CausalModeling(7, output_bias=True).heads(backbone)["tokens"].use_bias
    assert CausalModeling(7, cutoffs=(4, 6)).heads(backbone)["tokens"].cutoffs == (4, 6)
    both_ways = make_transformer(10)
    assert CausalModeling(7).heads(both_ways)  # its rows have an order
    with pytest.raises(ValueError, match="causal=True, or set documents_apart=True"):
        CausalModeling(7, documents_apart=False).heads(both_ways)
    queries = SimpleNamespace(reads={"causal", "queries"})
    with pytest.raises(ValueError, match="queries.*use PermutationModeling"):
        CausalModeling(7, documents_apart=False).heads(queries)


@pytest.mark.parametrize(
    "settings, message",
    [
        (
            dict(sequence_length=1),
            "must be an integer of at least 2.*sequence_length=1",
        ),
        (dict(sequence_length=2.0), "`sequence_length` must be"),
        (dict(sequence_length=True), "`sequence_length` must be"),
        (dict(rows=None), "rows must name a row builder.*None"),
        (dict(documents_apart=1), "`documents_apart` must be True or False.*1"),
        (dict(cutoffs=(6, 4)), "`cutoffs` must be a list of ascending integers of at least 1"),
        (dict(cutoffs=4), "`cutoffs` must be a list"),
        (dict(output_bias=None), "`output_bias` must be True or False"),
        (dict(languages="en"), "`languages` must be True or False.*'en'"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        CausalModeling(**settings)


def test_bad_batches():
    batch = make_batch()
    with pytest.raises(ValueError, match=r"token_ids of the shape \(1, 8\).*\(1, 7\)"):
        CausalModeling(8)(batch, None)
    del batch["functional"]
    with pytest.raises(ValueError, match="needs functional .*no such array"):
        CausalModeling(7)(batch, None)
    CausalModeling(7, documents_apart=False)(batch, None)


def test_rows_that_go_on():
    """The last token has a target as well, and `fresh` is handed on."""
    objective = CausalModeling(4, rows="stream")
    assert objective.contiguous and objective.num_predict == 4
    assert objective.target_shape("tokens") == (4,)
    batch = {
        "token_ids": np.array([[10, 11, EOD, 13], [14, 15, 16, 17]], "int32"),
        "padding_mask": np.ones((2, 4), bool),
        "functional": np.array([[0, 0, 1, 0], [0, 0, 0, 0]], bool),
        "next_token_ids": np.array([18, EOD], "int32"),
        "fresh": np.array([True, False]),
    }
    x, y, sample_weight = objective(batch, None)
    assert set(x) == set(objective.feature_names) and "fresh" in x
    assert x["fresh"].tolist() == [True, False]
    assert x["target_positions"].tolist() == [[0, 1, 2, 3]] * 2
    assert y["tokens"].tolist() == [[11, EOD, 13, 18], [15, 16, 17, EOD]]
    assert sample_weight["tokens"].all()
    assert x["until"].tolist() == [[2, 2, 4, 4], [4, 4, 4, 4]]
    for name in ("fresh", "next_token_ids"):
        with pytest.raises(ValueError, match=name):
            objective({key: batch[key] for key in batch if key != name}, None)
