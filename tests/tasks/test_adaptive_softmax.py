"""An adaptive softmax over the vocabulary of any causal backbone: trained, saved, written with."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_plm.heads import AdaptiveSoftmaxHead
from keras_plm.objectives import CausalModeling
from keras_plm.tasks import CausalLM, Pretrainer

CUTOFFS = (40, 120)


@pytest.fixture(scope="module")
def objective():
    return CausalModeling(12, cutoffs=list(CUTOFFS))


@pytest.fixture
def pretrainer(make_transformer, objective):
    return Pretrainer(make_transformer(300, causal=True), objective)


@pytest.fixture(scope="module")
def batch(objective):
    random = np.random.default_rng(0)
    ids = random.integers(5, 300, (4, 12)).astype("int32")
    real = np.arange(12) < np.array([[12], [9], [12], [3]])
    given = {"token_ids": ids * real, "padding_mask": real, "functional": np.zeros_like(real)}
    return objective(given, None)


def mean_loss(model, batch):
    """Cross-entropy by the log-probabilities of the whole vocabulary."""
    x, y, weight = batch
    log_probs = ops.convert_to_numpy(model.heads["tokens"].logits(model(x)["tokens"]))
    losses = -np.take_along_axis(log_probs, y["tokens"][..., None], -1)[..., 0]
    return (losses * weight["tokens"]).sum() / weight["tokens"].sum()


@pytest.mark.slow
def test_trains_and_counts_its_perplexity(pretrainer, batch, with_xla):
    expected = mean_loss(pretrainer, batch)
    pretrainer.compile(keras.optimizers.Adam(0.02))
    head = pretrainer.heads["tokens"]
    before = [np.array(ops.convert_to_numpy(weight)) for weight in head.weights]
    data = dict(zip(("x", "y", "sample_weight"), batch), batch_size=4, verbose=0)
    history = pretrainer.fit(**data, epochs=4)
    losses = history.history["loss"]
    assert losses[0] == pytest.approx(expected, rel=1e-4)
    assert losses[-1] < losses[0] - 0.5
    np.testing.assert_allclose(history.history["perplexity"], np.exp(losses), rtol=1e-4)
    for weight, old in zip(head.weights, before):
        assert np.abs(ops.convert_to_numpy(weight) - old).max() > 1e-3, weight.path
    loss = mean_loss(pretrainer, batch)
    assert pretrainer.evaluate(**data) == pytest.approx([loss, np.exp(loss)], rel=1e-4)


def test_saved_loaded_and_written_with(pretrainer, batch, tmp_path):
    random = np.random.default_rng(1)
    for weight in pretrainer.weights:
        weight.assign(random.normal(scale=0.3, size=weight.shape).astype("float32"))
    expected = mean_loss(pretrainer, batch)
    pretrainer.save(tmp_path / "model.keras")
    pretrainer.save_to_preset(str(tmp_path / "preset"))
    for again in (
        keras.saving.load_model(tmp_path / "model.keras"),
        Pretrainer.from_preset(str(tmp_path / "preset")),
    ):
        assert again.heads["tokens"].cutoffs == CUTOFFS
        assert mean_loss(again, batch) == pytest.approx(expected, rel=1e-5)

    model = CausalLM.from_preset(str(tmp_path / "preset"))
    assert isinstance(model.heads["tokens"], AdaptiveSoftmaxHead)
    ids = batch[0]["token_ids"][0]
    states = pretrainer.backbone.encode({"token_ids": ids[None]})["sequence_output"]
    log_probs = ops.convert_to_numpy(pretrainer.heads["tokens"].logits(states))[0]
    (score,) = model.score([ids[1:].tolist()], prompts=[ids[:1].tolist()])
    np.testing.assert_allclose(score.tokens, log_probs[np.arange(11), ids[1:]], atol=1e-4)
    (text,) = model.generate([ids.tolist()], max_length=13, sampler="greedy")
    assert text[-1] == log_probs[-1].argmax()
    model.save_to_preset(str(tmp_path / "written"))
    assert CausalLM.from_preset(str(tmp_path / "written")).cutoffs == CUTOFFS


def test_cutoffs_beyond_the_vocabulary(make_transformer):
    with pytest.raises(ValueError, match="from 1 to 299"):
        Pretrainer(make_transformer(300, causal=True), CausalModeling(12, cutoffs=(40, 300)))
    with pytest.raises(ValueError, match="ascending"):
        CausalModeling(12, cutoffs=(40, 40))
