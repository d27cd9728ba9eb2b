"""Checkpoints of Marian, BART and T5, as transformers saves them: read, computed, written.

The weights and what they give are those of tests/fixtures/seq2seq_reference.npz.
"""

import json

import numpy as np
import pytest
import seq2seq_checkpoints
from keras import ops
from safetensors.numpy import load_file
from seq2seq_checkpoints import logits, reference, weights_of

from keras_plm import presets
from keras_plm.backbones import Backbone, Seq2SeqBackbone
from keras_plm.checkpoints import export_huggingface
from keras_plm.checkpoints.families.bart import read_bart, read_marian
from keras_plm.checkpoints.families.t5 import read_hugging_face
from keras_plm.tasks import Seq2SeqLM
from keras_plm.tasks.preset_files.heads_file import read_checkpoint_heads

CASES = ("marian", "bart", "bart_scaled", "t5", "t5_1_1")


def write(directory, case, change=None, **changes):
    """A directory as transformers has it."""
    config, weights = reference()[1][case]["config"], weights_of(case)
    if case == "marian":
        weights["model.shared.weight"][config["pad_token_id"]] = 0
    if change is not None:
        change(weights)
    return seq2seq_checkpoints.write(directory, {**config, **changes}, weights), weights


class WithHead:
    """A backbone and its head, as a task has them."""

    def __init__(self, directory):
        self.backbone = Backbone.from_preset(directory)
        self.heads = {"tokens": self.backbone.lm_head()}
        self.heads["tokens"].build((None, None, self.backbone.hidden_dim))
        checkpoint = presets.open_checkpoint(directory)
        assert read_checkpoint_heads(checkpoint, self.heads, self.backbone) == {}


@pytest.mark.parametrize("case", CASES)
def test_computes_what_transformers_does_and_goes_back(case, tmp_path):
    directory, weights = write(tmp_path / "theirs", case)
    model = WithHead(directory)
    arrays, cases = reference()
    expected = arrays[f"{case}/logits"][arrays["padding_mask"]]
    near = (5e-5 if case == "t5_1_1" else 1e-5) * max(1, np.abs(expected).max())
    np.testing.assert_allclose(logits(model, case), expected, atol=near)
    export_huggingface(model, str(tmp_path / "ours"))
    written = load_file(tmp_path / "ours" / "model.safetensors")
    assert written.keys() == weights.keys()
    for name, array in weights.items():
        np.testing.assert_array_equal(written[name], array, err_msg=name)
    config = json.loads((tmp_path / "ours" / "config.json").read_text())
    shared = config.keys() & cases[case]["config"].keys()
    assert len(shared) > 12
    different = {name for name in shared if config[name] != cases[case]["config"][name]}
    # Which transformers 5 always calls tied, and then looks at the file.
    assert different == ({"tie_word_embeddings"} if case == "t5_1_1" else set())
    again = Backbone.from_preset(str(tmp_path / "ours"))
    assert again.get_config() | {"name": ""} == model.backbone.get_config() | {"name": ""}


@pytest.mark.parametrize("case", CASES)
def test_a_task_scores_as_transformers_and_goes_back(case, tmp_path):
    """Sources and targets of several lengths, with what the config says the decoder starts with."""
    directory, weights = write(tmp_path / "theirs", case)
    model = Seq2SeqLM.from_preset(directory)
    arrays, cases = reference()
    real, token_ids = arrays["padding_mask"], arrays["token_ids"]
    sources = [
        ids[own].tolist()
        for ids, own in zip(arrays["source_token_ids"], arrays["source_padding_mask"])
    ]
    targets = [ids[own][1:].tolist() for ids, own in zip(token_ids, real)]
    scores = model.score(sources, targets, verbose=0)
    all_logits = arrays[f"{case}/logits"].astype("float64")
    near = (5e-5 if case == "t5_1_1" else 1e-5) * max(1, np.abs(all_logits[real]).max())
    for row, target, found in zip(all_logits, targets, scores):
        row = row[: len(target)]
        expected = row[np.arange(len(target)), target] - np.logaddexp.reduce(row, axis=1)
        np.testing.assert_allclose(found.tokens, expected, atol=2 * near)
    export_huggingface(model, str(tmp_path / "ours"))
    written = load_file(tmp_path / "ours" / "model.safetensors")
    assert written.keys() == weights.keys()
    config = json.loads((tmp_path / "ours" / "config.json").read_text())
    start = cases[case]["config"]["decoder_start_token_id"]
    assert config["decoder_start_token_id"] == model.start_token_id == start
    again = Seq2SeqLM.from_preset(str(tmp_path / "ours"))
    assert again.settings() == model.settings()


def test_a_backbone_alone(tmp_path):
    for case in ("marian", "t5"):
        directory, weights = write(tmp_path / case, case)
        export_huggingface(Backbone.from_preset(directory), str(tmp_path / f"{case}_alone"))
        written = load_file(tmp_path / f"{case}_alone" / "model.safetensors")
        names = {name.removeprefix("model.") for name in weights} - {"final_logits_bias"}
        assert written.keys() == names
        config = json.loads((tmp_path / f"{case}_alone" / "config.json").read_text())
        assert config["architectures"] == [{"marian": "MarianModel", "t5": "T5Model"}[case]]
        again = Backbone.from_preset(str(tmp_path / f"{case}_alone"))
        before = Backbone.from_preset(directory)
        for new, old in zip(again.weights, before.weights):
            np.testing.assert_array_equal(*map(ops.convert_to_numpy, (new, old)))


@pytest.mark.parametrize("case", ["marian", "t5"])
def test_copies_and_constants_of_old_files(case, tmp_path):
    """Copies of the embedding are passed over, and stand for it where it is not there."""
    prefix = "model." if case == "marian" else ""

    def change(weights):
        table = weights.pop(f"{prefix}shared.weight")
        for side in ("encoder", "decoder"):
            weights[f"{prefix}{side}.embed_tokens.weight"] = table.copy()
        weights["lm_head.weight"] = table.copy()
        if case == "marian":
            for side in ("encoder", "decoder"):
                weights[f"model.{side}.embed_positions.weight"] = np.zeros((12, 16), "float32")
        else:
            name = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
            weights[name] = np.zeros((8, 3), "float32")

    directory, _ = write(tmp_path / "old", case, change)
    plain, _ = write(tmp_path / "new", case)
    found, expected = (logits(WithHead(one), case) for one in (directory, plain))
    np.testing.assert_array_equal(found, expected)

    # An output matrix that is another one: T5's own, which nobody else has.
    def differ(weights):
        weights["lm_head.weight"] = weights[f"{prefix}shared.weight"] + 1

    directory, _ = write(tmp_path / "other", case, differ)
    if case == "t5":
        assert not Backbone.from_preset(directory).tie_weights
    else:
        with pytest.raises(ValueError, match="'lm_head.weight' that differs"):
            WithHead(directory)


def test_what_no_config_says(tmp_path):
    """A bias of BART's logits, and an embedding of padding that transformers has trained."""

    def with_bias(weights):
        weights["final_logits_bias"] = np.arange(31, dtype="float32")[None]

    directory, _ = write(tmp_path / "bart", "bart", with_bias)
    model = WithHead(directory)
    assert model.backbone.output_bias
    bias = ops.convert_to_numpy(model.heads["tokens"].bias)
    np.testing.assert_array_equal(bias, np.arange(31))

    def without_bias(weights):
        weights["final_logits_bias"] = np.zeros((1, 31), "float32")

    directory, _ = write(tmp_path / "zeros", "bart", without_bias)
    assert not WithHead(directory).backbone.output_bias

    def trained(weights):
        weights["model.shared.weight"][30] = 1

    directory, _ = write(tmp_path / "marian", "marian", trained)
    assert Backbone.from_preset(directory).zero_token_id is None
    assert Backbone.from_preset(write(tmp_path / "plain", "marian")[0]).zero_token_id == 30


def test_the_config_of_a_released_model():
    """Of opus-mt-en-mg, which has settings of an older time."""
    config = {
        "model_type": "marian",
        "vocab_size": 54688,
        "d_model": 512,
        "encoder_layers": 6,
        "decoder_layers": 6,
        "encoder_attention_heads": 8,
        "decoder_attention_heads": 8,
        "encoder_ffn_dim": 2048,
        "decoder_ffn_dim": 2048,
        "activation_function": "swish",
        "add_bias_logits": False,
        "add_final_layer_norm": False,
        "normalize_before": False,
        "normalize_embedding": False,
        "scale_embedding": True,
        "static_position_embeddings": True,
        "pad_token_id": 54687,
        "max_position_embeddings": 512,
        "dropout": 0.1,
        "encoder_layerdrop": 0.0,
    }
    arguments, notes = read_marian(config, no_weights)
    assert notes == [] and arguments["zero_token_id"] == 54687
    assert arguments["activation"] == "silu" and arguments["positions"] == "halves"
    small = {**arguments, "vocabulary_size": 9, "hidden_dim": 16, "zero_token_id": 8}
    Seq2SeqBackbone(**{**small, "num_layers": 1, "num_decoder_layers": 1})
    for key in ("normalize_embedding", "normalize_before", "add_final_layer_norm"):
        with pytest.raises(ValueError, match=f"marian with {key}=True is not supported"):
            read_marian({**config, key: True}, no_weights)
    with pytest.raises(ValueError, match="Both sides.*decoder_ffn_dim=100"):
        read_marian({**config, "decoder_ffn_dim": 100}, no_weights)
    with pytest.raises(ValueError, match="'pad_token_id' must be in the vocabulary"):
        read_marian({**config, "pad_token_id": 54688}, no_weights)
    with pytest.raises(ValueError, match="must divide 'd_model'"):
        read_marian({**config, "d_model": 513}, no_weights)
    bart = {**config, "model_type": "bart", "normalize_embedding": True}
    bart |= {"static_position_embeddings": False, "decoder_layerdrop": 0.1}
    arguments, notes = read_bart(bart, no_weights)
    assert arguments["position_offset"] == 2 and not arguments["output_bias"]
    assert notes == ["`decoder_layerdrop` is dropped: no block is left out in training"]


def no_weights():
    raise FileNotFoundError


def test_which_t5_it_is():
    """As the files of 2020 say it, and as transformers 5 does."""
    config = {
        "model_type": "t5",
        "vocab_size": 32128,
        "d_model": 512,
        "d_kv": 64,
        "d_ff": 1024,
        "num_layers": 8,
        "num_heads": 6,
        "relative_attention_num_buckets": 32,
        "dropout_rate": 0.1,
        "layer_norm_epsilon": 1e-6,
    }
    names = ("activation", "gated", "tie_weights", "scale_logits")
    for said, expected in (
        ({}, ("relu", False, True, True)),
        ({"feed_forward_proj": "gelu"}, ("gelu", False, True, True)),
        (
            {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False},
            ("gelu_tanh", True, False, False),
        ),
        (
            {"feed_forward_proj": "gated-silu", "scale_decoder_outputs": False},
            ("silu", True, True, False),
        ),
    ):
        arguments, _ = read_hugging_face({**config, **said}, no_weights)
        assert tuple(arguments[name] for name in names) == expected
        assert arguments["num_decoder_layers"] == 8 and arguments["output_dropout"] == 0.1
    for said, message in (
        ({"relative_attention_max_distance": 64}, "must be 128. Received: 64"),
        ({"feed_forward_proj": "glu"}, "'feed_forward_proj' must be one of"),
        ({"num_decoder_layers": 1.5}, "num_decoder_layers"),
    ):
        with pytest.raises(ValueError, match=message):
            read_hugging_face({**config, **said}, no_weights)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"positions": "halves_inclusive"}, "Marian: It has.*'positions': 'halves'"),
        ({"source_vocabulary_size": 9}, "'source_vocabulary_size': 9"),
        ({"norm": "rms", "normalize_first": True}, "T5: It has"),
    ],
)
def test_what_transformers_has_not(options, message, tmp_path):
    sizes = dict(num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=12)
    backbone = Seq2SeqBackbone(9, **sizes, max_sequence_length=5, **options)
    with pytest.raises(ValueError, match=message):
        export_huggingface(backbone, str(tmp_path / "export"))
