"""
Title: Denoising with an encoder and a decoder: BART and T5
Description: A decoder restores text that was damaged: it fills gaps, and puts sentences in order.
Accelerator: none needed

Run it as it is for a tiny T5 on a handful of novels in a few minutes on two cores, with BART's
noise, or on your own text:

    python examples/denoise.py
    python examples/denoise.py --system bart
    python examples/denoise.py --corpus my_texts/*.txt --size small --steps 20000

T5 hides 15 % of the tokens in spans, each behind a sentinel, and asks for the spans. BART permutes
the sentences of a row, hides 30 % of the words in spans, each behind one mask, and asks for the
whole row. It prints the loss of held-out text before and after, and some of it as it was damaged
and as the model restores it. What it leaves in `--output`: the tokenizer, the corpus, and
`preset/` for `from_preset`.

Source: T5, arXiv:1910.10683, section 3.1.4; BART, arXiv:1910.13461, section 2.2.
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

SYSTEMS = {"t5": models.t5, "bart": models.bart}
VOCABULARY = {"tiny": 2_000, "small": 8_000, "base": 32_000}  # lowered to what the text carries
LENGTH = {"tiny": 64, "small": 128, "base": 512}  # tokens of a row
STEPS = {"tiny": 2_000, "small": 20_000, "base": 500_000}
BATCH_SIZE = {"tiny": 16, "small": 32, "base": 128}
LEARNING_RATE = {"tiny": 2e-3, "small": 1e-3, "base": 5e-4}
DROPOUT = {"tiny": 0.0, "small": 0.1, "base": 0.1}
HELD_OUT = 0.05  # of the documents
SHOWN = 3  # rows that are restored
REPORTS = 10  # lines in the course of training

parser = argparse.ArgumentParser(description="Pretrain by denoising, and restore damaged text.")
texts = sorted((Path(__file__).parent / "texts").glob("*.txt"))
parser.add_argument("--system", choices=list(SYSTEMS), default="t5")
parser.add_argument("--corpus", nargs="+", default=texts, metavar="PATH", help="text or jsonl")
parser.add_argument("--size", choices=list(VOCABULARY), default="tiny")
parser.add_argument("--vocabulary-size", type=int, help="default: by size, as the next four")
parser.add_argument("--sequence-length", type=int)
parser.add_argument("--steps", type=int)
parser.add_argument("--batch-size", type=int)
parser.add_argument("--learning-rate", type=float)
parser.add_argument("--held-out-batches", type=int, default=20, help="that are evaluated")
parser.add_argument("--output", type=Path, metavar="DIR", help="default: output/<system>")
parser.add_argument("--seed", type=int, default=0)
arguments = parser.parse_args()
size = arguments.size
output = arguments.output or Path("output") / arguments.system
length = arguments.sequence_length or LENGTH[size]
steps = arguments.steps or STEPS[size]
batch_size = arguments.batch_size or BATCH_SIZE[size]
keras.utils.set_random_seed(arguments.seed)
begin = time.time()

# === Text, tokenizer, corpus ===

vocabulary_size = arguments.vocabulary_size or VOCABULARY[size]
tokenizer = data.train_tokenizer(arguments.corpus, vocabulary_size, model="bpe")
if arguments.system == "t5":
    tokenizer = data.add_special_tokens(tokenizer, data.SENTINEL_TOKENS)
tokenizer.save(output / "tokenizer")
corpus = data.Corpus.build(arguments.corpus, tokenizer, output / "corpus")
training, held_out = corpus.split(HELD_OUT)
print(
    f"{training.num_tokens:,} tokens to learn from, {held_out.num_tokens:,} held out; "
    f"a vocabulary of {tokenizer.vocabulary_size:,} pieces."
)

# === Training ===

model = SYSTEMS[arguments.system](
    tokenizer, size, length, dropout=DROPOUT[size], attention_dropout=DROPOUT[size]
)
objective = model.objective
rate = arguments.learning_rate or LEARNING_RATE[size]
rate = transfer.WarmupPolynomialDecay(rate, steps // 10, steps)
model.compile(keras.optimizers.Adam(rate, beta_2=0.98, global_clipnorm=1.0))
print(f"A model with {model.count_params():,} parameters, {steps:,} steps.")
unseen = data.examples(held_out, objective, batch_size, training=False)
number = min(arguments.held_out_batches, unseen.steps_per_epoch)
before = model.evaluate(unseen, steps=number, verbose=0, return_dict=True)["loss"]
epoch = max(steps // REPORTS, 1)
model.fit(
    data.examples(training, objective, batch_size, arguments.seed),
    steps_per_epoch=epoch,
    epochs=steps // epoch,
    verbose=2,
)
after = model.evaluate(unseen, steps=number, verbose=0, return_dict=True)["loss"]
model.save_to_preset(output / "preset")
print(f"Held-out text, nats per token asked for: {before:.3f}, then {after:.3f}.")

# === Restoring ===

END = tokenizer.special_token_id("sep")


def readable(ids):
    """Ids as text, with masks and sentinels as they are called."""
    marks = {tokenizer.pieces([one])[0]: one for one in set(ids) if is_mark(one)}
    runs, text = [[]], ""
    for one in ids:
        if one in marks.values():
            runs += [one, []]
        elif one not in tokenizer.special_token_ids.values():
            runs[-1].append(one)
    for run in runs:
        text += (
            tokenizer.decode(run) if isinstance(run, list) else f" {tokenizer.pieces([run])[0]} "
        )
    return " ".join(text.split())


def is_mark(one):
    """Whether an id stands for what is hidden."""
    return tokenizer.pieces([one])[0].startswith(("<mask", "<extra_id"))


def filled(source, spans):
    """T5: the source with what was written behind each sentinel in its place, in brackets."""
    parts, current = {}, None
    for one in spans:
        if is_mark(one):
            current = parts.setdefault(one, [])
        elif current is not None and one != END:
            current.append(one)
    opening, closing = (tokenizer.encode(bracket) for bracket in (" [", "]"))
    put = [[*opening, *parts.get(one, []), *closing] if is_mark(one) else [one] for one in source]
    return readable([one for run in put for one in run])


x, y, weight = data.examples(held_out, objective, SHOWN, training=False).batch_at(0)
sources = [row[real].tolist() for row, real in zip(x["source_token_ids"], x["source_padding_mask"])]
wanted = [row[real > 0].tolist() for row, real in zip(y["tokens"], weight["tokens"])]
# Ids in place of texts: of texts neither masks nor sentinels could be read or written.
writer = tasks.Seq2SeqLM.from_preset(
    output / "preset", start_token_id=objective.start_token_id, end_token_id=END
)
writer.preprocessor = None
written = writer.generate(sources, objective.target_length, verbose=0)
restore = filled if arguments.system == "t5" else lambda source, target: readable(target)
for source, target, ours in zip(sources, wanted, written):
    print(f"damaged:  {readable(source)}")
    print(f"  it was:   {restore(source, target)}")
    print(f"  restored: {restore(source, ours)}")
print(f"Wrote {output / 'preset'}. Done in {time.time() - begin:.0f} s.")
if not np.isfinite(after) or not after < before:
    raise SystemExit("The held-out loss did not fall.")
