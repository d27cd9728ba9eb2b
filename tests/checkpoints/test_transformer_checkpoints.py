"""Checkpoints of the BERT and GPT families: old files, other tasks, and what is refused."""

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
from keras import ops

from keras_plm import tasks
from keras_plm.backbones import Backbone

FIXTURES = Path(__file__).parents[1] / "fixtures"


def weights(model):
    values = {w.path: np.array(ops.convert_to_numpy(w.value)) for w in model.weights}
    return {path: value for path, value in values.items() if "seed" not in path}


def assert_same_weights(first, second):
    first, second = weights(first), weights(second)
    assert first.keys() == second.keys() and len(first) > 20
    for path in first:
        np.testing.assert_array_equal(first[path], second[path], path)


# === Whole checkpoints ===


def as_old_files_are(arrays):
    """Names of 2018, buffers, and the decoder's copies."""
    for name in list(arrays):
        if "LayerNorm." in name:
            old = name.replace("LayerNorm.weight", "LayerNorm.gamma")
            arrays[old.replace("LayerNorm.bias", "LayerNorm.beta")] = arrays.pop(name)
    arrays["bert.embeddings.position_ids"] = np.arange(10)[None]
    arrays["cls.predictions.decoder.weight"] = arrays["bert.embeddings.word_embeddings.weight"] + 0
    arrays["cls.predictions.decoder.bias"] = arrays["cls.predictions.bias"] + 0


def test_old_names_buffers_and_copies(make_transformer, caplog):
    new = tasks.MaskedLM.from_preset(make_transformer("bert_masked"))
    old = tasks.MaskedLM.from_preset(make_transformer("bert_masked", "old", as_old_files_are))
    assert_same_weights(old, new)
    assert not caplog.records


def test_the_copy_alone_is_enough(make_transformer, caplog):
    def change(arrays):
        arrays["lm_head.decoder.bias"] = arrays.pop("lm_head.bias")
        arrays["lm_head.decoder.weight"] = arrays.pop("roberta.embeddings.word_embeddings.weight")

    whole = tasks.MaskedLM.from_preset(make_transformer("roberta_masked"))
    assert_same_weights(
        tasks.MaskedLM.from_preset(make_transformer("roberta_masked", "copies", change)), whole
    )
    assert not caplog.records


def test_an_untied_decoder_is_refused(make_transformer):
    def change(arrays):
        arrays["lm_head.decoder.weight"] = arrays["mpnet.embeddings.word_embeddings.weight"] + 1

    directory = make_transformer("mpnet_masked", change=change)
    Backbone.from_preset(directory)
    with pytest.raises(ValueError, match="'lm_head.decoder.weight' that differs"):
        tasks.MaskedLM.from_preset(directory)


def test_buffers_of_gpt(make_transformer):
    def change(arrays):
        for layer in range(2):
            arrays[f"transformer.h.{layer}.attn.bias"] = np.ones((1, 1, 10, 10), "float32")
            arrays[f"transformer.h.{layer}.attn.masked_bias"] = np.array(-1e4, "float32")

    whole = Backbone.from_preset(make_transformer("gpt2"))
    assert_same_weights(Backbone.from_preset(make_transformer("gpt2", "old", change)), whole)

    def without_prefix(arrays):
        change(arrays)
        for name in list(arrays):
            arrays[name.removeprefix("transformer.")] = arrays.pop(name)

    bare = Backbone.from_preset(make_transformer("gpt2", "bare", without_prefix))
    assert_same_weights(bare, whole)


def test_a_config_that_does_not_say_that_it_is_of_bert(make_transformer):
    directory = make_transformer("bert_tanh")
    backbone = Backbone.from_preset(directory)
    assert backbone.num_segments == 6 and backbone.pooler
    config = json.loads((directory / "config.json").read_text())
    del config["model_type"]
    (directory / "config.json").write_text(json.dumps(config))
    assert_same_weights(Backbone.from_preset(directory), backbone)


def test_a_pooler_may_be_left_out(make_transformer, caplog):
    backbone = Backbone.from_preset(make_transformer("bert_pretraining"), pooler=False)
    assert not backbone.pooler and not caplog.records
    with pytest.raises(ValueError, match="2 missing: bert.pooler.dense.bias"):
        Backbone.from_preset(make_transformer("bert_masked", "masked"), pooler=True)
    with pytest.raises(ValueError, match=r"no weights for \['pooler'\]"):
        Backbone.from_preset(make_transformer("xlm_masked", "xlm"), pooler=True)


def test_a_head_of_another_task_is_not_taken(make_transformer, caplog):
    directory = make_transformer("bert_choices")
    with caplog.at_level(logging.WARNING, logger="keras_plm"):
        tasks.TextRegressor.from_preset(directory)
    assert "start new: ['score']" in caplog.text


def test_a_classifier_of_google(tmp_path, caplog):
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(FIXTURES / "keras_bert" / "bert_model.ckpt"))
    names = [name for name in reader.get_variable_to_shape_map() if name.startswith("bert/")]
    values = {name: reader.get_tensor(name) for name in names}
    values["output_weights"] = np.arange(12, dtype="float32").reshape(3, 4)
    values["output_bias"] = np.arange(3, dtype="float32")
    tf.raw_ops.SaveV2(
        prefix=str(tmp_path / "model.ckpt-10"),
        tensor_names=list(values),
        shape_and_slices=[""] * len(values),
        tensors=list(values.values()),
    )
    shutil.copy(FIXTURES / "keras_bert" / "bert_config.json", tmp_path)
    model = tasks.TextClassifier.from_preset(tmp_path)
    assert model.num_classes == 3 and model.backbone.activation == "gelu_tanh"
    assert not caplog.records
    kernel = np.array(ops.convert_to_numpy(model.heads["label"].logits.kernel))
    np.testing.assert_array_equal(kernel, values["output_weights"].T)


# === What is refused ===


def remove(name):
    return lambda arrays: arrays.pop(name)


def put(name, value):
    return lambda arrays: arrays.update({name: np.asarray(value, "float32")})


def bare(prefix, extra):
    """A backbone alone, whose names have no prefix, with one array more."""

    def change(arrays):
        for name in list(arrays):
            arrays[name.removeprefix(prefix)] = arrays.pop(name)
        arrays.update(extra)

    return change


PASSED_OVER = {  # the case, the change, and the names that the log has
    "an own head": ("bert_classes", put("my_head.weight", [1.0]), ["my_head.weight"]),
    "no floats": (
        "bert_classes",
        lambda arrays: arrays.update({"my_head.count": np.arange(3)}),
        ["my_head.count"],
    ),
    "below the prefix": ("gpt2", put("transformer.more", [1.0]), ["transformer.more"]),
    "without a prefix": (
        "gpt2",
        bare("transformer.", {"more.weight": np.ones(2, "float32")}),
        ["transformer.more.weight"],
    ),
    "one name with a prefix": (
        "gpt2",
        bare("transformer.", {"transformer.more": np.ones(2, "float32")}),
        ["transformer.more"],
    ),
    "in a head": (
        "bert_masked",
        put("cls.predictions.more.weight", [1.0]),
        ["cls.predictions.more.weight"],
    ),
}


@pytest.mark.parametrize("case", PASSED_OVER)
def test_what_no_model_asks_for_is_passed_over(case, make_transformer, caplog):
    system, change, names = PASSED_OVER[case]
    whole = Backbone.from_preset(make_transformer(system))
    assert not caplog.records
    directory = make_transformer(system, "more", change)
    assert_same_weights(Backbone.from_preset(directory), whole)
    (record,) = caplog.records
    listed = ", ".join(names)
    assert f"1 arrays that this model has not are passed over: {listed}. " in record.getMessage()
    for cls in (Backbone, tasks.TextEmbedder):
        with pytest.raises(ValueError, match=f"1 unexpected: {listed}. Use"):
            cls.from_preset(directory, strict=True)


def test_a_head_without_floats_starts_new(make_transformer, caplog):
    def change(arrays):
        arrays["classifier.bias"] = arrays["classifier.bias"].astype("int32")

    directory = make_transformer("bert_classes", change=change)
    tasks.TextClassifier.from_preset(directory)
    assert "'classifier.bias' holds I32 there, and no floats" in caplog.text


def test_strict_takes_what_is_whole(make_transformer, caplog):
    task = tasks.MaskedLM.from_preset(make_transformer("bert_masked"), strict=True)
    assert_same_weights(
        Backbone.from_preset(make_transformer("bert_masked", "again")), task.backbone
    )
    assert not caplog.records


BAD = {
    "a block more": (
        "gpt2",
        {},
        put("transformer.h.2.ln_1.weight", np.ones(12)),
        "1 unexpected: transformer.h.2.ln_1.weight. Use",
    ),
    "a config with fewer blocks": ("bert_tanh", dict(num_hidden_layers=1), None, "unexpected: "),
    "an adapter": (
        "bert_tanh",
        {},
        put("bert.encoder.layer.0.adapter.weight", np.ones(12)),
        "1 unexpected: bert.encoder.layer.0.adapter.weight. Use",
    ),
    "no languages": (
        "xlm_causal",
        {},
        put("transformer.lang_embeddings.weight", np.ones((2, 12))),
        "1 unexpected: transformer.lang_embeddings.weight. Use",
    ),
    "integers where floats belong": (
        "gpt2",
        {},
        lambda arrays: arrays.update({"transformer.ln_f.bias": np.ones(12, "int32")}),
        r"another data type: transformer.ln_f.bias \(expected floats, received I32\)",
    ),
    "another family": ("bert_tanh", dict(model_type="roberta"), None, "pad_token_id=0"),
    "a family with other sizes": ("gpt2", dict(model_type="xlm"), None, "positive integers"),
    "another family's file": (
        "mpnet",
        dict(model_type="bert", type_vocab_size=2),
        None,
        r"missing: bert.embeddings.token_type_embeddings.weight.*; .* unexpected: ",
    ),
    "another vocabulary": (
        "xlm_masked",
        dict(vocab_size=31),
        None,
        r"transformer.embeddings.weight \(expected \(31, 12\), received \(30, 12\)\)",
    ),
    "fewer positions": ("roberta_masked", dict(max_position_embeddings=9), None, r"\(9, 12\)"),
    "other segments": ("bert_tanh", dict(type_vocab_size=2), None, r"\(2, 12\).*\(6, 12\)"),
    "no tasks": ("ernie", dict(use_task_id=False), None, "unexpected: ernie.*task_type"),
    "a fused kernel that is transposed": (
        "gpt2",
        {},
        put("transformer.h.1.attn.c_attn.weight", np.zeros((36, 12))),
        r"expected \(12, 36\), received \(36, 12\)",
    ),
    "missing": ("gpt", {}, remove("transformer.h.0.attn.c_attn.bias"), "missing: transformer.h.0"),
    "not finite": (
        "gpt",
        {},
        put("transformer.h.0.attn.c_attn.bias", np.full(36, np.inf)),
        "not finite",
    ),
}


@pytest.mark.parametrize("case, changes, change, message", BAD.values(), ids=BAD)
def test_bad_checkpoints(case, changes, change, message, make_transformer):
    with pytest.raises(ValueError, match=message):
        Backbone.from_preset(make_transformer(case, change=change, **changes))


@pytest.mark.parametrize("case", ["bert_tanh", "gpt2"])
def test_truncated_files_and_pickles(case, make_transformer):
    directory = make_transformer(case)
    path = directory / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="not a usable safetensors file"):
        Backbone.from_preset(directory)
    path.rename(directory / "pytorch_model.bin")
    with pytest.raises(FileNotFoundError, match="weights_only=True.*\n.*save_file"):
        Backbone.from_preset(directory)
    assert Backbone.from_preset(directory, load_weights=False).vocabulary_size == 30


def test_tensorflow_checkpoints_of_another_size(tmp_path):
    for name in ("keras_bert", "keras_gpt2"):
        directory = shutil.copytree(FIXTURES / name, tmp_path / name)
        (path,) = [
            directory / n for n in ("bert_config.json", "hparams.json") if (directory / n).exists()
        ]
        config = json.loads(path.read_text())
        config |= {k: v + 1 for k, v in config.items() if k in ("vocab_size", "n_vocab")}
        path.write_text(json.dumps(config))
        with pytest.raises(ValueError, match="1 of another shape|2 of another shape"):
            Backbone.from_preset(directory)
