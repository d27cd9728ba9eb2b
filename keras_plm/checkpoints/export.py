"""Writing a model for others: a directory that `transformers` loads."""

import logging
import os

import numpy as np
from safetensors.numpy import save_file

from keras_plm import files
from keras_plm.checkpoints.conversion import HUGGING_FACE
from keras_plm.checkpoints.formats.safetensors_arrays import FILE
from keras_plm.checkpoints.released_checkpoint import CONFIG, SYSTEMS
from keras_plm.checkpoints.tokenizer_export import export_tokenizer

logger = logging.getLogger("keras_plm")


def export_huggingface(model, directory):
    """Write a backbone or a task as a Hugging Face directory, whole or not at all.

    The weights are written as float32. `transformers` loads it with equal outputs by
    `AutoModel...from_pretrained(directory)`.

    Args:
        model: a backbone, or a task with heads that one class of transformers has. Of several
            classes that would do, as BERT's and ERNIE's, the first of `SYSTEMS` is taken whose
            tokenizers lay out rows as the model's does.
        directory: str. An older export that is there is replaced.

    Raises:
        ValueError: if transformers has no such model, if the model has weights that it would not
            know (LoRA, quantization) or a tokenizer of words, or if the directory holds something
            else.
    """
    backbone = getattr(model, "backbone", model)
    heads = getattr(model, "heads", {}) if backbone is not model else {}
    if type(backbone).__name__ not in {system.class_name for system in SYSTEMS}:
        raise ValueError(
            f"transformers has no model of a {type(backbone).__name__}. Export one of "
            f"{sorted({system.class_name for system in SYSTEMS})}, alone or with its head."
        )
    tokenizer = getattr(getattr(model, "preprocessor", None), "tokenizer", None)
    system, config, of_heads, notes = _chosen(model, backbone, heads, tokenizer)
    arrays = _backbone_arrays(system, backbone, backbone.get_config()) | of_heads
    if not heads:
        arrays = {name.removeprefix(system.prefix): array for name, array in arrays.items()}
    for note in notes:
        logger.warning("%s: %s.", directory, note)
    with files.atomic_directory(directory, CONFIG) as partial:
        files.write_json(os.path.join(partial, CONFIG), config)
        save_file(arrays, os.path.join(partial, FILE), metadata={"format": "pt"})
        if tokenizer is not None:
            longest, segments = backbone.max_sequence_length, getattr(backbone, "num_segments", 2)
            export_tokenizer(system, tokenizer, longest, partial, segments=segments > 0)


def _chosen(model, backbone, heads, tokenizer):
    """The first system that has such a model, first of all of those with such a tokenizer.

    Returns the system, its config, notes, and the tensors of the heads.
    """
    layout = getattr(getattr(tokenizer, "layout", None), "name", None)
    reasons = []
    for system in sorted(SYSTEMS, key=lambda system: system.tokenizer.layout != layout):
        if system.class_name != type(backbone).__name__:
            continue
        try:
            config, notes = system.write_hugging_face(backbone.get_config())
            return system, *_with_heads(system, config, model, backbone, heads), notes
        except ValueError as error:
            reasons.append(f"{system.name}: {error}")
    raise ValueError(f"transformers has no model with these settings. {' '.join(reasons)}")


def _with_heads(system, config, model, backbone, heads):
    """The config of a model with its heads, and the tensors of these."""
    if heads and tuple(sorted(heads)) not in system.architectures:
        raise ValueError(
            f"transformers has no {system.name} with the heads {sorted(heads)}. Export the "
            f"backbone alone, or with one of {sorted(map(list, system.architectures))}."
        )
    kind = system.architectures[tuple(sorted(heads))] if heads else "Model"
    config, arrays = {**config, "architectures": [system.name + kind]}, {}
    shared = {id(weight) for weight in backbone.weights}
    for name, head in heads.items():
        weights = {
            weight.path.split(f"{head.name}/", 1)[-1]: _array(weight)
            for weight in head.weights
            if id(weight) not in shared
        }
        arrays |= _head_arrays(system, name, weights, backbone.get_config())
        config |= system.write_head_config(model, name, weights)
    return config, arrays


def _backbone_arrays(system, backbone, arguments):
    """The tensors of a backbone by their Hugging Face names."""
    weights = {weight.path: weight for weight in backbone.weights}
    for path in backbone.not_in_checkpoints:
        weights.pop(path, None)
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
        value = _array(weights[path])
        for name in one.names:
            array = arrays.setdefault(name, np.empty(one.shape, "float32"))
            one.row.view(array, one.own_shape, HUGGING_FACE)[...] = value
    return arrays


def _head_arrays(system, head, weights, arguments):
    """The tensors of a head by their Hugging Face names."""
    for table in system.head_tables(head, arguments):
        rows = {row.ours: row for row in table}
        if rows.keys() == weights.keys() and all(row.hugging_face for row in table):
            arrays = {}
            for path, row in rows.items():
                shape = weights[path].shape
                array = np.empty(row.stored_shape(shape, HUGGING_FACE), "float32")
                row.view(array, shape, HUGGING_FACE)[...] = weights[path]
                arrays[row.hugging_face] = array
            return arrays
    raise ValueError(
        f"transformers has no head like {head!r} with the weights {sorted(weights)}. Export the "
        "backbone alone."
    )


def _array(weight):
    """The value of a variable, float32."""
    return np.array(weight.numpy(), "float32")
