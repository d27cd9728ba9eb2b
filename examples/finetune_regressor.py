"""
Title: Fine-tuning a pretrained model to say how similar two sentences are
Description: Pairs of raw strings and numbers to a regressor; by default, how many words they share.
Accelerator: none needed

Run it after `pretrain_xlnet.py`, on pairs made from the shipped novels or on files of your own:

    python examples/finetune_regressor.py
    python examples/finetune_regressor.py --data sts-train.csv --held-out sts-dev.csv

A file has a number and two texts on each line, tab-separated: `number<TAB>text<TAB>text`, or as
the STS Benchmark comes, in files `sts-*.csv`. Without `--held-out`, every fifth line is held out.
The default data are sentences of the novels in `examples/texts`, each paired with some of its words
in another order, filled up to its length with words of another sentence; the number is the share of
their words that both have, from 0 to 5. Whole chapters are held out.
"""

import argparse
import os
import re
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow: errors only

import keras
import numpy as np

from keras_plm import data, metrics, models, tasks, transfer

# === Settings ===

TEXTS = Path(__file__).parent / "texts"
WORDS = range(5, 16)  # how many words a sentence of a novel may have
PARTNERS = 2  # pairs made of every sentence
LARGEST = 5.0  # the number for the same words
HELD_OUT = 5  # every fifth chapter, or every fifth line of --data, is held out
PRESET = Path("output/xlnet/preset")  # where pretrain_xlnet.py leaves it

parser = argparse.ArgumentParser(description="Fine-tune a pretrained model on pairs of texts.")
parser.add_argument("--preset", metavar="DIR", help=f"default: {PRESET}; none: random weights")
parser.add_argument("--data", type=Path, metavar="FILE", help="numbers and texts, see above")
parser.add_argument("--held-out", type=Path, metavar="FILE", help="as --data, to evaluate on")
parser.add_argument("--output", default="output/regressor", metavar="DIR")
parser.add_argument("--epochs", type=int, default=4)
parser.add_argument("--batch-size", type=int, default=32)
parser.add_argument("--learning-rate", type=float, default=1e-3, help="for a base model 2e-5")
parser.add_argument("--sequence-length", type=int, default=64)
parser.add_argument("--limit", type=int, help="use so many training pairs only")
parser.add_argument("--held-out-limit", type=int, help="evaluate on so many pairs only")
parser.add_argument("--seed", type=int, default=0)
arguments = parser.parse_args()
keras.utils.set_random_seed(arguments.seed)
random = np.random.default_rng(arguments.seed)

# === Pairs and numbers ===


def read_file(path):
    """(line number, text, text, number) of every line."""
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n")):
        columns = line.split("\t")  # quotation marks in the texts are no more than that
        if path.name.startswith("sts-"):
            columns = columns[4:7]  # genre, file, year and number before, sources after
        if line.strip():
            yield number, columns[1], columns[2], float(columns[0])


def word_overlap(first, second):
    """The share of the different words of two texts that are in both."""
    first, second = (set(re.findall(r"\w+", text.lower())) for text in (first, second))
    return len(first & second) / max(len(first | second), 1)


def pairs_from_novels(directory):
    """(chapter, sentence, partner, number) of sentences of the novels."""
    sentences, chapter = [], 0
    for path in sorted(directory.glob("*.txt")):
        for line in path.read_text(encoding="utf-8").splitlines():
            chapter += not line  # an empty line ends a chapter
            for sentence in re.split(r"(?<=[.!?])\W+", line):
                if len(sentence.split()) in WORDS:
                    sentences.append((chapter, sentence))
        chapter += 1
    for chapter, sentence in sentences:
        words = sentence.split()
        for _ in range(PARTNERS):
            others = sentences[random.integers(len(sentences))][1].split()
            kept = random.integers(len(words) + 1)
            partner = [*random.permutation(words)[:kept], *others[: len(words) - kept]]
            partner = " ".join(random.permutation(partner))
            yield chapter, sentence, partner, LARGEST * word_overlap(sentence, partner)


rows = list(read_file(arguments.data) if arguments.data else pairs_from_novels(TEXTS))
if arguments.held_out:
    training, held_out = rows, list(read_file(arguments.held_out))
else:  # a group is a chapter or a line
    training = [row for row in rows if row[0] % HELD_OUT]
    held_out = [row for row in rows if not row[0] % HELD_OUT]
held_out = held_out[: arguments.held_out_limit]
if arguments.limit:
    training = [training[index] for index in random.permutation(len(training))[: arguments.limit]]
_, first, second, numbers = map(list, zip(*training))
_, held_out_first, held_out_second, held_out_numbers = map(list, zip(*held_out))
print(f"{len(numbers):,} pairs to learn from, {len(held_out_numbers):,} held out.")

# === Model ===

length = arguments.sequence_length
preset = arguments.preset or (PRESET if PRESET.exists() else "none")
if preset == "none":
    tokenizer = data.train_tokenizer(sorted(TEXTS.glob("*.txt")), vocabulary_size=4_000)
    backbone = models.xlnet(tokenizer, "tiny").backbone
    regressor = tasks.TextRegressor(backbone, tasks.TextPreprocessor(tokenizer, length))
    print("Not pretrained: a tiny XLNet from random weights.")
else:
    regressor = tasks.TextRegressor.from_preset(str(preset), sequence_length=length)
    print(f"Pretrained: {preset}, {regressor.count_params():,} parameters.")

# === Fine-tuning ===

steps = arguments.epochs * -(-len(numbers) // arguments.batch_size)
schedule = transfer.WarmupPolynomialDecay(arguments.learning_rate, steps // 10, steps)
optimizer = transfer.xlnet_optimizer(schedule, bias_correction=True)
regressor.compile(optimizer, metrics=["mse"])  # ranks once per epoch, not in every step


def spearman(predicted):
    metric = metrics.SpearmanCorrelation(capacity=len(held_out_numbers))
    metric.update_state(held_out_numbers, predicted)
    return float(metric.result())


def report(epoch, logs):
    predicted = regressor.predict((held_out_first, held_out_second), verbose=0)[:, 0]
    print(f"  held-out Spearman correlation {spearman(predicted):.3f}", flush=True)


regressor.fit(
    (first, second),
    numbers,
    batch_size=arguments.batch_size,
    epochs=arguments.epochs,
    callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=report)],
    verbose=2,
)
pairs = list(zip(held_out_first, held_out_second))
predicted = regressor.predict((held_out_first, held_out_second), verbose=0)[:, 0]
error = np.mean((predicted - held_out_numbers) ** 2)
constant = np.mean((np.mean(numbers) - held_out_numbers) ** 2)
print(f"Held-out Spearman correlation {spearman(predicted):.3f}, mean squared error {error:.3f};")
print(f"always the mean number: 0.000, {constant:.3f};")
print(f"word overlap, a rule without a model: {spearman([word_overlap(*p) for p in pairs]):.3f}.")
for row in range(0, len(pairs), max(len(pairs) // 3, 1))[:3]:
    print(f"  {predicted[row]:.1f} for {held_out_numbers[row]:.1f}: {' | '.join(pairs[row])}")

regressor.save_to_preset(arguments.output)
print(f"Wrote {arguments.output}.")
