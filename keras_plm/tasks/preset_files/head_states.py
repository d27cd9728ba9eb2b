"""What a file says of heads beside their settings: which layers are quantized, and which frozen."""

from keras_plm.backbones.preset_files.frozen_parts import freeze_parts, frozen_parts
from keras_plm.tasks.preset_files.quantized_layers import quantize_layers, quantized_layers


def head_states(heads, backbone):
    """Say what is quantized and frozen of heads, as plain JSON values.

    Args:
        heads: dict of str to built layer.
        backbone: their backbone.

    Returns:
        dict of "quantized_layers" and "frozen", each as far as there are such.
    """
    states = {
        "quantized_layers": quantized_layers(heads, backbone),
        "frozen": frozen_parts(heads),
    }
    return {name: state for name, state in states.items() if state}


def take_head_states(config):
    """Take what `head_states` said out of a config, a dict, and return it."""
    return {name: config.pop(name) for name in ("quantized_layers", "frozen") if name in config}


def give_head_states(heads, backbone, states):
    """Quantize and freeze new heads as `head_states` said; values come afterwards.

    Raises:
        ValueError: if a state is none.
    """
    quantize_layers(heads, backbone, states.get("quantized_layers", {}))
    freeze_parts(heads, states.get("frozen", ()))
