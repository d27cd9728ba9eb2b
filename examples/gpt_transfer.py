"""
Title: Fine-tuning a GPT as GPT-1 was, with and without the auxiliary loss
Description: Does it help a classifier to stay a language model? Several seeds, with intervals.
Accelerator: none needed

Run it after `pretrain_gpt.py`, on the shipped novels (who wrote this paragraph?) or on files of
your own:

    python examples/gpt_transfer.py
    python examples/gpt_transfer.py --preset none --seeds 3
    python examples/gpt_transfer.py --data stsa.binary.train --held-out stsa.binary.test

A text is read as `<s> text <e>`; these are new tokens, and the row of `<e>`, which has seen all,
goes through one linear layer. With the auxiliary loss the classifier also predicts every token of
its texts, with half the weight (GPT-1, sections 3.2 and 3.3, which found that it helps on large
sets and not on small ones). Both are trained from the same seeds.

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

from keras_plm import data, models, presets, tasks, transfer

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
PRESET = Path("output/gpt2/preset")  # where pretrain_gpt.py leaves it
WEIGHT = 0.5  # of the auxiliary loss; section 4.1
STUDENT = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57, 7: 2.45, 8: 2.36, 9: 2.31, 10: 2.26}

parser = argparse.ArgumentParser(description="Fine-tune a GPT with and without auxiliary loss.")
parser.add_argument("--preset", metavar="DIR", help=f"default: {PRESET}; none: random weights")
parser.add_argument("--data", type=Path, metavar="FILE", help="texts and labels, see above")
parser.add_argument("--held-out", type=Path, metavar="FILE", help="as --data, to evaluate on")
parser.add_argument("--output", type=Path, default=Path("output/gpt_transfer"), metavar="DIR")
parser.add_argument("--seeds", type=int, default=5, choices=list(STUDENT))
parser.add_argument("--epochs", type=int, default=4)
parser.add_argument("--batch-size", type=int, default=32)
parser.add_argument("--learning-rate", type=float, default=1e-3, help="GPT-1 takes 6.25e-5")
parser.add_argument("--sequence-length", type=int, default=64)
parser.add_argument("--limit", type=int, help="use so many training texts only")
parser.add_argument("--held-out-limit", type=int, help="evaluate on so many texts only")
arguments = parser.parse_args()
arguments.output.mkdir(parents=True, exist_ok=True)

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
    chosen = np.random.default_rng(0).permutation(len(training))[: arguments.limit]
    training = [training[index] for index in chosen]
names = sorted({label for _, _, label in rows})
texts, labels = zip(*[(text, names.index(label)) for _, text, label in training])
held_out_texts, held_out_labels = zip(*[(text, names.index(label)) for _, text, label in held_out])
majority = np.bincount(held_out_labels).max() / len(held_out_labels)
print(f"{len(texts):,} texts to learn from, {len(held_out_texts):,} held out, labels {names}.")

# === Model: a GPT whose tokenizer knows <s>, $ and <e> ===

length = arguments.sequence_length
preset = arguments.preset or (PRESET if PRESET.exists() else "none")
if preset == "none":
    path = arguments.output / "texts.txt"
    path.write_text("\n\n".join(texts), encoding="utf-8")
    tokenizer = data.train_tokenizer([path], 4_000, model="bpe", layout="gpt")
    tokenizer = data.add_special_tokens(tokenizer, data.TRANSFER_TOKENS, "gpt1_transfer")
    preprocessor = tasks.TextPreprocessor(tokenizer, length)
    print("Not pretrained: a tiny GPT from random weights.")
else:
    extended = arguments.output / "preset"
    special = (data.TRANSFER_TOKENS, "gpt1_transfer")
    presets.extend_vocabulary(str(preset), [], str(extended), *special)
    print(f"Pretrained: {preset}.")


def make_classifier(weight):
    """A classifier with a new linear layer."""
    settings = {"num_classes": len(names), "auxiliary_lm": weight, "summarise": False}
    if preset == "none":
        backbone = models.gpt1(tokenizer, "tiny", sequence_length=length).backbone
        return tasks.TextClassifier(backbone, preprocessor=preprocessor, **settings)
    return tasks.TextClassifier.from_preset(str(extended), sequence_length=length, **settings)


# === Fine-tuning, with and without the auxiliary loss, from the same seeds ===

steps = arguments.epochs * -(-len(texts) // arguments.batch_size)
accuracies = {0.0: [], WEIGHT: []}
for seed in range(arguments.seeds):
    for weight, measured in accuracies.items():
        keras.utils.set_random_seed(seed)
        classifier = make_classifier(weight)
        schedule = transfer.WarmupPolynomialDecay(arguments.learning_rate, steps // 10, steps)
        classifier.compile(transfer.gpt1_optimizer(schedule))
        classifier.fit(
            list(texts),
            list(labels),
            batch_size=arguments.batch_size,
            epochs=arguments.epochs,
            verbose=0,
        )
        logits = classifier.predict(
            list(held_out_texts), batch_size=arguments.batch_size, verbose=0
        )
        measured.append(np.mean(logits.argmax(axis=1) == held_out_labels))
        print(f"Seed {seed}, auxiliary loss x {weight}: held-out accuracy {measured[-1]:.3f}.")
        keras.backend.clear_session()


def interval(values):
    """Mean, and half of its 95 % interval over the seeds (Student's t)."""
    spread = np.std(values, ddof=1) / np.sqrt(len(values))
    return f"{np.mean(values):.3f} ± {STUDENT[len(values)] * spread:.3f}"


without, with_loss = map(np.array, accuracies.values())
print(f"Held-out accuracy, mean and 95 % interval over {arguments.seeds} seeds:")
print(f"  without auxiliary loss        {interval(without)}")
print(f"  with auxiliary loss x {WEIGHT}     {interval(with_loss)}")
print(f"  difference, seed by seed      {interval(with_loss - without)}")
print(f"  always the commonest label    {majority:.3f}")
