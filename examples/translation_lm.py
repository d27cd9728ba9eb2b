"""
Title: Pretraining XLM on text and on translations
Description: Masked tokens of two languages at once, and what the translation is worth.
Accelerator: none needed

Run it as it is for a tiny XLM in a few minutes on two cores, on the sentence pairs in `pairs/`, or
on your own: two text files, line n of one the translation of line n of the other.

    python examples/translation_lm.py
    python examples/translation_lm.py --sources train.en --targets train.de --steps 6000

Half of the batches are rows of one language (masked language modelling), half are a sentence
beside its translation, both with masks (translation language modelling). At the end: how well are
masked tokens of held-out sentences predicted with the translation in sight, and without it? And
is the translation of a sentence, of all held-out ones, the one with the most similar vector?

What it leaves in `--output`: the tokenizer, the files that were learnt from and held out, the
corpora, `preset/` for `from_preset`, and `history.csv`.
"""

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow: errors only

import keras
import numpy as np

from keras_plm import data, models, tasks, transfer

# === Settings ===

VOCABULARY = {"tiny": 1_000, "small": 8_000, "base": 60_000}  # lowered to what the text carries
LENGTH = {"tiny": 48, "small": 128, "base": 256}  # tokens of a row
STEPS = {"tiny": 1_200, "small": 20_000, "base": 500_000}
BATCH_SIZE = {"tiny": 32, "small": 32, "base": 64}
LEARNING_RATE = {"tiny": 1e-3, "small": 5e-4, "base": 1e-4}
DROPOUT = {"tiny": 0.0, "small": 0.1, "base": 0.1}
HELD_OUT = 0.1  # of the pairs, but not more than
MOST_HELD_OUT = 500
HELD_OUT_ROWS = 16  # in a batch
REPORTS = 10  # lines in the course of training

parser = argparse.ArgumentParser(description="Pretrain XLM on text and translations.")
pairs = Path(__file__).parent / "pairs"
parser.add_argument("--sources", type=Path, default=pairs / "sentences.en", metavar="PATH")
parser.add_argument("--targets", type=Path, default=pairs / "sentences.de", metavar="PATH")
parser.add_argument("--languages", nargs=2, default=["en", "de"], metavar="NAME")
parser.add_argument("--size", choices=list(VOCABULARY), default="tiny")
parser.add_argument("--vocabulary-size", type=int, help="default: by size, as the next four")
parser.add_argument("--sequence-length", type=int)
parser.add_argument("--steps", type=int)
parser.add_argument("--batch-size", type=int)
parser.add_argument("--learning-rate", type=float)
parser.add_argument("--output", type=Path, default=Path("output/translation_lm"), metavar="DIR")
parser.add_argument("--held-out-limit", type=int, default=MOST_HELD_OUT, help="of pairs")
parser.add_argument("--seed", type=int, default=0)
arguments = parser.parse_args()
size, output, languages = arguments.size, arguments.output, arguments.languages
length = arguments.sequence_length or LENGTH[size]
steps = arguments.steps or STEPS[size]
batch_size = arguments.batch_size or BATCH_SIZE[size]
peak = arguments.learning_rate or LEARNING_RATE[size]
keras.utils.set_random_seed(arguments.seed)
begin = time.time()

# === Pairs to learn from, and pairs held out ===

output.mkdir(parents=True, exist_ok=True)
lines = [
    path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    for path in (arguments.sources, arguments.targets)
]
order = np.random.default_rng(arguments.seed).permutation(len(lines[0]))
number = min(arguments.held_out_limit, max(HELD_OUT_ROWS, round(HELD_OUT * len(order))))
texts, learned, held_out = [], [], []  # files: of one language, of pairs
for language, own in zip(languages, lines):
    if len(own) != len(order):
        raise SystemExit(
            f"{len(order):,} sources need as many targets, and there are {len(own):,}."
        )
    for name, between, chosen, files in (
        ("text", "\n\n", order[number:], texts),  # a blank line ends a document
        ("train", "\n", order[number:], learned),
        ("held_out", "\n", order[:number], held_out),
    ):
        files.append(output / f"{name}.{language}")
        content = between.join(own[index] for index in chosen) + "\n"
        files[-1].write_text(content, encoding="utf-8")
unseen = [[own[index] for index in order[:number]] for own in lines]

# === Tokenizer, corpora ===

vocabulary_size = arguments.vocabulary_size or VOCABULARY[size]
tokenizer = data.train_tokenizer(
    learned, vocabulary_size, model="bpe", layout="xlm", languages=languages
)
tokenizer.save(output / "tokenizer")
training = data.Corpus.build(
    [*texts, tuple(learned)],
    tokenizer,
    output / "corpus",
    languages=[*languages, tuple(languages)],
)
asked = data.Corpus.build_pairs(
    held_out[0], held_out[1], tokenizer, output / "held_out", languages=languages
)
print(
    f"{len(order) - number:,} pairs to learn from, {number:,} held out; a vocabulary of "
    f"{tokenizer.vocabulary_size:,} pieces for both languages."
)

# === Model ===

settings = {"dropout": DROPOUT[size], "attention_dropout": DROPOUT[size]}
model = models.xlm(tokenizer, size, length, objective="mlm_tlm", **settings)
learning_rate = transfer.WarmupPolynomialDecay(peak, steps // 10, steps)
# BERT's; for short runs with corrected moments, and RoBERTa's shorter memory of the second.
optimizer = transfer.bert_optimizer(learning_rate, bias_correction=True, beta_2=0.98)
model.compile(optimizer)
print(f"A model with {model.count_params():,} parameters, {steps:,} steps.")
examples = data.examples(training, model.objective, batch_size, arguments.seed)

# === What is measured on held-out pairs ===

_, translation_modeling = model.objective.objectives
asked_examples = data.examples(asked, translation_modeling, HELD_OUT_ROWS, training=False)


def translation_loss(hide_other_language):
    """The cross-entropy in nats of masked tokens, with or without the translation in sight."""
    losses, counts = [], []
    for number in range(asked_examples.steps_per_epoch):
        x, y, sample_weight = asked_examples.batch_at(number)
        of_target = np.take_along_axis(x["language_ids"], x["target_positions"], axis=1)  # (B, P)
        for language in tokenizer.languages.values():
            seen = x["padding_mask"]  # (B, T)
            if hide_other_language:
                seen = seen & (x["language_ids"] == language)
            logits = model.predict_on_batch({**x, "padding_mask": seen})["tokens"]
            logits = logits - logits.max(axis=-1, keepdims=True)  # (B, P, V)
            right = np.take_along_axis(logits, y["tokens"][:, :, None], axis=-1)[:, :, 0]
            loss = np.log(np.exp(logits).sum(axis=-1)) - right  # (B, P)
            counts.append(sample_weight["tokens"] * (of_target == language))
            losses.append(loss * counts[-1])
    return np.sum(losses) / np.sum(counts)


def retrieval():
    """How often the nearest sentence of the other language is the translation, both ways."""
    vectors = []
    for language, sentences in zip(languages, unseen):
        preprocessor = tasks.TextPreprocessor(tokenizer, length, language=language)
        embedder = tasks.TextEmbedder(model.backbone, preprocessor, pooling="mean")
        own = embedder.embed(sentences, verbose=0)  # (N, D)
        own -= own.mean(axis=0)  # without what all sentences of a language have in common
        vectors.append(own / np.linalg.norm(own, axis=1, keepdims=True))
    cosines = vectors[0] @ vectors[1].T  # (N, N)
    right = np.arange(len(cosines))
    return np.mean([cosines.argmax(axis=1) == right, cosines.argmax(axis=0) == right])


def measure():
    """All three numbers, by name."""
    return {
        "translation seen": translation_loss(hide_other_language=False),
        "translation hidden": translation_loss(hide_other_language=True),
        "retrieval": retrieval(),
    }


# === Training ===

before = measure()
epoch = max(steps // REPORTS, 1)
model.fit(
    examples,
    steps_per_epoch=epoch,
    epochs=steps // epoch,
    callbacks=[keras.callbacks.CSVLogger(str(output / "history.csv"))],
    verbose=2,
)
model.save_to_preset(output / "preset")
after = measure()

print(f"{number:,} held-out pairs, cross-entropy of masked tokens in nats:")
for name in ("translation seen", "translation hidden"):
    print(f"  {name:20s} before {before[name]:.3f}, after {after[name]:.3f}")
print(
    "The nearest sentence of the other language is the translation: before "
    f"{before['retrieval']:.3f}, after {after['retrieval']:.3f}, by chance {1 / number:.3f}."
)
print(f"Wrote {output / 'preset'}. Done in {time.time() - begin:.0f} s.")
if not after["translation seen"] < before["translation seen"]:
    raise SystemExit("The held-out loss did not fall.")
