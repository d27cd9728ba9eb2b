"""
Title: SiATL, and what an auxiliary language model gains
Description: A classifier that stays a language model, against one that does not, by the number of
    labels: an LSTM as in SiATL, and a small GPT as in GPT-1.
Accelerator: none needed

Run it as it is to learn who wrote a paragraph of the shipped novels, in some twenty minutes on two
cores, or on text and labels of your own; a file has a text and a label in each line,
as json:

    python examples/siatl.py
    python examples/siatl.py --general books/ --data imdb.jsonl.gz --numbers 100 400 1600 4000

Both systems first become language models of general text (by default the novels, the held-out
paragraphs with them, but not who wrote them). Then each is a classifier, with the auxiliary loss
and without it, from the same seeds and the same labels. All else is as in its paper: the LSTM has
a task LSTM with attention, is unfrozen from the top, and a weight that falls from 0.2 to 0.1 in 15
epochs; the GPT has a weight of 0.5, one linear layer, and is trained whole. SiATL found that the
loss helps where labels are few, GPT-1 that it helps where they are many.

What it leaves in `--output`: the language models as presets, `results.json`, and `siatl.png` if
matplotlib is there.

Source: Chronopoulou et al., SiATL, arXiv:1902.10547; GPT-1 (Radford et al. 2018), sections 3.2
and 5.
"""

import argparse
import gzip
import json
import os
import re
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow: errors only

import keras
import numpy as np

from keras_plm import data, models, tasks, transfer

# === Settings ===

AUTHORS = {
    "a_christmas_carol": "Dickens",
    "a_study_in_scarlet": "Doyle",
    "alices_adventures_in_wonderland": "Carroll",
    "the_time_machine": "Wells",
    "through_the_looking_glass": "Carroll",
}
TEXTS = Path(__file__).parent / "texts"
SHORTEST = 80  # characters of a paragraph
NAMES = {"lstm": "LSTM, as SiATL", "gpt": "GPT, as GPT-1"}
# The LSTM's; those of the paper are for much more text and for larger models.
DROPOUTS = {name: 0.1 for name in ("input_dropout", "hidden_dropout", "output_dropout")}

parser = argparse.ArgumentParser(description="What an auxiliary language model gains.")
novels = sorted(TEXTS.glob("*.txt"))
parser.add_argument("--general", nargs="+", default=novels, metavar="PATH", help="general text")
parser.add_argument("--data", type=Path, metavar="FILE", help="texts and labels, .jsonl(.gz)")
parser.add_argument("--systems", nargs="+", choices=list(NAMES), default=list(NAMES))
parser.add_argument("--numbers", type=int, nargs="+", default=[100, 400, 1_600], help="of labels")
parser.add_argument("--seeds", type=int, default=2)
parser.add_argument("--size", choices=["tiny", "small", "base"], default="tiny")
parser.add_argument("--vocabulary-size", type=int, default=8_000)
parser.add_argument("--steps", type=int, default=500, help="of general text")
parser.add_argument("--epochs", type=int, default=15, help="of the classifiers")
parser.add_argument("--batch-size", type=int, default=16, help="of the classifiers")
parser.add_argument("--sequence-length", type=int, default=80, help="words of a text at most")
parser.add_argument("--held-out", type=int, default=500, help="evaluate on so many texts")
parser.add_argument("--output", type=Path, default=Path("output/siatl"), metavar="DIR")
arguments = parser.parse_args()
output, length, begin = arguments.output, arguments.sequence_length, time.time()
output.mkdir(parents=True, exist_ok=True)

# === Texts and labels ===


def read_file(path):
    """(text, label) of every line; of a long text the end, where a review says what it thinks."""
    words = 7 * length // 8  # marks are tokens, too
    opened = gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else open(path)
    with opened as lines:
        rows = [json.loads(line) for line in lines]
    texts = [" ".join(row["text"].replace("<br />", " ").split()[-words:]) for row in rows]
    return [(text, str(row["label"])) for text, row in zip(texts, rows)]


def read_novels():
    """(paragraph, author) of the novels, without what would give the edition away."""
    rows = []
    for name, author in AUTHORS.items():
        for line in (TEXTS / f"{name}.txt").read_text(encoding="utf-8").splitlines():
            text = " ".join(re.sub("[\"'“”‘’`—–-]", " ", line).split())
            rows += [(text, author)] if len(text) >= SHORTEST else []
    return rows


rows = read_file(arguments.data) if arguments.data else read_novels()
rows = [rows[index] for index in np.random.default_rng(0).permutation(len(rows))]
held_out, training = rows[: arguments.held_out], rows[arguments.held_out :]
numbers = sorted({min(number, len(training)) for number in arguments.numbers})
names = sorted({label for _, label in rows})
held_out_texts, held_out_labels = map(list, zip(*held_out))
truth = np.array([names.index(label) for label in held_out_labels])
majority = np.bincount(truth).max() / len(truth)
print(f"{len(training):,} texts to learn from, {len(held_out):,} held out, labels {names}.")

# === Language models of general text ===

tokenizer = data.train_tokenizer(
    list(map(str, arguments.general)),
    arguments.vocabulary_size,
    model="word",
    layout="ulmfit",
    min_count=2,
)
corpus = data.Corpus.build(arguments.general, tokenizer, output / "corpus")


def pretrain(system):
    """The directory of a language model."""
    keras.utils.set_random_seed(0)
    make = {"lstm": models.siatl, "gpt": models.gpt1}[system]
    model = make(tokenizer, arguments.size, length, **(DROPOUTS if system == "lstm" else {}))
    schedule = transfer.WarmupPolynomialDecay(5e-3, arguments.steps // 10, arguments.steps)
    optimizer = keras.optimizers.Adam(schedule, global_clipnorm=1.0)
    model.compile(optimizer)
    examples = data.examples(corpus, model.objective, batch_size=32)
    history = model.fit(examples, steps_per_epoch=arguments.steps, verbose=0).history
    print(f"{NAMES[system]}: {history['loss'][-1]:.2f} nats per word in pretraining.", flush=True)
    model.save_to_preset(output / system)
    return output / system


# === Classifiers, with and without the auxiliary loss ===


def lstm_classifier(preset, auxiliary, steps):
    """As SiATL: groups that begin one after the other, and a weight that falls."""
    classifier = tasks.TextClassifier.from_preset(
        preset,
        num_classes=len(names),
        class_names=names,
        sequence_length=length,
        pooling="attention",
        dropout=0.1,
        auxiliary_lm=0.2 if auxiliary else 0.0,
        **DROPOUTS,
    )
    table, *lstms = classifier.backbone.layer_groups()
    groups = transfer.parameter_groups(classifier, [table, sum(lstms, [])])
    optimizer = keras.optimizers.Adam(2e-3, global_clipnorm=1.0)
    optimizer = transfer.GroupedOptimizer(optimizer, groups)
    classifier.compile(optimizer)
    callbacks = [transfer.SequentialUnfreezing([4, 1, 0])]
    return classifier, callbacks + [transfer.AuxiliaryLossDecay()] * auxiliary


def gpt_classifier(preset, auxiliary, steps):
    """As GPT-1: one linear layer, a weight of 0.5, everything trained from the first step."""
    classifier = tasks.TextClassifier.from_preset(
        preset,
        num_classes=len(names),
        class_names=names,
        sequence_length=length,
        summarise=False,
        auxiliary_lm=0.5 if auxiliary else 0.0,
    )
    schedule = transfer.WarmupPolynomialDecay(1e-3, max(steps // 10, 1), steps)
    classifier.compile(transfer.gpt1_optimizer(schedule))
    return classifier, []


def accuracy(system, preset, number, seed, auxiliary):
    """That on the held-out texts, learned from the first labels of a seed's order."""
    keras.utils.set_random_seed(seed)
    chosen = np.random.default_rng(seed).permutation(len(training))[:number]
    texts, labels = map(list, zip(*[training[index] for index in chosen]))
    steps = arguments.epochs * -(-number // arguments.batch_size)
    make = {"lstm": lstm_classifier, "gpt": gpt_classifier}[system]
    classifier, callbacks = make(preset, auxiliary, steps)
    options = dict(batch_size=arguments.batch_size, verbose=0)
    classifier.fit(texts, labels, epochs=arguments.epochs, callbacks=callbacks, **options)
    logits = classifier.predict(held_out_texts, **options)
    if not np.isfinite(logits).all():
        raise SystemExit("Logits are not finite.")
    keras.backend.clear_session()
    return float((logits.argmax(axis=1) == truth).mean())


def compare(system):
    """Accuracies by number of labels and seed, without the loss and with it: (N, S, 2)."""
    preset, found = pretrain(system), []
    for number in numbers:
        found.append([])
        for seed in range(arguments.seeds):
            pair = [accuracy(system, preset, number, seed, one) for one in (False, True)]
            found[-1].append(pair)
        without, with_loss = np.mean(found[-1], axis=0)
        print(
            f"{NAMES[system]}, {number:,} labels: {without:.1%} without the auxiliary loss, "
            f"{with_loss:.1%} with it ({time.time() - begin:.0f} s).",
            flush=True,
        )
    return np.array(found)


def draw(found, path):
    """The gain of each seed a dot, their means a line."""
    try:
        from matplotlib import pyplot
    except ImportError:
        print('Without matplotlib (pip install -e ".[plot]") there is no picture.')
        return
    figure, axes = pyplot.subplots(figsize=(6.5, 4), layout="constrained")
    axes.axhline(0, color="0.7")
    for (system, values), color in zip(found.items(), ("black", "tab:orange")):
        gains = 100 * (values[..., 1] - values[..., 0])  # (N, S)
        axes.plot(numbers, gains.mean(axis=1), color=color, label=NAMES[system])
        axes.plot(numbers, gains, "o", color=color, alpha=0.4, markersize=4)
    axes.set(
        xscale="log",
        xlabel="labels",
        ylabel="held-out texts that are right, points more",
        title=f"What an auxiliary language model gains, seeds: {arguments.seeds}",
    )
    axes.set_xticks(numbers, [f"{number:,}" for number in numbers])
    axes.minorticks_off()
    axes.legend(frameon=False)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


found = {system: compare(system) for system in arguments.systems}
results = {system: values.tolist() for system, values in found.items()}
results = {"numbers": numbers, "majority": majority, "accuracies": results}
(output / "results.json").write_text(json.dumps(results, indent=1), encoding="utf-8")
draw(found, output / "siatl.png")
print(f"Always the commonest label: {majority:.1%}. Done in {time.time() - begin:.0f} s.")
