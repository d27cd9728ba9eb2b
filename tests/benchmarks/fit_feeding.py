"""How long `fit` takes on TensorFlow, fed by this package and fed by Keras from the same batches.

    python tests/benchmarks/fit_feeding.py [--rounds 6] [--steps 80]

A tiny BERT on the shipped novels, 16 rows of 32 tokens, one compute thread. Wall time of a whole
`fit`, its end included, and processor time in user and in system mode, per step. The two ways run
in processes of their own, by turns, since what TensorFlow does to the C library's memory stays. The
last line is a JSON object of the figures.
"""

import argparse
import json
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

from interleaved import Worker, ratio

TEXTS = sorted((Path(__file__).parents[2] / "examples" / "texts").glob("*.txt"))
WAYS = ("ours", "keras")


def work(way, steps):
    """Fit once for each line of standard input, and answer with the ms of a step."""
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
        print(json.dumps("ready"), flush=True)
        for _ in sys.stdin:
            before, begin = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
            run(batches, steps_per_epoch=steps, shuffle=False, verbose=0)
            after, end = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
            seconds = {
                "wall": end - begin,
                "user": after.ru_utime - before.ru_utime,
                "system": after.ru_stime - before.ru_stime,
            }
            used = {what: 1e3 * value / steps for what, value in seconds.items()}
            print(json.dumps(used), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--steps", type=int, default=80)
    options = parser.parse_args()
    workers = {
        way: Worker(
            "fit_feeding.py", "tensorflow", {"device": "cpu", "way": way, "steps": options.steps}
        )
        for way in WAYS
    }
    for worker in workers.values():
        worker.read()
    for _ in range(options.rounds):
        for worker in workers.values():
            worker.steps.append(worker.ask("fit"))
    for worker in workers.values():
        worker.close()
    figures = {
        f"{way}_{what}_ms": round(statistics.median(step[what] for step in worker.steps), 1)
        for way, worker in workers.items()
        for what in worker.steps[0]
    }
    figures["ratio"], *figures["ratio_spread"] = ratio(workers, *WAYS, "wall")
    for name, value in figures.items():
        print(f"{name:20s} {value}")
    print(json.dumps(figures))


if __name__ == "__main__":
    if sys.argv[1:] and sys.argv[1].startswith("{"):  # as `Worker` starts it
        settings = json.loads(sys.argv[1])
        work(settings["way"], settings["steps"])
    else:
        main()
