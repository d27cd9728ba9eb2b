"""Which parts of a model are frozen, as far as a file says it: a part may be, and the whole not."""

from keras_plm.checks import check_texts


def frozen_parts(layers):
    """Say which layers are not trained, each by its name inside of those around it.

    Args:
        layers: dict of names to layers.

    Returns:
        list of str, such as ["token_embedding", "block_0.attention"]; what is inside of a layer
        that is frozen is not named.
    """
    found, seen = [], set()

    def look(layers, around):
        for name, layer in layers.items():
            if id(layer) in seen:
                continue
            seen.add(id(layer))
            if layer.trainable:
                look(layers_inside(layer), f"{around}{name}.")
            elif layer.weights:
                found.append(f"{around}{name}")

    look(layers, "")
    return found


def freeze_parts(layers, names):
    """Freeze what `frozen_parts` named; names of what is not there are passed over.

    Args:
        layers: dict of names to layers.
        names: list of str.

    Raises:
        ValueError: if it is no such list.
    """
    for name in check_texts("frozen", names):
        layer, there = None, layers
        for part in name.split("."):
            layer = there.get(part)
            there = {} if layer is None else layers_inside(layer)
        if layer is not None:
            layer.trainable = False


def layers_inside(layer):
    """The layers right inside of one, by their names."""
    return {one.name: one for one in layer._layers}
