"""
Title: ULMFiT, in its three stages
Description: A language model of general text, tuned to the texts of a task, then unfrozen layer by
    layer as their classifier; forward, backward, and both together.
Accelerator: none needed

Run it as it is to learn who wrote a paragraph of the shipped novels, in some minutes on two cores,
or on text and labels of your own; a file has a text and a label in each line, as json:

    python examples/ulmfit.py
    python examples/ulmfit.py --general books/ wikitext2/ --data imdb.jsonl.gz --size small

The novels are the general text as well: the language model has read the held-out paragraphs, but
not who wrote them.

What it leaves in `--output`: for each direction the language model of both kinds of text and the
classifier, as presets.

Source: Howard and Ruder, ULMFiT, arXiv:1801.06146, section 3.
"""

import argparse
import gzip
import json
import os
import re
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow: errors only

import keras
import numpy as np

from keras_plm import data, families, models, tasks, transfer

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

parser = argparse.ArgumentParser(description="ULMFiT in three stages.")
novels = sorted(TEXTS.glob("*.txt"))
parser.add_argument("--general", nargs="+", default=novels, metavar="PATH", help="general text")
parser.add_argument("--data", type=Path, metavar="FILE", help="texts and labels, .jsonl(.gz)")
parser.add_argument("--held-out", type=float, default=0.2, help="the share of texts to evaluate on")
parser.add_argument("--directions", nargs="+", choices=["forward", "backward"])
parser.add_argument("--size", choices=["tiny", "small", "base"], default="tiny")
parser.add_argument("--vocabulary-size", type=int, default=8_000)
parser.add_argument("--steps", type=int, default=600, help="of general text")
parser.add_argument("--task-steps", type=int, default=150, help="of the texts of the task")
parser.add_argument("--epochs", type=int, default=6, help="of the classifier")
parser.add_argument("--batch-size", type=int, default=32)
parser.add_argument("--sequence-length", type=int, default=400, help="words of a text at most")
parser.add_argument("--gradient-length", type=int, default=1_400, help="words with a gradient")
parser.add_argument("--limit", type=int, help="use so many training texts only")
parser.add_argument("--output", type=Path, default=Path("output/ulmfit"), metavar="DIR")
parser.add_argument("--seed", type=int, default=0)
arguments = parser.parse_args()
output, seed = arguments.output, arguments.seed
keras.utils.set_random_seed(seed)

# === Texts and labels ===


def read_file(path):
    """(text, label) of every line."""
    opened = gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else open(path)
    with opened as lines:
        rows = [json.loads(line) for line in lines]
    return [(row["text"].replace("<br />", "\n"), str(row["label"])) for row in rows]


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
number = int(arguments.held_out * len(rows))
held_out, training = rows[:number], rows[number:][: arguments.limit]
held_out = held_out[: arguments.limit]
names = sorted({label for _, label in rows})
texts, labels = map(list, zip(*training))
held_out_texts, held_out_labels = map(list, zip(*held_out))
print(f"{len(texts):,} texts to learn from, {len(held_out_texts):,} held out, labels {names}.")

# === One vocabulary, two corpora ===

output.mkdir(parents=True, exist_ok=True)
task_file = output / "task.jsonl"
task_file.write_text("\n".join(json.dumps({"text": text}) for text in texts), encoding="utf-8")
tokenizer = data.train_tokenizer(
    [*map(str, arguments.general), str(task_file)],
    arguments.vocabulary_size,
    model="word",
    layout="ulmfit",
    min_count=2,
)
general = data.Corpus.build(arguments.general, tokenizer, output / "general_corpus")
task = data.Corpus.build(task_file, tokenizer, output / "task_corpus")
unseen = data.Corpus.build(data.Texts(held_out_texts), tokenizer, output / "held_out_corpus")
print(f"{general.num_tokens:,} words of general text, {task.num_tokens:,} of the task's texts.")


def adam(peak, steps):
    """The paper's optimizer, at slanted triangular rates."""
    schedule = transfer.SlantedTriangular(peak, steps)
    return keras.optimizers.Adam(schedule, beta_1=0.7, beta_2=0.99, global_clipnorm=1.0)


def perplexity(model):
    """That of held-out texts of the task."""
    examples = data.examples(unseen, model.objective, batch_size=4, training=False)
    return model.evaluate(examples, verbose=0, return_dict=True)["perplexity"]


def classifier_of(direction):
    """The three stages; the probabilities (N, C) of the held-out texts."""
    folder = output / direction

    # 1. A language model of general text.
    model = models.ulmfit(tokenizer, arguments.size, backward=direction == "backward")
    model.compile(adam(4e-3, arguments.steps))
    examples = data.examples(general, model.objective, arguments.batch_size, seed)
    model.fit(examples, steps_per_epoch=arguments.steps, verbose=2)
    before = perplexity(model)

    # 2. Tuned to the texts of the task: the lower a layer, the lower its rate. The embeddings are
    # in the last group, with the softmax that shares them.
    groups = transfer.parameter_groups(model, model.backbone.blocks)
    optimizer = transfer.discriminative_rates(adam(4e-3, arguments.task_steps), groups)
    model.compile(optimizer)
    model.state.forget()  # what was read last is of other text
    batch_size = max(min(arguments.batch_size, task.num_tokens // 200), 1)
    examples = data.examples(task, model.objective, batch_size, seed)
    model.fit(examples, steps_per_epoch=arguments.task_steps, verbose=2)
    print(f"{direction}: perplexity of held-out texts {before:.1f}, tuned {perplexity(model):.1f}")
    model.save_to_preset(folder / "language_model")

    # 3. A classifier: its head first, then with every epoch one more layer below.
    classifier = tasks.TextClassifier.from_preset(
        folder / "language_model",
        num_classes=len(names),
        class_names=names,
        sequence_length=arguments.sequence_length,
        pooling="concat",
        gradient_length=arguments.gradient_length,
        dropout=0.4,
        **families.AWD_LSTM["classifier"],
    )
    steps = arguments.epochs * -(-len(texts) // arguments.batch_size)
    groups = transfer.parameter_groups(classifier)
    optimizer = transfer.discriminative_rates(adam(1e-2, steps), groups, decay=2.6)
    classifier.compile(optimizer)
    classifier.fit(
        texts,
        labels,
        batch_size=arguments.batch_size,
        epochs=arguments.epochs,
        validation_data=(held_out_texts, held_out_labels),
        callbacks=[transfer.GradualUnfreezing()],
        verbose=2,
    )
    classifier.save_to_preset(folder / "classifier")
    found = classifier.classify(held_out_texts, batch_size=arguments.batch_size, verbose=0)
    return np.array([list(one.probabilities.values()) for one in found])


# === Each direction, and both ===

truth = np.array([names.index(label) for label in held_out_labels])
directions = arguments.directions or ["forward", "backward"]
probabilities = {direction: classifier_of(direction) for direction in directions}
probabilities["all directions"] = np.mean(list(probabilities.values()), axis=0)
for name, found in probabilities.items():
    print(f"{name}: {(found.argmax(axis=1) == truth).mean():.3f} of held-out texts are right.")
print(f"Always the commonest label: {np.bincount(truth).max() / len(truth):.3f}.")
