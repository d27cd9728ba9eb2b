"""The parent's side of an interleaved benchmark: engines in processes of their own, in turns.

Backends of Keras cannot share a process, and a process's CPU time is the one clock that a busy
machine leaves usable: so each engine has a process of its own, on a CPU with one compute thread on
one core, and the parent gives them turns, so that whatever else the machine does hits all alike.
"""

import json
import os
import pathlib
import platform
import random
import subprocess
import sys
import tempfile

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "CUDA_VISIBLE_DEVICES": "",
    "JAX_PLATFORMS": "cpu",
}

KEEP = {  # for glibc: what was freed stays with the process, and is not mapped anew in every step
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(2**34),
}
XLA = {"BENCHMARK_XLA": "1"}  # compile(jit_compile=True), where users have "auto"
ON_GPU = dict(  # the sizes of the base model
    num_layers=12,
    num_heads=12,
    hidden_dim=768,
    intermediate_dim=3072,
    vocabulary_size=32000,
    sequence_length=512,
    batch_size=32,
    device="gpu",
    dtype="mixed_bfloat16",
)


def add_device_options(parser):
    """Options of `settings_of`: the device, and other sizes."""
    parser.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
    for size in ("num_layers", "batch_size", "sequence_length", "hidden_dim"):
        parser.add_argument("--" + size.replace("_", "-"), type=int, help="another size")


def settings_of(options, settings, on_gpu):
    """Settings with those of the device, and the sizes that were asked for; and the clock."""
    settings = {**settings, **(on_gpu if options.device == "gpu" else {})}
    settings = {key: getattr(options, key, None) or settings[key] for key in settings}
    return settings, "wall" if options.device == "gpu" else "cpu"


class Worker:
    """An engine in a process of its own."""

    def __init__(self, script, backend, settings, more={}):
        self.steps, self.products = [], []
        self.errors = tempfile.TemporaryFile("w+")
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **more}
        if settings["device"] == "cpu":
            environment.update(ONE_THREAD)
        else:  # which kernels run can be read in what XLA writes down
            self.programs = tempfile.TemporaryDirectory()
            flags = f"--xla_dump_to={self.programs.name} --xla_dump_hlo_as_text"
            environment["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flags}".strip()
        if backend != "torch":
            environment["KERAS_BACKEND"] = backend
        paths = [str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / script), json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            env=environment,
        )

    def read(self):
        """The next answer; raises RuntimeError with the worker's last words if it has died."""
        line = self.process.stdout.readline()
        while line and not line.startswith("{"):  # what a library printed before its turn
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


def measure(script, engines, settings, rounds):
    """Start engines, give them turns, and return {engine: Worker} of those that ran.

    `engines` is a dict of a name to a tuple: the backend of Keras or "torch", what `kind` of work
    the script is to do, and maybe more of its environment; the settings go to the script with the
    first two. Memory is that of a step of
    its own, in every third round: see `turns`.
    """
    workers, libraries = {}, {}
    for engine, (backend, kind, *more) in engines.items():  # one by one: compiling takes memory
        worker = Worker(script, backend, {**settings, "backend": backend, "kind": kind}, *more)
        try:
            libraries[engine] = worker.read()["ready"]
            workers[engine] = worker
        except RuntimeError as error:
            print(f"{engine} is left out, it did not start:\n{error}\n", file=sys.stderr)
            worker.close()
    order, memory = list(workers.values()), {}
    for number in range(rounds):
        random.shuffle(order)
        for worker in order:
            if number % 3 == 0:
                memory[worker] = worker.ask("memory")["memory"]
            worker.steps.append({**worker.ask("step"), "memory": memory[worker]})
            worker.products.append(worker.ask("product"))
    for worker in order:
        worker.close()
    return workers, libraries


def that_keep(engines):
    """The same engines as processes that keep what they free, by names that say so."""
    return {
        f"{name}_kept": (backend, kind, {**dict(*more), **KEEP})
        for name, (backend, kind, *more) in engines.items()
    }


def ratios_of_keeping(workers):
    """Print, and return by name, what keeping makes of an engine's CPU time."""
    figures = {}
    for engine in workers:
        if found := ratio(workers, f"{engine}_kept", engine, "cpu"):
            print(f"  {engine}_kept_vs_not: {found[0]:.2f} [{found[1]:.2f}, {found[2]:.2f}]")
            figures[f"{engine}_kept_vs_not"] = found[0]
    return figures


def ratio(workers, first, second, what):
    """(ratio of medians, 10th, 90th percentile of the ratios per round), or None."""
    if first not in workers or second not in workers:
        return None
    values = [[step[what] for step in workers[engine].steps] for engine in (first, second)]
    if None in values[0] + values[1]:
        return None
    first, second = np.maximum(values, 1e-9)
    spread = np.percentile(first / second, [10, 90])
    return [round(float(v), 3) for v in (np.median(first) / np.median(second), *spread)]


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
