"""Writing a tokenizer for others: the files that `transformers` loads it from."""

import json
import os

from keras_plm import files
from keras_plm.checkpoints.tokenizer_format import TOKENIZER_CONFIG


def export_tokenizer(system, tokenizer, max_sequence_length, directory, segments=True):
    """Write a tokenizer as `transformers` has it, into a directory that is there.

    Args:
        system: `keras_plm.checkpoints.conversion.System` of the model.
        tokenizer: a SentencePiece tokenizer, which has `proto`, one of translation, with
            `source_proto`, or one of subwords, with `model`.
        max_sequence_length: int or None. The longest row of the model.
        directory: the directory.
        segments: bool. Whether the model takes the segments of the tokens.

    Raises:
        ValueError: if `transformers` has no such tokenizer, as of words.
    """
    names, settings = system.tokenizer.names, getattr(tokenizer, "settings", {})
    config = {names[name]: value for name, value in settings.items() if name in names}
    if hasattr(tokenizer, "source_proto") and system.tokenizer.kind == "translation":
        _write_translation(tokenizer, directory)
        config |= {f"{role}_token": piece for role, piece in tokenizer.special_tokens.items()}
        config["tokenizer_class"] = f"{system.name}Tokenizer"
        if max_sequence_length:
            config["model_max_length"] = max_sequence_length
        files.write_json(os.path.join(directory, TOKENIZER_CONFIG), config)
        return
    if hasattr(tokenizer, "proto") and system.tokenizer.kind == "sentencepiece":
        with open(os.path.join(directory, "spiece.model"), "wb") as file:
            file.write(tokenizer.proto)
        config["tokenizer_class"] = f"{system.name}Tokenizer"
        files.write_json(os.path.join(directory, TOKENIZER_CONFIG), config)
        return
    if not hasattr(tokenizer, "model"):
        raise ValueError(
            "Transformers has no tokenizer of this kind: export the backbone alone, and save the "
            f"tokenizer by `save`. Received: {type(tokenizer).__name__}"
        )
    special = dict(tokenizer.special_tokens)
    config |= {f"{role}_token": token for role, token in special.items()}
    config["padding_side"] = "left" if tokenizer.layout.pad_left else "right"
    own = ["token_type_ids"] if segments and any(tokenizer.layout.segments) else []
    config["model_input_names"] = ["input_ids", *own, "attention_mask"]
    if max_sequence_length:
        config["model_max_length"] = max_sequence_length
    content = json.loads(tokenizer.model)
    if settings.get("lower_and_strip"):  # transformers' XLM reads its own two files
        _write_pairs(content["model"], directory)
        config |= {"tokenizer_class": "XLMTokenizer", "do_lowercase_and_remove_accent": True}
    else:
        content["post_processor"] = _template(tokenizer)
        config["tokenizer_class"] = "PreTrainedTokenizerFast"
        with open(os.path.join(directory, "tokenizer.json"), "w", encoding="utf-8") as file:
            json.dump(content, file, ensure_ascii=False)
    files.write_json(os.path.join(directory, TOKENIZER_CONFIG), config)


def _template(tokenizer):
    """How rows are laid out, as a `tokenizer.json` says it; None if texts stay as they are."""
    layout, special = tokenizer.layout, tokenizer.special_tokens
    roles = {*layout.start, *layout.between, *layout.end}
    if not roles <= special.keys() or not roles:
        return None
    first, second, after = layout.segments

    def tokens(roles, segments):
        pairs = zip(roles, segments)
        return [{"SpecialToken": {"id": special[role], "type_id": n}} for role, n in pairs]

    def text(name, segment):
        return {"Sequence": {"id": name, "type_id": segment}}

    def end(segment):
        return tokens(layout.end, [segment, *[after] * len(layout.end)])

    before = [*tokens(layout.start, [first] * len(layout.start)), text("A", first)]
    between = tokens(layout.between, [first] * len(layout.between))
    ids = {special[role]: tokenizer.special_token_id(role) for role in roles}
    return {
        "type": "TemplateProcessing",
        "single": [*before, *end(first)],
        "pair": [*before, *between, text("B", second), *end(second)],
        "special_tokens": {
            token: {"id": token, "ids": [index], "tokens": [token]} for token, index in ids.items()
        },
    }


def _write_translation(tokenizer, directory):
    """Write two SentencePiece models and their vocabulary as three files."""
    source, target = tokenizer.source_proto, tokenizer.target_proto
    for name, proto in (("source.spm", source), ("target.spm", target or source)):
        with open(os.path.join(directory, name), "wb") as file:
            file.write(proto)
    ids = {piece: index for index, piece in enumerate(tokenizer.pieces_by_id)}
    files.write_json(os.path.join(directory, "vocab.json"), ids)


def _write_pairs(model, directory):
    """Write the vocabulary and the merges of byte-pair encoding as two files."""
    files.write_json(os.path.join(directory, "vocab.json"), model["vocab"])
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]]
    with open(os.path.join(directory, "merges.txt"), "w", encoding="utf-8") as file:
        file.write("\n".join(["#version: 0.2", *merges]) + "\n")
