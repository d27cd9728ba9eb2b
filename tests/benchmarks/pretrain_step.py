"""One pretraining step of our XLNet against transformers' and against a plain keras.ops port.

    python tests/benchmarks/pretrain_step.py
    python tests/benchmarks/pretrain_step.py --device gpu --engines jax torch torch_compile

All engines of a case do the same work: forward and backward pass and update (AdamW), without
dropout but for the case `256_dropout`: .1, as `models.xlnet` trains by default; `paper` drops
single numbers of the encoding of positions, as XLNet was trained, which do not factorise then.
On a CPU the model has 4 layers of width 256, 4 heads, feed-forward 1024, vocabulary 8000, and the
cases are T 256 (B 8, P 43), T 512 (B 4, P 85) and T 256 with 128 tokens of memory. On a GPU it has
the base size (12 layers, 768, 12 heads, 3072, V 32000), T 512, P 85, B 32, without memory and with
384 tokens of it, in bfloat16. `content` is our step without the query stream: the same targets are
predicted from their content rows. `remat` computes blocks again in the backward pass. `unguarded`
trains without the guard against what is not finite (`skip_non_finite=None`); `twin` is the same as
`unguarded` in another process, whose ratio to it says how far two equal engines can differ.

Keras compiles as `jit_compile="auto"` says: without XLA on a CPU under TensorFlow; `xla` has it.

Each engine is a process of its own; on a CPU with one compute thread on one core. The parent gives
them turns, so that whatever else the machine does hits all alike. Figures are medians over rounds
of the process's CPU time (on a GPU: wall time); ratios are ratios of medians, with the 10th and
90th percentile of the ratios within a round behind them. Memory is the peak of the process during
a step beyond what it held before the step, of steps that are not timed (on a GPU it is not
measured).

FLOP/s count the useful work, 2 per multiply-add, three times the forward pass:
    each layer: 2 B (T + P) D^2 query and output, 2 B S D^2 key and value, 2 B (T + P) D F
                feed-forward, 2 B (T + P) S D scores and values, B (T + P) (T + S) D scores by
                distance, (T + S) D^2 the distances;  once: B P D V logits
whatever an engine really executes (a query stream of T rows is its own fault), against the FLOP/s
of a plain product of two square matrices in the same process and dtype (2048, on a GPU 8192).

`--keep-memory` runs each engine also as a process that keeps the memory that it frees
(`interleaved.KEEP`).

The engines of PyTorch need torch and transformers; without them their figures are null. The last
line is one JSON object. How far an engine can get ahead of eager PyTorch depends on the matrix
libraries: on AMD processors with AVX-512 PyTorch's (MKL) runs at half the rate of XLA's, with AVX2
alone it is the faster one. So read the ratios to the naive port, within one engine, and the column
`product` beside `tensorflow_vs_eager`.
"""

import argparse
import json

import numpy as np
from interleaved import XLA, measure, processor, ratio, ratios_of_keeping, that_keep
from turns import PRODUCT

ENGINES = {  # name: (backend, kind, title), and more of its environment
    "tensorflow": ("tensorflow", "ours", "ours, TensorFlow"),
    "tensorflow_xla": ("tensorflow", "ours", "ours, TensorFlow with XLA", XLA),
    "tensorflow_content": ("tensorflow", "content", "ours without queries, TensorFlow"),
    "tensorflow_remat": ("tensorflow", "remat", "ours with remat, TensorFlow"),
    "tensorflow_unguarded": ("tensorflow", "unguarded", "ours without a guard, TensorFlow"),
    "tensorflow_twin": ("tensorflow", "twin", "the same again, TensorFlow"),
    "tensorflow_naive": ("tensorflow", "naive", "naive port, TensorFlow"),
    "jax": ("jax", "ours", "ours, JAX"),
    "jax_content": ("jax", "content", "ours without queries, JAX"),
    "jax_remat": ("jax", "remat", "ours with remat, JAX"),
    "jax_unguarded": ("jax", "unguarded", "ours without a guard, JAX"),
    "jax_twin": ("jax", "twin", "the same again, JAX"),
    "jax_naive": ("jax", "naive", "naive port, JAX"),
    "tensorflow_paper": ("tensorflow", "paper", "ours, dropout as the paper, TensorFlow"),
    "jax_paper": ("jax", "paper", "ours, dropout as the paper, JAX"),
    "torch": ("torch", "eager", "transformers, torch eager"),
    "torch_bf16": ("torch", "bf16", "transformers, torch eager, bfloat16"),
    "torch_compile": ("torch", "compile", "transformers, torch.compile"),
}
SMALL = dict(num_layers=4, num_heads=4, hidden_dim=256, intermediate_dim=1024, vocabulary_size=8000)
BASE = dict(
    num_layers=12, num_heads=12, hidden_dim=768, intermediate_dim=3072, vocabulary_size=32000
)
KINDS = ("ours", "naive", "eager")
CASES = {  # device: {case: (settings, kinds of engines)}
    "cpu": {
        "256": (
            dict(sequence_length=256, batch_size=8, num_predict=43, memory_length=0, **SMALL),
            (*KINDS, "content", "compile", "bf16", "unguarded", "twin"),
        ),
        "256_dropout": (
            dict(
                sequence_length=256,
                batch_size=8,
                num_predict=43,
                memory_length=0,
                dropout=0.1,
                **SMALL,
            ),
            ("ours", "paper", "eager", "compile", "bf16"),
        ),
        "512": (
            dict(sequence_length=512, batch_size=4, num_predict=85, memory_length=0, **SMALL),
            (*KINDS, "remat"),
        ),
        "256_memory128": (
            dict(sequence_length=256, batch_size=8, num_predict=43, memory_length=128, **SMALL),
            (*KINDS, "unguarded", "twin"),
        ),
    },
    "gpu": {
        "512": (
            dict(sequence_length=512, batch_size=32, num_predict=85, memory_length=0, **BASE),
            (*KINDS, "content", "compile"),
        ),
        "512_memory384": (
            dict(sequence_length=512, batch_size=32, num_predict=85, memory_length=384, **BASE),
            (*KINDS, "compile"),
        ),
    },
}


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


def comparisons(case):
    """(key, engine, engine that it is divided by, what) of each ratio of a case."""
    for backend in ("tensorflow", "jax"):
        ours = backend
        yield f"{backend}_vs_eager", ours, "torch", "time"
        yield f"{backend}_vs_compile", ours, "torch_compile", "time"
        yield f"{backend}_vs_bf16", ours, "torch_bf16", "time"
        yield f"{backend}_vs_xla", ours, f"{backend}_xla", "time"
        yield f"{backend}_vs_paper", ours, f"{backend}_paper", "time"
        yield f"{backend}_vs_naive_{case}", ours, f"{backend}_naive", "time"
        yield f"{backend}_guard_{case}", ours, f"{backend}_unguarded", "time"
        yield f"{backend}_twin_{case}", f"{backend}_twin", f"{backend}_unguarded", "time"
        yield f"{backend}_guard_memory_{case}", ours, f"{backend}_unguarded", "memory"
        yield f"{backend}_query_vs_content", ours, f"{backend}_content", "time"
        yield f"{backend}_memory_vs_naive_{case}", ours, f"{backend}_naive", "memory"
        yield f"{backend}_remat_time_{case}", f"{backend}_remat", ours, "time"
        yield f"{backend}_remat_memory_{case}", f"{backend}_remat", ours, "memory"


def title(engine):
    """What an engine is called in a table."""
    kept = engine.endswith("_kept")
    return ENGINES[engine.removesuffix("_kept")][2] + (", kept" if kept else "")


def report(case, workers, libraries, settings):
    """Print the table of one case and return its figures."""
    flops = useful_flops(settings)
    clock = "wall" if settings["device"] == "gpu" else "cpu"
    print(f"=== {case}: {flops / 1e9:.1f} GFLOP of useful work a step")
    print(
        f"{'':38}{clock + ' ms':>8}{'memory MB':>11}{'GFLOP/s':>9}{'product':>9}{'share':>7}"
        "   time against eager"
    )
    figures = {}
    for engine, worker in workers.items():
        for step in worker.steps:
            step["time"] = step[clock]
        time = np.median([step["time"] for step in worker.steps])
        memory = [step["memory"] for step in worker.steps]
        memory = None if None in memory or clock == "wall" else float(np.median(memory))
        product = (
            2
            * PRODUCT[settings["device"]] ** 3
            / np.median([product[clock] for product in worker.products])
        )
        share = flops / time / product
        figures[f"{engine}_milliseconds_{case}"] = round(float(time * 1e3), 1)
        figures[f"{engine}_megabytes_{case}"] = memory and round(memory, 1)
        figures[f"{engine}_share_of_matmul_{case}"] = round(float(share), 3)
        figures[f"{engine}_loss_{case}"] = round(worker.steps[-1]["loss"], 3)
    for engine, worker in workers.items():
        time, share = (figures[f"{engine}_{w}_{case}"] for w in ("milliseconds", "share_of_matmul"))
        memory = figures[f"{engine}_megabytes_{case}"]
        rate = flops / time / 1e6
        versus = ratio(workers, engine, "torch", "time")
        text = "-" if versus is None else f"{versus[0]:.2f} [{versus[1]:.2f}, {versus[2]:.2f}]"
        print(
            f"{title(engine):38}{time:8.0f}{'-' if memory is None else f'{memory:.0f}':>11}"
            f"{rate:9.1f}{rate / share:9.1f}{share:7.2f}   {text}"
        )
    for key, first, second, what in comparisons(case):
        found = ratio(workers, first, second, what)
        if found and not (what == "memory" and clock == "wall"):
            key = key if case in key or case == "256" else f"{key}_{case}"
            figures[key] = found[0]
            print(f"{key}: {found[0]:.2f} [{found[1]:.2f}, {found[2]:.2f}]")
    print("matrix library: " + "; ".join(f"{e}: {library}" for e, library in libraries.items()))
    print(flush=True)
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--device", choices=CASES, default="cpu")
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--cases", nargs="+", help="of 256, 256_dropout, 512, ...")
    for name in ("num_layers", "batch_size", "sequence_length", "num_predict", "hidden_dim"):
        parser.add_argument("--" + name.replace("_", "-"), type=int, help="another size")
    parser.add_argument("--keep-memory", action="store_true", help="each engine that way, too")
    options = vars(parser.parse_args())
    cases, device = CASES[options["device"]], options["device"]
    unknown = set(options["cases"] or []) - set(cases)
    if unknown:
        parser.error(f"--cases must be of {sorted(cases)}. Received: {sorted(unknown)}.")
    figures = {"processor": processor(), "device": device}
    print(f"processor: {figures['processor']}; {device}, {options['rounds']} rounds")
    keys = [f"{b}_{k}" for b in ("tensorflow", "jax") for k in ("vs_eager", "vs_compile")]
    figures |= dict.fromkeys(keys)  # null where PyTorch is not there
    for case in options["cases"] or cases:
        settings, kinds = cases[case]
        settings = {name: options.get(name) or value for name, value in settings.items()}
        settings |= {
            "dropout": settings.get("dropout", 0.0),
            "reuse_length": settings["sequence_length"] // 2 if settings["memory_length"] else 0,
            "device": device,
            "dtype": "mixed_bfloat16" if device == "gpu" else "float32",
        }
        engines = {e: ENGINES[e] for e in options["engines"] if ENGINES[e][1] in kinds}
        engines = {e: (*one[:2], *one[3:]) for e, one in engines.items()}  # without titles
        engines |= that_keep(engines) if options["keep_memory"] else {}
        measured = measure("pretrain_workers.py", engines, settings, options["rounds"])
        figures |= report(case, *measured, settings)
        kept = ratios_of_keeping(measured[0])
        figures |= {f"{name}_{case}": value for name, value in kept.items()}
    for backend in ("tensorflow", "jax"):  # what a user of `models.xlnet` has
        figures[f"xlnet_default_vs_eager_{backend}"] = figures.get(
            f"{backend}_vs_eager_256_dropout"
        )
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
