"""How long `fit` takes on TensorFlow, fed by this package and fed by Keras from the same batches.

    python tests/benchmarks/fit_feeding.py [--rounds 6] [--steps 80]

A tiny BERT on the shipped novels, 16 rows of 32 tokens. Wall time of a whole `fit`, its end
included, and processor time in user and in system mode, per step. The two ways run in processes of
their own, by turns, since what TensorFlow does to the C library's memory stays. The last line is a
JSON object of the figures.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TEXTS = sorted((Path(__file__).parents[2] / "examples" / "texts").glob("*.txt"))
WAYS = ("ours", "keras")
FIGURES = ("wall", "user", "system")


def work(way):
    """Fit once for each line of standard input, and print the ms of a step."""
    import keras

    from keras_plm import data, models

    with tempfile.TemporaryDirectory() as directory:
        tokenizer = data.train_tokenizer(TEXTS, 2_000, model="wordpiece", lowercase=True)
        corpus = data.Corpus.build(TEXTS, tokenizer, directory)
        model = models.bert(tokenizer, "tiny", 32, dropout=0.0, attention_dropout=0.0)
        model.compile()
        batches = data.examples(corpus, model.objective, 16)
        run = {"ours": model.fit, "keras": keras.Model.fit.__get__(model)}[way]
        run(batches, steps_per_epoch=2, shuffle=False, verbose=0)
        print("ready", flush=True)
        for line in sys.stdin:
            steps = int(line)
            before, begin = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
            run(batches, steps_per_epoch=steps, shuffle=False, verbose=0)
            after, end = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
            used = (end - begin, after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime)
            print(json.dumps([1e3 * seconds / steps for seconds in used]), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--steps", type=int, default=80)
    parser.add_argument("--work", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        return work(options.work)
    settings = {**os.environ, "KERAS_BACKEND": "tensorflow"}
    settings.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    processes = {
        way: subprocess.Popen(
            [sys.executable, __file__, "--work", way],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=settings,
        )
        for way in WAYS
    }
    for process in processes.values():
        while process.stdout.readline().strip() != "ready":
            if process.poll() is not None:
                raise SystemExit("A worker ended before it was ready.")
    measured = {way: [] for way in WAYS}
    for _ in range(options.rounds):
        for way, process in processes.items():
            process.stdin.write(f"{options.steps}\n")
            process.stdin.flush()
            measured[way].append(json.loads(process.stdout.readline()))
    for process in processes.values():
        process.stdin.close()
        process.wait()
    figures = {
        f"{way}_{name}_ms": round(statistics.median(values), 1)
        for way, rounds in measured.items()
        for name, values in zip(FIGURES, zip(*rounds))
    }
    ratios = sorted(ours[0] / other[0] for ours, other in zip(*measured.values()))
    figures["ratio"] = round(statistics.median(ratios), 3)
    figures["ratio_lowest"], figures["ratio_highest"] = round(ratios[0], 3), round(ratios[-1], 3)
    for name, value in figures.items():
        print(f"{name:20s} {value}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
