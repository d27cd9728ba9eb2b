import types

import pytest

from keras_plm.checkpoints.head_config import (
    check_summary,
    other_head,
    read_class_names,
    read_problem_type,
    read_summary,
    summary_of,
    write_class_config,
    write_summary,
)


def test_whose_head_a_classifier_is():
    kinds = {("label",): "ForSequenceClassification", ("token_label",): "ForTokenClassification"}
    words = {"architectures": ["BertForTokenClassification"]}
    assert other_head(kinds, words, "token_label") is None
    assert "BertForTokenClassification" in other_head(kinds, words, "label")
    for unsaid in ({}, {"architectures": None}, {"architectures": ["BertModel", 3]}):
        assert other_head(kinds, unsaid, "label") is None
    for head, problem in (("label", "regression"), ("score", "multi_label_classification")):
        assert problem in other_head(kinds, {"problem_type": problem}, head)
        assert other_head(kinds, {"problem_type": problem}, "token_label") is None
        assert other_head(kinds, {"problem_type": None}, head) is None


def test_names_of_classes():
    labels = {"id2label": {"0": "no", "1": "yes"}}
    assert read_class_names(labels, 2) == {"class_names": ["no", "yes"]}
    assert read_class_names(labels, 3) == {}
    assert read_class_names({"id2label": {"0": "no", "1": "no"}}, 2) == {}
    assert read_class_names({"id2label": {"0": "no", "1": 3}}, 2) == {}
    assert read_class_names({}, None) == {}


def test_generic_names_are_none():
    assert read_class_names({"id2label": {"0": "LABEL_0", "1": "LABEL_1"}}, 2) == {}
    for names in (["LABEL_1", "LABEL_0"], ["LABEL_0", "no"]):
        config = {"id2label": {"0": names[0], "1": names[1]}}
        assert read_class_names(config, 2) == {"class_names": names}


def test_problem_types():
    assert read_problem_type({"problem_type": "multi_label_classification"}) == {
        "multi_label": True
    }
    for other in (None, "single_label_classification", "regression", ["x"]):
        assert read_problem_type({"problem_type": other}) == {}


def test_configs_of_classes(weights):
    task = types.SimpleNamespace(class_names=["no", "yes"])
    names = {"id2label": {"0": "no", "1": "yes"}, "label2id": {"no": 0, "yes": 1}}
    single = {**names, "problem_type": "single_label_classification"}
    assert write_class_config(task, "label", weights(2)) == single
    assert write_class_config(task, "token_label", weights(2)) == names
    task.multi_label = True
    several = {**names, "problem_type": "multi_label_classification"}
    assert write_class_config(task, "label", weights(2)) == several
    config = write_class_config(None, "score", weights(1))
    assert config["problem_type"] == "regression" and config["id2label"] == {"0": "LABEL_0"}


@pytest.fixture
def weights():
    """A function of the number of classes: what is asked of a head's weights."""
    return lambda count: {"logits/kernel": types.SimpleNamespace(shape=(4, count))}


def test_summaries():
    said = {"summary_type": "cls_index", "summary_activation": None}
    assert read_summary(said, "first", "tanh") == {
        "pooling": "last",
        "summary_activation": "linear",
    }
    assert read_summary({}, "first", "tanh") == {"pooling": "first", "summary_activation": "tanh"}
    unknown = {"summary_type": "attn", "summary_activation": ["tanh"]}
    assert read_summary(unknown, "first", "tanh") == {}
    check_summary({})
    check_summary(
        {"summary_type": "mean", "summary_activation": "gelu_new", "other": 1}, other=(1,)
    )
    for key, value in {**unknown, "other": 2}.items():
        with pytest.raises(ValueError, match=f"A head with {key}=.*it must be one of"):
            check_summary({key: value}, other=(1, 3))


def task_of(pooling=None, pooler=False, summary=None, activation=None, both_orders=False):
    """A task with one head, as far as its summary goes."""
    return types.SimpleNamespace(
        backbone=types.SimpleNamespace(pooler=pooler, summary_row="first"),
        heads={"label": types.SimpleNamespace(summary=summary, activation=activation)},
        pooling=pooling,
        both_orders=both_orders,
    )


def test_what_a_task_reads_of_a_text():
    assert summary_of(task_of(), "label") == ("first", "linear")
    assert summary_of(task_of(pooler=True), "label") == ("pooler", "linear")
    assert summary_of(task_of("mean", True, summary="dense"), "label") == ("mean", "tanh")
    assert summary_of(task_of(activation="relu"), "label") == ("first", "relu")
    with pytest.raises(ValueError, match="both orders"):
        summary_of(task_of(both_orders=True), "label")


def test_configs_of_summaries():
    config = write_summary(task_of("mean", activation="gelu_tanh"), "label")
    assert config == {"summary_type": "mean", "summary_activation": "gelu_new"}
    assert write_summary(task_of(), "label")["summary_activation"] == ""
    for wrong in (task_of(pooler=True), task_of(activation="elu")):
        with pytest.raises(ValueError, match="summary of a text is .* Received"):
            write_summary(wrong, "label")
