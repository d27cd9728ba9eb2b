"""The loss of the adaptive softmax against one that computes all tails for all rows.

    KERAS_BACKEND=jax python tests/benchmarks/adaptive_softmax.py --rounds 5

Both are the loss of `AdaptiveSoftmaxHead` and its gradient by rows and weights, compiled by XLA, on
the same random rows of width 128; targets are drawn by Zipf's law over 60,000 ids with the cutoffs
4,000, 12,000 and 30,000, tables by `div_val`. With one chunk every tail meets every row, as it does
where nothing is sorted; "written out" makes the log-probabilities of the vocabulary, (rows, V), and
picks the targets'. The sides are run in turns, so that a busy machine hits both alike; figures are
medians of CPU seconds. `first` is the first call, in seconds of the clock. The last line is one
JSON object: by the number of chunks, `ratio` to all tails of all rows and `ratio_written_out`.
"""

import argparse
import json
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras import ops

from keras_plm.heads import AdaptiveSoftmaxHead
from keras_plm.layers import AdaptiveEmbedding

VOCABULARY, WIDTH, CUTOFFS = 60_000, 128, (4_000, 12_000, 30_000)


def make_head(div_val, num_chunks):
    """A built head, of the same initial weights each time."""
    keras.utils.set_random_seed(0)
    embedding = AdaptiveEmbedding(VOCABULARY, WIDTH, cutoffs=CUTOFFS, div_val=div_val)
    head = AdaptiveSoftmaxHead(embedding, num_chunks=num_chunks or 1)
    head.build((None, None, WIDTH))
    return head


def make_step(head, all_tails):
    """A compiled function of rows and targets: the mean loss and its gradients."""

    def mean_loss(rows, targets):
        if all_tails:
            log_probs = head.logits(rows)
            return -ops.mean(ops.take_along_axis(log_probs, targets[:, None], axis=-1))
        return ops.mean(head.losses_of(rows, targets))

    if keras.backend.backend() == "jax":
        import jax

        def loss(rows, values, targets):
            with keras.StatelessScope(list(zip(head.weights, values))):
                return mean_loss(rows, targets)

        step = jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))
        values = [weight.value for weight in head.weights]
        return lambda rows, targets: jax.block_until_ready(step(rows, values, targets))
    import tensorflow as tf

    @tf.function(jit_compile=True)
    def step(rows, targets):
        with tf.GradientTape() as tape:
            tape.watch(rows)
            loss = mean_loss(rows, targets)
        gradients = tape.gradient(loss, [rows, *(weight.value for weight in head.weights)])
        return loss, [tf.convert_to_tensor(one) for one in gradients if one is not None]

    def run(rows, targets):
        loss, gradients = step(rows, targets)
        float(loss), [one.numpy()[:1] for one in gradients[:1]]
        return loss, gradients

    return run


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=2048)
    parser.add_argument("--div_val", type=int, default=1)
    parser.add_argument("--chunks", type=int, nargs="+", default=[1, 4, 8, 16])
    options = parser.parse_args()
    random = np.random.default_rng(0)
    rows = ops.convert_to_tensor(random.normal(size=(options.rows, WIDTH)).astype("float32"))
    shares = 1 / np.arange(1, VOCABULARY + 1)
    drawn = random.choice(VOCABULARY, options.rows, p=shares / shares.sum()).astype("int32")
    targets = ops.convert_to_tensor(drawn)
    in_tails = float((drawn >= CUTOFFS[0]).mean())
    print(f"{keras.backend.backend()}: {in_tails:.2f} of the targets are in a tail")

    steps, first, losses, seconds = {}, {}, {}, {}
    for number in (0, *options.chunks):
        step = make_step(make_head(options.div_val, number), not number)
        began = time.perf_counter()
        losses[number] = float(step(rows, targets)[0])
        first[number] = time.perf_counter() - began
        steps[number], seconds[number] = step, []
    assert np.ptp(list(losses.values())) < 1e-3, losses
    for _ in range(options.rounds):
        for number, step in steps.items():
            began = time.process_time()
            step(rows, targets)
            seconds[number].append(time.process_time() - began)
    medians = {number: float(np.median(one)) for number, one in seconds.items()}
    for number, median in medians.items():
        name = f"{number} chunks" if number else "written out"
        print(f"{name:>11}: {median:.3f} s of CPU a step, first call {first[number]:.1f} s")
    found = {"backend": keras.backend.backend(), "in_tails": round(in_tails, 3)}
    for name, other in (("ratio", 1), ("ratio_written_out", 0)):
        if other in medians:
            ratios = {number: medians[number] / medians[other] for number in options.chunks}
            found[name] = {number: round(ratio, 3) for number, ratio in ratios.items()}
    print(json.dumps({**found, "div_val": options.div_val, "rows": options.rows}))


if __name__ == "__main__":
    main()
