"""Checkpoints of Transformer-XL: what transformers 4.35 saved, and the TensorFlow code's names.

The weights and what they give are those of tests/fixtures/txl_*.npz; as TensorFlow's, they are the
same weights under its names, in its shapes.
"""

import functools
import json
from pathlib import Path

import numpy as np
import pytest
from keras import ops
from safetensors.numpy import load_file, save_file

from keras_plm import tasks
from keras_plm.backbones import Backbone, TransformerXLBackbone
from keras_plm.checkpoints import convert_pickled_vocabulary, export_huggingface
from keras_plm.checkpoints.families.transformer_xl import read_hugging_face
from keras_plm.generation.sampling import log_likelihood
from keras_plm.tokenizers import Tokenizer, WordTokenizer

FIXTURES = Path(__file__).parents[2] / "fixtures"
CASES = ("plain", "div1", "div2", "div4_untied", "div1_projected")
WORDS = ["<eos>", "<unk>", *(f"w{n}" for n in range(52))]


@functools.cache
def reference(name):
    """The arrays of a fixture, the configuration, and the weights by transformers' names."""
    with np.load(FIXTURES / f"txl_{name}.npz") as file:
        arrays = dict(file)
    config = json.loads(str(arrays.pop("meta")))
    return arrays, config, {key[2:]: arrays[key] for key in arrays if key.startswith("w/")}


def write_hugging_face(directory, name, change=None, **changes):
    """A directory as transformers has it."""
    _, config, weights = reference(name)
    weights = {key: np.ascontiguousarray(array) for key, array in weights.items()}
    if change is not None:
        change(weights)
    directory.mkdir(exist_ok=True)
    config = {"model_type": "transfo-xl", **config, **changes}
    (directory / "config.json").write_text(json.dumps(config))
    (directory / "vocab.txt").write_text("".join(f"{word}\n" for word in WORDS))
    save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})
    return directory


def tensorflow_variables(name):
    """The same weights as the TensorFlow code has them: kernels (in, out), biases in one."""
    _, config, weights = reference(name)
    layers, heads = range(config["n_layer"]), (config["n_head"], config["d_head"])
    tables = [key for key in weights if "emb_layers" in key]
    found = {}
    for number in range(len(tables)):
        scope = f"cutoff_{number}/" if len(tables) > 1 else ""
        place = f"transformer/adaptive_embed/{scope}"
        found[f"{place}lookup_table"] = weights[f"transformer.word_emb.emb_layers.{number}.weight"]
        if f"transformer.word_emb.emb_projs.{number}" in weights:
            projection = weights[f"transformer.word_emb.emb_projs.{number}"]
            found[f"{place}proj_W"] = projection.T
        bias = weights[f"crit.out_layers.{number}.bias"]
        softmax = "transformer/adaptive_softmax/"
        found[f"{softmax}cutoff_{number}/b" if config["cutoffs"] else f"{softmax}bias"] = bias
        if f"crit.out_projs.{number}" in weights and not config["tie_projs"][number]:
            projection = weights[f"crit.out_projs.{number}"]
            found[f"{softmax}cutoff_{number}/proj"] = projection.T
    if config["cutoffs"]:
        found[f"{softmax}cutoff_0/cluster_W"] = weights["crit.cluster_weight"]
        found[f"{softmax}cutoff_0/cluster_b"] = weights["crit.cluster_bias"]
    for bias in ("r_w_bias", "r_r_bias"):
        of_layers = [weights[f"transformer.layers.{n}.dec_attn.{bias}"] for n in layers]
        found[f"transformer/{bias}"] = np.stack(of_layers) if config["untie_r"] else of_layers[0]
        assert of_layers[0].shape == heads
    for layer in layers:
        ours, theirs = f"transformer/layer_{layer}/", f"transformer.layers.{layer}."
        for part in ("qkv", "r", "o"):
            kernel = weights[f"{theirs}dec_attn.{part}_net.weight"]
            found[f"{ours}rel_attn/{part}/kernel"] = kernel.T
        for part, their in (("layer_1", "CoreNet.0"), ("layer_2", "CoreNet.3")):
            found[f"{ours}ff/{part}/kernel"] = weights[f"{theirs}pos_ff.{their}.weight"].T
            found[f"{ours}ff/{part}/bias"] = weights[f"{theirs}pos_ff.{their}.bias"]
        for part, their in (("rel_attn", "dec_attn"), ("ff", "pos_ff")):
            for weight, its in (("gamma", "weight"), ("beta", "bias")):
                array = weights[f"{theirs}{their}.layer_norm.{its}"]
                found[f"{ours}{part}/LayerNorm/{weight}"] = array
    found["transformer/layer_0/rel_attn/o/kernel/Adam"] = np.zeros(3)
    found["global_step"] = np.zeros((), "int64")
    return found


def write_tensorflow(directory, name):
    """A directory with a TensorFlow checkpoint and the description of its corpus."""
    import tensorflow as tf

    directory.mkdir()
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        for key, array in tensorflow_variables(name).items():
            tf.compat.v1.get_variable(key, initializer=np.asarray(array))
        session.run(tf.compat.v1.global_variables_initializer())
        saver = tf.compat.v1.train.Saver()
        saver.save(session, str(directory / "model.ckpt-0"), write_meta_graph=False)
    _, config, _ = reference(name)
    cutoffs = [0, *config["cutoffs"], config["vocab_size"]] if config["cutoffs"] else []
    information = {"vocab_size": config["vocab_size"], "cutoffs": cutoffs, "dataset": "small"}
    (directory / "corpus-info.json").write_text(json.dumps(information))
    return directory


def assert_near(ours, theirs):
    """The tolerance of the house: 1e-5, relative to the largest value above 1."""
    ours = ops.convert_to_numpy(ours)
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= 1e-5 * max(1.0, np.abs(theirs).max())


def assert_gives_the_reference(model, name, start="zero"):
    """Compare the losses of all tokens in two segments."""
    arrays, _, _ = reference(name)
    state = {}
    for segment in range(2):
        features = {"token_ids": ops.convert_to_tensor(arrays[f"token_ids_{segment}"], "int32")}
        encoded = model.backbone.encode({**features, **state})
        assert_near(encoded["hidden_states"][-1], arrays[f"{start}/hidden_{segment}_3"])
        logits = model.heads["tokens"].logits(encoded["sequence_output"])
        targets = ops.convert_to_tensor(arrays[f"targets_{segment}"], "int32")
        assert_near(-log_likelihood(logits, targets), arrays[f"{start}/nll_{segment}"])
        state = {"state": encoded["state"]}


@pytest.mark.parametrize("name", CASES)
def test_a_directory_of_transformers_gives_its_outputs(name, tmp_path, caplog):
    directory = write_hugging_face(tmp_path / name, name)
    model = tasks.CausalLM.from_preset(directory)
    assert not caplog.records
    assert isinstance(model.backbone, TransformerXLBackbone)
    assert_gives_the_reference(model, name)
    tokenizer = model.preprocessor.tokenizer
    assert isinstance(tokenizer, WordTokenizer) and tokenizer.words == WORDS
    assert tokenizer.encode("w3 w4 other") == [5, 6, 1]


@pytest.mark.parametrize("name", CASES)
def test_the_same_weights_under_tensorflow_s_names(name, tmp_path, caplog):
    _, config, _ = reference(name)
    if name == "div4_untied":
        pytest.skip("the TensorFlow code always shares the tables")
    lengths = {
        "memory_length": config["mem_len"],
        "same_length": config["same_length"],
        "same_length_with_itself": config["same_length"],
        "clamp_length": config["clamp_len"] if config["clamp_len"] > 0 else None,
        "layer_norm_epsilon": config["layer_norm_epsilon"],
        "normalize_first": config["pre_lnorm"],
    }
    directory = write_tensorflow(tmp_path / name, name)
    backbone = Backbone.from_preset(directory, **lengths)
    assert "its files do not say how long memory" in caplog.text
    theirs = Backbone.from_preset(write_hugging_face(tmp_path / "other", name))
    settings, expected = backbone.get_config(), theirs.get_config()
    free = {"name", "dropout", "attention_dropout", "initializer_range", "tie_projections"}
    assert settings.keys() == expected.keys()
    assert {k for k in settings if settings[k] != expected[k]} <= free
    assert len(backbone.weights) == len(theirs.weights) > 20
    for ours, other in zip(backbone.weights, theirs.weights):
        np.testing.assert_array_equal(ours.numpy(), other.numpy(), ours.path)
    if name in ("plain", "div2"):  # elsewhere the bias of one table is in parts
        assert_gives_the_reference(tasks.CausalLM.from_preset(directory, **lengths), name)


@pytest.mark.parametrize("name", CASES)
def test_what_is_exported_is_what_was_read(name, tmp_path, caplog):
    directory = write_hugging_face(tmp_path / name, name)
    model = tasks.CausalLM.from_preset(directory, preprocessor=None)
    export_huggingface(model, tmp_path / "exported")
    assert "later versions do not load it" in caplog.text
    config = json.loads((tmp_path / "exported" / "config.json").read_text())
    assert config["architectures"] == ["TransfoXLLMHeadModel"]
    _, before, weights = reference(name)
    same = {key: config[key] for key in before if key in config and key != "tie_projs"}
    assert same == {key: before[key] for key in same} and len(same) > 12
    arrays = load_file(tmp_path / "exported" / "model.safetensors")
    assert arrays.keys() <= weights.keys()
    for key, array in arrays.items():
        np.testing.assert_array_equal(array, weights[key], key)
    again = tasks.CausalLM.from_preset(tmp_path / "exported", preprocessor=None)
    assert again.backbone.get_config() | {"name": ""} == model.backbone.get_config() | {"name": ""}
    assert_gives_the_reference(again, name)


@pytest.mark.parametrize("kept", ["transformer.", "transformer.layers.0.dec_attn."])
def test_shared_biases_may_be_there_once(kept, tmp_path, caplog):
    def change(weights):
        for key in list(weights):
            if key.endswith(("r_w_bias", "r_r_bias")) and key.rpartition(".")[0] + "." != kept:
                del weights[key]

    model = tasks.CausalLM.from_preset(write_hugging_face(tmp_path / "one", "div4_untied", change))
    assert not caplog.records
    assert_gives_the_reference(model, "div4_untied")


def test_a_bias_that_is_not_shared_must_be_there(tmp_path):
    def change(weights):
        del weights["transformer.layers.1.dec_attn.r_w_bias"]

    with pytest.raises(ValueError, match="1 missing: transformer.layers.1.dec_attn.r_w_bias"):
        Backbone.from_preset(write_hugging_face(tmp_path / "one", "plain", change))


def test_a_head_that_is_not_shared_as_its_config_says_is_refused(tmp_path):
    def change(weights):
        weights["crit.out_projs.1"] = weights["crit.out_projs.1"] + 1

    directory = write_hugging_face(tmp_path / "one", "div2", change)
    with pytest.raises(ValueError, match="'crit.out_projs.1' that differs"):
        tasks.CausalLM.from_preset(directory)


def test_buffers_and_what_files_of_2019_say(tmp_path, caplog):
    def change(weights):
        weights["transformer.pos_emb.inv_freq"] = np.ones(8, "float32")
        del weights["crit.out_layers.0.weight"]  # what is shared need not be there

    directory = write_hugging_face(tmp_path / "one", "div2", change)
    config = json.loads((directory / "config.json").read_text())
    del config["tie_word_embeddings"], config["tie_projs"]
    config |= {"tie_weight": True, "proj_share_all_but_first": True, "attn_type": 0}
    (directory / "config.json").write_text(json.dumps(config))
    model = tasks.CausalLM.from_preset(directory)
    assert not caplog.records and model.backbone.tie_projections == "all_but_first"
    assert_gives_the_reference(model, "div2")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"attn_type": 2}, "`attn_type` must be 0"),
        ({"tie_projs": [True, False, True]}, "`tie_projs` must be true for all"),
        ({"tie_projs": "all"}, "`tie_projs` must be true for all"),
        ({"same_length": True, "mem_len": 0}, "`same_length` must be false"),
        ({"d_head": None}, "positive integers for .*d_head"),
        ({"cutoffs": [32, 16]}, "`cutoffs` must"),
        ({"cutoffs": "all"}, "`cutoffs` must"),
        ({"cutoffs": list(range(2, 22, 2))}, "8 tables of the embedding at most"),
        ({"div_val": "2"}, "'div_val' must be a number"),
    ],
)
def test_configs_that_are_refused(change, message, tmp_path):
    directory = write_hugging_face(tmp_path / "one", "div2", **change)
    with pytest.raises(ValueError, match=message):
        Backbone.from_preset(directory)


@pytest.mark.parametrize(
    "arguments", [{"activation": "gelu"}, {"div_val": 2, "project_same_width": False}]
)
def test_models_that_transformers_has_not(arguments, tmp_path):
    backbone = TransformerXLBackbone(54, 1, 2, 8, 12, cutoffs=[16, 32], **arguments)
    with pytest.raises(ValueError, match="has the activation 'relu', and with `div_val`"):
        export_huggingface(backbone, tmp_path / "exported")


def test_what_transformers_computes_otherwise_is_said(tmp_path, caplog):
    backbone = TransformerXLBackbone(54, 1, 2, 8, 12, memory_length=3, same_length=True)
    export_huggingface(backbone, tmp_path / "exported")
    assert "begins a text with a memory of zeros" in caplog.text
    assert "sees one token fewer" in caplog.text
    config = json.loads((tmp_path / "exported" / "config.json").read_text())
    assert read_hugging_face(config, None)[0]["same_length_with_itself"]


def test_a_number_for_a_text(tmp_path):
    rng = np.random.default_rng(0)

    def change(weights):
        for name in [name for name in weights if name.startswith("crit.")]:
            del weights[name]
        weights["score.weight"] = rng.normal(size=(3, 16)).astype("float32")

    directory = write_hugging_face(
        tmp_path / "one", "plain", change, architectures=["TransfoXLForSequenceClassification"]
    )
    model = tasks.TextClassifier.from_preset(directory, class_names=["a", "b", "c"])
    arrays = load_file(directory / "model.safetensors")
    found = [w for w in model.heads["label"].weights if w.shape == (16, 3)]
    np.testing.assert_array_equal(found[0].numpy(), arrays["score.weight"].T)


def test_a_pickled_vocabulary_becomes_the_tokenizer(tmp_path):
    import pickle

    directory = write_hugging_face(tmp_path / "one", "plain")
    (directory / "vocab.txt").unlink()
    with pytest.raises(FileNotFoundError, match="no files of a tokenizer"):
        Tokenizer.from_preset(directory)
    pickled = {"idx2sym": WORDS, "sym2idx": {word: n for n, word in enumerate(WORDS)}}
    (directory / "vocab.pkl").write_bytes(pickle.dumps(pickled))
    assert convert_pickled_vocabulary(directory / "vocab.pkl", directory / "vocab.txt") == 54
    (directory / "tokenizer_config.json").write_text(json.dumps({"lower_case": True}))
    tokenizer = Tokenizer.from_preset(directory)
    assert tokenizer.words == WORDS and tokenizer.encode("W3") == [5]
    assert tokenizer.special_token_ids == {"unk": 1, "eos": 0}
