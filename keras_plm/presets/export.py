"""Writing a model for others: a directory that `transformers` loads."""

import logging
import os

import numpy as np
from safetensors.numpy import save_file

from keras_plm import files
from keras_plm.presets.conversion import HUGGING_FACE
from keras_plm.presets.released_checkpoint import CONFIG, SENTENCEPIECE, SYSTEMS, TOKENIZER_CONFIG
from keras_plm.presets.safetensors_arrays import FILE

logger = logging.getLogger("keras_plm")


def export_huggingface(model, directory):
    """Write a backbone or a task as a Hugging Face directory, whole or not at all.

    The weights are written as float32. `transformers` loads it with equal outputs by
    `AutoModel...from_pretrained(directory)`.

    Args:
        model: a backbone, or a task with one head.
        directory: str. An older export that is there is replaced.

    Raises:
        ValueError: if transformers has no such model, if the model has weights that it would not
            know (LoRA, quantization), or if the directory holds something else.
    """
    backbone = getattr(model, "backbone", model)
    heads = getattr(model, "heads", {}) if backbone is not model else {}
    by_class = {system.class_name: system for system in SYSTEMS}
    system = by_class.get(type(backbone).__name__)
    if system is None or len(heads) > 1:
        raise ValueError(
            f"transformers has no model of a {type(backbone).__name__} with the heads "
            f"{sorted(heads)}. Export one of {sorted(by_class)}, alone or with one head."
        )
    arguments = backbone.get_config()
    config, notes = system.write_hugging_face(arguments)
    arrays = _backbone_arrays(system, backbone, arguments)
    config["architectures"] = [system.class_name.removesuffix("Backbone") + "Model"]
    shared = {id(weight) for weight in backbone.weights}
    for name, head in heads.items():
        own = {
            weight.path.split(f"{head.name}/", 1)[-1]: _array(weight)
            for weight in head.weights
            if id(weight) not in shared
        }
        arrays |= _head_arrays(system, name, own)
        config |= system.write_head_config(model, name, own)
    if not heads:
        arrays = {name.removeprefix(system.prefix): array for name, array in arrays.items()}
    for note in notes:
        logger.warning("%s: %s.", directory, note)
    tokenizer = getattr(getattr(model, "preprocessor", None), "tokenizer", None)
    with files.atomic_directory(directory, CONFIG) as partial:
        files.write_json(os.path.join(partial, CONFIG), config)
        save_file(arrays, os.path.join(partial, FILE), metadata={"format": "pt"})
        if tokenizer is not None:
            _write_tokenizer(system, tokenizer, partial)


def _backbone_arrays(system, backbone, arguments):
    """The tensors of a backbone by their Hugging Face names."""
    weights = {weight.path: weight for weight in backbone.weights}
    stored = system.backbone_weights(arguments, HUGGING_FACE)
    strange = sorted(weights.keys() ^ stored.keys())
    if strange:
        raise ValueError(
            "The model has weights that transformers would not know, or has not all that it needs: "
            f"{strange[:20]}. Save it by `save_to_preset` and load it again, which merges LoRA; a "
            "quantized model cannot be exported."
        )
    arrays = {}
    for path, one in stored.items():
        array = one.row.to_hugging_face(_array(weights[path]))
        arrays |= {name: array.copy() for name in one.names}
    return arrays


def _head_arrays(system, head, weights):
    """The tensors of a head by their Hugging Face names."""
    for table in system.head_tables(head):
        rows = {row.ours: row for row in table}
        if rows.keys() == weights.keys() and all(row.hugging_face for row in table):
            return {rows[p].hugging_face: rows[p].to_hugging_face(weights[p]) for p in rows}
    raise ValueError(
        f"transformers has no head like {head!r} with the weights {sorted(weights)}. Export the "
        "backbone alone."
    )


def _array(weight):
    """The value of a variable, float32."""
    return np.array(weight.numpy(), "float32")


def _write_tokenizer(system, tokenizer, directory):
    """The SentencePiece model, and what transformers does to texts before it."""
    with open(os.path.join(directory, SENTENCEPIECE), "wb") as file:
        file.write(tokenizer.proto)
    settings = getattr(tokenizer, "settings", {})
    names = system.tokenizer_names
    config = {names[name]: value for name, value in settings.items() if name in names}
    config["tokenizer_class"] = system.class_name.removesuffix("Backbone") + "Tokenizer"
    files.write_json(os.path.join(directory, TOKENIZER_CONFIG), config)
