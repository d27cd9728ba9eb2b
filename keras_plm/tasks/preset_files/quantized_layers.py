"""The layers of heads that were quantized: which they are, and how a new head gets the same."""

import keras

from keras_plm.backbones.preset_files.quantization import MODES, saved_mode


def quantized_layers(heads, backbone):
    """Say which layers of heads are quantized, and how.

    Args:
        heads: dict of str to built layer.
        backbone: the backbone, which says of its own layers itself, those that heads share with
            it, such as the token embedding.

    Returns:
        dict of a head's name to a dict of a layer's path inside the head to what
        `saved_mode` says of it; heads without any are left out.

    Raises:
        ValueError: if a layer is quantized in a way that a file cannot say.
    """
    found, shared = {}, {id(layer) for layer in backbone._flatten_layers()}
    for name, head in heads.items():
        for path, layer in inner_layers(head):
            mode = saved_mode(layer)
            if mode is not None and id(layer) not in shared:
                found.setdefault(name, {})[path] = mode
    return found


def quantize_layers(heads, backbone, modes):
    """Quantize layers of new heads as `quantized_layers` said; their values come afterwards.

    Args:
        heads: dict of str to built layer. A head that is not there is passed over.
        backbone: the backbone, with its layers quantized already.
        modes: dict as from `quantized_layers`; older files name layers of the backbone, too.

    Raises:
        ValueError: if it is no such dict, or a head has no such layer.
    """
    if not isinstance(modes, dict) or not all(isinstance(own, dict) for own in modes.values()):
        raise ValueError(f"Quantized layers must be given by head. Received: {modes!r:.200}.")
    shared = {id(layer) for layer in backbone._flatten_layers()}
    for name in heads.keys() & modes.keys():
        layers = dict(inner_layers(heads[name]))
        for path, mode in modes[name].items():
            layer = layers.get(path)
            if layer is None or not hasattr(layer, "quantized_build"):
                raise ValueError(
                    f"The head {name!r} has no layer {path!r} that can be quantized. "
                    f"Received: {modes[name]!r:.200}."
                )
            if id(layer) not in shared:
                layer.quantize(**_arguments(mode))


def _arguments(saved):
    """What `Layer.quantize` takes for what was saved of a layer."""
    saved = saved if isinstance(saved, dict) else {"mode": saved}
    mode, block_size = saved.get("mode"), saved.get("block_size")
    integer = isinstance(block_size, int) and (block_size == -1 or 0 < block_size < 2**31)
    if mode not in MODES or integer != (mode == "int4") or saved.keys() - {"mode", "block_size"}:
        raise ValueError(
            f"A layer is quantized by one of {MODES}, int4 with a size of blocks. "
            f"Received: {saved!r:.200}."
        )
    if mode != "int4":
        return {"mode": mode}
    return {"mode": mode, "config": keras.quantizers.Int4QuantizationConfig(block_size=block_size)}


def inner_layers(head):
    """Yield the layers inside a head, each with its path there.

    Args:
        head: built layer.

    Yields:
        Pairs of str and layer.
    """
    for layer in head._flatten_layers(include_self=False):
        if layer.weights:
            yield layer.path.split(f"{head.name}/", 1)[-1], layer
