"""One masked-LM training step of our Transformer against transformers' BERT and KerasHub's.

    python tests/benchmarks/masked_lm_step.py
    python tests/benchmarks/masked_lm_step.py --device gpu --engines jax transformers_compile

All engines do forward and backward pass and update (AdamW) of the same sizes: 4 layers of width
256, 4 heads, feed-forward 1024, vocabulary 8000, T 256, B 8, P 43, with dropout 0 and 0.1. Ours and
KerasHub's take GELU by tanh, transformers' by erf, each as shipped for BERT. `transformers`
computes its head on all T rows, as it is shipped; `transformers_same_rows` on the P rows that are
predicted, as ours and KerasHub's do; `transformers_compile` is compiled by torch, and
`transformers_bf16` runs under autocast, which reaches AMX where the processor has it. Keras
compiles as `jit_compile="auto"` says, which on a CPU is no XLA under TensorFlow; `_xla` has it.

Figures are medians over rounds of CPU time, one compute thread, see interleaved.py; ratios are
ratios of medians, with the 10th and 90th percentile of the ratios within a round behind them. The
last line is one JSON object; keys with `_dropout` are of dropout 0.1. On a GPU the sizes are those
of the base model, T 512, B 32, in bfloat16, the clock is the wall's, and each engine of JAX says
which kernel computed its attention: cuDNN's fused one only without dropout. `--keep-memory` runs
each engine also as a process that keeps the memory that it frees (`interleaved.KEEP`). Without
torch and transformers their figures are null.
"""

import argparse
import json

import numpy as np
from interleaved import (
    ON_GPU,
    XLA,
    add_device_options,
    measure,
    processor,
    ratio,
    ratios_of_keeping,
    settings_of,
    that_keep,
)

ENGINES = {  # name: (backend, kind), and more of its environment
    "tensorflow": ("tensorflow", "ours"),
    "tensorflow_xla": ("tensorflow", "ours", XLA),
    "tensorflow_kerashub": ("tensorflow", "kerashub"),
    "tensorflow_kerashub_xla": ("tensorflow", "kerashub", XLA),
    "jax": ("jax", "ours"),
    "jax_kerashub": ("jax", "kerashub"),
    "transformers": ("torch", "transformers"),
    "transformers_same_rows": ("torch", "transformers_same_rows"),
    "transformers_compile": ("torch", "transformers_compile"),
    "transformers_bf16": ("torch", "transformers_bf16"),
}
PEERS = [name for name, engine in ENGINES.items() if engine[0] == "torch"]
SETTINGS = dict(
    num_layers=4,
    num_heads=4,
    hidden_dim=256,
    intermediate_dim=1024,
    vocabulary_size=8000,
    sequence_length=256,
    batch_size=8,
    num_predict=43,
    device="cpu",
    dtype="float32",
)
CASES = {"": 0.0, "_dropout": 0.1}


def report(workers, case, clock):
    """Print the figures of one case and return them."""
    figures = {}
    for engine, worker in workers.items():
        for step in worker.steps:
            step["time"] = step[clock]
        milliseconds = np.median([step["time"] for step in worker.steps]) * 1e3
        memory = np.median([step["memory"] or 0 for step in worker.steps])
        loss = worker.steps[-1]["loss"]
        print(f"  {engine:24}{milliseconds:8.0f} ms{memory:8.0f} MB   loss {loss:.3f}")
        figures[f"{engine}_milliseconds{case}"] = round(float(milliseconds), 1)
    for backend in ("tensorflow", "jax"):
        own = ("kerashub", "kerashub_xla", "xla")
        for other in (*PEERS, *own):
            against = f"{backend}_{other}" if other in own else other
            found = ratio(workers, backend, against, "time")
            figures[f"{backend}_vs_{other}{case}"] = found and found[0]
            if found:
                print(f"  {backend}_vs_{other}: {found[0]:.2f} [{found[1]:.2f}, {found[2]:.2f}]")
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    add_device_options(parser)
    parser.add_argument("--dropout", type=float, choices=CASES.values(), help="one case alone")
    parser.add_argument("--keep-memory", action="store_true", help="each engine that way, too")
    options = parser.parse_args()
    engines = {name: ENGINES[name] for name in options.engines}
    engines |= that_keep(engines) if options.keep_memory else {}
    figures = {"processor": processor()}
    print(f"processor: {figures['processor']}; {options.rounds} rounds")
    for case, dropout in CASES.items():
        if options.dropout in (None, dropout):
            print(f"=== dropout {dropout}")
            settings, clock = settings_of(options, SETTINGS, {**ON_GPU, "num_predict": 77})
            settings["dropout"] = dropout
            workers, libraries = measure("masked_lm_workers.py", engines, settings, options.rounds)
            figures |= report(workers, case, clock)
            kept = ratios_of_keeping(workers)
            figures |= {f"{name}{case}": value for name, value in kept.items()}
            print("computed by: " + "; ".join(f"{e}: {one}" for e, one in libraries.items()))
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
