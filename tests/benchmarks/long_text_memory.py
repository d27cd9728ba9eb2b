"""Peak memory of training a classifier on texts of 2,000 to 32,000 tokens, of which 1,400 learn.

    python tests/benchmarks/long_text_memory.py                  each length in a process of its own
    KERAS_BACKEND=jax python tests/benchmarks/long_text_memory.py --whole

`--whole` lets the gradient go through all tokens, for comparison. What is printed is the largest
resident set of the process, and how much of it came after the model was made.
"""

import argparse
import os
import resource
import subprocess
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

LENGTHS = (2_000, 8_000, 32_000)
BATCH, STEPS, GRADIENT_LENGTH = 4, 2, 1_400

parser = argparse.ArgumentParser(description="Peak memory by the length of the texts.")
parser.add_argument("--whole", action="store_true", help="a gradient through all tokens")
parser.add_argument("--lengths", type=int, nargs="+", default=LENGTHS)
parser.add_argument("--of", type=int, help=argparse.SUPPRESS)
arguments = parser.parse_args()


def resident():
    """The largest resident set so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(length):
    """Train on texts of one length, and print what it took."""
    import keras
    import numpy as np

    from keras_plm import families
    from keras_plm.backbones import AWDLSTMBackbone
    from keras_plm.tasks import TextClassifier

    backbone = AWDLSTMBackbone(5_000, 3, 100, 288, **families.AWD_LSTM["classifier"])
    gradient_length = None if arguments.whole else GRADIENT_LENGTH
    model = TextClassifier(backbone, 2, pooling="concat", gradient_length=gradient_length)
    model.compile(jit_compile=keras.backend.backend() == "jax")
    before = resident()
    random = np.random.default_rng(0)
    features = {
        "token_ids": random.integers(0, 5_000, (BATCH, length)).astype("int32"),
        "padding_mask": np.ones((BATCH, length), bool),
    }
    for _ in range(STEPS):
        loss = model.train_on_batch(features, np.array([0, 1, 0, 1]))
    assert np.isfinite(loss).all()
    print(
        f"{length:7,} tokens: {resident():8,.0f} MB, {resident() - before:8,.0f} of them to train"
    )


if arguments.of:
    measure(arguments.of)
else:
    for length in arguments.lengths:
        own = [*sys.argv, "--of", str(length)]
        subprocess.run([sys.executable, *own], check=True)
