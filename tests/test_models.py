from pathlib import Path

import keras
import pytest

from keras_plm import data, models
from keras_plm.models import XLNET_LENGTHS, XLNET_SIZES

BOOK = Path(__file__).parent / "fixtures" / "botchan.txt"


@pytest.fixture(scope="module")
def tokenizer():
    return data.train_tokenizer([BOOK], vocabulary_size=300)


def count_xlnet(vocabulary_size, num_layers, hidden_dim, intermediate_dim):
    """How many weights an XLNet backbone has."""
    embedding = vocabulary_size * hidden_dim + hidden_dim  # and the query vector
    attention = 5 * hidden_dim**2  # query, key, value, position, output: no biases
    attention += 3 * hidden_dim  # content, position and segment bias
    attention += 2 * hidden_dim  # same and different segment
    norms = 2 * 2 * hidden_dim
    feedforward = 2 * hidden_dim * intermediate_dim + intermediate_dim + hidden_dim
    return embedding + num_layers * (attention + norms + feedforward)


def test_parameters_of_the_published_base():
    """The released base has 116,718,336, and 32,000 in the bias of its head."""
    base = XLNET_SIZES["base"]
    sizes = {name: base[name] for name in ("num_layers", "hidden_dim", "intermediate_dim")}
    assert count_xlnet(32_000, **sizes) == 116_718_336
    assert base["num_heads"] * 64 == base["hidden_dim"]


def test_tiny(tokenizer):
    model = models.xlnet(tokenizer, "tiny")
    assert model.backbone.count_params() == count_xlnet(300, 3, 128, 512)
    assert model.count_params() == count_xlnet(300, 3, 128, 512) + 300
    assert model.compiled and model.jit_compile
    assert model.tokenizer is tokenizer and model.preprocessor.sequence_length == 128
    objective = model.objective
    assert (objective.sequence_length, objective.reuse_length) == (128, 64)
    assert (objective.num_predict, objective.permutation_size) == (21, 64)
    assert model.backbone.reuse_length == 64 and model.memory is None


def test_the_published_lengths():
    """Base: T 512, reuse 256, permutations of 256, 85 predicted (arXiv:1906.08237, table 7)."""
    assert XLNET_LENGTHS["base"] == 512 and 512 // 2 == 256 and 512 // 6 == 85
    assert XLNET_LENGTHS.keys() == XLNET_SIZES.keys()
    widths = [XLNET_SIZES[size]["hidden_dim"] for size in ("tiny", "small", "base")]
    assert widths == sorted(widths)


def small(tokenizer, **options):
    sizes = dict(num_layers=1, num_heads=2, hidden_dim=16, intermediate_dim=32)
    return models.xlnet(tokenizer, "tiny", sequence_length=24, **{**sizes, **options})


def test_options_reach_their_parts(tokenizer):
    model = small(tokenizer, memory_length=6, dropout=0.3, dtype="mixed_bfloat16")
    assert model.memory.memory_length == 6 and model.backbone.reuse_length == 12
    assert model.backbone.dropout == 0.3
    assert model.backbone.dtype_policy.name == "mixed_bfloat16"
    assert model.objective.sequence_length == model.preprocessor.sequence_length == 24
    assert "backward" not in model.input_names_of_task()


def test_bidirectional(tokenizer):
    model = small(tokenizer, bidirectional=True)
    assert model.objective.bidirectional and "backward" in model.input_names_of_task()


def test_every_call_makes_new_weights(tokenizer):
    first, second = small(tokenizer), small(tokenizer)
    kernels = [keras.ops.convert_to_numpy(model.weights[1].value) for model in (first, second)]
    assert (kernels[0] != kernels[1]).any()


@pytest.mark.parametrize(
    "options, error, message",
    [
        (dict(size="huge"), ValueError, r"\['base', 'large', 'small', 'tiny'\].*size='huge'"),
        (dict(size=None), ValueError, "Received: size=None"),
        (dict(layers=2), ValueError, r"XLNetBackbone has no arguments .*layers"),
        (dict(sequence_length=25), ValueError, "sequence_length.*25"),
        (dict(sequence_length=8), ValueError, "sequence_length"),
        (dict(sequence_length=0), ValueError, "sequence_length"),
        (dict(memory_length=8, reuse_length=4), ValueError, "reuse_length.*Received: 4 and 12"),
        (dict(num_heads=3), ValueError, "multiple of `num_heads`"),
        (dict(memory_length=-1), ValueError, "memory_length=-1"),
    ],
)
def test_bad_options(tokenizer, options, error, message):
    sizes = dict(num_layers=1, num_heads=2, hidden_dim=16, intermediate_dim=32)
    options = {**sizes, **dict(size="tiny", sequence_length=24), **options}
    with pytest.raises(error, match=message):
        models.xlnet(tokenizer, **options)
