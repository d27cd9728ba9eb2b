"""
Title: Fine-tuning a pretrained model to classify texts
Description: Raw strings and labels to a classifier; by default, who wrote this paragraph?
Accelerator: none needed

Run it after `pretrain_xlnet.py`, on the shipped novels or on a file of your own:

    python examples/finetune_classifier.py
    python examples/finetune_classifier.py --data reviews.tsv

A file has a text and a label on each line: tab-separated (`text<TAB>label`) or json lines
(`{"text": ..., "label": ...}`). The default data are the paragraphs of the novels in
`examples/texts`, without quotation marks and dashes, which would give the edition away; whole
chapters are held out.
"""

import argparse
import json
import re
from pathlib import Path

import keras
import numpy as np

from keras_plm import tasks, transfer

# === Settings ===

AUTHORS = {
    "a_christmas_carol": "Dickens",
    "a_study_in_scarlet": "Doyle",
    "alices_adventures_in_wonderland": "Carroll",
    "the_time_machine": "Wells",
    "through_the_looking_glass": "Carroll",
}
SHORTEST = 80  # characters of a paragraph
HELD_OUT = 5  # every fifth chapter, or every fifth line of a file, is held out

parser = argparse.ArgumentParser(description="Fine-tune a pretrained model to classify texts.")
parser.add_argument("--preset", default="output/xlnet/preset", metavar="DIR")
parser.add_argument("--data", type=Path, metavar="FILE", help="tab-separated or json lines")
parser.add_argument("--output", default="output/classifier", metavar="DIR")
parser.add_argument("--epochs", type=int, default=4)
parser.add_argument("--batch-size", type=int, default=32)
parser.add_argument("--learning-rate", type=float, default=1e-3, help="for a base model 2e-5")
parser.add_argument("--sequence-length", type=int, default=64)
parser.add_argument("--limit", type=int, help="use so many training texts only")
parser.add_argument("--seed", type=int, default=0)
arguments = parser.parse_args()
keras.utils.set_random_seed(arguments.seed)

# === Texts and labels ===


def read_file(path):
    """(group, text, label) of every line; the group decides what is held out."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines()):
        if path.suffix == ".jsonl":
            row = json.loads(line)
            yield number, row["text"], str(row["label"])
        elif line.strip():
            text, label = line.rsplit("\t", 1)
            yield number, text, label


def read_novels(directory):
    """(chapter, paragraph, author) of every paragraph that is long enough."""
    chapter = 0
    for name, author in AUTHORS.items():
        for line in (directory / f"{name}.txt").read_text(encoding="utf-8").splitlines():
            chapter += not line  # an empty line ends a chapter
            text = " ".join(re.sub("[\"'“”‘’`—–-]", " ", line).split())
            if len(text) >= SHORTEST:
                yield chapter, text, author
        chapter += 1


rows = list(
    read_file(arguments.data) if arguments.data else read_novels(Path(__file__).parent / "texts")
)
names = sorted({label for _, _, label in rows})
training = [(text, names.index(label)) for group, text, label in rows if group % HELD_OUT]
held_out = [(text, names.index(label)) for group, text, label in rows if not group % HELD_OUT]
if arguments.limit:
    chosen = np.random.default_rng(arguments.seed).permutation(len(training))[: arguments.limit]
    training = [training[index] for index in chosen]
texts, labels = zip(*training)
held_out_texts, held_out_labels = zip(*held_out)
majority = np.bincount(held_out_labels).max() / len(held_out_labels)
print(f"{len(texts):,} texts to learn from, {len(held_out_texts):,} held out, labels {names}.")

# === Fine-tuning ===

classifier = tasks.TextClassifier.from_preset(
    arguments.preset,
    num_classes=len(names),
    sequence_length=arguments.sequence_length,
)
steps = arguments.epochs * -(-len(texts) // arguments.batch_size)
schedule = transfer.WarmupPolynomialDecay(arguments.learning_rate, steps // 10, steps)
classifier.compile(keras.optimizers.AdamW(schedule, weight_decay=0.01, global_clipnorm=1.0))
classifier.fit(
    list(texts),
    list(labels),
    batch_size=arguments.batch_size,
    epochs=arguments.epochs,
    validation_data=(list(held_out_texts), list(held_out_labels)),
)
logits = classifier.predict(list(held_out_texts), batch_size=arguments.batch_size, verbose=0)
accuracy = np.mean(logits.argmax(axis=1) == held_out_labels)
print(f"Held-out accuracy {accuracy:.3f}; always the commonest label: {majority:.3f}.")
for text, row in list(zip(held_out_texts, logits))[:: max(len(logits) // 3, 1)][:3]:
    print(f"  {names[row.argmax()]:10s} {text[:70]}...")

classifier.save_to_preset(arguments.output)
print(f"Wrote {arguments.output}.")
