"""SiATL's classifier: a language model, an LSTM of the task, attention, an auxiliary loss."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_plm import data, families, models
from keras_plm.backbones import AWDLSTMBackbone
from keras_plm.heads import AttentionPoolingHead
from keras_plm.tasks import MultipleChoice, TextClassifier, TextPreprocessor, TextRegressor
from keras_plm.transfer import (
    AuxiliaryLossDecay,
    GroupedOptimizer,
    SequentialUnfreezing,
    parameter_groups,
)

TEXTS = ["the dog ran home", "a boat", "the boat ran to the red dog", "red"]
LABELS = [0, 1, 1, 0]


@pytest.fixture(scope="module")
def tokenizer():
    return data.train_tokenizer(data.Texts(TEXTS), 40, model="word", layout="ulmfit")


def made(tokenizer, cls=TextClassifier, **options):
    keras.utils.set_random_seed(0)
    sizes = dict(num_layers=2, hidden_dim=4, lstm_dim=6)
    flags = families.SIATL["flags"] | families.SIATL["classifier"]
    backbone = AWDLSTMBackbone(tokenizer.vocabulary_size, **sizes, **flags)
    for weight in backbone.weights:
        weight.assign(np.random.default_rng(1).normal(size=weight.shape))
    options = {"num_classes": 2, **options} if cls is TextClassifier else options
    preprocessor = TextPreprocessor(tokenizer, 10)
    return cls(backbone, preprocessor=preprocessor, pooling="attention", **options)


def test_logits(tokenizer):
    """Of the rows of `encode` by the layers of the head, whatever the batch and its padding."""
    model = made(tokenizer)
    head = model.heads["label"]
    assert isinstance(head, AttentionPoolingHead) and head.units == 100
    x = {name: ops.convert_to_tensor(one) for name, one in model.preprocessor(TEXTS).items()}
    x = {name: x[name] for name in ("token_ids", "padding_mask")}
    logits = ops.convert_to_numpy(model(x))
    rows = model.backbone.encode(x)["sequence_output"]
    expected = head(head.pooling(rows, x["padding_mask"]))
    np.testing.assert_allclose(logits, ops.convert_to_numpy(expected), atol=1e-6)
    for index, real in enumerate(ops.convert_to_numpy(x["padding_mask"])):
        alone = {name: one[index : index + 1, : real.sum()] for name, one in x.items()}
        found = ops.convert_to_numpy(model(alone))
        np.testing.assert_allclose(found, logits[index : index + 1], atol=1e-5)


def test_training_and_presets(tokenizer, quick, tmp_path):
    """The LSTM and the attention are the head's: trained, saved and read with it."""
    model = made(tokenizer, auxiliary_lm=0.2, dropout=0.3)
    model.compile(**quick)
    before = [ops.convert_to_numpy(one) for one in model.heads["label"].weights]
    history = model.fit(TEXTS, LABELS, batch_size=4, verbose=0, callbacks=[AuxiliaryLossDecay()])
    assert np.isfinite(history.history["loss"]).all()
    changed = [
        (ops.convert_to_numpy(one) != old).any()
        for one, old in zip(model.heads["label"].weights, before)
    ]
    assert len(changed) == 7 and all(changed)
    model.save_to_preset(tmp_path / "preset")
    again = TextClassifier.from_preset(tmp_path / "preset")
    assert again.settings() == model.settings() and again.pooling == "attention"
    again.compile(**quick)
    expected = model.predict(TEXTS, verbose=0)
    np.testing.assert_allclose(again.predict(TEXTS, verbose=0), expected, atol=1e-6)


def test_epochs_of_the_paper(tokenizer, graph):
    """What is new from the first epoch, LSTMs and projection in the second, the table later."""
    model = made(tokenizer, auxiliary_lm=0.2, dropout=0.0)
    groups = parameter_groups(
        model, ["token_embedding/", lambda path: "lstm_" in path or "projection" in path]
    )
    assert [len(group) for group in groups] == [1, 8, 7]
    optimizer = GroupedOptimizer(keras.optimizers.SGD(0.1), groups, [0.1, 1.0, 1.0])
    model.compile(optimizer, **graph)
    moved = []

    class Moved(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.before = [[ops.convert_to_numpy(one) for one in group] for group in groups]

        def on_epoch_end(self, epoch, logs=None):
            pairs = [zip(*both) for both in zip(groups, self.before)]
            moved.append(
                [any((ops.convert_to_numpy(a) != b).any() for a, b in pair) for pair in pairs]
            )

    callbacks = [SequentialUnfreezing([4, 1, 0]), AuxiliaryLossDecay(), Moved()]
    model.fit(TEXTS, LABELS, batch_size=4, epochs=5, verbose=0, callbacks=callbacks)
    lstms = [False, True, True]
    assert moved == [[False, False, True], lstms, lstms, lstms, [True, True, True]]


def test_other_tasks(tokenizer, quick, make_transformer):
    regressor = made(tokenizer, TextRegressor, both_orders=True)
    regressor.compile(**quick)
    pairs = (TEXTS, TEXTS[::-1]), (TEXTS[::-1], TEXTS)
    one, other = (regressor.predict(x, verbose=0) for x in pairs)
    np.testing.assert_allclose(one, other, atol=1e-6)
    choices = MultipleChoice(make_transformer(20), pooling="attention", summary_dim=5)
    assert choices.heads["choice"].units == 5


def test_what_does_not_fit(tokenizer):
    for options, message in (
        ({"gradient_length": 3}, 'needs pooling="concat"'),
        ({"summarise": True}, '"attention"` brings a head of its own.*True'),
        ({"logits_bias": False}, '"attention"` brings a head of its own.*False'),
    ):
        with pytest.raises(ValueError, match=message):
            made(tokenizer, **options)


def test_the_auxiliary_loss_is_the_language_model_that_was_trained(tokenizer, quick, tmp_path):
    """`evaluate` of the pretrained preset's classifier holds its cross-entropy."""
    model = models.siatl(tokenizer, "tiny", 10, num_layers=2, hidden_dim=4, lstm_dim=6)
    for weight in model.backbone.weights:
        weight.assign(np.random.default_rng(1).normal(size=weight.shape))
    model.save_to_preset(tmp_path / "preset")
    losses = []
    for weight in (0.0, 1.0):
        keras.utils.set_random_seed(0)
        options = dict(num_classes=2, pooling="attention", auxiliary_lm=weight, sequence_length=10)
        classifier = TextClassifier.from_preset(tmp_path / "preset", **options)
        classifier.compile(**quick)
        losses.append(classifier.evaluate(TEXTS[2:3], LABELS[2:3], verbose=0, return_dict=True))
    x = classifier.preprocessor(TEXTS[2:3])
    ids = np.asarray(x["token_ids"])[:, : int(np.sum(x["padding_mask"]))]
    rows = ops.convert_to_numpy(model.backbone.encode({"token_ids": ids})["sequence_output"])
    table = ops.convert_to_numpy(model.backbone.token_embedding.embeddings)
    logits = rows[0, :-1].astype("float64") @ table.T
    own = np.take_along_axis(logits, ids[0, 1:, None], axis=1)[:, 0]
    expected = np.mean(np.log(np.exp(logits).sum(axis=1)) - own)
    np.testing.assert_allclose(losses[1]["loss"] - losses[0]["loss"], expected, rtol=1e-4)
