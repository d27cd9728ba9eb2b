"""New heads begin as the backbone that they stand on: one rule for all tasks and Pretrainers."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_plm import models, tasks

WIDTH, DEVIATION = 64, 0.3
BACKBONES = {
    "truncated": ("bert", {}, 0.88, 0.0),
    "normal": ("bert", {"initializer": "normal"}, 1.0, 0.0455),
    "xlnet": ("xlnet", {}, 1.0, 0.0455),
}
TASKS = {
    "classifier": lambda backbone: tasks.TextClassifier(backbone, 40, dropout=0.0),
    "regressor": lambda backbone: tasks.TextRegressor(backbone),
    "tagger": lambda backbone: tasks.TokenClassifier(backbone, 40),
    "spans": lambda backbone: tasks.SpanExtractor(backbone),
    "spans of a beam": lambda backbone: tasks.SpanExtractor(backbone, beam=True),
    "choices": lambda backbone: tasks.MultipleChoice(backbone),
    "masked tokens": lambda backbone: tasks.MaskedLM(backbone, transform=True),
}


def check_kernels(heads, spread, beyond):
    """All kernels of the heads together: their mean, spread and tails."""
    kernels = [
        ops.convert_to_numpy(weight).ravel()
        for head in heads
        for weight in head.trainable_weights
        if weight.path.endswith("kernel")
    ]
    values = np.concatenate(kernels) / DEVIATION
    sure = 4 / len(values) ** 0.5
    assert abs(values.mean()) < sure
    assert abs(values.std() - spread) < sure
    found = (np.abs(values) > 2).mean()
    assert found == 0 if beyond == 0 else abs(found - beyond) < sure


@pytest.mark.parametrize(
    "task, kind",
    [(t, k) for t in TASKS for k in BACKBONES if (t, k) != ("masked tokens", "xlnet")],
)
@pytest.mark.usefixtures("quick_compilation")
def test_heads_of_tasks(task, kind, tokenizers, make_backbone, make_transformer):
    layout, options, spread, beyond = BACKBONES[kind]
    keras.utils.set_random_seed(0)
    options = {"hidden_dim": WIDTH, "num_layers": 1, "initializer_range": DEVIATION, **options}
    if layout == "xlnet":
        backbone = make_backbone(**options)
    else:
        backbone = make_transformer(tokenizers[layout].vocabulary_size, **options)
    model = TASKS[task](backbone)
    check_kernels(model.heads.values(), spread, beyond)


@pytest.mark.parametrize("name", ["bert", "spanbert"])
@pytest.mark.usefixtures("quick_compilation")
def test_heads_of_pretrainers(name, tokenizers):
    keras.utils.set_random_seed(0)
    sizes = dict(num_layers=1, num_heads=2, hidden_dim=WIDTH, intermediate_dim=64)
    for kind in ("truncated", "normal"):
        _, options, spread, beyond = BACKBONES[kind]
        options = {**sizes, "initializer": "truncated_normal", **options}
        options |= {"initializer_range": DEVIATION, "sequence_length": 32}
        model = getattr(models, name)(tokenizers["bert"], "tiny", **options)
        check_kernels(model.heads.values(), spread, beyond)
