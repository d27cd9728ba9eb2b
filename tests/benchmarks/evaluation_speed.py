"""Evaluation by Transformer-XL's memory against a window that slides by one token.

    KERAS_BACKEND=jax python tests/benchmarks/evaluation_speed.py

To give every token the A tokens before it, a Transformer with absolute positions reads a window of
A tokens for each token that is predicted; Transformer-XL reads a segment once, and finds the tokens
before it in its memory of A states (`same_length`: each token sees itself and A before). Both
models have the same sizes, the default is enwik8's of the paper made shallow and narrow (4 layers,
width 256, 8 heads, feed-forward 1024, V 204); `--layers 12 --width 512` is its 12-layer model.

Each side takes what suits it best of what it was offered: the window `--batches` windows at once,
Keras's attention (`ops.dot_product_attention`, fused where the backend has it) and logits of its
last token alone; the memory `--segments` tokens at once, of one text, and logits of them all.
Float32, no dropout, programs of XLA. Calls of the two sides take turns; figures are medians of CPU
milliseconds per predicted token, and the speed-up is the ratio of medians with its 10th and 90th
percentile over rounds. `exponent` is the slope of log(speed-up) by log(A).

The last line is one JSON object with `speedup_800`, `speedup_3800` and so on. The paper (Table 9)
has 363 at 800 and 1,874 at 3,800, against another, deeper model and on a GPU.
"""

import argparse
import json
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras import ops

from keras_plm.backbones import TransformerBackbone, TransformerXLBackbone

VOCABULARY = 204


def compiled(function):
    """A function of tensors as a program of XLA, which waits for its result."""
    if keras.backend.backend() == "jax":
        import jax

        jitted = jax.jit(function)
        return lambda *arguments: jax.block_until_ready(jitted(*arguments))
    import tensorflow as tf

    jitted = tf.function(function, jit_compile=True)

    def run(*arguments):
        found = jitted(*arguments)
        tf.nest.map_structure(lambda tensor: tensor.numpy().ravel()[:1], found)
        return found

    return run


def loss_of(head, rows, token_ids):
    """The cross-entropy of each token."""
    log_probs = ops.log_softmax(head.logits(rows), axis=-1)
    return -ops.take_along_axis(log_probs, token_ids[..., None], axis=-1)


def sliding(sizes, length, batch_size):
    """A call that predicts one token behind each of some windows, and how many these are."""
    model = TransformerBackbone(
        **sizes, max_sequence_length=length, causal=True, dropout=0, attention_dropout=0
    )
    head = model.lm_head()
    head.build((None, None, sizes["hidden_dim"]))
    tokens = np.random.default_rng(0).integers(VOCABULARY, size=(batch_size, length))
    tokens = ops.convert_to_tensor(tokens.astype("int32"))

    def call(token_ids):
        rows = model.encode({"token_ids": token_ids})["sequence_output"][:, -1:]
        return loss_of(head, rows, token_ids[:, :1])

    run = compiled(call)
    return lambda: run(tokens), batch_size


def with_memory(sizes, length, segment):
    """A call that predicts the tokens of the next segment of a text, and how many these are."""
    model = TransformerXLBackbone(**sizes, memory_length=length, same_length=True, dropout=0)
    head = model.lm_head()
    head.build((None, None, sizes["hidden_dim"]))
    tokens = np.random.default_rng(0).integers(VOCABULARY, size=(1, segment))
    tokens = ops.convert_to_tensor(tokens.astype("int32"))
    spec = model.state_spec(1)
    state = {name: ops.ones(one.shape, one.dtype) for name, one in spec.items()}

    def call(token_ids, state):
        encoded = model.encode({"token_ids": token_ids, "state": state})
        return loss_of(head, encoded["sequence_output"], token_ids), encoded["state"]

    run = compiled(call)
    return lambda: run(tokens, state), segment


def seconds_of(call):
    """The CPU time of one call."""
    began = time.process_time()
    call()
    return time.process_time() - began


def best(make, sizes, length, choices):
    """Of the choices the one that takes least per token, after a first call that compiles."""
    found = []
    for choice in choices:
        call, tokens = make(sizes, length, choice)
        call()
        found.append((seconds_of(call) / tokens, choice, call, tokens))
    return min(found, key=lambda one: one[0])[1:]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lengths", type=int, nargs="+", default=[800, 1800, 2800, 3800])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--segments", type=int, nargs="+", default=[128, 512, 1024])
    parser.add_argument("--tokens", type=int, default=10, help="by the window, at each length")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--width", type=int, default=256)
    options = parser.parse_args()
    sizes = {
        "vocabulary_size": VOCABULARY,
        "num_layers": options.layers,
        "num_heads": 8,
        "hidden_dim": options.width,
        "intermediate_dim": 4 * options.width,
    }
    speedups = {}
    for length in options.lengths:
        batch_size, window, windows = best(sliding, sizes, length, options.batches)
        segment, memory, tokens = best(with_memory, sizes, length, options.segments)
        rounds = max(-(-options.tokens // windows), 3)
        turns = [(seconds_of(window) / windows, seconds_of(memory) / tokens) for _ in range(rounds)]
        slow, fast = np.median(turns, axis=0)
        low, high = np.percentile([a / b for a, b in turns], [10, 90])
        speedups[length] = slow / fast
        print(
            f"A {length}: window {1e3 * slow:.4g} ms a token ({batch_size} at once), memory "
            f"{1e3 * fast:.4g} ms ({segment} tokens at once): {slow / fast:.0f} times "
            f"[{low:.0f}, {high:.0f}]",
            flush=True,
        )
    found = {"backend": keras.backend.backend(), "layers": options.layers, "width": options.width}
    if len(speedups) > 1:
        logs = np.log(list(speedups)), np.log(list(speedups.values()))
        found["exponent"] = round(float(np.polyfit(*logs, 1)[0]), 2)
    found |= {f"speedup_{length}": round(value, 1) for length, value in speedups.items()}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
