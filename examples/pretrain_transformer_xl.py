"""
Title: Transformer-XL, and what a longer memory is worth
Description: A language model that carries a memory from segment to segment, and its perplexity with
    memories of several lengths at evaluation.
Accelerator: none needed

Run it as it is for a small model of a handful of novels, in a few minutes on two cores, or on your
own text; with `--words` the units are words, with an adaptive embedding and softmax:

    python examples/pretrain_transformer_xl.py
    python examples/pretrain_transformer_xl.py --words --corpus train.txt --held-out test.txt

The model is trained with a memory as long as its segment, and evaluated with none, with that one
and with longer ones: no weight depends on the length. What it leaves in `--output`: the tokenizer,
the corpora, `preset/` for `from_preset`, and `perplexity.png`.

Source: Transformer-XL, arXiv:1901.02860, section 4.3 and figure 4.
"""

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow: errors only

import keras
import keras_hub
import matplotlib
import numpy as np

from keras_plm import data, models, tasks, transfer
from keras_plm.tokenizers import WordTokenizer

matplotlib.use("Agg")
import matplotlib.pyplot as plt

# === Settings ===

HELD_OUT = 0.05  # of the documents, where no other text is given
MEMORIES = (0, 0.5, 1, 2, 4, 8)  # of the segments of training, at evaluation
PROMPT = "The old man looked at his watch, and then"

parser = argparse.ArgumentParser(description="Pretrain a Transformer-XL.")
texts = sorted((Path(__file__).parent / "texts").glob("*.txt"))
parser.add_argument("--corpus", nargs="+", default=texts, metavar="PATH", help="text or jsonl")
parser.add_argument("--held-out", nargs="+", metavar="PATH", help="text that is evaluated")
parser.add_argument("--words", action="store_true", help="words as units, an adaptive softmax")
parser.add_argument("--vocabulary-size", type=int, help="default: 2,000 pieces, 20,000 words")
parser.add_argument("--size", choices=["tiny", "small", "base"], default="tiny")
parser.add_argument("--sequence-length", type=int, default=32, help="tokens of a segment")
parser.add_argument("--steps", type=int, default=1_500)
parser.add_argument("--batch-size", type=int, default=32)
parser.add_argument("--learning-rate", type=float, default=2e-3)
parser.add_argument("--dropout", type=float, default=0.1)
parser.add_argument("--held-out-tokens", type=int, default=20_000, help="that are evaluated")
parser.add_argument("--output", type=Path, default=Path("output/transformer_xl"), metavar="DIR")
parser.add_argument("--seed", type=int, default=0)
arguments = parser.parse_args()
output, length, steps = arguments.output, arguments.sequence_length, arguments.steps
keras.utils.set_random_seed(arguments.seed)

# === Text, tokenizer, corpora ===

if arguments.words:
    lines = (line for path in arguments.corpus for line in open(path, encoding="utf-8"))
    tokenizer = WordTokenizer.train(lines, arguments.vocabulary_size or 20_000, min_count=2)
else:
    vocabulary_size = arguments.vocabulary_size or 2_000
    tokenizer = data.train_tokenizer(arguments.corpus, vocabulary_size, model="bpe", layout="gpt")
tokenizer.save(output / "tokenizer")
corpus = data.Corpus.build(arguments.corpus, tokenizer, output / "corpus")
if arguments.held_out:
    training = corpus
    held_out = data.Corpus.build(arguments.held_out, tokenizer, output / "held_out")
else:
    training, held_out = corpus.split(HELD_OUT)
print(
    f"{training.num_tokens:,} tokens to learn from, {held_out.num_tokens:,} held out; "
    f"a vocabulary of {tokenizer.vocabulary_size:,}."
)

# === Model ===

# Words by frequency: two clusters behind the first, each with shorter vectors than the one before.
clusters = {}
if arguments.words:
    frequent, common = tokenizer.vocabulary_size // 8, tokenizer.vocabulary_size // 2
    clusters = {"cutoffs": [frequent, common], "div_val": 2}
model = models.transformer_xl(
    tokenizer, arguments.size, length, dropout=arguments.dropout, **clusters
)
rate = transfer.WarmupCosineDecay(arguments.learning_rate, max(steps // 20, 1), steps)
model.compile(keras.optimizers.Adam(rate, global_clipnorm=0.25))
print(f"A model with {model.count_params():,} parameters, a memory of {length} tokens.")

# === Training ===

examples = data.examples(training, model.objective, arguments.batch_size, arguments.seed)
begin = time.time()
history = model.fit(examples, epochs=2, steps_per_epoch=max(steps // 2, 1), verbose=2)
print(f"{2 * max(steps // 2, 1):,} steps took {time.time() - begin:.0f} s.")
model.save_to_preset(output / "preset")

# === Perplexity by the length of the memory ===


def perplexity(memory_length):
    """That of the held-out text, read as one row from its beginning."""
    lengths = {"memory_length": length, "evaluation_memory_length": memory_length}
    if not memory_length:
        lengths = {"memory_length": 0, "evaluation_memory_length": None}
    reader = tasks.Pretrainer.from_preset(output / "preset", **lengths)
    reader.compile()
    rows = data.examples(held_out, reader.objective, batch_size=1, training=False)
    number = max(min(rows.steps_per_epoch, arguments.held_out_tokens // length), 1)
    return reader.evaluate(rows, steps=number, verbose=0, return_dict=True)["perplexity"]


memories = [int(share * length) for share in MEMORIES]
found = [perplexity(memory_length) for memory_length in memories]
counts = training.token_counts() + 1  # a token that was never seen is not impossible
unigram = np.exp(-np.average(np.log(counts / counts.sum()), weights=held_out.token_counts()))
print(f"Perplexity of held-out text, {unigram:,.1f} by the frequencies of the tokens alone:")
for memory_length, value in zip(memories, found):
    trained = ", as in training" if memory_length == length else ""
    print(f"  with a memory of {memory_length:4} tokens: {value:,.2f}{trained}")

figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
axes.plot(memories, found, marker="o", color="black")
axes.axvline(length, color="gray", linestyle=":", label="memory in training")
axes.set(xlabel="tokens of the memory at evaluation", ylabel="perplexity of held-out text")
axes.legend(frameon=False)
figure.savefig(output / "perplexity.png", dpi=120)

# === Writing ===

writer = tasks.CausalLM.from_preset(output / "preset")
sampler = keras_hub.samplers.TopPSampler(p=0.9)
print(repr(writer.generate([PROMPT], 40, sampler, seed=arguments.seed, verbose=0)[0]))
if not np.isfinite(found).all() or (steps >= 500 and found[2] > unigram):
    raise SystemExit("The model is no better than the frequencies of the tokens.")
