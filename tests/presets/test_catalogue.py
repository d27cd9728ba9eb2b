import re

from keras_plm import presets
from keras_plm.families import TRANSFORMER_SIZES, num_parameters
from keras_plm.presets.location import FILES, HANDLE


def test_named_presets_are_pinned():
    found = presets.list_presets()
    for preset in found.values():
        revision = HANDLE.fullmatch(preset.handle).group(3)
        assert preset.description
        assert re.fullmatch("[0-9a-f]{40}", revision) or "model.safetensors" in preset.sha256
        assert set(preset.sha256) <= set(FILES)
        assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in preset.sha256.values())


def test_the_list_is_a_copy():
    presets.list_presets().clear()
    assert presets.list_presets()


def test_transformers_are_called_as_their_sizes():
    for name, preset in presets.list_presets().items():
        if name.startswith("xlnet_"):
            continue
        config = TRANSFORMER_SIZES[name]
        millions = round(num_parameters(config) / 1e6)
        sizes = f"{config['num_layers']} layers, width {config['hidden_dim']}, {millions} million"
        assert sizes in preset.description
