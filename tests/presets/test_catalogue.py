import re

from keras_plm import presets
from keras_plm.presets.location import HANDLE


def test_named_presets_are_pinned():
    found = presets.list_presets()
    assert set(found) == {"xlnet_base_en_cased", "xlnet_large_en_cased"}
    for preset in found.values():
        assert preset.description and HANDLE.fullmatch(preset.handle).group(3)
        assert "model.safetensors" in preset.sha256
        assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in preset.sha256.values())


def test_the_list_is_a_copy():
    presets.list_presets().clear()
    assert presets.list_presets()
