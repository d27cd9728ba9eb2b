"""More pieces for a model that is there: a preset with a larger vocabulary, from a preset."""

import os
import shutil

import keras
import numpy as np

from keras_plm import files, presets
from keras_plm.backbones import Backbone
from keras_plm.backbones.preset_files.preset_directory import CONFIG_FILE
from keras_plm.preprocessing.preprocessor import PREPROCESSOR_FILE
from keras_plm.preprocessing.text_preprocessor import TextPreprocessor
from keras_plm.tasks.masked_lm import MaskedLM
from keras_plm.tasks.preset_files.heads_file import read_arrays, read_checkpoint_heads, write_arrays
from keras_plm.tasks.preset_files.task_preset import HEADS_FILE, TASK_FILE, task_arguments
from keras_plm.tasks.writing.permutation_lm import PermutationLM
from keras_plm.tokenizers.added_tokens import add_special_tokens, extend_tokenizer
from keras_plm.tokenizers.tokenizer import Tokenizer

LENGTH = 128  # of the rows of a preset that says nothing about it, where positions allow it


def extend_vocabulary(preset, new_tokens, directory, special_tokens=None, layout=None):
    """Write a preset whose tokenizer knows new tokens as whole pieces, or new special tokens.

    Old ids stay what they are. The embedding of a new token is the mean of the embeddings of the
    pieces that it was, and so is its bias in a language model's head, whose matrix is the
    embedding. That of a new special token starts random, as in a new model, its bias 0. Rows that
    a model has behind its tokenizer's vocabulary are used first. Of a preset of our own all is
    kept; of somebody else's checkpoint the backbone, the tokenizer and the head of a masked or
    permutation language model.

    Args:
        preset: str or `OpenedPreset`. What `keras_plm.presets.open_preset` takes, with a tokenizer.
        new_tokens: list of str, as `keras_plm.tokenizers.added_tokens.extend_tokenizer` takes
            them: "covid", "New York". With `special_tokens` there may be none: [].
        directory: str. Where the new preset is written, whole or not at all. A preset that is
            there is replaced, but `preset` itself is not.
        special_tokens: dict of str to str, or None. What
            `keras_plm.tokenizers.added_tokens.add_special_tokens` adds, such as
            `keras_plm.data.TRANSFER_TOKENS`.
        layout: str or None. The name of the `RowLayout` of the tokenizer from now on, such as
            "gpt1_transfer"; None: as before. For `special_tokens` only.

    Returns:
        dict of each new token to its id, special ones last.

    Raises:
        FileNotFoundError: if there is no such preset, or it has no tokenizer.
        TypeError: if `new_tokens` is no list of strings.
        ValueError: if a token cannot become a piece, the model is quantized, a file is damaged,
            or the directory is that of the preset or holds something else.

    Example:
    ```text
    extend_vocabulary("bert_base_en_uncased", ["covid", "mrna"], "bert_covid")
    model = MaskedLM.from_preset("bert_covid")
    extend_vocabulary("gpt2_small", [], "gpt2_transfer", TRANSFER_TOKENS, "gpt1_transfer")
    model = TextClassifier.from_preset("gpt2_transfer", num_classes=2, auxiliary_lm=0.5)
    ```

    Source: of the special tokens GPT-1 (Radford et al. 2018), sections 3.3 and 4.1; the released
    `train.py` (normal, standard deviation 0.02).
    """
    source = presets.open_preset(preset)
    if os.path.realpath(directory) == os.path.realpath(source):
        raise ValueError(f"`directory` must be another than the preset's. Received: {directory!r}.")
    if layout is not None and not special_tokens:
        raise ValueError(
            "Another `layout` needs its `special_tokens`. "
            f"Received: layout={layout!r}, special_tokens={special_tokens!r}."
        )
    tokenizer = extended = Tokenizer.from_preset(source)
    pieces, fresh = [], []
    if new_tokens or not special_tokens:
        extended, pieces = extend_tokenizer(tokenizer, new_tokens)
    old_ids = dict(enumerate(pieces, start=tokenizer.vocabulary_size))
    if special_tokens:
        first = extended.vocabulary_size
        extended = add_special_tokens(extended, special_tokens, layout)
        fresh = range(first, extended.vocabulary_size)
    backbone = Backbone.from_preset(source)
    if any(layer.quantization_mode for layer in backbone._flatten_layers()):
        raise ValueError(
            "The vocabulary of a quantized model cannot grow: extend it before it is quantized. "
            f"Received: {preset!r}."
        )
    checkpoint = source.checkpoint
    with files.atomic_directory(directory, CONFIG_FILE) as partial:
        if checkpoint is None:
            for name in (PREPROCESSOR_FILE, TASK_FILE, HEADS_FILE):
                if source.has(name):
                    shutil.copyfile(source.file(name), os.path.join(partial, name))
        else:
            _write_others(checkpoint, backbone, tokenizer, partial)
        _larger(backbone, old_ids, fresh).write_preset(partial)
        extended.save(partial)
        if os.path.exists(os.path.join(partial, HEADS_FILE)):
            path = os.path.join(partial, HEADS_FILE)
            _extend_heads(path, backbone.vocabulary_size, old_ids, fresh)
    found = dict(zip(new_tokens, old_ids))
    return {**found, **dict(zip(extended.pieces(fresh), fresh))}


def _write_others(checkpoint, backbone, tokenizer, directory):
    """Write what somebody else's checkpoint has, beside the backbone, as a preset of ours."""
    longest = backbone.max_sequence_length or LENGTH
    preprocessor = TextPreprocessor(tokenizer, min(LENGTH, longest))
    preprocessor.write_preset(directory)
    cls = PermutationLM if "queries" in backbone.reads else MaskedLM
    if "causal" in backbone.reads:
        return  # its head is the embedding
    known, said = task_arguments(cls), checkpoint.settings()
    arguments = {name: value for name, value in said.items() if name in known}
    task = cls(backbone, **{**arguments, "preprocessor": preprocessor})
    if not read_checkpoint_heads(checkpoint, task.heads, backbone):
        task.write_preset(directory)


def _larger(backbone, old_ids, fresh):
    """The same backbone with more rows in its embedding; those of the ids `fresh` are new.

    So has an output matrix of its own, whose columns they are.
    """
    table = backbone.token_embedding
    transposed = getattr(table, "reverse_embeddings", None)
    size = max(backbone.vocabulary_size, *(index + 1 for index in (*old_ids, *fresh)))
    larger = type(backbone).from_config({**backbone.get_config(), "vocabulary_size": size})
    for old, new in zip(backbone.weights, larger.weights, strict=True):
        value = keras.ops.convert_to_numpy(old.value)
        if old is table.embeddings or old is transposed:
            random = keras.ops.convert_to_numpy(new.value).astype("float32")
            rows = (value.astype("float32"), random)
            rows = [one.T for one in rows] if old is transposed else rows
            value = _extended(rows[0], old_ids, fresh, rows[1])
            value = value.T if old is transposed else value
        new.assign(value)
    return larger


def _extend_heads(path, vocabulary_size, old_ids, fresh):
    """Extend the biases over the vocabulary: those that come without a kernel."""
    arrays = read_arrays(path)
    for name, array in arrays.items():
        layer, _, kind = name.rpartition("/")
        if kind == "bias" and f"{layer}/kernel" not in arrays and array.shape == (vocabulary_size,):
            size = max(vocabulary_size, *(index + 1 for index in (*old_ids, *fresh)))
            arrays[name] = _extended(array, old_ids, fresh, np.zeros(size, array.dtype))
    write_arrays(path, arrays)


def _extended(rows, old_ids, fresh, start):
    """Rows, or numbers: the old ones, a mean of old ones for each new id, `start` for `fresh`."""
    extended = np.array(start)
    extended[: len(rows)] = rows
    for index, ids in old_ids.items():
        extended[index] = rows[ids].mean(axis=0)
    for index in fresh:
        extended[index] = start[index]
    return extended
