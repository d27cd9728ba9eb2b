"""One training step of our encoder-decoders against transformers' and KerasHub's.

    python tests/benchmarks/seq2seq_step.py
    python tests/benchmarks/seq2seq_step.py --families t5 --dropout 0.1

All engines of a family do forward and backward pass and update (AdamW) of the same encoder-decoder:
4 + 4 layers of width 256, 4 heads, feed-forward 1024, vocabulary 8000, sources and targets of 128
tokens, B 8, no dropout; every token of a target is predicted. `marian` is against transformers,
eager and compiled by torch.compile; `bart` against KerasHub's; `t5` against both.

Figures are medians over rounds of CPU time, one compute thread, see interleaved.py; ratios are
ratios of medians, with the 10th and 90th percentile of the ratios within a round behind them. The
last line is one JSON object; its keys end with the family. Without torch and transformers their
figures are null.
"""

import argparse
import json

from causal_lm_step import report
from interleaved import measure, processor

OURS = {"tensorflow": ("tensorflow", "ours"), "jax": ("jax", "ours")}
KERAS_HUB = {
    "tensorflow_kerashub": ("tensorflow", "kerashub"),
    "jax_kerashub": ("jax", "kerashub"),
}
TRANSFORMERS = {"transformers": ("torch", "eager"), "compiled": ("torch", "compile")}
ENGINES = OURS | KERAS_HUB | TRANSFORMERS  # name: (backend, kind)
FAMILIES = {  # name: engines
    "marian": (*OURS, *TRANSFORMERS),
    "bart": (*OURS, *KERAS_HUB),
    "t5": (*OURS, *KERAS_HUB, *TRANSFORMERS),
}
SETTINGS = dict(
    work="train",
    num_layers=4,
    num_heads=4,
    hidden_dim=256,
    intermediate_dim=1024,
    vocabulary_size=8000,
    source_length=128,
    sequence_length=128,
    batch_size=8,
    dropout=0.0,
    device="cpu",
    dtype="float32",
)
TINY = dict(num_layers=1, hidden_dim=32, intermediate_dim=64, vocabulary_size=100)


def engines_of(family, chosen):
    """The chosen engines of a family, {name: (backend, kind)}."""
    return {name: ENGINES[name] for name in FAMILIES[family] if name in chosen}


def peers_of(family):
    """What ours are compared with."""
    return [*dict.fromkeys(n.split("_")[-1] for n in FAMILIES[family] if n not in OURS)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=list(FAMILIES))
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--tiny", action="store_true", help="does it run at all?")
    options = parser.parse_args()
    settings = {**SETTINGS, **(TINY if options.tiny else {}), "dropout": options.dropout}
    figures = {"processor": processor()}
    print(f"processor: {figures['processor']}; {options.rounds} rounds")
    for family in options.families:
        print(f"=== {family}")
        engines = engines_of(family, options.engines)
        own = {**settings, "family": family}
        workers, _ = measure("seq2seq_workers.py", engines, own, options.rounds)
        figures |= report(workers, f"_{family}", peers_of(family))
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
