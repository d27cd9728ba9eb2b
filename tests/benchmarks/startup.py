"""What a user waits for at first: the CPU seconds of a fresh process until its third training step.

    python tests/benchmarks/startup.py [--repeats 3] [--systems xlnet bert] [--cached]

4 layers of width 256, 4 heads, feed-forward 1024, vocabulary 8000, T 128, B 8, as the catalogue
trains them; transformers' models of the same sizes, eager, are the peer, where they are installed.
`import` is until the package is there, `build` until the model is compiled in Keras's sense,
`first step` has what XLA compiles, and the last column is the sum with two more steps. `--cached`
runs each of ours twice more with the compilation cache of its backend, as docs/performance.md says
how to have one: `cold` fills it, `warm` reads it. CPU time of all threads, medians of the repeats,
which take turns. The last line is one JSON object.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parents[2]
SIZES = dict(num_layers=4, num_heads=4, hidden_dim=256, intermediate_dim=1024)
VOCABULARY, LENGTH, BATCH = 8000, 128, 8
COLUMNS = ("import", "build", "first step", "third step")


class Clock:
    """CPU seconds at each stage."""

    def __init__(self):
        self.seconds = []

    def take(self):
        self.seconds.append(time.process_time())


def ours(system):
    """Train a model of ours for three steps."""
    clock = Clock()
    import keras
    import numpy as np

    from keras_plm import backbones, objectives, tasks

    clock.take()
    if system == "xlnet":
        backbone = backbones.XLNetBackbone(VOCABULARY, **SIZES)
        objective = objectives.PermutationModeling(LENGTH)
    else:
        backbone = backbones.TransformerBackbone(
            VOCABULARY, **SIZES, max_sequence_length=LENGTH, num_segments=2
        )
        objective = objectives.MaskedModeling(
            VOCABULARY, mask_token_id=4, sequence_length=LENGTH, segments=True
        )
    rng = np.random.default_rng(0)
    shape = (BATCH, LENGTH)
    rows = {
        "token_ids": rng.integers(5, VOCABULARY, shape).astype("int32"),
        "segment_ids": np.zeros(shape, "int32"),
        "padding_mask": np.ones(shape, bool),
        "functional": np.zeros(shape, bool),
        "word_starts": np.ones(shape, bool),
        "fresh": np.zeros(BATCH, bool),
        "backward": np.zeros(BATCH, bool),
    }
    batch = objective(rows, rng)
    model = tasks.Pretrainer(backbone, objective)
    clock.take()

    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            float(logs["loss"])
            clock.take()

    def three():
        for _ in range(3):
            yield batch

    model.fit(three(), steps_per_epoch=3, verbose=0, callbacks=[Stop()])
    return clock.seconds


def peers(system):
    """Train transformers' model of the same sizes for three steps."""
    clock = Clock()
    import torch
    import transformers

    clock.take()
    if system == "xlnet":
        config = transformers.XLNetConfig(
            vocab_size=VOCABULARY, d_model=256, n_layer=4, n_head=4, d_inner=1024
        )
        model = transformers.XLNetLMHeadModel(config).train()
    else:
        config = transformers.BertConfig(
            vocab_size=VOCABULARY,
            hidden_size=256,
            num_hidden_layers=4,
            num_attention_heads=4,
            intermediate_size=1024,
        )
        model = transformers.BertForMaskedLM(config).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    tokens = torch.randint(5, VOCABULARY, (BATCH, LENGTH))
    clock.take()
    for _ in range(3):
        optimizer.zero_grad()
        model(input_ids=tokens, labels=tokens).loss.backward()
        optimizer.step()
        clock.take()
    return clock.seconds


def run(system, engine, cache=None):
    """The seconds of a process of its own, or None where it cannot run."""
    environment = {**os.environ, "PYTHONPATH": str(HERE), "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment |= {} if engine == "torch" else {"KERAS_BACKEND": engine}
    if cache:
        environment["JAX_COMPILATION_CACHE_DIR"] = f"{cache}/jax"
        environment["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
        environment["TF_XLA_FLAGS"] = f"--tf_xla_persistent_cache_directory={cache}/tensorflow"
        for name in ("jax", "tensorflow"):
            Path(cache, name).mkdir(exist_ok=True)
    command = [sys.executable, __file__, "--run", system, engine]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        print(f"{system}, {engine} is left out:\n{done.stderr[-500:]}", file=sys.stderr)
        return None
    return json.loads(done.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--systems", nargs="+", choices=["xlnet", "bert"], default=["xlnet", "bert"]
    )
    parser.add_argument("--engines", nargs="+", default=["tensorflow", "jax", "torch"])
    parser.add_argument("--cached", action="store_true")
    options = parser.parse_args()
    found = {}
    for _ in range(options.repeats):
        for system in options.systems:
            for engine in options.engines:
                with tempfile.TemporaryDirectory() as folder:
                    ways = {"": None}
                    if options.cached and engine != "torch":
                        ways |= {", cold cache": folder, ", warm cache": folder}
                    for way, cache in ways.items():
                        seconds = run(system, engine, cache)
                        if seconds is not None:
                            found.setdefault((system, engine + way), []).append(seconds)
    print(f"{'':32}" + "".join(f"{column:>12}" for column in COLUMNS))
    figures = {}
    for (system, engine), repeats in found.items():
        imported, built, first, _, third = map(statistics.median, zip(*repeats))
        key = f"{system}_{engine.replace(', ', '_').replace(' ', '_')}"
        figures[key] = {"third_step_seconds": third, "compile_seconds": first - built}
        stages = (imported, built - imported, first - built, third)
        print(f"{system + ', ' + engine:32}" + "".join(f"{value:12.1f}" for value in stages))
    print(json.dumps(figures))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        system, engine = sys.argv[2:]
        print(json.dumps((peers if engine == "torch" else ours)(system)))
    else:
        main()
