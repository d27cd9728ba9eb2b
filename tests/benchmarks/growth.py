"""How a step of XLNet and its peak memory grow with the length of rows and of the memory.

    python tests/benchmarks/growth.py
    python tests/benchmarks/growth.py --lengths 128 512 --backends jax --rounds 3

The model is that of pretrain_step.py on a CPU (4 layers of width 256), a batch has as many tokens
at all lengths (2,048), a sixth of them is predicted, and nothing is dropped out. `remat` computes
each block again in the backward pass. `--memory` adds rows with a memory as long as half of them,
as long as they are, and twice as long.

Figures are medians over rounds of CPU time, one compute thread, and the peak of the process during
a step beyond what it held before, see interleaved.py. The last line is one JSON object.
"""

import argparse
import json

import numpy as np
from interleaved import measure, processor
from pretrain_step import SMALL

TOKENS = 2_048  # of a batch


def settings_of(length, memory):
    """One case: rows of a length, behind a memory."""
    return dict(
        sequence_length=length,
        batch_size=max(TOKENS // length, 1),
        num_predict=length // 6,
        memory_length=memory,
        reuse_length=length // 2 if memory else 0,
        dropout=0.0,
        device="cpu",
        dtype="float32",
        **SMALL,
    )


def main():
    """Measure each case, all engines of it in turns."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--lengths", type=int, nargs="+", default=[128, 256, 512, 1024, 2048])
    parser.add_argument("--memory", action="store_true", help="memories, too")
    parser.add_argument("--backends", nargs="+", default=["tensorflow", "jax"])
    parser.add_argument("--rounds", type=int, default=4)
    options = parser.parse_args()
    figures = {"processor": processor()}
    print(f"processor: {figures['processor']}; {options.rounds} rounds")
    print(f"{'length':>6} {'memory':>6} {'rows':>4}  engine              CPU ms   peak MB")
    for length in options.lengths:
        memories = [0, length // 2, length, 2 * length] if options.memory else [0]
        for memory in memories:
            settings = settings_of(length, memory)
            engines = {
                f"{backend}{'_remat' if kind == 'remat' else ''}": (backend, kind)
                for backend in options.backends
                for kind in ("ours", "remat")
            }
            workers, _ = measure("pretrain_workers.py", engines, settings, options.rounds)
            for engine, worker in workers.items():
                milliseconds = np.median([step["cpu"] for step in worker.steps]) * 1e3
                megabytes = np.median([step["memory"] or 0 for step in worker.steps])
                figures[f"{engine}_{length}_{memory}"] = [
                    round(float(one), 1) for one in (milliseconds, megabytes)
                ]
                print(
                    f"{length:6} {memory:6} {settings['batch_size']:4}  {engine:18}"
                    f"{milliseconds:8.0f}{megabytes:10.0f}",
                    flush=True,
                )
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
