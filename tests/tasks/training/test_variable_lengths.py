"""Training on batches of several lengths: rates in proportion, few programs, resuming."""

import keras
import numpy as np
import pytest

from keras_plm import data
from keras_plm.backbones import AWDLSTMBackbone
from keras_plm.objectives import CausalModeling
from keras_plm.tasks import Checkpoint, Pretrainer, resume

TEXTS = [f"w{number % 7} w{number % 11} w{number % 3} and more of it ." for number in range(90)]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    tokenizer = data.train_tokenizer(data.Texts(TEXTS), 60, model="word", layout="ulmfit")
    return data.Corpus.build(data.Texts(TEXTS), tokenizer, tmp_path_factory.mktemp("corpus") / "c")


def made(corpus, optimizer, graph, variable_length=True):
    keras.utils.set_random_seed(0)
    backbone = AWDLSTMBackbone(corpus.vocabulary_size, 1, 4, 4)
    objective = CausalModeling(14, "stream", False, variable_length=variable_length)
    model = Pretrainer(backbone, objective)
    model.compile(optimizer, **graph)
    return model


def weights_of(model):
    return [np.array(one) for one in model.get_weights()]


def test_a_step_is_that_of_the_length(corpus, quick):
    """The first update of SGD, whose gradient is that of a model of one length."""
    moved = []
    model = made(corpus, keras.optimizers.SGD(1.0), quick)
    examples = data.examples(corpus, model.objective, 2, seed=3)
    number = next(n for n in range(50) if examples.batch_at(n)[0]["token_ids"].shape[1] == 7)
    for factor in (0.5, 1.0):
        model = made(corpus, keras.optimizers.SGD(factor), quick, factor == 1.0)
        before = weights_of(model)
        x, y, sample_weight = examples.batch_at(number)
        model.state.resize(2, training=True)
        model.train_on_batch(x, y, sample_weight)
        moved.append([after - one for after, one in zip(weights_of(model), before)])
    assert max(np.abs(one).max() for one in moved[0]) > 1e-3
    for one, other in zip(*moved):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_resuming_goes_on_bitwise(corpus, graph, tmp_path):
    """Through a whole pass, with dropout, momentum and state; XLA has one program per length."""
    steps = 12
    whole = made(corpus, keras.optimizers.Adam(0.01), graph)
    examples = data.examples(corpus, whole.objective, 2, seed=1)
    lengths = {examples.batch_at(n)[0]["token_ids"].shape[1] for n in range(steps)}
    assert len(lengths) > 3
    checkpoint = Checkpoint(tmp_path / "checkpoint", every=5)
    whole.fit(examples, steps_per_epoch=7, callbacks=[checkpoint], verbose=0)
    again = made(corpus, keras.optimizers.Adam(0.01), graph)
    start = resume(again, tmp_path / "checkpoint")
    assert start == 5
    goes_on = data.examples(corpus, whole.objective, 2, seed=1, start=7)
    whole.fit(goes_on, steps_per_epoch=steps - 7, verbose=0)
    rest = data.examples(corpus, whole.objective, 2, seed=1, start=5)
    again.fit(rest, steps_per_epoch=steps - 5, verbose=0)
    for one, other in zip(weights_of(whole), weights_of(again)):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(ValueError, match="variable_length"):
        resume(made(corpus, keras.optimizers.Adam(0.01), graph, False), tmp_path / "checkpoint")
