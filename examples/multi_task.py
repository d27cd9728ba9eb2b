"""
Title: Several tasks at once, then each alone
Description: MT-DNN's way: a backbone that several tasks train together, against each task alone.
Accelerator: none needed

Run it as it is, with tasks about the shipped novels and a small backbone of random weights, or on a
pretrained backbone with CoLA, STS-B and others:

    python examples/multi_task.py
    python examples/multi_task.py --preset minilm/ --data DIR --targets cola stsb --rows 100 1000

DIR holds `cola/train.tsv` and `cola/dev.tsv` (source, label, mark, sentence), `stsb/sts-train.csv`
and `sts-dev.csv` (as released), and maybe `sst/stsa.binary.train` and `.dev` (label, text).

A target has few rows, the other tasks have all of theirs (`--limit` of them). "alone": the target
is fine-tuned by itself. "together": all tasks train the backbone first, in batches of one task
each and drawn by size, and then the target is tuned alone, as long as the other one was. Both begin
from the same weights and take the same rows, for each seed.

What it leaves in `--output`: `results.json`, and the last target as an ordinary preset.

Source: MT-DNN, arXiv:1901.11504, section 3.2 and section 4.5 (domain adaptation with few rows).
"""

import argparse
import json
import os
import re
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow: errors only

import keras
import numpy as np

from keras_plm import backbones, data, metrics, tasks

# === Settings ===

AUTHORS = {
    "a_christmas_carol": "Dickens",
    "a_study_in_scarlet": "Doyle",
    "alices_adventures_in_wonderland": "Carroll",
    "the_time_machine": "Wells",
}
TEXTS = Path(__file__).parent / "texts"

parser = argparse.ArgumentParser(description="Several tasks at once, then each alone.")
parser.add_argument("--preset", metavar="DIR", help="a pretrained backbone; none: random weights")
parser.add_argument("--data", type=Path, metavar="DIR", help="see above; none: the novels")
parser.add_argument("--targets", nargs="+", help="tasks with few rows; none: the first one")
parser.add_argument("--rows", type=int, nargs="+", default=[100], help="of a target")
parser.add_argument("--limit", type=int, default=2_000, help="rows of the other tasks at most")
parser.add_argument("--held-out-limit", type=int, default=1_000)
parser.add_argument("--epochs", type=int, default=1, help="of all tasks together")
parser.add_argument("--target-epochs", type=int, default=3, help="of the target alone")
parser.add_argument("--seeds", type=int, default=1)
parser.add_argument("--by", choices=["sizes", "roots"], default="sizes")
parser.add_argument("--frozen-layers", type=int, default=0, help="with the embeddings below them")
parser.add_argument("--learning-rate", type=float, default=1e-3, help="of a base model 5e-5")
parser.add_argument("--batch-size", type=int, default=32)
parser.add_argument("--sequence-length", type=int, default=64)
parser.add_argument("--output", type=Path, default=Path("output/multi_task"), metavar="DIR")
arguments = parser.parse_args()
length, output = arguments.sequence_length, arguments.output
output.mkdir(parents=True, exist_ok=True)

# === Tasks: their kind, rows to learn from, and held-out ones ===


def lines_of(*parts):
    return arguments.data.joinpath(*parts).read_text(encoding="utf-8").splitlines()


def read_cola(part):
    """(sentence, whether it is acceptable) of each line."""
    rows = [line.split("\t") for line in lines_of("cola", f"{part}.tsv")]
    return [(row[3], int(row[1])) for row in rows if len(row) == 4]


def read_stsb(part):
    """((sentence, sentence), similarity from 0 to 5) of each line."""
    rows = [line.split("\t") for line in lines_of("stsb", f"sts-{part}.csv")]
    return [((row[5], row[6]), float(row[4])) for row in rows]


def read_sst(part):
    """(sentence, whether it is positive) of each line."""
    rows = [line.split(" ", 1) for line in lines_of("sst", f"stsa.binary.{part}")]
    return [(text, int(label)) for label, text in rows]


def read_novels():
    """(paragraph, author), and (two sentences, whether one follows the other), of the novels."""
    authors, pairs = [], []
    random = np.random.default_rng(0)
    for number, name in enumerate(AUTHORS):
        text = (TEXTS / f"{name}.txt").read_text(encoding="utf-8")
        sentences = [" ".join(re.findall(r"[\w']+", one)) for one in re.split(r"[.!?]\s", text)]
        sentences = [one for one in sentences if len(one) > 30]
        authors += [(one, number) for one in sentences]
        for place in range(0, len(sentences) - 1, 2):
            follows = int(random.integers(2))
            other = place + 1 if follows else random.integers(len(sentences))
            pairs.append(((sentences[place], sentences[other]), follows))
    words = [(text, min(5.0, len(text.split()) / 5)) for text, _ in authors]
    return {"author": authors, "follows": pairs, "words": words}


CLASSIFIER = {"class": "TextClassifier", "num_classes": 2}
if arguments.data:
    kinds = {"cola": CLASSIFIER, "stsb": {"class": "TextRegressor"}}
    rows = {"cola": (read_cola("train"), read_cola("dev"))}
    rows["stsb"] = read_stsb("train"), read_stsb("dev")
    if (arguments.data / "sst").is_dir():
        kinds["sst"] = CLASSIFIER
        rows["sst"] = read_sst("train"), read_sst("dev")
else:
    kinds = {
        "author": {**CLASSIFIER, "num_classes": len(AUTHORS)},
        "follows": {**CLASSIFIER, "pooling": "san"},
        "words": {"class": "TextRegressor"},
    }
    rows = {}
    for name, all_rows in read_novels().items():
        order = np.random.default_rng(1).permutation(len(all_rows))
        all_rows = [all_rows[place] for place in order]
        rows[name] = all_rows[len(all_rows) // 5 :], all_rows[: len(all_rows) // 5]


def as_data(some):
    """Rows as texts or pairs of texts, and labels."""
    texts, labels = zip(*some)
    if isinstance(texts[0], tuple):
        return tuple(map(list, zip(*texts))), list(labels)
    return list(texts), list(labels)


# === Backbone ===

if arguments.preset:
    make_backbone = lambda: backbones.Backbone.from_preset(arguments.preset)  # noqa: E731
    preprocessor = tasks.TextPreprocessor.from_preset(arguments.preset, sequence_length=length)
else:
    files = [str(TEXTS / f"{name}.txt") for name in AUTHORS]
    tokenizer = data.train_tokenizer(files, 2_000, model="wordpiece", lowercase=True)
    preprocessor = tasks.TextPreprocessor(tokenizer, length)
    make_backbone = lambda: backbones.TransformerBackbone(  # noqa: E731
        tokenizer.vocabulary_size, 2, 2, 64, 128, max_sequence_length=length, initializer_range=0.1
    )


def new_model(seed):
    """All tasks on the backbone, its lower layers frozen."""
    keras.utils.set_random_seed(seed)
    model = tasks.MultiTask(make_backbone(), kinds, preprocessor)
    frozen = model.backbone.layer_groups()[: arguments.frozen_layers + 1]
    for variable in sum(frozen, []) if arguments.frozen_layers else []:
        variable.trainable = False
    return model


def optimizer():
    return keras.optimizers.AdamW(arguments.learning_rate, weight_decay=0.01, global_clipnorm=1.0)


# === Together, then alone, against alone ===


def tune(task, given, seed):
    """Fine-tune a task by itself."""
    keras.utils.set_random_seed(seed)
    task.compile(optimizer())
    task.fit(*given, batch_size=arguments.batch_size, epochs=arguments.target_epochs, verbose=0)


def score(name, task, held_out):
    """Matthews' correlation of two classes, accuracy of more, Spearman's correlation of numbers."""
    x, y = held_out
    found = task.predict(x, verbose=0)
    if kinds[name]["class"] == "TextRegressor":
        metric = metrics.SpearmanCorrelation()
        metric.update_state(np.array(y, "float32"), found[:, 0])
        return float(metric.result())
    if kinds[name]["num_classes"] > 2:
        return float((found.argmax(axis=1) == np.array(y)).mean())
    metric = metrics.MatthewsCorrelation(num_classes=2)
    metric.update_state(np.array(y), found)
    return float(metric.result())


results = []
for target in arguments.targets or list(kinds)[:1]:
    for number in arguments.rows:
        for seed in range(arguments.seeds):
            random, given = np.random.default_rng(seed), {}
            for name, (own, _) in rows.items():
                count = number if name == target else arguments.limit
                chosen = random.permutation(len(own))[:count]
                given[name] = as_data([own[place] for place in chosen])
            held_out = as_data(rows[target][1][: arguments.held_out_limit])
            model = new_model(seed)
            tune(model.task(target), given[target], seed)
            alone = score(target, model.task(target), held_out)
            model = new_model(seed)
            model.compile(optimizer())
            model.fit(
                given,
                by=arguments.by,
                batch_size=arguments.batch_size,
                epochs=arguments.epochs,
                seed=seed,
                verbose=0,
            )
            before = score(target, model.task(target), held_out)
            tune(model.task(target), given[target], seed)
            together = score(target, model.task(target), held_out)
            results.append(dict(target=target, rows=number, seed=seed, alone=alone))
            results[-1] |= dict(together=together, before_tuning=before)
            print(
                f"{target}, {number} rows, seed {seed}: alone {alone:.3f}; together {before:.3f}, "
                f"then alone {together:.3f}",
                flush=True,
            )
            (output / "results.json").write_text(json.dumps(results, indent=1))
model.task(target).save_to_preset(str(output / "preset"))
