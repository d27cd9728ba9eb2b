"""How the weights begin, by what is drawn: as the released code of each system draws them."""

import json
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras import ops

from keras_plm import models
from keras_plm.backbones import TransformerBackbone, XLNetBackbone
from keras_plm.backbones.backbone import make_initializer

SIZES = dict(num_layers=8, num_heads=2, hidden_dim=32, intermediate_dim=128)


def looks(variable, deviation, spread, beyond):
    """Whether mean, spread and share beyond two deviations are those: four errors at the most."""
    values = ops.convert_to_numpy(variable).ravel() / deviation
    error = len(values) ** -0.5
    found = (np.abs(values) > 2).mean()
    tails = found == 0 if beyond == 0 else abs(found - beyond) < 4 * 0.21 * error
    return abs(values.mean()) < 4 * error and abs(values.std() - spread) < 3 * error and tails


def is_normal(variable, deviation):
    return looks(variable, deviation, 1, 0.0455)


def is_truncated(variable, deviation):
    return looks(variable, deviation, 0.8796, 0)


def weight(backbone, path):
    (found,) = [one for one in backbone.weights if one.path == path]
    return found


def transformer(**options):
    return TransformerBackbone(500, **SIZES, max_sequence_length=300, **options)


@pytest.mark.parametrize(
    "options, check", [({}, is_truncated), ({"initializer": "normal"}, is_normal)]
)
def test_kinds(options, check):
    keras.utils.set_random_seed(0)
    backbone = transformer(pooler=True, initializer_range=0.05, **options)
    for path in (
        "token_embedding/embeddings",
        "position_embedding/embeddings",
        "block_0/attention/query/kernel",
        "block_7/attention/attention_output/kernel",
        "block_3/intermediate/kernel",
        "block_3/feedforward_output/kernel",
        "pooler/kernel",
    ):
        assert check(weight(backbone, path), 0.05), path
    assert not ops.convert_to_numpy(weight(backbone, "block_3/intermediate/bias")).any()


def test_positions_and_residuals_of_their_own():
    keras.utils.set_random_seed(0)
    backbone = transformer(
        initializer="normal",
        initializer_range=0.05,
        position_initializer_range=0.02,
        scaled_residuals=True,
    )
    assert is_normal(weight(backbone, "token_embedding/embeddings"), 0.05)
    assert is_normal(weight(backbone, "position_embedding/embeddings"), 0.02)
    for name in ("attention/attention_output", "feedforward_output"):
        assert is_normal(weight(backbone, f"block_2/{name}/kernel"), 0.05 / 4)  # 8 layers
    for name in ("attention/value", "intermediate"):
        assert is_normal(weight(backbone, f"block_2/{name}/kernel"), 0.05)


def test_xlnet_is_normal():
    keras.utils.set_random_seed(0)
    backbone = XLNetBackbone(500, **SIZES, initializer_range=0.05)
    assert backbone.initializer == "normal"
    assert is_normal(weight(backbone, "embedding/token_embedding/embeddings"), 0.05)
    assert is_normal(weight(backbone, "block_3/attention/position/kernel"), 0.05)
    assert is_normal(weight(backbone, "block_3/intermediate/kernel"), 0.05)


# The kind, and the deviations of tokens and of positions of the base model.
RELEASED = {
    "bert": ("bert", is_truncated, 0.02, 0.02),
    "roberta": ("roberta", is_normal, 0.02, 0.02),
    "spanbert": ("bert", is_normal, 0.02, 0.02),
    "unilm": ("bert", is_normal, 0.02, 0.02),
    "mpnet": ("bert", is_normal, 0.02, 0.02),
    "ernie1": ("bert", is_truncated, 0.02, 0.02),
    "gpt1": ("gpt", is_normal, 0.02, 0.02),
    "gpt2": ("gpt", is_normal, 0.02, 0.01),
    "gpt3": ("gpt", is_normal, 0.02, 0.01),
}


@pytest.mark.parametrize("name", RELEASED)
@pytest.mark.usefixtures("quick_compilation")
def test_the_catalogue_begins_as_released(name, tokenizers):
    layout, check, tokens, positions = RELEASED[name]
    keras.utils.set_random_seed(0)
    sizes = {**SIZES, "num_layers": 2, "sequence_length": 256}
    backbone = getattr(models, name)(tokenizers[layout], "base", **sizes).backbone
    assert check(backbone.token_embedding.embeddings, tokens)
    assert check(backbone.position_embedding.embeddings, positions)
    assert check(weight(backbone, "block_1/intermediate/kernel"), tokens)
    residual = tokens / 2 if name in ("gpt2", "gpt3") else tokens  # 2 layers
    assert check(weight(backbone, "block_1/feedforward_output/kernel"), residual)


@pytest.mark.usefixtures("quick_compilation")
def test_positions_of_gpt2_follow_the_width(tokenizers):
    def made(size, **options):
        backbone = models.gpt2(tokenizers["gpt"], size, **SIZES, sequence_length=32, **options)
        config = backbone.backbone.get_config()
        return config["initializer_range"], config["position_initializer_range"]

    assert made("tiny") == (0.08, 0.04)
    assert made("tiny", initializer_range=0.1) == (0.1, 0.05)
    assert made("tiny", position_initializer_range=0.3) == (0.08, 0.3)


def test_configs_that_do_not_say_it():
    """Of models that were saved before: truncated, and positions as all else."""
    config = transformer(initializer_range=0.05).get_config()
    for name in ("initializer", "position_initializer_range"):
        del config[name]
    again = TransformerBackbone.from_config(json.loads(json.dumps(config)))
    assert (again.initializer, again.position_initializer_range) == ("truncated_normal", None)
    assert is_truncated(weight(again, "position_embedding/embeddings"), 0.05)


@pytest.mark.parametrize("kind", ["uniform", None, 3])
def test_no_such_kind(kind):
    with pytest.raises(ValueError, match="must be 'normal' or 'truncated_normal'. Received: init"):
        transformer(initializer=kind)


def test_two_initializers_draw_two_arrays():
    first, second = (make_initializer("normal", 0.5)((4, 4)) for _ in range(2))
    first, second = (ops.convert_to_numpy(one) for one in (first, second))
    assert (first != second).any()


def test_a_backbone_makes_new_ones():
    backbone = SimpleNamespace(initializer="truncated_normal", initializer_range=0.03)
    found = [TransformerBackbone.kernel_initializer(backbone) for _ in range(2)]
    assert found[0] is not found[1]
    assert [type(one).__name__ for one in found] == ["TruncatedNormal"] * 2
    assert found[0].stddev == 0.03
