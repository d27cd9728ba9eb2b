"""One pretraining step of our XLNet against transformers' and against a plain keras.ops port.

    python tests/benchmarks/pretrain_step.py

All engines do the same work: 4 layers of width 256, 4 heads, feed-forward 1024, vocabulary 8000,
T 256, B 8, P 43, no dropout, AdamW, forward and backward pass and update, without memory and with
128 tokens of it. Each engine is a process of its own with one compute thread on one core; the
parent gives them turns, so that whatever else the machine does hits all alike. Figures are medians
over rounds of the process's CPU time (and wall time); ratios are ratios of medians, with the 10th
and 90th percentile of the ratios within a round behind them.

FLOP/s count the useful work, 2 per multiply-add, three times the forward pass:
    each layer: 2 B (T + P) D^2 query and output, 2 B S D^2 key and value, 2 B (T + P) D F
                feed-forward, 2 B (T + P) S D scores and values, B (T + P) (T + S) D scores by
                distance, (T + S) D^2 the distances;  once: B P D V logits
whatever an engine really executes (a query stream of T rows is its own fault), against the FLOP/s
of a plain float32 product of two 2048 x 2048 matrices in the same process.

The engine `torch` needs torch and transformers; without them its figures are null. The last line
is one JSON object. How far an engine can get ahead of eager PyTorch depends on the matrix
libraries: on AMD processors with AVX-512 PyTorch's (MKL) runs at half the rate of XLA's, with AVX2
alone it is the faster one. So read `tensorflow_vs_naive_port`, within one engine, and the column
`product` beside `tensorflow_vs_eager`.
"""

import argparse
import json
import os
import pathlib
import platform
import random
import subprocess
import sys
import tempfile

import numpy as np
from pretrain_workers import PRODUCT

HERE = pathlib.Path(__file__).resolve().parent
ENGINES = {  # name: (backend, whether it is the naive port, title)
    "tensorflow": ("tensorflow", False, "ours, TensorFlow jit"),
    "tensorflow_naive": ("tensorflow", True, "naive port, TensorFlow jit"),
    "jax": ("jax", False, "ours, JAX jit"),
    "jax_naive": ("jax", True, "naive port, JAX jit"),
    "torch": ("torch", False, "transformers, torch eager"),
}
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "",
    "JAX_PLATFORMS": "cpu",
}


class Worker:
    """An engine in a process of its own."""

    def __init__(self, engine, settings):
        self.engine = engine
        self.steps, self.products = [], []
        self.errors = tempfile.TemporaryFile("w+")
        backend, naive, _ = ENGINES[engine]
        settings = {**settings, "engine": engine, "naive": naive}
        environment = {**os.environ, **ONE_THREAD}
        if backend != "torch":
            environment["KERAS_BACKEND"] = backend
        paths = [str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "pretrain_workers.py"), json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            env=environment,
        )

    def read(self):
        """The next answer; raises RuntimeError with the worker's last words if it has died."""
        line = self.process.stdout.readline()
        if not line:
            self.errors.seek(0)
            raise RuntimeError(self.errors.read().strip()[-2000:] or "no message")
        return json.loads(line)

    def ask(self, what):
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()
        return self.read()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def useful_flops(settings):
    """Floating-point operations of one training step, by the formula of this module."""
    batch, length, targets = (settings[k] for k in ("batch_size", "sequence_length", "num_predict"))
    width, inner = settings["hidden_dim"], settings["intermediate_dim"]
    rows, keys = length + targets, length + settings["memory_length"]
    layer = (
        2 * batch * rows * width**2
        + 2 * batch * keys * width**2
        + 2 * batch * rows * width * inner
        + 2 * batch * rows * keys * width
        + batch * rows * (length + keys) * width
        + (length + keys) * width**2
    )
    logits = batch * targets * width * settings["vocabulary_size"]
    return 3 * 2 * (settings["num_layers"] * layer + logits)


def measure(engines, settings, rounds):
    """Start the engines, give them turns, and return {engine: Worker} of those that ran."""
    workers, libraries = {}, {}
    for engine in engines:  # one after the other: compilation needs the memory
        worker = Worker(engine, settings)
        try:
            libraries[engine] = worker.read()["ready"]
            workers[engine] = worker
        except RuntimeError as error:
            print(f"{engine} is left out, it did not start:\n{error}\n", file=sys.stderr)
            worker.close()
    order = list(workers.values())
    for _ in range(rounds):
        random.shuffle(order)
        for worker in order:
            worker.steps.append(worker.ask("step"))
            worker.products.append(worker.ask("product"))
    for worker in order:
        worker.close()
    return workers, libraries


def ratio(workers, first, second, clock="cpu"):
    """(ratio of medians, 10th, 90th percentile of the ratios per round), or None."""
    if first not in workers or second not in workers:
        return None
    times = [np.array([step[clock] for step in workers[e].steps]) for e in (first, second)]
    spread = np.percentile(times[0] / times[1], [10, 90])
    return [round(float(v), 3) for v in (np.median(times[0]) / np.median(times[1]), *spread)]


def report(workers, libraries, settings):
    """Print the table of one memory length and return its figures."""
    flops = useful_flops(settings)
    print(f"memory {settings['memory_length']}: {flops / 1e9:.1f} GFLOP of useful work a step")
    head = f"{'engine':28}{'CPU ms':>8}{'wall ms':>9}{'GFLOP/s':>9}{'product':>9}{'share':>7}"
    print(head + "   vs eager, CPU          vs eager, wall")
    figures = {}
    for engine, (_, _, title) in ENGINES.items():
        if engine not in workers:
            print(f"{title:28}  not run")
            continue
        worker = workers[engine]
        cpu, wall = (np.median([step[clock] for step in worker.steps]) for clock in ("cpu", "wall"))
        product = 2 * PRODUCT**3 / np.median([product["cpu"] for product in worker.products])
        share = flops / cpu / product
        versus = [ratio(workers, engine, "torch", clock) for clock in ("cpu", "wall")]
        texts = ["-" if r is None else f"{r[0]:.2f} [{r[1]:.2f}, {r[2]:.2f}]" for r in versus]
        print(
            f"{title:28}{cpu * 1e3:8.0f}{wall * 1e3:9.0f}{flops / cpu / 1e9:9.1f}"
            f"{product / 1e9:9.1f}{share:7.2f}   {texts[0]:22} {texts[1]}"
        )
        figures[f"{engine}_share_of_matmul"] = round(float(share), 3)
        figures[f"{engine}_cpu_milliseconds"] = round(float(cpu * 1e3), 1)
        figures[f"{engine}_loss"] = round(worker.steps[-1]["loss"], 3)
    for name, first, second in (
        ("tensorflow_vs_eager", "tensorflow", "torch"),
        ("jax_vs_eager", "jax", "torch"),
        ("tensorflow_vs_naive_port", "tensorflow", "tensorflow_naive"),
        ("jax_vs_naive_port", "jax", "jax_naive"),
    ):
        found = ratio(workers, first, second)
        figures[name] = found and found[0]
        figures[f"{name}_wall"] = found and ratio(workers, first, second, "wall")[0]
        if found and "naive" in name:
            print(f"{name}: {found[0]:.2f} [{found[1]:.2f}, {found[2]:.2f}]")
    print("matrix library: " + "; ".join(f"{e}: {library}" for e, library in libraries.items()))
    print()
    return figures


def processor():
    """Vendor and model of the processor."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        pairs = dict(line.split(":", 1) for line in reversed(lines) if ":" in line)
        pairs = {key.strip(): value.strip() for key, value in pairs.items()}
        keys = ("vendor_id", "model name", "cpu family", "model")
        known = pairs.get("flags", "").split()
        flags = [flag for flag in ("avx2", "avx512f", "avx512_bf16") if flag in known]
        return ", ".join([f"{key} {pairs[key]}" for key in keys if key in pairs] + flags)
    except OSError:
        return platform.processor() or platform.machine()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--memory-lengths", type=int, nargs="+", default=[0, 128])
    parser.add_argument("--sequence-length", type=int, default=256)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--num-predict", type=int, default=43)
    parser.add_argument("--num-layers", type=int, default=4)
    parser.add_argument("--num-heads", type=int, default=4)
    parser.add_argument("--hidden-dim", type=int, default=256)
    parser.add_argument("--intermediate-dim", type=int, default=1024)
    parser.add_argument("--vocabulary-size", type=int, default=8000)
    settings = vars(parser.parse_args())
    rounds, engines = settings.pop("rounds"), settings.pop("engines")
    figures = {"processor": processor()}
    print(f"processor: {figures['processor']}; {rounds} rounds, one thread")
    for memory_length in settings.pop("memory_lengths"):
        reuse_length = settings["sequence_length"] // 2 if memory_length else 0
        case = {**settings, "memory_length": memory_length, "reuse_length": reuse_length}
        suffix = f"_memory{memory_length}" if memory_length else ""
        found = report(*measure(engines, case, rounds), case)
        figures |= {name + suffix: value for name, value in found.items()}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
