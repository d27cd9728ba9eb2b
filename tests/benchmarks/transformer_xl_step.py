"""One training step of our Transformer-XL, with memory, against plain ports of its layer.

    python tests/benchmarks/transformer_xl_step.py

All engines do the same work: T tokens of B texts behind a memory of M, forward and backward pass
and update (AdamW) of a causal language model without dropout, logits of every token over a tied
table. Sizes are those of enwik8 in the paper, made shallow and narrow: 4 layers of width 256, 8
heads, feed-forward 1024, V 204, T and M 512. `ours` is `Pretrainer` as it compiles itself. `xlnet`
is the content stream of naive_xlnet.py as it stands, with a causal mask: a dense one for each row,
a segment term, positions of both directions, tiled over the batch and projected in each of its
rows. `naive` is the same without segments, which Transformer-XL has not, and with a shift that
transposes nothing; `causal` has, besides, what its own code does better: positions of the past
alone, projected once for a batch. Engines are
processes of their own with one compute thread, in turns (interleaved.py); figures are medians of
CPU milliseconds, ratios those of medians with the 10th and 90th percentile over rounds.
The last line is one JSON object.
"""

import argparse
import json
import sys

import keras
import numpy as np
from interleaved import measure, processor, ratio
from keras import ops
from naive_xlnet import NaiveBlock, position_table
from turns import fit_in_turns, one_core

KINDS = ("ours", "xlnet", "naive", "causal")
SIZES = dict(num_layers=4, num_heads=8, hidden_dim=256, intermediate_dim=1024, vocabulary_size=204)
NUM_BATCHES = 4


class CausalBlock(NaiveBlock):
    """The naive layer with one stream and without segments.

    Args:
        past_only: bool. Whether positions are of the past alone and not of each row of a batch.
        segments: bool. Whether the layer is as it stands, with segments that are all one.
    """

    def __init__(self, past_only, segments, **kwargs):
        super().__init__(**kwargs)
        self.past_only, self.segments = past_only, segments

    def call(self, rows, memory, position, mask):
        both = rows if memory is None else ops.concatenate([memory, rows], axis=1)  # (B, S, D)
        query = ops.einsum("btd,dnk->btnk", rows, self.q)
        key = ops.einsum("bsd,dnk->bsnk", both, self.k)
        value = ops.einsum("bsd,dnk->bsnk", both, self.v)
        if self.segments:
            key_r = ops.einsum("bcd,dnk->bcnk", position, self.r)
            same = ops.zeros((*both.shape[:1], rows.shape[1], both.shape[1]), "int32")
            vector = self.attend(query, key, value, key_r, ops.one_hot(same, 2), mask[:, 0])
            return self.finish(rows, vector)
        content = ops.einsum("btnk,bsnk->bnts", query + self.r_w_bias, key)
        if self.past_only:
            key_r = ops.einsum("cd,dnk->cnk", position, self.r)
            scores = ops.einsum("btnk,cnk->bntc", query + self.r_r_bias, key_r)
        else:
            key_r = ops.einsum("bcd,dnk->bcnk", position, self.r)
            scores = ops.einsum("btnk,bcnk->bntc", query + self.r_r_bias, key_r)
        score = (content + shift(scores, both.shape[1])) * query.shape[-1] ** -0.5
        weights = ops.softmax(score - 1e30 * mask, axis=-1)  # (B, H, T, S)
        return self.finish(rows, ops.einsum("bnts,bsnk->btnk", weights, value))


def shift(scores, key_length):
    """The relative shift: a column of zeros in front, and the array read T wider."""
    batch, heads, rows, columns = scores.shape
    if columns > key_length:  # of both directions: from the distance S on
        scores = ops.reshape(scores, (-1, heads, columns, rows))[:, :, 1:]
        return ops.reshape(scores, (-1, heads, rows, columns - 1))[..., :key_length]
    scores = ops.pad(scores, ((0, 0), (0, 0), (0, 0), (1, 0)))
    scores = ops.reshape(scores, (-1, heads, columns + 1, rows))[:, :, 1:]
    return ops.reshape(scores, (-1, heads, rows, columns))


class NaiveTransformerXL(keras.Model):
    """Logits (B, T, V) of a causal language model; its memory is a variable."""

    def __init__(self, settings):
        super().__init__()
        width, length = settings["hidden_dim"], settings["sequence_length"]
        memory, batch_size = settings["memory_length"], settings["batch_size"]
        past_only = settings["kind"] == "causal"
        shape = (settings["vocabulary_size"], width)
        self.embedding = self.add_weight(name="embedding", shape=shape, initializer="random_normal")
        self.output_bias = self.add_weight(name="output_bias", shape=shape[:1], initializer="zeros")
        self.blocks = [
            CausalBlock(
                past_only,
                settings["kind"] == "xlnet",
                num_heads=settings["num_heads"],
                intermediate_dim=settings["intermediate_dim"],
            )
            for _ in range(settings["num_layers"])
        ]
        for block in self.blocks:
            block.build(width)
        shape = (len(self.blocks), batch_size, memory, width)
        self.memory = self.add_weight(
            name="memory", shape=shape, initializer="zeros", trainable=False
        )
        table = position_table(length, memory, width)
        self.table = (
            table[1 : length + memory + 1]
            if past_only
            else np.tile(table[None], (batch_size, 1, 1))
        )
        hidden = np.arange(length + memory) > np.arange(length)[:, None] + memory
        self.mask = np.tile(hidden[None, None], (batch_size, 1, 1, 1)).astype("float32")
        self.built = True

    def call(self, token_ids):
        rows = ops.take(self.embedding, token_ids, axis=0) * self.embedding.shape[1] ** 0.5
        position, mask = ops.convert_to_tensor(self.table), ops.convert_to_tensor(self.mask)
        old, new = ops.convert_to_tensor(self.memory), []
        for index, block in enumerate(self.blocks):
            both = ops.concatenate([old[index], rows], axis=1)
            new.append(ops.stop_gradient(both[:, -old.shape[2] :]))
            rows = block(rows, old[index], position, mask)
        self.memory.assign(ops.stack(new))
        return ops.einsum("btd,vd->btv", rows, self.embedding) + self.output_bias


def make_batches(settings):
    """Batches (x, y, sample_weight) of contiguous rows."""
    from keras_plm.objectives import CausalModeling

    objective = CausalModeling(
        sequence_length=settings["sequence_length"], rows="stream", documents_apart=False
    )
    rng, batches = np.random.default_rng(0), []
    shape = settings["batch_size"], settings["sequence_length"] + 1
    for index in range(NUM_BATCHES):
        tokens = rng.integers(0, settings["vocabulary_size"], shape).astype("int32")
        batch = {
            "token_ids": tokens[:, :-1],
            "next_token_ids": tokens[:, -1],
            "padding_mask": np.ones((shape[0], shape[1] - 1), bool),
            "fresh": np.full(shape[0], index == 0),
        }
        batches.append(objective(batch, rng))
    return objective, batches


def serve(settings):
    """Train one engine, a step per turn."""
    one_core()
    objective, batches = make_batches(settings)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    if settings["kind"] == "ours":
        from keras_plm.backbones import TransformerXLBackbone
        from keras_plm.tasks import Pretrainer

        backbone = TransformerXLBackbone(
            **SIZES, memory_length=settings["memory_length"], dropout=0.0
        )
        model = Pretrainer(backbone, objective)
        model.compile(optimizer=keras.optimizers.AdamW(1e-4))
        model.state.resize(settings["batch_size"], training=True)
    else:
        model = NaiveTransformerXL(settings)
        model.compile(optimizer=keras.optimizers.AdamW(1e-4), loss=loss, jit_compile=True)
        batches = [(x["token_ids"], y["tokens"]) for x, y, _ in batches]
    fit_in_turns(model, batches, settings)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--backends", nargs="+", default=["tensorflow", "jax"])
    parser.add_argument("--sequence-length", type=int, default=512)
    parser.add_argument("--memory-length", type=int, default=512)
    parser.add_argument("--batch-size", type=int, default=4)
    options = vars(parser.parse_args())
    settings = {
        **{name: options[name] for name in ("sequence_length", "memory_length", "batch_size")},
        **SIZES,
        "device": "cpu",
        "dtype": "float32",
    }
    figures = {"processor": processor()}
    print(f"{figures['processor']}; T {options['sequence_length']}, M {options['memory_length']}")
    for backend in options["backends"]:
        engines = {kind: (backend, kind) for kind in KINDS}
        workers, _ = measure("transformer_xl_step.py", engines, settings, options["rounds"])
        for kind, worker in workers.items():
            milliseconds = 1e3 * np.median([step["cpu"] for step in worker.steps])
            megabytes = np.median([step["memory"] or np.nan for step in worker.steps])
            loss = worker.steps[-1]["loss"]
            print(f"{backend} {kind:6} {milliseconds:6.0f} ms {megabytes:5.0f} MB, loss {loss:.3f}")
            figures[f"{backend}_{kind}_milliseconds"] = round(float(milliseconds), 1)
        for kind in KINDS[1:]:
            for what in ("cpu", "memory"):
                figures[f"{backend}_{what}_vs_{kind}"] = ratio(workers, "ours", kind, what)
                print(f"{backend} {what} against {kind}:", figures[f"{backend}_{what}_vs_{kind}"])
    print(json.dumps(figures))


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1].startswith("{"):
        serve(json.loads(sys.argv[1]))
    else:
        main()
