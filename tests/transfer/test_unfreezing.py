"""Which groups of variables an epoch trains."""

import keras
import numpy as np
import pytest

from keras_plm.transfer import (
    GradualUnfreezing,
    GroupedOptimizer,
    SequentialUnfreezing,
    discriminative_rates,
    fit_in_stages,
    parameter_groups,
)

X = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
Y = X[:, :1] - 2 * X[:, 1:2]


def make_model(optimizer=None, graph=None):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((3,))
    low = keras.layers.Dense(4, name="low")(inputs)
    middle = keras.layers.Dense(4, name="middle")(low)
    model = keras.Model(inputs, keras.layers.Dense(1, name="high")(middle))
    if optimizer is not None:
        groups = parameter_groups(model, ["^low/", "^middle/", "^high/"])
        model.compile(discriminative_rates(optimizer, groups), "mse", **graph)
    return model


class Trained(keras.callbacks.Callback):
    """Keeps the names of the layers that each epoch changed."""

    def __init__(self):
        super().__init__()
        self.epochs = []

    def on_epoch_begin(self, epoch, logs=None):
        self.before = {layer.name: layer.get_weights() for layer in self.model.layers[1:]}

    def on_epoch_end(self, epoch, logs=None):
        changed = [
            name
            for name, weights in self.before.items()
            if any(
                (a != b).any() for a, b in zip(weights, self.model.get_layer(name).get_weights())
            )
        ]
        self.epochs.append(changed)


@pytest.mark.parametrize(
    ("callback", "expected"),
    [
        (GradualUnfreezing(), [["high"], ["middle", "high"], ["low", "middle", "high"]]),
        (GradualUnfreezing(2), [["high"], ["high"], ["middle", "high"]]),
        (
            SequentialUnfreezing([2, 0, 1]),
            [["middle"], ["middle", "high"], ["low", "middle", "high"]],
        ),
    ],
    ids=["gradual", "two epochs each", "sequential"],
)
def test_what_an_epoch_trains(callback, expected, graph):
    model, trained = make_model(keras.optimizers.Adam(0.1), graph), Trained()
    model.fit(X, Y, 4, 3, verbose=0, callbacks=[callback, trained])
    assert trained.epochs == expected


def test_a_later_fit_goes_on(graph):
    model, trained = make_model(keras.optimizers.Adam(0.1), graph), Trained()
    model.fit(X, Y, 4, 2, initial_epoch=1, verbose=0, callbacks=[GradualUnfreezing(), trained])
    assert trained.epochs == [["middle", "high"]]


def test_stages_are_fits_of_models_that_are_frozen(graph):
    model = make_model()
    model.compile(keras.optimizers.Adam(0.1), "mse", **graph)
    low, middle, high = parameter_groups(model, ["^low/", "^middle/", "^high/"])
    trained = Trained()
    history = fit_in_stages(
        model,
        [([high], 1), ([middle, high], 2)],
        X,
        Y,
        batch_size=4,
        shuffle=False,
        verbose=0,
        callbacks=[trained],
    )
    assert trained.epochs == [["high"], ["middle", "high"], ["middle", "high"]]
    assert history.epoch == [0, 1, 2] and len(history.history["loss"]) == 3
    assert all(variable.trainable for variable in model.variables)
    other = make_model()
    for names, epochs in ((["high"], 1), (["middle", "high"], 2)):
        for layer in other.layers[1:]:
            layer.trainable = layer.name in names
        other.compile(keras.optimizers.Adam(0.1), "mse", **graph)
        other.fit(X, Y, 4, epochs, shuffle=False, verbose=0)
    for left, right in zip(other.get_weights(), model.get_weights()):
        np.testing.assert_allclose(right, left, rtol=1e-5, atol=1e-6)


def test_groups_of_a_task(tokenizers):
    from keras_plm.backbones import TransformerBackbone
    from keras_plm.tasks import TextClassifier

    backbone = TransformerBackbone(300, 2, 2, 8, 16, max_sequence_length=16, pooler=True)
    task = TextClassifier(backbone, 2)
    groups = parameter_groups(task)
    assert len(groups) == 4
    flat = [variable.path for group in groups for variable in group]
    assert sorted(flat) == sorted(variable.path for variable in task.trainable_variables)
    assert any(path.startswith("token_embedding") for path in (v.path for v in groups[0]))
    backbones = {id(variable) for variable in backbone.variables}
    assert groups[3] and not any(id(variable) in backbones for variable in groups[3])


@pytest.mark.parametrize(
    "below",
    ["^low/", lambda path: path.startswith("low/"), lambda path: "low" in path],
    ids=["pattern", "function", "other function"],
)
def test_ways_to_say_a_group(below):
    model = make_model()
    by_layer = parameter_groups(model, [model.get_layer("low")])
    assert [[v.path for v in group] for group in parameter_groups(model, [below])] == [
        [v.path for v in group] for group in by_layer
    ]
    assert [len(group) for group in by_layer] == [2, 4]


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (["nothing/"], "Group 0 has no variables.*'nothing/'"),
        (["low", "low/kernel"], "must be in one group.*low/kernel"),
        ([3], "A group must be a layer"),
        (None, "`groups` must be given"),
    ],
)
def test_bad_groups(groups, message):
    with pytest.raises(ValueError, match=message):
        parameter_groups(make_model(), groups)


def test_bad_unfreezing(graph):
    model = make_model()
    model.compile("adam", "mse", **graph)
    with pytest.raises(ValueError, match="GroupedOptimizer"):
        model.fit(X, Y, verbose=0, callbacks=[GradualUnfreezing()])
    model = make_model(keras.optimizers.SGD(), graph)
    with pytest.raises(ValueError, match="one number for each of 3 groups"):
        model.fit(X, Y, verbose=0, callbacks=[SequentialUnfreezing([0])])
    with pytest.raises(ValueError, match="`epochs_per_group`"):
        GradualUnfreezing(0)
    with pytest.raises(ValueError, match="`decay`"):
        discriminative_rates(keras.optimizers.SGD(), [["a"]], 0.9)
    for stages in ([], [([], 1)], [([model.variables], 0)]):
        with pytest.raises(ValueError, match="stage|`epochs`"):
            fit_in_stages(model, stages, X, Y)


def test_rates_fall_from_top_to_bottom():
    optimizer = discriminative_rates(keras.optimizers.SGD(), [["a"], ["b"], ["c"]], 2.0)
    assert isinstance(optimizer, GroupedOptimizer)
    assert optimizer.get_config()["factors"] == [0.25, 0.5, 1.0]
