"""One causal-LM training step of our Transformer against transformers' GPT-2 and KerasHub's.

    python tests/benchmarks/causal_lm_step.py
    python tests/benchmarks/causal_lm_step.py --device gpu --engines jax transformers_compile

All engines do forward and backward pass and update (AdamW) of the same GPT-2: 4 layers of width
256, 4 heads, feed-forward 1024, vocabulary 8000, T 256, B 8, with dropout 0 and 0.1; every token
but the first of a row is predicted. `transformers_compile` is compiled by torch, and
`transformers_bf16` runs under autocast, which reaches AMX where the processor has it. Keras
compiles as `jit_compile="auto"` says, which on a CPU is no XLA under TensorFlow; `_xla` has it.

Figures are medians over rounds of CPU time, one compute thread, see interleaved.py; ratios are
ratios of medians, with the 10th and 90th percentile of the ratios within a round behind them. The
last line is one JSON object; keys with `_dropout` are of dropout 0.1. On a GPU the sizes are those
of the base model, T 512, B 32, in bfloat16, the clock is the wall's, and each engine of JAX says
which kernel computed its attention: cuDNN's fused one only without dropout. Without torch and
transformers their figures are null.
"""

import argparse
import json

import numpy as np
from interleaved import ON_GPU, XLA, add_device_options, measure, processor, ratio, settings_of

ENGINES = {  # name: (backend, kind), and more of its environment
    "tensorflow": ("tensorflow", "ours"),
    "tensorflow_xla": ("tensorflow", "ours", XLA),
    "tensorflow_kerashub": ("tensorflow", "kerashub"),
    "tensorflow_kerashub_xla": ("tensorflow", "kerashub", XLA),
    "jax": ("jax", "ours"),
    "jax_kerashub": ("jax", "kerashub"),
    "transformers": ("torch", "transformers"),
    "transformers_compile": ("torch", "transformers_compile"),
    "transformers_bf16": ("torch", "transformers_bf16"),
}
PEERS = [name for name, engine in ENGINES.items() if engine[0] == "torch"]
OWN = ("kerashub", "kerashub_xla", "xla")  # by backend
SETTINGS = dict(
    work="train",
    num_layers=4,
    num_heads=4,
    hidden_dim=256,
    intermediate_dim=1024,
    vocabulary_size=8000,
    sequence_length=256,
    batch_size=8,
    device="cpu",
    dtype="float32",
)
CASES = {"": 0.0, "_dropout": 0.1}


def report(workers, case, peers=("transformers", "kerashub"), clock="cpu"):
    """Print the figures of one case and return them; KerasHub's are compared by backend."""
    figures = {}
    for engine, worker in workers.items():
        milliseconds = np.median([step[clock] for step in worker.steps]) * 1e3
        memory = np.median([step["memory"] or 0 for step in worker.steps])
        loss = worker.steps[-1].get("loss")
        loss = "" if loss is None else f"   loss {loss:.3f}"
        print(f"  {engine:24}{milliseconds:8.0f} ms{memory:8.0f} MB{loss}")
        figures[f"{engine}_milliseconds{case}"] = round(float(milliseconds), 1)
    for backend in ("tensorflow", "jax"):
        for other in peers:
            against = f"{backend}_{other}" if other in OWN else other
            found = ratio(workers, backend, against, clock)
            figures[f"{backend}_vs_{other}{case}"] = found and found[0]
            figures[f"{backend}_vs_{other}{case}_spread"] = found and found[1:]
            if found:
                print(f"  {backend}_vs_{other}: {found[0]:.2f} [{found[1]:.2f}, {found[2]:.2f}]")
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    add_device_options(parser)
    parser.add_argument("--dropout", type=float, choices=CASES.values(), help="one case alone")
    options = parser.parse_args()
    engines = {name: ENGINES[name] for name in options.engines}
    figures = {"processor": processor()}
    print(f"processor: {figures['processor']}; {options.rounds} rounds")
    for case, dropout in CASES.items():
        if options.dropout in (None, dropout):
            print(f"=== dropout {dropout}")
            settings, clock = settings_of(options, SETTINGS, ON_GPU)
            settings["dropout"] = dropout
            workers, libraries = measure("causal_lm_workers.py", engines, settings, options.rounds)
            figures |= report(workers, case, (*PEERS, *OWN), clock)
            print("computed by: " + "; ".join(f"{e}: {one}" for e, one in libraries.items()))
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
