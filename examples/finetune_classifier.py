"""
Title: Fine-tuning a pretrained model to classify texts
Description: Raw strings and labels to a classifier; by default, who wrote this paragraph?
Accelerator: none needed

Run it after `pretrain_xlnet.py`, on the shipped novels or on files of your own:

    python examples/finetune_classifier.py
    python examples/finetune_classifier.py --data reviews.tsv
    python examples/finetune_classifier.py --data stsa.binary.train --held-out stsa.binary.test

A file has a text and a label on each line: tab-separated (`text<TAB>label`), json lines
(`{"text": ..., "label": ...}`), or as SST-2 comes, in files `stsa.*` (`label text`). Without
`--held-out`, every fifth line is held out. The default data are the paragraphs of the novels in
`examples/texts`, without quotation marks and dashes, which would give the edition away; whole
chapters are held out.
"""

import argparse
import json
import os
import re
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
HELD_OUT = 5  # every fifth chapter, or every fifth line of --data, is held out
PRESET = Path("output/xlnet/preset")  # where pretrain_xlnet.py leaves it

parser = argparse.ArgumentParser(description="Fine-tune a pretrained model to classify texts.")
parser.add_argument("--preset", metavar="DIR", help=f"default: {PRESET}; none: random weights")
parser.add_argument("--data", type=Path, metavar="FILE", help="texts and labels, see above")
parser.add_argument("--held-out", type=Path, metavar="FILE", help="as --data, to evaluate on")
parser.add_argument("--output", default="output/classifier", metavar="DIR")
parser.add_argument("--epochs", type=int, default=4)
parser.add_argument("--batch-size", type=int, default=32)
parser.add_argument("--learning-rate", type=float, default=1e-3, help="for a base model 2e-5")
parser.add_argument("--sequence-length", type=int, default=64)
parser.add_argument(
    "--length-buckets", type=int, nargs="+", metavar="T", help="lengths of batches, not chosen ones"
)
parser.add_argument("--limit", type=int, help="use so many training texts only")
parser.add_argument("--held-out-limit", type=int, help="evaluate on so many texts only")
parser.add_argument("--seed", type=int, default=0)
arguments = parser.parse_args()
keras.utils.set_random_seed(arguments.seed)

# === Texts and labels ===


def read_file(path):
    """(line number, text, label) of every line."""
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n")):
        if not line.strip():
            continue
        if path.suffix == ".jsonl":
            row = json.loads(line)
            text, label = row["text"], str(row["label"])
        elif path.name.startswith("stsa."):
            label, text = line.split(" ", 1)
        else:
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


rows = list(read_file(arguments.data) if arguments.data else read_novels(TEXTS))
if arguments.held_out:
    training, held_out = rows, list(read_file(arguments.held_out))
else:  # a group is a chapter or a line
    training = [row for row in rows if row[0] % HELD_OUT]
    held_out = [row for row in rows if not row[0] % HELD_OUT]
held_out = held_out[: arguments.held_out_limit]
if arguments.limit:
    chosen = np.random.default_rng(arguments.seed).permutation(len(training))[: arguments.limit]
    training = [training[index] for index in chosen]
names = sorted({label for _, _, label in rows})
texts, labels = zip(*[(text, names.index(label)) for _, text, label in training])
held_out_texts, held_out_labels = zip(*[(text, names.index(label)) for _, text, label in held_out])
majority = np.bincount(held_out_labels).max() / len(held_out_labels)
print(f"{len(texts):,} texts to learn from, {len(held_out_texts):,} held out, labels {names}.")

# === Model ===

length = arguments.sequence_length
preset = arguments.preset or (PRESET if PRESET.exists() else "none")
if preset == "none":
    tokenizer = data.train_tokenizer(sorted(TEXTS.glob("*.txt")), vocabulary_size=4_000)
    backbone = models.xlnet(tokenizer, "tiny").backbone
    preprocessor = tasks.TextPreprocessor(tokenizer, length)
    classifier = tasks.TextClassifier(backbone, len(names), preprocessor)
    print("Not pretrained: a tiny XLNet from random weights.")
else:
    classifier = tasks.TextClassifier.from_preset(
        str(preset), num_classes=len(names), sequence_length=length
    )
    print(f"Pretrained: {preset}, {classifier.count_params():,} parameters.")

# === Fine-tuning ===

steps = arguments.epochs * -(-len(texts) // arguments.batch_size)
schedule = transfer.WarmupPolynomialDecay(arguments.learning_rate, steps // 10, steps)
classifier.compile(transfer.xlnet_optimizer(schedule, bias_correction=True))
classifier.fit(
    list(texts),
    list(labels),
    batch_size=arguments.batch_size,
    epochs=arguments.epochs,
    validation_data=(list(held_out_texts), list(held_out_labels)),
    length_buckets=arguments.length_buckets or "auto",
    verbose=2,
)
logits = classifier.predict(list(held_out_texts), batch_size=arguments.batch_size, verbose=0)
accuracy = np.mean(logits.argmax(axis=1) == held_out_labels)
print(f"Held-out accuracy {accuracy:.3f}; always the commonest label: {majority:.3f}.")
for text, row in list(zip(held_out_texts, logits))[:: max(len(logits) // 3, 1)][:3]:
    print(f"  {names[row.argmax()]:10s} {text[:70]}...")

classifier.save_to_preset(arguments.output)
print(f"Wrote {arguments.output}.")
