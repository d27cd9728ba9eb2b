"""CharacterCNN equals a direct computation; its equality with ELMo is in tests/backbones."""

import numpy as np
import pytest
from keras import ops

from keras_plm.layers import CharacterCNN

IDS = np.random.default_rng(0).integers(1, 262, (2, 3, 9)).astype("int32")
FILTERS = ((1, 3), (3, 5))


def made(**options):
    layer = CharacterCNN(**{"output_dim": 4, "filters": FILTERS, "character_dim": 6, **options})
    layer.build((None, None, 9))
    random = np.random.default_rng(1)
    for weight in layer.weights:
        weight.assign(random.normal(size=weight.shape, scale=0.7))
    return layer


def arrays(layer):
    return {weight.path.split("/", 1)[1]: np.array(weight.value) for weight in layer.weights}


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_equals_the_loop(activation):
    layer = made(num_highways=2, activation=activation)
    weights = arrays(layer)
    act = {"relu": lambda x: np.maximum(x, 0), "tanh": np.tanh}[activation]
    found = ops.convert_to_numpy(layer(IDS))
    for place in np.ndindex(2, 3):
        characters = weights["character_embedding/embeddings"][IDS[place]]  # (9, 6)
        parts = []
        for number, (width, _) in enumerate(FILTERS):
            kernel, bias = (weights[f"convolution_{number}/{one}"] for one in ("kernel", "bias"))
            windows = [characters[at : at + width] for at in range(9 - width + 1)]
            values = [np.einsum("kd,kdn->n", one, kernel) + bias for one in windows]
            parts.append(act(np.max(values, axis=0)))
        word = np.concatenate(parts)
        for number in range(2):
            name = f"highway_{number}_"
            gate = word @ weights[f"{name}gate/kernel"] + weights[f"{name}gate/bias"]
            new = word @ weights[f"{name}transform/kernel"] + weights[f"{name}transform/bias"]
            share = 1 / (1 + np.exp(-gate))
            word = share * np.maximum(new, 0) + (1 - share) * word
        word = word @ weights["projection/kernel"] + weights["projection/bias"]
        np.testing.assert_allclose(found[place], word, atol=1e-5)


def test_how_it_begins():
    """Highways at first let nearly all through; the vector of padding is 0."""
    layer = CharacterCNN(8, FILTERS, 6, 1)
    layer.build((None, None, 9))
    weights = arrays(layer)
    assert (weights["highway_0_gate/bias"] == -2).all()
    assert not weights["character_embedding/embeddings"][0].any()
    assert "projection/kernel" not in weights  # there are 8 filters in all
    assert np.abs(weights["convolution_1/kernel"]).max() <= 0.05


@pytest.mark.parametrize("filters", [(), 3, ((1, 2, 3),), ((0, 4),), ((2, 1.5),)])
def test_filters_that_are_none(filters):
    with pytest.raises(ValueError, match="filter"):
        CharacterCNN(8, filters)
