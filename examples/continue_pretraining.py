"""
Title: Continued pretraining on the texts of a domain, with its words added to the vocabulary
Description: A pretrained BERT learns the novels' own words, and goes on reading them.
Accelerator: none needed

Run it after `pretrain_mlm.py`, or on any preset of a model like BERT and texts of your own:

    python examples/continue_pretraining.py
    python examples/continue_pretraining.py --preset path/to/minilm --corpus my_texts/*.txt

Frequent words that the tokenizer takes apart become pieces of their own; their embeddings begin as
the means of their pieces'. Then masked language modelling goes on. A preset without the head of a
masked language model gets a new one, which the log says; its loss before is that of a head that
knows nothing. What it leaves in `--output`: `extended/`, the preset with the new words before it
has read a line, `preset/` after that, and the corpus.
"""

import argparse
import collections
import os
import re
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow: errors only

import keras
import numpy as np

from keras_plm import data, models, objectives, presets, tasks, transfer

# === Settings ===

PRESET = Path("output/bert/preset")  # where pretrain_mlm.py leaves it
LEAST_COUNT = 5  # of a word that is added
HELD_OUT = 0.05  # of the documents
SHOWN = 3  # new words
NEIGHBOURS = 6  # of each
LONGEST = 120  # characters of a sentence with a gap

parser = argparse.ArgumentParser(description="Extend a vocabulary and continue pretraining.")
texts = sorted((Path(__file__).parent / "texts").glob("*.txt"))
parser.add_argument("--preset", metavar="DIR", help=f"default: {PRESET}; none: random weights")
parser.add_argument("--corpus", nargs="+", type=Path, default=texts, metavar="PATH", help="texts")
parser.add_argument("--output", type=Path, default=Path("output/continued"), metavar="DIR")
parser.add_argument("--new-words", type=int, default=30, help="that are added at most")
parser.add_argument("--steps", type=int, default=300)
parser.add_argument("--batch-size", type=int, default=16)
parser.add_argument("--learning-rate", type=float, help="default: 1e-3 if narrow, else 2e-4")
parser.add_argument("--sequence-length", type=int, default=64)
parser.add_argument("--held-out-batches", type=int, default=20, help="that are evaluated")
parser.add_argument("--seed", type=int, default=0)
arguments = parser.parse_args()
output, length, steps = arguments.output, arguments.sequence_length, arguments.steps
keras.utils.set_random_seed(arguments.seed)
begin = time.time()

# === The preset to begin with ===

preset = arguments.preset or (PRESET if PRESET.exists() else "none")
if preset == "none":
    preset = output / "start"
    tokenizer = data.train_tokenizer(arguments.corpus, 2_000, model="wordpiece", lowercase=True)
    models.bert(tokenizer, "tiny", length).save_to_preset(preset)
    print("Not pretrained: a tiny BERT from random weights.")
tokenizer = data.Tokenizer.from_preset(preset)

# === Words of the texts that the tokenizer takes apart ===

lines = [line for path in arguments.corpus for line in path.read_text("utf-8").splitlines()]
counts = collections.Counter(word for line in lines for word in re.findall(r"[^\W\d_]+", line))
unknown = tokenizer.special_token_ids.get("unk")
split = {}  # the word as it is written most often, and its count, by its ids
for word, count in counts.most_common():
    ids = tuple(tokenizer.encode(word))
    inside = len(tokenizer.encode(f"a {word}")) - len(tokenizer.encode("a"))  # after a space
    if len(ids) > 1 and inside > 1 and unknown not in ids:
        first, before = split.get(ids, (word, 0))
        split[ids] = first, before + count
found = [(count, word, ids) for ids, (word, count) in split.items() if count >= LEAST_COUNT]
found = sorted(found, key=lambda one: (-one[0], one[1]))[: arguments.new_words]
if not found:
    raise SystemExit("The tokenizer knows all frequent words of these texts as whole pieces.")
new_words = [word for _, word, _ in found]
print(f"{len(found)} frequent words that the tokenizer of {preset} takes apart, the first of them:")
for count, word, ids in found[:8]:
    print(f"  {word} ({count} times): {' '.join(tokenizer.pieces(ids))}")

# === A preset that knows them ===

new_ids = presets.extend_vocabulary(str(preset), new_words, str(output / "extended"))
tokenizer = data.Tokenizer.from_preset(output / "extended")
corpus = data.Corpus.build(arguments.corpus, tokenizer, output / "corpus")
training, held_out = corpus.split(HELD_OUT)
saved = sum(count * (len(ids) - 1) for count, _, ids in found)
print(f"The texts have {corpus.num_tokens:,} tokens now, about {saved:,} fewer.")

# === Masked language modelling goes on ===

objective = objectives.MaskedModeling.for_tokenizer(
    tokenizer, select=objectives.RandomSelection("word"), sequence_length=length
)
model = tasks.Pretrainer.from_preset(
    output / "extended", objective=objective, sequence_length=length
)
if model.backbone.pooler:
    model.backbone.pooler_layer.trainable = False  # nothing is asked of it here
peak = arguments.learning_rate or (1e-3 if model.backbone.hidden_dim < 256 else 2e-4)
schedule = transfer.WarmupPolynomialDecay(peak, steps // 10, steps)
model.compile(transfer.bert_optimizer(schedule, bias_correction=True))
examples = data.examples(training, objective, arguments.batch_size, arguments.seed)
held_out_examples = data.examples(held_out, objective, arguments.batch_size, training=False)
held_out_batches = min(arguments.held_out_batches, held_out_examples.steps_per_epoch)


def evaluate():
    """Cross-entropy in nats, and accuracy, on held-out text."""
    logs = model.evaluate(held_out_examples, steps=held_out_batches, verbose=0, return_dict=True)
    return np.log(logs["perplexity"]), logs["accuracy"]


def neighbours(word):
    """The pieces whose embeddings are the most similar to a new word's."""
    table = keras.ops.convert_to_numpy(model.backbone.token_embedding.embeddings)
    table = table[: tokenizer.vocabulary_size]
    table = table / np.linalg.norm(table, axis=1, keepdims=True)
    similarity = table @ table[new_ids[word]]
    best = np.argsort(-similarity)[1 : 1 + NEIGHBOURS]
    return " ".join(f"{p} {similarity[n]:.2f}" for p, n in zip(tokenizer.pieces(best), best))


def gap(word):
    """A sentence in which a new word is masked, or None."""
    for sentence in re.split(r"(?<=[.!?]) +", " ".join(lines)):
        if len(sentence) <= LONGEST and re.search(rf"\w .*\b{word}\b", sentence):
            return re.sub(rf"\b{word}\b", tokenizer.mask_token, sentence, count=1)


shown = new_words[:SHOWN]
before, neighbours_before = evaluate(), {word: neighbours(word) for word in shown}
model.fit(examples, steps_per_epoch=steps, epochs=1, verbose=2)
after = evaluate()
model.save_to_preset(output / "preset")

counts = training.token_counts() + 1
surprise = -np.log(counts / counts.sum())
targets = [held_out_examples.batch_at(number)[1:] for number in range(held_out_batches)]
unigram = np.average(
    np.concatenate([surprise[y["tokens"]].ravel() for y, _ in targets]),
    weights=np.concatenate([weight["tokens"].ravel() for _, weight in targets]),
)
print(f"Held-out text, {held_out_batches} batches, whole words masked:")
print(f"  before    cross-entropy {before[0]:.3f} nats, accuracy {before[1]:.3f}")
print(f"  after     cross-entropy {after[0]:.3f} nats, accuracy {after[1]:.3f}")
print(f"  unigram   cross-entropy {unigram:.3f} nats (a model without context)")

# === What the new words have become ===

for word in shown:
    print(f"The nearest pieces to {word!r}:")
    print(f"  before    {neighbours_before[word]}")
    print(f"  after     {neighbours(word)}")
masked_lm = tasks.MaskedLM.from_preset(output / "preset")
print("Masked in a sentence of the texts, which it may have read:")
gaps = {word: gap(word) for word in shown if gap(word)}
number, asked = tokenizer.vocabulary_size, list(gaps.values())
fillings = masked_lm.fill_mask(asked, number, verbose=0) if gaps else []
for (word, sentence), (tokens, *_) in zip(gaps.items(), fillings):
    rank = [one.token_id for one in tokens].index(new_ids[word]) + 1
    first = ", ".join(f"{one.token!r} {one.probability:.3f}" for one in tokens[:4])
    print(f"  {sentence}")
    print(f"    {first}; {word!r} is number {rank:,}: {tokens[rank - 1].probability:.4f}")
print(f"Wrote {output / 'preset'}. Done in {time.time() - begin:.0f} s.")
