"""
Title: ELMo, and what a word means where it stands
Description: Two language models over words that are read by their characters, one for each
    direction, and the vectors that they give one word in different sentences.
Accelerator: none needed

Run it as it is for a small model of a handful of novels, in a few minutes on two cores, or on your
own text:

    python examples/pretrain_elmo.py
    python examples/pretrain_elmo.py --corpus train.txt --size small --num-sampled 8192

What it leaves in `--output`: the text in words, the tokenizer, the corpus, and `preset/` for
`from_preset`.

Source: ELMo, arXiv:1802.05365, sections 3 and 5.3 (table 4).
"""

import argparse
import os
import re
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow: errors only

import keras
import numpy as np

from keras_plm import data, models, tasks, transfer

# === Settings ===

HELD_OUT = 0.05  # of the documents
WORD = "left"
CONTEXTS = ("He left the room and closed the door .", "The door was on the left of the hall .")
WORDS = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")

parser = argparse.ArgumentParser(description="Pretrain an ELMo.")
texts = sorted((Path(__file__).parent / "texts").glob("*.txt"))
parser.add_argument("--corpus", nargs="+", type=Path, default=texts, metavar="PATH", help="text")
parser.add_argument("--vocabulary-size", type=int, default=6_000, help="words that are predicted")
parser.add_argument("--size", choices=["tiny", "small", "medium", "original"], default="tiny")
parser.add_argument("--num-sampled", type=int, default=1_000, help="of the softmax in training")
parser.add_argument("--sequence-length", type=int, default=20, help="words of a row")
parser.add_argument("--steps", type=int, default=1_500)
parser.add_argument("--batch-size", type=int, default=32)
parser.add_argument("--learning-rate", type=float, default=3e-3)
parser.add_argument("--held-out-batches", type=int, default=20, help="that are evaluated")
parser.add_argument("--limit", type=int, default=400, help="sentences in which a word is looked up")
parser.add_argument("--output", type=Path, default=Path("output/elmo"), metavar="DIR")
parser.add_argument("--seed", type=int, default=0)
arguments = parser.parse_args()
output, steps = arguments.output, arguments.steps
keras.utils.set_random_seed(arguments.seed)

# === Text in words, tokenizer, corpus ===

# ELMo takes words, as white space separates them: marks become words of their own, a sentence a
# line, and a paragraph a document.
(output / "words").mkdir(parents=True, exist_ok=True)
paths = []
for path in arguments.corpus:
    paragraphs = re.split(r"\n\s*\n", path.read_text(encoding="utf-8"))
    words = [" ".join(WORDS.findall(paragraph)) for paragraph in paragraphs]
    lines = [re.sub(r"( [.!?](?: [”\"’'])?) (?=\S)", r"\1\n", one) for one in words if one]
    paths.append(output / "words" / path.name)
    paths[-1].write_text("\n\n".join(lines), encoding="utf-8")
size = arguments.vocabulary_size
tokenizer = data.train_tokenizer(paths, size, model="word", layout="elmo")
tokenizer.save(output / "tokenizer")
corpus = data.Corpus.build(paths, tokenizer, output / "corpus", split_sentences=None)
training, held_out = corpus.split(HELD_OUT)
print(
    f"{training.num_tokens:,} words to learn from, {held_out.num_tokens:,} held out; "
    f"a vocabulary of {tokenizer.vocabulary_size:,}."
)

# === Model and training ===

model = models.elmo(tokenizer, arguments.size, arguments.sequence_length, arguments.num_sampled)
rate = transfer.WarmupCosineDecay(arguments.learning_rate, max(steps // 20, 1), steps)
model.compile(keras.optimizers.Adam(rate, global_clipnorm=1.0))
print(f"A model with {model.count_params():,} parameters.")
held = data.examples(held_out, model.objective, arguments.batch_size, training=False)


def evaluate():
    """The loss of held-out text, and that of each direction."""
    number = min(held.steps_per_epoch, arguments.held_out_batches)
    return model.evaluate(held, steps=number, verbose=0, return_dict=True)


before = evaluate()
examples = data.examples(training, model.objective, arguments.batch_size, arguments.seed)
begin = time.time()
model.fit(examples, epochs=2, steps_per_epoch=max(steps // 2, 1), verbose=2)
print(f"{2 * max(steps // 2, 1):,} steps took {time.time() - begin:.0f} s.")
after = evaluate()
# By frequencies alone; a word that was never seen is not impossible, and each sentence has a mark.
counts = {part: part.token_counts() for part in (training, held_out)}
for part, own in counts.items():
    own[tokenizer.special_token_ids["eos"]] += part.num_sentences
shares = (counts[training] + 1) / (counts[training] + 1).sum()
unigram = np.exp(-np.average(np.log(shares), weights=counts[held_out]))
print(f"Perplexity of held-out text, {unigram:,.1f} by the frequencies of the words alone:")
for name in ("forward", "backward"):
    key = f"{name}_perplexity"
    print(f"  {name:8} {before[key]:10,.1f} before, {after[key]:8,.1f} after the training")
model.save_to_preset(output / "preset")

# === A word in two contexts ===

sentences = [line.split() for path in paths for line in path.read_text("utf-8").splitlines()]
sentences = [one for one in sentences if WORD in one and len(one) < 60][: arguments.limit]
queries = [one.split() for one in CONTEXTS]
embedder = tasks.TextEmbedder.from_preset(output / "preset", layers=1, pooling="none")


def vectors_of(texts):
    """The vector of the first `WORD` of each text, of length 1."""
    found = embedder.embed(texts, normalize=True, verbose=0)
    return np.stack([rows[text.index(WORD)] for text, rows in zip(texts, found)])  # (N, D)


cosines = vectors_of(queries) @ vectors_of(sentences).T
for context, row in zip(CONTEXTS, cosines):
    print(f"\n{WORD!r} as in {context!r} is nearest to:")
    for place in row.argsort()[::-1][:3]:
        print(f"  {row[place]:.2f}  {' '.join(sentences[place])}")
if not all(after[name] < before[name] for name in ("forward_loss", "backward_loss")):
    raise SystemExit("The losses of both directions must fall.")
