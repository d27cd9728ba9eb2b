"""KerasHub models as backbones of ours."""

import functools

import keras
import keras_hub
import numpy as np

from keras_plm.backbones.preset_files import weights_file
from keras_plm.backbones.preset_files.deferred_weights import DeferredWeights
from keras_plm.backbones.transformer import TransformerBackbone
from keras_plm.checkpoints.conversion import check_arrays
from keras_plm.checkpoints.families.keras_hub_models import (
    HUB_MODELS,
    check_overrides,
    hub_arguments,
    hub_weights,
)


def from_keras_hub(model, **kwargs):
    """Make a `TransformerBackbone` with the weights of a KerasHub BERT, RoBERTa or GPT-2.

    Its `sequence_output` is that of the KerasHub backbone, and the `pooled_output` of a BERT. The
    KerasHub model stays as it is. Its presets on disk are read by
    `TransformerBackbone.from_preset(directory)`.

    Args:
        model: `keras_hub.models.BertBackbone`, `RobertaBackbone` or `GPT2Backbone`, or a task of
            one of them, such as `keras_hub.models.BertMaskedLM`; a task's head is not taken.
        kwargs: constructor arguments of `TransformerBackbone` that replace those of the model,
            such as `dropout`; none that change its weights.

    Returns:
        `TransformerBackbone`.

    Raises:
        ValueError: if it is another model, or has other weights than such a model has (LoRA,
            quantization).

    Example:
    ```text
    hub = keras_hub.models.Backbone.from_preset("bert_base_en_uncased")
    backbone = from_keras_hub(hub)
    ```
    """
    model = getattr(model, "backbone", model)
    name = type(model).__name__
    if name not in HUB_MODELS or type(model) is not getattr(keras_hub.models, name):
        raise ValueError(
            f"`model` must be one of KerasHub's {sorted(HUB_MODELS)} or a task of one. "
            f"Received: {type(model).__module__}.{name}."
        )
    arguments = hub_arguments(name, model.get_config())
    weights = {weight.path: weight for weight in model.weights}
    places = hub_weights(name, arguments)
    found = {path: tuple(weight.shape) for path, weight in weights.items()}
    check_arrays(f"The {name}", {path: shape for path, _, shape in places.values()}, found)
    check_overrides(arguments, {**arguments, **kwargs})
    deferred = DeferredWeights()
    with deferred.building():
        backbone = TransformerBackbone(**{**arguments, **kwargs})
    needed = {weight.path for weight in backbone.weights}
    taken = {
        ours: (shape, functools.partial(_value, weights[path]))
        for ours, (path, _, shape) in places.items()
        if ours in needed or not ours.startswith("pooler/")
    }
    weights_file.give_weights(backbone, taken, deferred)
    deferred.fill()
    return backbone


def _value(variable):
    """The value of a variable, a float32 array."""
    return np.asarray(keras.ops.convert_to_numpy(variable.value), "float32")
