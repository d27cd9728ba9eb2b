"""GPT-1's fine-tuning: the loss of a language model beside that of each task."""

import keras
import numpy as np
import pytest

from keras_plm import families
from keras_plm.backbones import TransformerXLBackbone, XLNetBackbone
from keras_plm.heads import AuxiliaryLMLoss
from keras_plm.tasks import (
    CausalLM,
    MultipleChoice,
    TextClassifier,
    TextPreprocessor,
    TextRegressor,
)

GPT = families.GPT1["flags"]
TEXTS = ["the dog was red", "a fish", "I went to the boat of the red fish", "he"]
CHOICES = [["a dog", "two"], ["yes", "no"], ["the boat", "it was not"], ["a", "b"]]
TASKS = {
    "classifier": (TextClassifier, {"num_classes": 3}, TEXTS, [0, 2, 1, 1]),
    "similarity": (TextRegressor, {"both_orders": True}, (TEXTS, TEXTS[::-1]), [1.0, 0.0, 3.0, 2]),
    "choice": (MultipleChoice, {}, (TEXTS, CHOICES), [0, 1, 1, 0]),
}


@pytest.fixture
def make(make_transformer, gpt_transfer, quick):
    def make(task, auxiliary_lm, **options):
        cls, arguments, _, _ = TASKS[task]
        keras.utils.set_random_seed(3)
        backbone = make_transformer(gpt_transfer.vocabulary_size, **GPT)
        preprocessor = cls.preprocessor_class(gpt_transfer, 40)
        arguments = {**arguments, "dropout": 0.0, "summarise": False, **options}
        model = cls(backbone, preprocessor=preprocessor, auxiliary_lm=auxiliary_lm, **arguments)
        model.compile(keras.optimizers.SGD(0.1), **quick)
        return model

    return make


def lm_loss(model, x):
    """By `CausalLM.score`: the mean over the tokens of each row, then over the rows."""
    language_model = CausalLM(model.backbone)
    language_model.compile(run_eagerly=True, jit_compile=False)
    x = model.preprocess_samples(x)
    ids, real = (x[name].reshape(-1, 40) for name in ("token_ids", "padding_mask"))
    rows = [one[own].tolist() for one, own in zip(ids, real)]
    scores = language_model.score([row[1:] for row in rows], prompts=[row[:1] for row in rows])
    return -np.mean([one.tokens.mean() for one in scores])


@pytest.mark.parametrize("task", TASKS)
def test_the_loss_is_the_sum_and_all_else_as_before(task, make):
    _, _, x, y = TASKS[task]
    plain, both = make(task, 0.0), make(task, 0.5)
    names = [[one.path for one in model.weights] for model in (plain, both)]
    assert sorted(names[1]) == sorted([*names[0], "auxiliary_lm/current_weight"])
    assert both.heads.keys() == plain.heads.keys()
    expected, logits = (one.predict(x, verbose=0) for one in (plain, both))
    np.testing.assert_allclose(logits, expected, atol=1e-6)
    expected, found = (one.evaluate(x, y, verbose=0, return_dict=True) for one in (plain, both))
    assert found.keys() == expected.keys()
    for name in found.keys() - {"loss"}:
        np.testing.assert_allclose(found[name], expected[name], atol=1e-5)
    if task == "classifier":  # what a step is given, before the step
        loss = both.train_on_batch(x, y, return_dict=True)["loss"]
        np.testing.assert_allclose(loss, found["loss"], rtol=1e-5)
    layers = [[type(layer) for layer in one.layers] for one in (plain, both)]
    assert [AuxiliaryLMLoss in own for own in layers] == [False, True]
    extra = lm_loss(plain, x)
    np.testing.assert_allclose(found["loss"], expected["loss"] + 0.5 * extra, rtol=1e-4)
    assert extra > 1


def test_the_language_model_learns_as_well(make, graph):
    _, _, x, y = TASKS["classifier"]
    model = make("classifier", 0.5)
    model.compile(keras.optimizers.Adam(1e-2), **graph)
    before = lm_loss(model, x)
    model.fit(x, y, batch_size=4, epochs=8, verbose=0, validation_data=(x, y))
    assert lm_loss(model, x) < 0.7 * before


def test_presets(make, tmp_path, quick, caplog):
    _, _, x, y = TASKS["similarity"]
    model = make("similarity", 0.25)
    model.save_to_preset(str(tmp_path / "preset"))
    again = TextRegressor.from_preset(str(tmp_path / "preset"))
    assert not caplog.records
    assert again.settings()["auxiliary_lm"] == 0.25 and again.settings()["summarise"] is False
    off = TextRegressor.from_preset(str(tmp_path / "preset"), auxiliary_lm=0.0)
    off.compile(**quick)
    losses = [one.evaluate(x, y, verbose=0, return_dict=True)["loss"] for one in (model, off)]
    assert losses[1] < losses[0] - 0.25
    # It stays a language model.
    assert CausalLM.from_preset(str(tmp_path / "preset")).score([[5, 6]], prefix=[4])
    assert not caplog.records


def test_wrong_weights_and_backbones(make_transformer, make):
    for weight in (-0.5, float("nan"), "0.5", None, True):
        with pytest.raises(ValueError, match="`auxiliary_lm` must be a number of at least 0"):
            make("classifier", weight)
    for backbone in (make_transformer(20), XLNetBackbone(20, 1, 2, 8, 16)):
        with pytest.raises(ValueError, match="needs a backbone with causal=True.*auxiliary_lm=0.5"):
            TextRegressor(backbone, auxiliary_lm=0.5)
    adaptive = TransformerXLBackbone(20, 1, 2, 8, 16, cutoffs=[5, 10])
    with pytest.raises(ValueError, match="one plain table.*AdaptiveEmbedding, auxiliary_lm=0.5"):
        TextRegressor(adaptive, auxiliary_lm=0.5)
    with pytest.raises(ValueError, match="`summarise` must be True, False or None"):
        TextRegressor(make_transformer(20), summarise="no")


def test_rows_without_a_preprocessor(make_transformer, gpt_transfer, quick):
    model = TextClassifier(make_transformer(gpt_transfer.vocabulary_size, **GPT), 2)
    assert model.settings()["auxiliary_lm"] == 0.0
    x = TextPreprocessor(gpt_transfer, 16)(TEXTS)
    x = {name: x[name] for name in ("token_ids", "padding_mask")}
    model.compile(**quick)
    assert model.predict(x, verbose=0).shape == (4, 2)
