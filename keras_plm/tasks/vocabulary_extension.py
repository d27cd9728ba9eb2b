"""More pieces for a model that is there: a preset with a larger vocabulary, from a preset."""

import os
import shutil

import keras
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from keras_plm import files, presets
from keras_plm.backbones import Backbone, XLNetBackbone
from keras_plm.backbones.preset_directory import CONFIG_FILE
from keras_plm.data.tokenizer import Tokenizer
from keras_plm.data.vocabulary_extension import extend_tokenizer
from keras_plm.tasks.heads_file import read_checkpoint_heads
from keras_plm.tasks.masked_lm import MaskedLM
from keras_plm.tasks.permutation_lm import PermutationLM
from keras_plm.tasks.preprocessor import PREPROCESSOR_FILE
from keras_plm.tasks.task_preset import HEADS_FILE, TASK_FILE, constructor_arguments
from keras_plm.tasks.text_preprocessor import TextPreprocessor

LENGTH = 128  # of the rows of a preset that says nothing about it, where positions allow it


def extend_vocabulary(preset, new_tokens, directory):
    """Write a preset whose tokenizer knows new tokens as whole pieces.

    Old ids stay what they are. The embedding of a new token is the mean of the embeddings of the
    pieces that it was, and so is its bias in a language model's head, whose matrix is the
    embedding. Rows that a model has behind its tokenizer's vocabulary are used first. Of a preset
    of our own all is kept; of somebody else's checkpoint the backbone, the tokenizer and the head
    of a masked or permutation language model.

    Args:
        preset: str. What `keras_plm.presets.find_preset` takes, with a tokenizer.
        new_tokens: list of str, as `keras_plm.data.vocabulary_extension.extend_tokenizer` takes
            them: "covid", "New York".
        directory: str. Where the new preset is written, whole or not at all. A preset that is
            there is replaced, but `preset` itself is not.

    Returns:
        dict of each new token to its id.

    Raises:
        FileNotFoundError: if there is no such preset, or it has no tokenizer.
        TypeError: if `new_tokens` is no list of strings.
        ValueError: if a token cannot become a piece, the model is quantized, a file is damaged,
            or the directory is that of the preset or holds something else.

    Example:
    ```text
    extend_vocabulary("bert_base_en_uncased", ["covid", "mrna"], "bert_covid")
    model = MaskedLM.from_preset("bert_covid")
    ```
    """
    source = presets.find_preset(preset)
    if os.path.realpath(directory) == os.path.realpath(source):
        raise ValueError(f"`directory` must be another than the preset's. Received: {directory!r}.")
    tokenizer = Tokenizer.from_preset(source)
    extended, pieces = extend_tokenizer(tokenizer, new_tokens)
    old_ids = dict(enumerate(pieces, start=tokenizer.vocabulary_size))
    backbone = Backbone.from_preset(source)
    if any(layer.quantization_mode for layer in backbone._flatten_layers()):
        raise ValueError(
            "The vocabulary of a quantized model cannot grow: extend it before it is quantized. "
            f"Received: {preset!r}."
        )
    checkpoint = presets.open_checkpoint(source)
    with files.atomic_directory(directory, CONFIG_FILE) as partial:
        if checkpoint is None:
            for name in (PREPROCESSOR_FILE, TASK_FILE, HEADS_FILE):
                if files.has_entry(source, name):
                    shutil.copyfile(files.file_inside(source, name), os.path.join(partial, name))
        else:
            _write_others(checkpoint, backbone, tokenizer, partial)
        _larger(backbone, old_ids).write_preset(partial)
        extended.save(partial)
        if os.path.exists(os.path.join(partial, HEADS_FILE)):
            _extend_heads(os.path.join(partial, HEADS_FILE), backbone.vocabulary_size, old_ids)
    return dict(zip(new_tokens, old_ids))


def _write_others(checkpoint, backbone, tokenizer, directory):
    """Write what somebody else's checkpoint has, beside the backbone, as a preset of ours."""
    longest = getattr(backbone, "max_sequence_length", None) or LENGTH
    preprocessor = TextPreprocessor(tokenizer, min(LENGTH, longest))
    preprocessor.write_preset(directory)
    cls = PermutationLM if isinstance(backbone, XLNetBackbone) else MaskedLM
    if getattr(backbone, "causal", False):
        return  # its head is the embedding
    known, said = constructor_arguments(cls), checkpoint.settings()
    arguments = {name: value for name, value in said.items() if name in known}
    task = cls(backbone, **{**arguments, "preprocessor": preprocessor})
    if not read_checkpoint_heads(checkpoint, task.heads, backbone):
        task.write_preset(directory)


def _larger(backbone, old_ids):
    """The same backbone with more rows in its embedding."""
    size = max(backbone.vocabulary_size, max(old_ids) + 1)
    larger = type(backbone).from_config({**backbone.get_config(), "vocabulary_size": size})
    for old, new in zip(backbone.weights, larger.weights, strict=True):
        value = keras.ops.convert_to_numpy(old.value)
        if old is backbone.token_embedding.embeddings:
            value = _extended(value.astype("float32"), old_ids)
        new.assign(value)
    return larger


def _extend_heads(path, vocabulary_size, old_ids):
    """Extend the biases over the vocabulary: those that come without a kernel."""
    try:
        arrays = load_file(path)
    except (SafetensorError, ValueError, OSError) as error:
        raise ValueError(f"{path} is not a usable file of heads: {error}") from error
    for name, array in arrays.items():
        layer, _, kind = name.rpartition("/")
        if kind == "bias" and f"{layer}/kernel" not in arrays and array.shape == (vocabulary_size,):
            arrays[name] = _extended(array, old_ids)
    save_file(arrays, path)


def _extended(rows, old_ids):
    """Rows, or numbers, with a mean of old ones for each new id."""
    more = max(0, max(old_ids) + 1 - len(rows))
    extended = np.concatenate([rows, np.zeros((more, *rows.shape[1:]), rows.dtype)])
    for index, ids in old_ids.items():
        extended[index] = rows[ids].mean(axis=0)
    return extended
