"""Generation by our models against transformers' and KerasHub's; its cost by length.

    python tests/benchmarks/generate.py
    python tests/benchmarks/generate.py --lengths 128 512 2048
    python tests/benchmarks/generate.py --system seq2seq

`CausalLM` against GPT-2: all engines continue the same random prompts of 32 tokens greedily by 96,
each with its cache, with GPT-2s of the same sizes and random weights: 4 layers of width 256, 4
heads, feed-forward 1024, vocabulary 8000, one text and eight at once. Ours and KerasHub's have
compiled before; transformers' is eager PyTorch. The call of `generate` is timed, prompt and all.

`--lengths`: one text, in all of so many tokens, prompt included; each length a case of its own.

`growth`: GPT-2 small (12 layers of width 768, vocabulary 50257), one text, a cache of 640; the
median time of tokens 480 to 511 over that of tokens 48 to 79, which are read in turns, so that a
busy machine hits both alike. `CausalLM.generate` runs its whole loop in one program, in which no
token can be timed; what is timed here is the step that the loop repeats (`read_tokens`, the head
and the best token, over the same cache), compiled alone and called for each token. On TensorFlow
each call copies the cache (47 MB), which the loop does not. Every step reads all places of the
cache and hides those that are empty.

`seq2seq`: `Seq2SeqLM` of the sizes of seq2seq_step.py against the engines there, eight sources of
128 tokens each, for which 64 tokens are written, greedily and by 4 beams; nothing ends a text.
`growth` as above, over a model of 6 + 6 layers of width 512 (feed-forward 2048, vocabulary 37000)
and a source of 64 tokens, with `decoder.start` and `decoder.step` of its backbone.

Figures are medians over rounds of CPU time, one compute thread, see interleaved.py; ratios are
ratios of medians, with the 10th and 90th percentile of the ratios within a round behind them. The
last line is one JSON object; keys with `_batch8` are of eight texts, those of `seq2seq` end with
family and sampler, `growth` is the larger one of the two backends. Without torch and transformers
their figures are null.
"""

import argparse
import json

import numpy as np
import seq2seq_step
from causal_lm_step import ENGINES as TRAINED
from causal_lm_step import SETTINGS, report
from interleaved import measure, processor

NOT_WRITING = ("compile", "bf16")
ENGINES = {  # PyTorch eager, in float32
    name: engine for name, engine in TRAINED.items() if engine[1].split("_")[-1] not in NOT_WRITING
}
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


BEAMS = {"greedy": 1, "beam4": 4}
SEQ2SEQ_GROWTH = {
    **seq2seq_step.SETTINGS,
    "work": "growth",
    "family": "marian",
    "num_layers": 6,
    "num_heads": 8,
    "hidden_dim": 512,
    "intermediate_dim": 2048,
    "vocabulary_size": 37000,
    "source_length": 64,
    **{name: GROWTH[name] for name in ("sequence_length", "batch_size", "first", "tokens")},
}


def growth(script, engines, settings):
    """Print and return the growth on each backend."""
    print("=== growth")
    figures = {}
    for backend, engine in engines.items():
        if engine[1] != "ours":
            continue
        workers, _ = measure(script, {backend: engine}, settings, rounds=1)
        if backend in workers:
            seconds = workers[backend].steps[0]["seconds"]
            early, late = (np.median(seconds[part]) * 1e3 for part in ("early", "late"))
            print(f"  {backend:24}{early:8.1f} ms early{late:8.1f} ms late   {late / early:.2f}")
            figures[f"{backend}_growth"] = round(float(late / early), 3)
    return {**figures, "growth": max(figures.values(), default=None)}


def causal(options):
    """The figures of `CausalLM`."""
    engines = {name: ENGINES[name] for name in options.engines or ENGINES if name in ENGINES}
    cases = (
        []
        if "generate" in options.skip
        else [(case, rows, GENERATION["sequence_length"]) for case, rows in CASES.items()]
    )
    cases += [(f"_length{length}", 1, length) for length in options.lengths]
    figures = {}
    for case, rows, length in cases:
        print(f"=== texts: {rows}, of {length} tokens")
        sizes = dict(batch_size=rows, sequence_length=length, prompt_length=options.prompt_length)
        settings = {**GENERATION, **sizes}
        workers, _ = measure("causal_lm_workers.py", engines, settings, options.rounds)
        figures |= report(workers, case)
    if "growth" not in options.skip:
        figures |= growth("causal_lm_workers.py", engines, GROWTH)
    return figures


def seq2seq(options):
    """The figures of `Seq2SeqLM`."""
    script, figures = "seq2seq_workers.py", {}
    tiny = seq2seq_step.TINY if options.tiny else {}
    settings = {**seq2seq_step.SETTINGS, "work": "generate", "sequence_length": 64, **tiny}
    engines = options.engines or list(seq2seq_step.ENGINES)
    for family in options.families if "generate" not in options.skip else ():
        for sampler in options.samplers:
            print(f"=== {family}, {sampler}")
            own = {**settings, "family": family, "num_beams": BEAMS[sampler]}
            chosen = seq2seq_step.engines_of(family, engines)
            workers, _ = measure(script, chosen, own, options.rounds)
            figures |= report(workers, f"_{family}_{sampler}", seq2seq_step.peers_of(family))
    if "growth" not in options.skip:
        chosen = seq2seq_step.engines_of(SEQ2SEQ_GROWTH["family"], engines)
        figures |= growth(script, chosen, {**SEQ2SEQ_GROWTH, **tiny})
    return figures


def main():
    every = dict.fromkeys([*ENGINES, *seq2seq_step.ENGINES])
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--system", choices=["causal", "seq2seq"], default="causal")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--engines", nargs="+", choices=every)
    parser.add_argument("--prompt-length", type=int, default=32)
    parser.add_argument("--lengths", type=int, nargs="+", default=[], help="texts of these, too")
    parser.add_argument("--skip", nargs="+", choices=["generate", "growth"], default=[])
    families = list(seq2seq_step.FAMILIES)
    parser.add_argument("--families", nargs="+", choices=families, default=families)
    parser.add_argument("--samplers", nargs="+", choices=BEAMS, default=list(BEAMS))
    parser.add_argument("--tiny", action="store_true", help="does seq2seq run at all?")
    options = parser.parse_args()
    figures = {"processor": processor()}
    print(f"processor: {figures['processor']}; {options.rounds} rounds")
    figures |= {"causal": causal, "seq2seq": seq2seq}[options.system](options)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
