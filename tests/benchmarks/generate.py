"""Generation by our CausalLM against transformers' GPT-2 and KerasHub's; its cost by length.

    python tests/benchmarks/generate.py

All engines continue the same random prompts of 32 tokens greedily by 96, each with its cache, with
GPT-2s of the same sizes and random weights: 4 layers of width 256, 4 heads, feed-forward 1024,
vocabulary 8000, one text and eight at once. Ours and KerasHub's have compiled before; transformers'
is eager PyTorch. The call of `generate` is timed, prompt and all.

`growth`: GPT-2 small (12 layers of width 768, vocabulary 50257), one text, a cache of 640; the
median time of tokens 480 to 511 over that of tokens 48 to 79, which are read in turns, so that a
busy machine hits both alike. `CausalLM.generate` runs its whole loop in one program, in which no
token can be timed; what is timed here is the step that the loop repeats (`read_tokens`, the head
and the best token, over the same cache), compiled alone and called for each token. On TensorFlow
each call copies the cache (47 MB), which the loop does not. Every step reads all places of the
cache and hides those that are empty.

Figures are medians over rounds of CPU time, one compute thread, see interleaved.py; ratios are
ratios of medians, with the 10th and 90th percentile of the ratios within a round behind them. The
last line is one JSON object; keys with `_batch8` are of eight texts, `growth` is the larger one of
the two backends. Without torch and transformers their figures are null.
"""

import argparse
import json

import numpy as np
from causal_lm_step import ENGINES, SETTINGS, report
from interleaved import measure, processor

GENERATION = {**SETTINGS, "work": "generate", "sequence_length": 128, "dropout": 0.0}
CASES = {"": 1, "_batch8": 8}
GROWTH = {
    **GENERATION,
    "work": "growth",
    "num_layers": 12,
    "num_heads": 12,
    "hidden_dim": 768,
    "intermediate_dim": 3072,
    "vocabulary_size": 50257,
    "sequence_length": 640,
    "batch_size": 1,
    "first": {"early": 48, "late": 480},
    "tokens": 32,
}


def growth(engines):
    """Print and return the growth on each backend."""
    figures = {}
    for backend, engine in engines.items():
        workers, _ = measure("causal_lm_workers.py", {backend: engine}, GROWTH, rounds=1)
        if backend in workers:
            seconds = workers[backend].steps[0]["seconds"]
            early, late = (np.median(seconds[part]) * 1e3 for part in ("early", "late"))
            print(f"  {backend:24}{early:8.1f} ms early{late:8.1f} ms late   {late / early:.2f}")
            figures[f"{backend}_growth"] = round(float(late / early), 3)
    return {**figures, "growth": max(figures.values(), default=None)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--prompt-length", type=int, default=32)
    parser.add_argument("--skip", nargs="+", choices=["generate", "growth"], default=[])
    options = parser.parse_args()
    engines = {name: ENGINES[name] for name in options.engines}
    figures = {"processor": processor()}
    print(f"processor: {figures['processor']}; {options.rounds} rounds")
    for case, rows in CASES.items():
        if "generate" not in options.skip:
            print(f"=== texts: {rows}")
            settings = {**GENERATION, "batch_size": rows, "prompt_length": options.prompt_length}
            workers, _ = measure("causal_lm_workers.py", engines, settings, options.rounds)
            figures |= report(workers, case)
    if "growth" not in options.skip:
        print("=== growth")
        ours = {name: engine for name, engine in engines.items() if engine[1] == "ours"}
        figures |= growth(ours)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
