"""The worker's side of an interleaved benchmark: it does one step whenever the parent asks.

A worker builds its model and its batches, writes {"ready": ...}, and then answers every line
"step", "memory" or "product" on its standard input with one JSON line of CPU and wall seconds. To
"memory", which is a step as well, it adds the memory that the step took beyond what the process
held before it, in megabytes. Such a step is not timed by anybody: what was freed is given back
before it, so that it faults its whole heap in again, which engines pay for differently.

Keras models run under plain `fit`: a callback waits for the parent before each step.
"""

import ctypes
import json
import os
import pathlib
import re
import sys
import time

import numpy as np

PRODUCT = {"cpu": 2048, "gpu": 8192}  # the square matrix product, in the dtype of the model


class Turns:
    """The worker's side of the pipe."""

    def __init__(self, product):
        self.product = product
        self.output = os.fdopen(os.dup(1), "w")  # what libraries print must not come between
        os.dup2(2, 1)

    def answer(self, **values):
        self.output.write(json.dumps(values) + "\n")
        self.output.flush()

    def wait(self):
        """Serve products until a step is asked for; leave when the parent is gone."""
        for line in sys.stdin:
            what = line.strip()
            self.start(memory=what == "memory")
            if what != "product":
                return
            self.product()
            self.finish()
        os._exit(0)

    def start(self, memory=False):
        self.held = forget_peak() if memory else None
        self.times = time.process_time(), time.perf_counter()

    def finish(self, **values):
        cpu, wall = time.process_time() - self.times[0], time.perf_counter() - self.times[1]
        memory = None if self.held is None else memory_of_this_process("VmHWM") - self.held
        self.answer(cpu=cpu, wall=wall, memory=memory, **values)


def memory_of_this_process(key):
    """VmRSS or VmHWM in megabytes, or None where Linux's /proc is not."""
    try:
        status = pathlib.Path("/proc/self/status").read_text()
    except OSError:
        return None
    return int(re.search(rf"{key}:\s+(\d+)", status)[1]) / 1024


def forget_peak():
    """Give freed memory back, and let the peak count from here; what is held, in megabytes."""
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        pathlib.Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return None
    return memory_of_this_process("VmRSS")


def asked_of_xla():
    """What `jit_compile` is to be: "auto", as users have it, or True (`interleaved.XLA`)."""
    return os.environ.get("BENCHMARK_XLA") == "1" or "auto"


def fit_in_turns(model, batches, settings):
    """Train a compiled Keras model on batches (x, y, sample_weight), one step per turn."""
    import keras

    product, library = keras_product(settings)
    turns = Turns(product)

    class TakeTurns(keras.callbacks.Callback):
        steps = 0

        def on_train_batch_begin(self, batch, logs=None):
            self.steps += 1
            if self.steps == 3:
                turns.answer(ready=library + attention_kernel())
            if self.steps > 2:
                turns.wait()

        def on_train_batch_end(self, batch, logs=None):
            loss = float(logs["loss"])  # waits for the step
            if self.steps > 2:
                turns.finish(loss=loss)

    def endless():
        while True:
            yield from batches

    keras.Model.fit(model, endless(), steps_per_epoch=10**6, verbose=0, callbacks=[TakeTurns()])


def keras_gradient_step(loss_of, given, variables, jit_compile=True):
    """A function of one step of forward and backward pass on this backend, which returns the loss.

    `loss_of` is a function of what is given, a nest of tensors; JAX always compiles.
    """
    import keras

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        @tf.function(jit_compile=jit_compile)
        def both(given):
            with tf.GradientTape() as tape:
                loss = loss_of(given)
            return loss, tape.gradient(loss, [variable.value for variable in variables])

        return lambda: float(both(given)[0])
    import jax

    def stateless(values, given):
        with keras.StatelessScope(state_mapping=list(zip(variables, values))):
            return loss_of(given)

    both = jax.jit(jax.value_and_grad(stateless))
    values = [variable.value for variable in variables]
    return lambda: float(jax.block_until_ready(both(values, given))[0])


def keras_product(settings):
    """A compiled square product on this backend, and the name of what computes it."""
    import keras

    size, dtype = PRODUCT[settings["device"]], settings["dtype"].removeprefix("mixed_")
    values = np.random.default_rng(0).normal(size=(2, size, size)).astype("float32")
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        left, right = tf.cast(values[0], dtype), tf.cast(values[1], dtype)
        compiled = tf.function(lambda a, b: a @ b, jit_compile=True)
        text = compiled.experimental_get_compiler_ir(left, right)(stage="optimized_hlo")
        library = xla_library(text, f"TensorFlow {tf.__version__}")
        return lambda: float(compiled(left, right)[0, 0]), library
    import jax

    left, right = (jax.numpy.asarray(value, dtype) for value in values)
    compiled = jax.jit(jax.numpy.matmul)
    text = compiled.lower(left, right).compile().as_text()
    library = xla_library(text, f"JAX {jax.__version__}")
    return lambda: compiled(left, right).block_until_ready(), library


def attention_kernel():
    """Which kernel computes attention, by the programs that XLA wrote down; "" if it wrote none."""
    folder = re.search(r"--xla_dump_to=(\S+)", os.environ.get("XLA_FLAGS", ""))
    if folder is None:
        return ""
    programs = pathlib.Path(folder[1]).glob("*after_optimizations.txt")
    calls = sum(path.read_text(errors="replace").count("__cudnn$fmha") for path in programs)
    return f", attention by {f'cuDNN, fused ({calls} calls)' if calls else 'products of XLA'}"


def xla_library(text, engine):
    """Which library XLA calls for a matrix product, as far as the compiled program says."""
    found = "oneDNN" if "onednn" in text.lower() else "YNNPACK or Eigen, by product"
    return f"{engine}, XLA with {found}"


def torch_product(settings, device="cpu"):
    """A square product in PyTorch, and the name of what computes it."""
    import torch
    import transformers

    size = PRODUCT[settings["device"]]
    left, right = torch.randn(2, size, size, device=device)
    if settings["dtype"] == "mixed_bfloat16":
        left, right = left.bfloat16(), right.bfloat16()
    blas = "MKL" if torch.backends.mkl.is_available() else "OpenBLAS or other"
    versions = f"torch {torch.__version__}, transformers {transformers.__version__}"
    return lambda: float((left @ right)[0, 0]), f"{versions}, {blas}"


def step_in_turns(step, settings, device="cpu"):
    """Call a function of one training step of PyTorch, which returns its loss, once per turn."""
    product, library = torch_product(settings, device)
    turns = Turns(product)
    step(), step(), step()
    turns.answer(ready=library)
    while True:
        turns.wait()
        turns.finish(loss=step())


def one_core():
    """Keep this process to one core, where the system can: one compute thread."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
