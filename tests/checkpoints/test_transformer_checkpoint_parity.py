"""The BERT and GPT families give the outputs of those who released them.

The heads of tasks: test_checkpoint_heads.py.
"""

from pathlib import Path

import numpy as np
import pytest
from keras import ops

from keras_plm import presets
from keras_plm.backbones import Backbone, TransformerBackbone
from keras_plm.heads import MaskedLMHead, SentencePairHead
from keras_plm.tasks.preset_files.heads_file import read_checkpoint_heads

FIXTURES = Path(__file__).parents[1] / "fixtures"
CASES = (
    "bert_pretraining",
    "bert_masked",
    "bert_tanh",
    "ernie",
    "roberta_masked",
    "roberta",
    "mpnet_masked",
    "mpnet",
    "xlm_masked",
    "xlm_causal",
    "distilbert_masked",
    "gpt",
    "gpt2",
)


def to_numpy(tensor):
    return np.array(ops.convert_to_numpy(tensor))


def features_of(backbone, inputs):
    """Those inputs that a backbone takes; RoBERTa has one segment."""
    if backbone.num_segments == 1:
        inputs = {**inputs, "segment_ids": np.zeros_like(inputs["segment_ids"])}
    return {name: inputs[name] for name in backbone.input if name in inputs}


@pytest.fixture
def sides(transformer_cases, transformer_inputs):
    """A function: for each side of a case's padding, its name, the inputs and the real tokens."""

    def sides(case):
        for side in transformer_cases[case]["sides"]:
            inputs = transformer_inputs(side)
            yield side, inputs, inputs["padding_mask"]

    return sides


def heads_of(directory, backbone, heads):
    """The pretraining heads of a checkpoint, with its weights."""
    checkpoint = presets.open_checkpoint(directory)
    settings = checkpoint.settings()
    made = {}
    if "tokens" in heads:
        made["tokens"] = MaskedLMHead(
            backbone.token_embedding,
            transform=settings["transform"],
            activation=settings.get("head_activation", "gelu"),
            layer_norm_epsilon=backbone.layer_norm_epsilon,
            use_bias=settings.get("use_bias", True),
            name="tokens",
        )
        made["tokens"].build((None, None, backbone.hidden_dim))
    if "sentence_pair" in heads:
        made["sentence_pair"] = SentencePairHead(name="sentence_pair")
        made["sentence_pair"].build((None, backbone.hidden_dim))
    assert read_checkpoint_heads(checkpoint, made, backbone) == {}
    return made


@pytest.mark.parametrize("case", CASES)
def test_backbones_and_heads(case, make_transformer, transformer_reference, sides, assert_near):
    directory = make_transformer(case)
    backbone = Backbone.from_preset(directory)
    assert type(backbone) is TransformerBackbone
    start = f"{case}/right/"
    outputs = {n.removeprefix(start) for n in transformer_reference if n.startswith(start)}
    heads = heads_of(directory, backbone, outputs)
    for side, inputs, real in sides(case):
        encoded = backbone.encode(features_of(backbone, inputs))
        ours = {
            "hidden_states": np.stack([to_numpy(h)[real] for h in encoded["hidden_states"]]),
            "pooled": to_numpy(encoded.get("pooled_output", 0)),
        }
        if "tokens" in heads:
            ours["tokens"] = to_numpy(heads["tokens"](encoded["sequence_output"]))[real]
        if "sentence_pair" in heads:
            ours["sentence_pair"] = to_numpy(heads["sentence_pair"](encoded["pooled_output"]))
        compared = [name for name in outputs if f"{case}/{side}/{name}" in transformer_reference]
        assert compared
        for name in compared:
            assert_near(ours[name], transformer_reference[f"{case}/{side}/{name}"])
        assert_near(to_numpy(encoded["sequence_output"])[real], ours["hidden_states"][-1])


# === TensorFlow's ===


@pytest.mark.parametrize("case, folder", [("google", "keras_bert"), ("openai", "keras_gpt2")])
def test_tensorflow_checkpoints(
    case, folder, transformer_reference, transformer_inputs, assert_near
):
    backbone = Backbone.from_preset(FIXTURES / folder)
    names = {n.split("/")[1] for n in transformer_reference if n.startswith(f"{case}/")}
    heads = heads_of(FIXTURES / folder, backbone, names)
    inputs = dict(transformer_inputs("right"))
    inputs["token_ids"] = inputs["token_ids"] % backbone.vocabulary_size
    real = inputs["padding_mask"]
    encoded = backbone.encode(features_of(backbone, inputs))
    logits = to_numpy(heads["tokens"](encoded["sequence_output"]))[real][:, :30]
    assert_near(logits, transformer_reference[f"{case}/tokens"])
    sequence_output = to_numpy(encoded["sequence_output"])[real]
    assert_near(sequence_output, transformer_reference[f"{case}/sequence_output"])
    if "sentence_pair" in heads:
        logits = to_numpy(heads["sentence_pair"](encoded["pooled_output"]))
        assert_near(logits, transformer_reference[f"{case}/sentence_pair"])


def test_the_layouts_of_tensorflow():
    """Their weights are so small that attention is even; so those of its scores are compared."""
    tf = pytest.importorskip("tensorflow")
    reader = tf.train.load_checkpoint(str(FIXTURES / "keras_bert" / "bert_model.ckpt"))
    backbone = Backbone.from_preset(FIXTURES / "keras_bert")
    block = {w.path.removeprefix("block_1/"): to_numpy(w.value) for w in backbone.blocks[1].weights}
    kernel = reader.get_tensor("bert/encoder/layer_1/attention/self/key/kernel")
    np.testing.assert_array_equal(block["attention/key/kernel"].reshape(4, 4), kernel)
    reader = tf.train.load_checkpoint(str(FIXTURES / "keras_gpt2" / "model.ckpt"))
    backbone = Backbone.from_preset(FIXTURES / "keras_gpt2")
    block = {w.path.removeprefix("block_2/"): to_numpy(w.value) for w in backbone.blocks[2].weights}
    kernel = reader.get_tensor("model/h2/attn/c_attn/w")[0]
    bias = reader.get_tensor("model/h2/attn/c_attn/b")
    for index, name in enumerate(("query", "key", "value")):
        own = slice(15 * index, 15 * (index + 1))
        ours = block[f"attention/{name}/kernel"]
        assert ours.shape == (15, 5, 3)
        np.testing.assert_array_equal(ours.reshape(15, 15), kernel[:, own])
        np.testing.assert_array_equal(block[f"attention/{name}/bias"].reshape(15), bias[own])
