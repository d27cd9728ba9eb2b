"""Quantized layers, as far as a file says how to make them again."""

from keras_plm.backbones.preset_files.weights_file import check_finite

MODES = ("int8", "int4", "float8")


def check_saveable(model, with_optimizer=False):
    """Refuse to save a model whose files would be another model, or that no reader would take.

    Args:
        model: built Keras model or layer.
        with_optimizer: bool. Whether the state of its optimizer is saved as well.

    Raises:
        ValueError: if a layer is quantized in a way that a file cannot say, or quantized and has
            LoRA, or a value is not finite.
    """
    for layer in model._flatten_layers():
        if saved_mode(layer) is not None and getattr(layer, "lora_enabled", False):
            raise ValueError(
                f"The layer {layer.path!r} is quantized and has LoRA, whose sum would have to be "
                "quantized anew: save a checkpoint (`tasks.Checkpoint`), which keeps both as they "
                f"are. Received: {layer.quantization_mode!r}."
            )
    optimizer = getattr(model, "optimizer", None) if with_optimizer else None
    check_finite([*model.weights, *(optimizer.variables if optimizer is not None else ())])


def saved_mode(layer):
    """Say how a layer is quantized, if a file can say it.

    Args:
        layer: Keras layer.

    Returns:
        dict of plain values, such as {"mode": "int8"} or, with the size of a block, {"mode":
        "int4", "block_size": 128}; or None: it is not quantized.

    Raises:
        ValueError: if it could not be made again: by a calibration (GPTQ, AWQ), or with
            quantizers of its own.
    """
    mode = layer.quantization_mode
    if mode is None:
        return None
    config = getattr(layer, "quantization_config", None)
    own = config is not None and _quantizers(config) != _quantizers(type(config)())
    if mode not in MODES or own:
        raise ValueError(
            f"The layer {layer.path!r} is quantized in a way that a file cannot say: quantize by "
            f"one of {MODES} with Keras's own quantizers, or save the model before. "
            f"Received: {mode!r}, {config}."
        )
    block_size = getattr(layer.dtype_policy, "block_size", None)
    return {"mode": mode} if block_size is None else {"mode": mode, "block_size": block_size}


def _quantizers(config):
    """Class and settings of the quantizers of a configuration."""
    quantizers = (getattr(config, f"{part}_quantizer", None) for part in ("weight", "activation"))
    return [one if one is None else (type(one), one.get_config()) for one in quantizers]
