"""A step of several tasks on one backbone against the step of one of them alone.

    python tests/benchmarks/multi_task_step.py [--heads 4] [--layers 6] [--width 384] [--rounds 20]

`multi` is a `MultiTask` of four heads (classes of texts, a number of pairs, pairs by a stochastic
answer network, tags of words), given batches of the first one; `single` is the `TextClassifier` of
that task with the same rows, optimizer and settings. Both run under Keras's own `fit`, on
TensorFlow and on JAX, with XLA.

Figures are medians over rounds of CPU time, one compute thread, see interleaved.py; ratios are
ratios of medians, with the 10th and 90th percentile of the ratios within a round behind them. The
last line is one JSON object.
"""

import argparse
import json
import sys

import numpy as np
from interleaved import measure, processor, ratio
from turns import fit_in_turns, one_core

ENGINES = {
    f"{backend}_{kind}": (backend, kind)
    for backend in ("tensorflow", "jax")
    for kind in ("single", "multi")
}
KINDS = {
    "classes": {"class": "TextClassifier", "num_classes": 2},
    "number": {"class": "TextRegressor"},
    "pairs": {"class": "TextClassifier", "num_classes": 3, "pooling": "san"},
    "tags": {"class": "TokenClassifier", "num_classes": 9},
}
VOCABULARY = 8_000


def arrays(settings):
    """The features of rows (B, T) without padding, and labels of all tasks."""
    random = np.random.default_rng(0)
    shape = settings["batch"], settings["length"]
    x = {
        "token_ids": random.integers(5, VOCABULARY, shape).astype("int32"),
        "padding_mask": np.ones(shape, bool),
        "segment_ids": np.repeat([[0, 1]], shape[1] // 2, axis=1)
        .repeat(shape[0], 0)
        .astype("int32"),
    }
    y = {
        "classes": np.arange(shape[0]) % 2,
        "number": random.random((shape[0], 1)).astype("float32"),
        "pairs": np.arange(shape[0]) % 3,
        "tags": random.integers(0, 9, shape),
    }
    return x, {name: one.astype("int32") if name != "number" else one for name, one in y.items()}


def serve(settings):
    """One step whenever the parent asks."""
    import keras

    from keras_plm import backbones, data, tasks
    from keras_plm.tasks.feeding.mixed_batches import MixedBatches, TaskBatches

    one_core()
    width = settings["width"]
    backbone = backbones.TransformerBackbone(
        VOCABULARY, settings["layers"], width // 32, width, 4 * width, max_sequence_length=128
    )
    x, y = arrays(settings)
    optimizer = keras.optimizers.AdamW(1e-4, weight_decay=0.01, global_clipnorm=1.0)
    if settings["kind"] == "single":
        model = tasks.TextClassifier(backbone, 2)
        batch = x, y["classes"], np.ones(settings["batch"], "float32")
    else:
        kinds = dict(list(KINDS.items())[: settings["heads"]])
        model = tasks.MultiTask(backbone, kinds)
        weights = np.ones(settings["batch"], "float32")
        of_tokens = np.ones((settings["batch"], settings["length"]), "float32")
        parts = []
        for name in kinds:
            weight = of_tokens if name == "tags" else weights
            part = (x, y[name], weight)
            parts.append(TaskBatches(name, model.task(name), part, settings["batch"], 0))
            parts[-1].sort(None)
        order = data.mix(dict.fromkeys(kinds, 1))
        mixed = MixedBatches(parts, list(range(len(parts))), order, model.input)
        batch = mixed.complete(0, parts[0][0])
    model.compile(optimizer)
    if settings["kind"] == "multi":
        model._see(parts, batch)
    model._build_optimizer()
    fit_in_turns(model, [batch], settings)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--heads", type=int, default=4, choices=range(1, 5))
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--length", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--backends", nargs="+", default=["tensorflow", "jax"])
    settings = {**vars(parser.parse_args()), "device": "cpu", "dtype": "float32"}
    backends, rounds = settings.pop("backends"), settings.pop("rounds")
    engines = {name: one for name, one in ENGINES.items() if one[0] in backends}
    workers, libraries = measure("multi_task_step.py", engines, settings, rounds)
    figures = {"settings": settings, "rounds": rounds, "processor": processor()}
    for backend in backends:
        names = [f"{backend}_{kind}" for kind in ("multi", "single")]
        for name in names:
            if name in workers:
                cpu = np.median([step["cpu"] for step in workers[name].steps])
                figures[name] = round(1000 * float(cpu), 1)
                print(f"{name}: {figures[name]} ms of CPU time ({libraries[name]})")
        figures[f"{backend}_ratio"] = ratio(workers, *names, "cpu")
        print(f"{backend}: multi / single {figures[f'{backend}_ratio']}")
    print(json.dumps(figures))


if __name__ == "__main__":
    serve(json.loads(sys.argv[1])) if sys.argv[1:] and sys.argv[1][0] == "{" else main()
