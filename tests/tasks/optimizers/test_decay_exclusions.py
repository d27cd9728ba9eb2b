import keras
import numpy as np
import pytest

from keras_plm import transfer
from keras_plm.tasks.optimizers.decay_exclusions import (
    exclude_from_weight_decay,
    inner_optimizers,
    weight_decay_exclusions,
)

NORMS = ("gamma", "beta", "bias")


def adam(**options):
    optimizer = keras.optimizers.AdamW(0.1, weight_decay=0.5, **options)
    optimizer.exclude_from_weight_decay(var_names=["(bias|beta|gamma)(:0)?$"])
    return optimizer


def decayed(model):
    """The paths of the weights that change by a step without gradients: by decay alone."""
    optimizer = model.optimizer
    if not optimizer.built:
        optimizer.build(model.trainable_variables)
    before = [np.array(v) for v in model.trainable_variables]
    for one in inner_optimizers(optimizer):
        variables = [v for v in model.trainable_variables if uses(optimizer, one, v)]
        one.apply([np.zeros(v.shape, "float32") for v in variables], variables)
    after = [np.array(v) for v in model.trainable_variables]
    paths = [v.path for v in model.trainable_variables]
    return {path for path, old, new in zip(paths, before, after) if (old != new).any()}


def uses(optimizer, inner, variable):
    chosen = getattr(optimizer, "_optimizer_map", None)
    return chosen is None or chosen(variable) is inner


def multi():
    rest, head = adam(), adam()
    chosen = keras.optimizers.OptimizerMap(rest, {"label/.*": head})
    return keras.optimizers.MultiOptimizer(chosen)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
@pytest.mark.parametrize("make_optimizer", [adam, lambda: adam(use_ema=True)], ids=["adam", "ema"])
def test_exclusions_survive_a_keras_file(make_optimizer, policy, make_classifier, tmp_path, quick):
    model = make_classifier(num_layers=1, dtype=policy)
    model.compile(make_optimizer(), **quick)
    for variable in model.trainable_variables:
        variable.assign(np.ones(variable.shape))
    model.fit(["a boat", "a fish"], [0, 1], verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert weight_decay_exclusions(again) == weight_decay_exclusions(model)
    assert not any(path.endswith(NORMS) for path in decayed(again))
    assert decayed(again)


def test_single_variables_and_several_optimizers(make_classifier, tmp_path, quick):
    model = make_classifier(num_layers=1)
    optimizer = keras.optimizers.AdamW(0.1, weight_decay=0.5)
    table = model.backbone.token_embedding.embeddings
    optimizer.exclude_from_weight_decay(var_list=[table])
    model.compile(optimizer, **quick)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert weight_decay_exclusions(again) == [{"pattern": None, "paths": [table.path]}]
    assert table.path not in decayed(again) and len(decayed(again)) > 5


@pytest.mark.parametrize("left_out", [None, ["kernel(:0)?$"]])
def test_they_replace_the_names_of_our_optimizers(left_out, make_classifier, tmp_path, quick):
    """Those that a model was trained with: `no_decay` alone would bring back others."""
    model = make_classifier(num_layers=1)
    optimizer = transfer.bert_optimizer(0.1)
    optimizer.exclude_from_weight_decay(var_names=left_out)
    model.compile(optimizer, **quick)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    for variable in again.trainable_variables:
        variable.assign(np.ones(variable.shape))
    paths = {variable.path for variable in again.trainable_variables}
    kernels = {path for path in paths if path.endswith("kernel")}
    assert decayed(again) == (paths - kernels if left_out else paths)


def test_models_that_said_nothing_keep_what_the_optimizer_says(make_classifier):
    model = make_classifier(num_layers=1)
    model.compile(transfer.bert_optimizer(0.1))
    before = weight_decay_exclusions(model)
    exclude_from_weight_decay(model, None)
    assert weight_decay_exclusions(model) == before != [{"pattern": None, "paths": []}]


def test_what_does_not_fit_is_refused(make_classifier):
    model = make_classifier(num_layers=1)
    model.compile(adam())
    with pytest.raises(ValueError, match="other optimizers. Received: 2 for 1"):
        exclude_from_weight_decay(model, [{"pattern": None, "paths": []}] * 2)
    with pytest.raises(ValueError, match=r"that the model has not. Received: \['a/b'\]"):
        exclude_from_weight_decay(model, [{"pattern": None, "paths": ["a/b"]}])


def test_a_pattern_alone_as_it_was_saved_before(make_classifier):
    model = make_classifier(num_layers=1)
    model.compile(keras.optimizers.AdamW(0.1, weight_decay=0.5))
    exclude_from_weight_decay(model, "kernel$")
    assert weight_decay_exclusions(model) == [{"pattern": "kernel$", "paths": []}]


def test_wrapped_optimizers_are_found():
    inner = adam()
    assert inner_optimizers(inner) == [inner]
    assert inner_optimizers(keras.optimizers.LossScaleOptimizer(inner)) == [inner]
    several = multi()
    assert inner_optimizers(several) == list(several.optimizers)
