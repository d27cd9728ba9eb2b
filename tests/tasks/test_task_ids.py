"""ERNIE 2.0's tasks: heads that rest, and the row of their table that a user's task reads."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from keras import ops

from keras_plm import data, models
from keras_plm.backbones import Backbone
from keras_plm.tasks import TextClassifier, TextPreprocessor
from keras_plm.transfer import GroupedOptimizer, head_groups

pytestmark = pytest.mark.usefixtures("quick_compilation")

TEXTS = ["We took a train.", "He saw the sea, and it was blue.", "No.", "So it goes."]
SIZES = dict(num_layers=1, num_heads=2, hidden_dim=16, intermediate_dim=32, dropout=0.0)


def pretrainer(tokenizer, **options):
    names = ("capitals", "sentence_distance")
    settings = {"sequence_length": 32, "num_tasks": 3, "initializer_range": 0.3, **options}
    return models.ernie2(tokenizer, "tiny", label_tasks=names, **SIZES, **settings)


def logits(model):
    return np.array(model.predict(TEXTS, verbose=0))


@pytest.mark.parametrize("task_id", [0, 2])
def test_the_row_that_a_task_reads(wordpiece, task_id, tmp_path):
    """That of `task_id` alone, and so after it was saved."""
    pretrainer(wordpiece).save_to_preset(tmp_path / "pretrained")
    options = dict(num_classes=3, sequence_length=32, dropout=0.0)
    preset = tmp_path / "pretrained"
    model = TextClassifier.from_preset(preset, **options, task_id=task_id)
    first, table = logits(model), model.backbone.get_layer("task_embedding").embeddings
    features = model.keep_inputs(model.preprocessor.call(TEXTS))
    ids = np.full_like(features["token_ids"], task_id)
    encoded = model.backbone.encode({**features, "task_ids": ids})
    expected = ops.convert_to_numpy(model.heads["label"](encoded["pooled_output"]))
    np.testing.assert_allclose(first, expected, atol=1e-5)
    values = ops.convert_to_numpy(table)
    others = np.arange(3)[:, None] != task_id
    table.assign(np.where(others, values + 1, values))
    np.testing.assert_array_equal(logits(model), first)
    table.assign(np.where(others, values, values[::-1] + 1))
    assert np.abs(logits(model) - first).max() > 1e-3
    table.assign(values)

    model.save_to_preset(tmp_path / "tuned")
    again = TextClassifier.from_preset(tmp_path / "tuned")
    assert again.backbone.task_id == task_id
    np.testing.assert_allclose(logits(again), first, atol=1e-6)
    assert Backbone.from_preset(tmp_path / "tuned", task_id=1).task_id == 1
    with pytest.raises(ValueError, match="`task_id` must be a row.*task_id=3, num_tasks=3"):
        TextClassifier.from_preset(preset, **options, task_id=3)


def test_a_task_may_be_made_of_a_backbone(wordpiece):
    """With Keras's own config: a `.keras` file and a clone have the row too."""
    backbone = pretrainer(wordpiece, task_id=1).backbone
    model = TextClassifier(backbone, 3, TextPreprocessor(wordpiece, 32), dropout=0.0)
    assert model.clone().backbone.task_id == 1
    assert backbone.get_config()["task_id"] == 1


def test_groups_of_heads(wordpiece):
    model = pretrainer(wordpiece)
    groups = [{one.path.split("/")[0] for one in group} for group in head_groups(model)]
    assert groups == [{"tokens"}, {"capitals"}, {"sentence_distance"}, {"pooler"}]
    own = {id(one) for group in head_groups(model) for one in group}
    assert id(model.backbone.token_embedding.embeddings) not in own  # the head of masks reads it
    assert len(own) == sum(map(len, head_groups(model)))
    plain = models.roberta(wordpiece, "tiny", 32, **SIZES).backbone
    assert len(head_groups(TextClassifier(plain, 3, dropout=0.0))) == 1
    with pytest.raises(ValueError, match="must be a task with a backbone and heads.*Dense"):
        head_groups(keras.layers.Dense(1))


def test_idle_heads_stand_still_whole(wordpiece, corpora):
    """In stages of one task each the head and slots of the others are as they were, to the bit."""
    model = pretrainer(wordpiece, task_steps=4)
    model.objective = replace(model.objective, stages=((4, 0, 0), (0, 4, 0), (0, 0, 4)))
    adam = keras.optimizers.AdamW(1e-2, weight_decay=0.1)
    model.compile(GroupedOptimizer(adam, head_groups(model), rest_when_idle=True))
    before = {}
    for stage, busy in enumerate(({"tokens"}, {"capitals"}, {"sentence_distance", "pooler"})):
        examples = data.examples(corpora["bert"], model.objective, 4, start=4 * stage)
        model.fit(examples, steps_per_epoch=4, verbose=0)
        after = state(model)
        if before:
            changed = {
                name
                for name, values in after.items()
                if any((one != other).any() for one, other in zip(values, before[name]))
            }
            assert changed == busy | {"rest"}
        before = after
    counts = [int(one.iterations) for one in model.optimizer.group_optimizers]
    assert counts == [4, 4, 4, 4, 12]


def state(model):
    """Values and slots by group."""
    groups = ("tokens", "capitals", "sentence_distance", "pooler", "rest")
    found = {}
    for name, one in zip(groups, model.optimizer.group_optimizers):
        rates = {id(v) for v in one.variables if "learning_rate" in v.path}
        own = [v for v in one.variables if id(v) not in rates] + list(one._trainable_variables)
        found[name] = [np.array(ops.convert_to_numpy(v)) for v in own]
    return found
