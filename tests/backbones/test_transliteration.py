"""A Transformer that OpenNMT trained: what CTranslate2 computes of five Arabic names.

Two vocabularies, sinusoids from position 1, norms first, and an output matrix of its own.
"""

import functools
import json
import pathlib

import keras
import numpy as np
import pytest
from keras import ops

from keras_plm.backbones import Seq2SeqBackbone
from keras_plm.generation.beam_search import BeamSearch
from keras_plm.generation.decoding import Programs, Slots, Writing

FOLDER = pathlib.Path(__file__).parents[1] / "fixtures" / "transliteration"
EXPECTED = json.loads((FOLDER / "expected.json").read_text("utf-8"))
NUMBER = len(EXPECTED)
STOP, LONGEST = 2, 12


def padded(rows):
    """Rows of ids as an array, and which of them are real."""
    length = max(map(len, rows))
    ids = np.array([row + [0] * (length - len(row)) for row in rows], "int32")
    return ids, np.arange(length) < np.array([[len(row)] for row in rows])


@functools.cache
def made():
    """The backbone and its head, with the weights as they were trained."""
    stored = dict(np.load(FOLDER / "model.npz"))
    backbone = Seq2SeqBackbone(
        43,
        num_layers=6,
        num_heads=8,
        hidden_dim=32,
        intermediate_dim=128,
        source_vocabulary_size=51,
        positions="halves_inclusive",
        position_offset=1,
        normalize_first=True,
        layer_norm_epsilon=1e-5,
        tie_weights=False,
        output_bias=True,
    )
    head = backbone.lm_head()
    head.build((None, None, 32))

    def norm(layer, name):
        layer.gamma.assign(stored[f"{name}/gamma"])
        layer.beta.assign(stored[f"{name}/beta"])

    def dense(layers, name):
        """Kernels (out, in), of which several may lie in one."""
        kernels = np.split(stored[f"{name}/weight"], len(layers))
        biases = np.split(stored[f"{name}/bias"], len(layers))
        for layer, kernel, bias in zip(layers, kernels, biases):
            layer.kernel.assign(kernel.T.reshape(layer.kernel.shape))
            layer.bias.assign(bias.reshape(layer.bias.shape))

    for side, stack in (("encoder", backbone.source_stack), ("decoder", backbone.target_stack)):
        stack.token_embedding.embeddings.assign(stored[f"{side}/embeddings/weight"])
        norm(stack.final_norm, f"{side}/layer_norm")
        for index, block in enumerate(stack.blocks):
            name = f"{side}/layer_{index}/"
            own, cross = block.attention, block.cross_attention
            dense([own.query, own.key, own.value], name + "self_attention/linear_0")
            dense([own.attention_output], name + "self_attention/linear_1")
            norm(block.attention_norm, name + "self_attention/layer_norm")
            if cross is not None:
                dense([cross.query], name + "attention/linear_0")
                dense([cross.key, cross.value], name + "attention/linear_1")
                dense([cross.attention_output], name + "attention/linear_2")
                norm(block.cross_attention_norm, name + "attention/layer_norm")
            dense([block.intermediate], name + "ffn/linear_0")
            dense([block.feedforward_output], name + "ffn/linear_1")
            norm(block.feedforward_norm, name + "ffn/layer_norm")
    table = backbone.token_embedding
    table.reverse_embeddings.assign(stored["decoder/projection/weight"].T)
    head.bias.assign(stored["decoder/projection/bias"])
    return backbone, head


def source():
    ids, real = padded([one["source_ids"] for one in EXPECTED.values()])
    return {"source_token_ids": ids, "source_padding_mask": real}


def text_of(ids):
    """The letters before the stop token."""
    letters = (FOLDER / "target_vocabulary.txt").read_text("utf-8").split("\n")
    ids = ids.tolist()
    return "".join(letters[token] for token in ids[: ids.index(STOP)])


def test_states_and_logits():
    """Of all names in one batch, which have three to seven letters."""
    backbone, head = made()
    ids, real = padded([one["decoder_input_ids"] for one in EXPECTED.values()])
    encoded = backbone.encode({**source(), "token_ids": ids, "padding_mask": real})
    encoder_output = ops.convert_to_numpy(encoded["encoder_output"])
    logits = ops.convert_to_numpy(head.logits(encoded["sequence_output"]))
    with np.load(FOLDER / "expected.npz") as expected:
        for row in range(NUMBER):
            for found, name, near in (
                (encoder_output, "encoder_output", 1e-5),
                (logits, "logits", 1e-4),
            ):
                theirs = expected[f"{name}_{row}"]
                found = found[row, : len(theirs)]
                near = near * max(1, np.abs(theirs).max())
                np.testing.assert_allclose(found, theirs, atol=near, err_msg=name)


def test_greedy_writing_with_a_cache():
    """The same letters, and the same log-probability of each name."""
    backbone, head = made()
    decoder = backbone.decoder()
    ids = np.ones((NUMBER, LONGEST), "int32")
    features = {name: ops.convert_to_tensor(array) for name, array in source().items()}
    features |= {"token_ids": ops.convert_to_tensor(ids), "known": 0}
    constants, cache = decoder.start(features)
    scores, open_rows = np.zeros(NUMBER), np.ones(NUMBER, bool)
    for place in range(LONGEST - 1):
        token = ops.convert_to_tensor(ids[:, place : place + 1])
        states, cache = decoder.step(constants, cache, token, place)
        log_shares = ops.convert_to_numpy(ops.log_softmax(head.logits(states)[:, -1]))
        ids[:, place + 1] = log_shares.argmax(-1)
        scores += log_shares.max(-1) * open_rows
        open_rows &= ids[:, place + 1] != STOP
    assert not open_rows.any()
    for row, one in zip(range(NUMBER), EXPECTED.values()):
        assert text_of(ids[row, 1:]) == one["greedy"]
        assert scores[row] == pytest.approx(one["greedy_log_probability"], abs=2e-4)


@pytest.fixture(scope="module")
def programs(quick):
    """The decoding loop of the tasks, over the backbone and its head."""
    backbone, head = made()
    task = keras.Model(backbone.input, backbone.output)
    task.backbone, task.heads = backbone, {"tokens": head}
    task.compile(**quick)
    return Programs(task)


def written(programs, sampler):
    """What is written for all names in one batch, and scores if there are several."""
    texts = np.full((NUMBER, LONGEST), -1, "int32")
    token_ids = np.pad(np.ones((NUMBER, 1), "int32"), ((0, 0), (0, LONGEST)))
    features = {**source(), "token_ids": token_ids}
    slots = Slots(features, texts, np.ones_like(texts, "bool"), before=1)
    return programs.write(slots, Writing(sampler, stop_ids=(STOP,)))


@pytest.mark.parametrize("num_beams", [2, 4])
def test_beam_search(programs, num_beams):
    """All names that CTranslate2 finds, with their log-probabilities."""
    sampler = BeamSearch(num_beams, length_penalty=0, num_results=num_beams)
    for one, texts, scores in zip(EXPECTED.values(), *written(programs, sampler)):
        theirs = one["beams"][f"beam {num_beams}, length_penalty 0"]
        assert [text_of(text) for text in texts] == [text for text, _ in theirs]
        np.testing.assert_allclose(scores, [score for _, score in theirs], atol=2e-4)


@pytest.mark.parametrize("alpha", [0.6, 1])
def test_scores_for_their_lengths(programs, alpha):
    """Of every name that CTranslate2 lists; it ends sooner, before some that are better."""
    sampler = BeamSearch(8, alpha, num_results=8, length_normalization="power")
    for one, texts, scores in zip(EXPECTED.values(), *written(programs, sampler)):
        found = dict(zip(map(text_of, texts), scores))
        assert (np.diff(scores) <= 0).all()
        for num_beams in (1, 2, 4):
            for text, score in one["beams"][f"beam {num_beams}, length_penalty {alpha}"]:
                assert found[text] == pytest.approx(score, abs=2e-4)


def test_one_beam(programs):
    """CTranslate2's, which is the greedy one at any length penalty."""
    texts = written(programs, BeamSearch(1, 1.0, length_normalization="power"))
    for text, one in zip(texts, EXPECTED.values()):
        for alpha in (0, 0.6, 1):
            (theirs, _) = one["beams"][f"beam 1, length_penalty {alpha}"][0]
            assert text_of(text) == theirs == one["greedy"]
