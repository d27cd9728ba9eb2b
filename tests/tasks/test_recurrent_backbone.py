"""What a user writes outside of the package: a recurrent backbone, whose state is carried."""

import keras
import numpy as np
import pytest
from keras import ops
from safetensors.numpy import load_file

from keras_plm import data
from keras_plm.backbones import Backbone
from keras_plm.backbones.decoding.decoder import Decoder, RecomputingDecoder
from keras_plm.objectives import CausalModeling
from keras_plm.ops import gather_rows
from keras_plm.tasks import BeamSearch, CausalLM, Checkpoint, Pretrainer, resume

BATCH, LENGTH, WIDTH = 3, 8, 6


class CellDecoder(Decoder):
    """The state of the LSTM is all that has to be kept."""

    def __init__(self, backbone):
        self.backbone = backbone

    def start(self, features):
        token_ids = features["token_ids"]
        read = ops.arange(token_ids.shape[1]) < features["known"]
        read = ops.broadcast_to(read[None], token_ids.shape)
        if "padding_mask" in features:
            read = ops.logical_and(read, features["padding_mask"])
        encoded = self.backbone.encode({"token_ids": token_ids, "padding_mask": read})
        return None, encoded["state"]

    def step(self, constants, cache, token_ids, index):
        encoded = self.backbone.encode({"token_ids": token_ids, "state": cache})
        return encoded["sequence_output"], encoded["state"]


@keras.saving.register_keras_serializable(package="probe")
class RecurrentBackbone(Backbone):
    """An LSTM over token embeddings."""

    reads = frozenset({"causal", "state"})

    def __init__(self, vocabulary_size, hidden_dim, dtype=None, **kwargs):
        self.token_embedding = keras.layers.ReversibleEmbedding(
            vocabulary_size, hidden_dim, dtype=dtype, name="token_embedding"
        )
        self.lstm = keras.layers.LSTM(
            hidden_dim, return_sequences=True, return_state=True, dtype=dtype, name="lstm"
        )
        inputs = {
            "token_ids": keras.Input((None,), dtype="int32", name="token_ids"),
            "padding_mask": keras.Input((None,), dtype="bool", name="padding_mask"),
        }
        outputs = self.encode(inputs)["sequence_output"]
        super().__init__(inputs=inputs, outputs=outputs, dtype=dtype, **kwargs)
        self.vocabulary_size = vocabulary_size
        self.hidden_dim = hidden_dim

    def state_spec(self, batch_size=None):
        one = keras.KerasTensor((batch_size, self.hidden_dim))
        return {"hidden": one, "cell": one}

    def encode(self, features):
        rows = self.token_embedding(features["token_ids"])
        state = features.get("state")
        before = None if state is None else [state["hidden"], state["cell"]]
        mask = features.get("padding_mask")
        output, hidden, cell = self.lstm(rows, mask=mask, initial_state=before)
        encoded = {
            "sequence_output": output,
            "hidden_states": [rows, output],
            "state": {"hidden": hidden, "cell": cell},
        }
        if "target_positions" in features:
            encoded["target_output"] = gather_rows(output, features["target_positions"])
        return encoded

    def decoder(self):
        return CellDecoder(self)

    def get_config(self):
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "hidden_dim": self.hidden_dim,
        }


def made(vocabulary_size):
    backbone = RecurrentBackbone(vocabulary_size, WIDTH)
    rng = np.random.default_rng(0)
    for weight in backbone.weights:  # so large that what was read long ago has a say
        weight.assign(rng.normal(size=weight.shape, scale=0.7))
    return backbone


@pytest.fixture(scope="module")
def pretrainer(tokenizer):
    objective = CausalModeling(LENGTH, rows="stream", documents_apart=False)
    model = Pretrainer(made(tokenizer.vocabulary_size), objective)
    model.compile(keras.optimizers.SGD(0.0), jit_compile=keras.backend.backend() == "jax")
    return model


def losses_of_the_text(model, examples, steps):
    """The mean loss of each batch, from one pass over the joined rows."""
    batches = [examples.batch_at(step) for step in range(steps)]
    ids = np.concatenate([x["token_ids"] for x, _, _ in batches], axis=1)
    targets = np.concatenate([y["tokens"] for _, y, _ in batches], axis=1)
    rows = model.backbone.encode({"token_ids": ids})["sequence_output"]
    logits = ops.convert_to_numpy(model.heads["tokens"](rows)).astype("float64")
    logits -= np.log(np.exp(logits).sum(-1, keepdims=True))
    scores = np.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
    return -scores.reshape(BATCH, steps, LENGTH).mean(axis=(0, 2))


def test_the_state_goes_on_from_batch_to_batch(pretrainer, corpus):
    """The losses are those of the whole text read at once; validation changes nothing."""
    examples = data.examples(corpus, pretrainer.objective, BATCH)
    held_out = data.examples(corpus, pretrainer.objective, BATCH, training=False)
    steps = 4
    expected = losses_of_the_text(pretrainer, examples, steps)
    history = pretrainer.fit(
        examples,
        epochs=2,
        steps_per_epoch=2,
        validation_data=held_out,
        validation_steps=3,
        verbose=0,
    ).history
    np.testing.assert_allclose(history["loss"], expected.reshape(2, 2).mean(axis=1), rtol=1e-5)
    of_held_out = losses_of_the_text(pretrainer, held_out, 3).mean()
    np.testing.assert_allclose(history["val_loss"], [of_held_out] * 2, rtol=1e-5)


def test_a_checkpoint_holds_the_state(pretrainer, corpus, tokenizer, tmp_path):
    examples = data.examples(corpus, pretrainer.objective, BATCH)
    pretrainer.fit(
        examples,
        steps_per_epoch=2,
        callbacks=[Checkpoint(str(tmp_path / "checkpoint"), every=1)],
        verbose=0,
    )
    arrays = load_file(tmp_path / "checkpoint" / "state.safetensors")
    assert arrays["hidden/training"].shape == arrays["cell/training"].shape == (BATCH, WIDTH)
    other = Pretrainer(made(tokenizer.vocabulary_size), pretrainer.objective)
    other.compile(keras.optimizers.SGD(0.0))
    assert resume(other, str(tmp_path / "checkpoint")) == 2
    for name, variable in other.state.training_state.items():
        value = ops.convert_to_numpy(pretrainer.state.training_state[name])
        np.testing.assert_array_equal(ops.convert_to_numpy(variable), value)
        np.testing.assert_array_equal(arrays[f"{name}/training"], value)
        assert value.any()


def test_rows_that_do_not_go_on_are_refused(pretrainer):
    with pytest.raises(ValueError, match='`fresh`.*rows="stream"'):
        Pretrainer(pretrainer.backbone, CausalModeling(LENGTH, documents_apart=False))


# === It writes ===

PROMPTS = [[1, 2], [5, 4, 3, 0, 2], [7]]
VOCABULARY = 11


@pytest.fixture(scope="module")
def writer(quick):
    model = CausalLM(made(VOCABULARY))
    model.compile(**quick)
    return model


def test_cached_is_recomputed(writer):
    """States read one by one, and some at once, are those of the whole text."""
    backbone, length = writer.backbone, 9
    ids = np.random.default_rng(0).integers(0, VOCABULARY, (4, length)).astype("int32")
    expected = ops.convert_to_numpy(backbone.encode({"token_ids": ids})["sequence_output"])
    assert np.abs(expected).max() > 0.5
    for decoder in (backbone.decoder(), RecomputingDecoder(backbone)):
        constants, cache = decoder.start({"token_ids": ops.convert_to_tensor(ids), "known": 3})
        states = []
        for index, number in ((3, 1), (4, 1), (5, 3), (8, 1)):
            tokens = ops.convert_to_tensor(ids[:, index : index + number])
            rows, cache = decoder.step(constants, cache, tokens, index)
            states.append(ops.convert_to_numpy(rows))
        np.testing.assert_allclose(np.concatenate(states, axis=1), expected[:, 3:], atol=1e-5)


def test_greedy_is_the_loop_that_reads_everything_again(writer):
    texts = writer.generate(PROMPTS, 8, "greedy", batch_size=2)
    for prompt, text in zip(PROMPTS, texts, strict=True):
        expected = list(prompt)
        while len(expected) < 8:
            rows = writer.backbone.encode({"token_ids": np.array([expected], "int32")})
            logits = writer.heads["tokens"](rows["sequence_output"])
            expected.append(int(np.argmax(ops.convert_to_numpy(logits)[0, -1])))
        assert text == expected


def test_scores_choices_and_beams(writer):
    (one, other) = writer.score([[3, 4, 5], [6]], prompts=[[1, 2], [9, 8, 7]])
    row = np.array([[1, 2, 3, 4, 5]], "int32")
    rows = writer.backbone.encode({"token_ids": row})["sequence_output"]
    logits = ops.convert_to_numpy(writer.heads["tokens"](rows)).astype("float64")[0, 1:4]
    expected = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    np.testing.assert_allclose(one.tokens, expected[range(3), [3, 4, 5]], atol=1e-5)
    assert len(other.tokens) == 1
    (choice,) = writer.choose([[1, 2]], [[[3, 4, 5], [6]]])  # prompts are padded at the left
    np.testing.assert_allclose(choice.tokens[0], one.tokens, atol=1e-5)
    best = BeamSearch(num_beams=4, length_penalty=0.0, num_results=3)
    (texts,), (scores,) = writer.generate([[1, 2]], 6, best, return_scores=True)
    assert len(texts) == 3 and (np.diff(scores) < 1e-5).all()
    totals = [score.total for score in writer.score([t[2:] for t in texts], [[1, 2]] * 3)]
    np.testing.assert_allclose(scores, totals, atol=1e-5)


def test_a_backbone_without_a_decoder_writes_the_same(writer, monkeypatch):
    best = BeamSearch(num_beams=3, num_results=2)
    texts = writer.generate(PROMPTS, 8, best)
    (choice,) = writer.choose([[1, 2]], [[[3, 4, 5], [6]]])
    monkeypatch.setattr(RecurrentBackbone, "decoder", Backbone.decoder)
    writer.forget_programs()
    assert isinstance(writer.backbone.decoder(), RecomputingDecoder)
    assert writer.generate(PROMPTS, 8, best) == texts
    (again,) = writer.choose([[1, 2]], [[[3, 4, 5], [6]]])
    np.testing.assert_allclose(again.scores, choice.scores, atol=1e-5)
    writer.forget_programs()


def test_the_pretrained_backbone_writes(pretrainer):
    model = CausalLM(pretrainer.backbone)
    ids = [3, 4, 5]
    (score,) = model.score([ids[1:]], prompts=[ids[:1]])
    rows = pretrainer.backbone.encode({"token_ids": np.array([ids], "int32")})["sequence_output"]
    logits = ops.convert_to_numpy(pretrainer.heads["tokens"](rows)).astype("float64")[0, :-1]
    expected = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    np.testing.assert_allclose(score.tokens, expected[range(2), ids[1:]], atol=1e-5)
    (text,) = model.generate([ids], 6, "greedy")
    assert len(text) == 6
    with pytest.raises(ValueError, match="`max_length` must be an integer of at least 2.*None"):
        model.generate([ids])
