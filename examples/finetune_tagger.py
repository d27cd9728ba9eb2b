"""
Title: Fine-tuning a pretrained model to find names
Description: Lists of words and their tags to a tagger; by default, where have the capitals gone?
Accelerator: none needed

Run it after `pretrain_xlnet.py`, on the shipped novels or on files of your own:

    python examples/finetune_tagger.py
    python examples/finetune_tagger.py --data wnut17train.conll --held-out emerging.dev.conll

A file has a word and its tag on each line, separated by a tab, and an empty line after each text;
tags are `O`, `B-type` and `I-type`. Without `--held-out`, every fifth text is held out. The default
data are sentences of the novels in `examples/texts` in lower case; a name is what began with a
capital letter inside a sentence. Whole chapters are held out.
"""

import argparse
import collections
import os
import re
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow: errors only

import keras
import numpy as np

from keras_plm import data, metrics, models, tasks, transfer

# === Settings ===

TEXTS = Path(__file__).parent / "texts"
HELD_OUT = 5  # every fifth chapter, or every fifth text of --data, is held out
PRESET = Path("output/xlnet/preset")  # where pretrain_xlnet.py leaves it

parser = argparse.ArgumentParser(description="Fine-tune a pretrained model to tag words.")
parser.add_argument("--preset", metavar="DIR", help=f"default: {PRESET}; none: random weights")
parser.add_argument("--data", type=Path, metavar="FILE", help="words and tags, see above")
parser.add_argument("--held-out", type=Path, metavar="FILE", help="as --data, to evaluate on")
parser.add_argument("--output", default="output/tagger", metavar="DIR")
parser.add_argument("--epochs", type=int, default=4)
parser.add_argument("--batch-size", type=int, default=32)
parser.add_argument("--learning-rate", type=float, default=1e-3, help="for a base model 2e-5")
parser.add_argument("--sequence-length", type=int, default=64)
parser.add_argument("--limit", type=int, help="use so many training texts only")
parser.add_argument("--held-out-limit", type=int, help="evaluate on so many texts only")
parser.add_argument("--seed", type=int, default=0)
arguments = parser.parse_args()
keras.utils.set_random_seed(arguments.seed)

# === Words and tags ===


def read_file(path):
    """(number, words, tags) of every text."""
    texts = re.split(r"\n\s*\n", path.read_text(encoding="utf-8").strip())
    for number, text in enumerate(texts):
        words, tags = zip(*[line.split("\t") for line in text.split("\n")])
        yield number, list(words), [tag.strip() for tag in tags]


def read_novels(directory):
    """(chapter, words in lower case, tags) of every sentence."""
    sentences, chapter = [], 0
    for path in sorted(directory.glob("*.txt")):
        for line in path.read_text(encoding="utf-8").splitlines():
            chapter += not line  # an empty line ends a chapter
            for sentence in re.split(r"(?<=[.!?])\s+", line):
                sentences.append((chapter, re.findall(r"\w+(?:['’]\w+)*|[^\w\s]", sentence)))
        chapter += 1
    common = {word for _, words in sentences for word in words if not word[0].isupper()}
    inside = [[False, *(word[0].isalnum() or word == "," for word in w[:-1])] for _, w in sentences]
    names = {
        word
        for (_, words), places in zip(sentences, inside)
        for word, is_inside in zip(words, places)
        if is_inside and word[0].isupper() and not re.match(r"I\b", word)
    }
    names -= {word for word in names if word.isupper() and word.lower() in common}  # emphasis
    for (chapter, words), places in zip(sentences, inside):
        tags = []
        for word, is_inside in zip(words, places):
            # What begins a sentence is a name only if it is never written small.
            is_name = word in names and (is_inside or word.lower() not in common)
            tags.append("O" if not is_name else "B-name" if tags[-1:] in ([], ["O"]) else "I-name")
        if words:
            yield chapter, [word.lower() for word in words], tags


rows = list(read_file(arguments.data) if arguments.data else read_novels(TEXTS))
if arguments.held_out:
    training, held_out = rows, list(read_file(arguments.held_out))
else:  # a group is a chapter or a text
    training = [row for row in rows if row[0] % HELD_OUT]
    held_out = [row for row in rows if not row[0] % HELD_OUT]
held_out = held_out[: arguments.held_out_limit]
if arguments.limit:
    chosen = np.random.default_rng(arguments.seed).permutation(len(training))[: arguments.limit]
    training = [training[index] for index in chosen]
names = sorted({tag for _, _, tags in rows for tag in tags})
_, texts, tags = map(list, zip(*training))
_, held_out_texts, held_out_tags = map(list, zip(*held_out))
print(f"{len(texts):,} texts to learn from, {len(held_out_texts):,} held out, tags {names}.")

# === Model ===

length = arguments.sequence_length
preset = arguments.preset or (PRESET if PRESET.exists() else "none")
if preset == "none":
    tokenizer = data.train_tokenizer(sorted(TEXTS.glob("*.txt")), vocabulary_size=4_000)
    backbone = models.xlnet(tokenizer, "tiny").backbone
    preprocessor = tasks.WordPreprocessor(tokenizer, length)
    tagger = tasks.TokenClassifier(backbone, len(names), preprocessor, class_names=names)
    print("Not pretrained: a tiny XLNet from random weights.")
else:
    tagger = tasks.TokenClassifier.from_preset(
        str(preset), num_classes=len(names), class_names=names, sequence_length=length
    )
    print(f"Pretrained: {preset}, {tagger.count_params():,} parameters.")

# === Fine-tuning ===

steps = arguments.epochs * -(-len(texts) // arguments.batch_size)
schedule = transfer.WarmupPolynomialDecay(arguments.learning_rate, steps // 10, steps)
optimizer = transfer.xlnet_optimizer(schedule, bias_correction=True)
tagger.compile(optimizer, weighted_metrics=["sparse_categorical_accuracy"])  # F1: see `report`


def entity_f1(predicted):
    """The F1 of all entities that are held out; a word beyond the length counts as O."""
    longest = max(map(len, held_out_tags))
    true, found = np.full((2, len(held_out_tags), longest), names.index("O"))
    for row, (own_true, own_found) in enumerate(zip(held_out_tags, predicted)):
        true[row, : len(own_true)] = [names.index(tag) for tag in own_true]
        found[row, : len(own_found)] = [names.index(tag or "O") for tag in own_found]
    metric = metrics.EntityF1(names, from_logits=False)
    metric.update_state(true, found)
    return float(metric.result())


def report(epoch, logs):
    found = tagger.tag(held_out_texts, verbose=0)
    print(f"  held-out entity F1 {entity_f1(found):.3f}", flush=True)


tagger.fit(
    texts,
    tags,
    batch_size=arguments.batch_size,
    epochs=arguments.epochs,
    callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=report)],
    verbose=2,
)
counts = collections.defaultdict(collections.Counter)
for word, tag in ((word, tag) for row in zip(texts, tags) for word, tag in zip(*row)):
    counts[word][tag] += 1
commonest = {word: own.most_common(1)[0][0] for word, own in counts.items()}
dictionary = [[commonest.get(word, "O") for word in words] for words in held_out_texts]

predicted = tagger.tag(held_out_texts, verbose=0)
print(f"Held-out entity F1 {entity_f1(predicted):.3f}; always O: 0.000;")
print(f"every word's commonest tag, a dictionary without a model: {entity_f1(dictionary):.3f}.")
for words, found in list(zip(held_out_texts, predicted))[:: max(len(predicted) // 3, 1)][:3]:
    shown = (word if tag in ("O", None) else f"{word}/{tag}" for word, tag in zip(words, found))
    print(f"  {' '.join(shown)}"[:98])

tagger.save_to_preset(arguments.output)
print(f"Wrote {arguments.output}.")
