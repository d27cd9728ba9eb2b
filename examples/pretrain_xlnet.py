"""
Title: Pretraining XLNet on a handful of novels
Description: From text files to a tokenizer, a pretrained XLNet, two filled blanks and a preset.
Accelerator: none needed

Run it as it is for a small XLNet in a few minutes on two cores, or give it your own text:

    python examples/pretrain_xlnet.py
    python examples/pretrain_xlnet.py --corpus my_texts/*.txt --size small --steps 20000

What it leaves in `--output`: the tokenizer, the corpus, a checkpoint (`--resume` goes on from
it), `preset/` for `from_preset`, and `pretraining.svg`.
"""

import argparse
import csv
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow: errors only

import keras
import numpy as np

from keras_plm import data, models, ops, tasks, transfer

# === Settings ===

VOCABULARY = {"tiny": 4_000, "small": 8_000, "base": 32_000}  # lowered to what the text carries
MEMORY = {"tiny": 0, "small": 128, "base": 384}  # tokens; arXiv:1906.08237, section 3.1
STEPS = {"tiny": 600, "small": 20_000, "base": 500_000}
BATCH_SIZE = {"tiny": 16, "small": 16, "base": 32}
LEARNING_RATE = {"tiny": 2e-3, "small": 5e-4, "base": 1e-4}
DROPOUT = {"tiny": 0.0, "small": 0.1, "base": 0.1}
HELD_OUT = 0.05  # of the documents
REPORTS = 10  # evaluations, and checkpoints, in the course of training
SENTENCE = "The old man looked at ___ watch, and then he went out of ___ room."
ORDER = [1, 0]  # fill the second blank first

parser = argparse.ArgumentParser(description="Pretrain XLNet by permutation language modelling.")
texts = sorted((Path(__file__).parent / "texts").glob("*.txt"))
parser.add_argument("--corpus", nargs="+", default=texts, metavar="PATH", help="text or jsonl")
parser.add_argument("--size", choices=list(VOCABULARY), default="tiny")
parser.add_argument("--vocabulary-size", type=int, help="default: 4,000, 8,000 or 32,000 by size")
parser.add_argument("--steps", type=int, help="default: 600, 20,000 or 500,000 by size")
parser.add_argument("--batch-size", type=int, help="default: 16, 16 or 32 by size")
parser.add_argument("--output", type=Path, default=Path("output/xlnet"), metavar="DIR")
parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in --output")
parser.add_argument("--held-out-batches", type=int, default=20, help="that are evaluated")
parser.add_argument("--seed", type=int, default=0)
arguments = parser.parse_args()
size, output = arguments.size, arguments.output
steps = arguments.steps or STEPS[size]
batch_size = arguments.batch_size or BATCH_SIZE[size]
keras.utils.set_random_seed(arguments.seed)
begin = time.time()

# === Text, tokenizer, corpus ===

if arguments.resume:
    tokenizer = data.SentencePieceTokenizer.load(output / "tokenizer")
    corpus = data.Corpus.open(output / "corpus")
    corpus.check_tokenizer(tokenizer)
else:
    vocabulary_size = arguments.vocabulary_size or VOCABULARY[size]
    tokenizer = data.train_tokenizer(arguments.corpus, vocabulary_size)
    tokenizer.save(output / "tokenizer")
    corpus = data.Corpus.build(arguments.corpus, tokenizer, output / "corpus")
training, held_out = corpus.split(HELD_OUT)
print(
    f"{training.num_tokens:,} tokens in {training.num_documents:,} documents to learn from, "
    f"{held_out.num_tokens:,} in {held_out.num_documents:,} held out; "
    f"a vocabulary of {tokenizer.vocabulary_size:,} pieces."
)

# === Model ===

model = models.xlnet(tokenizer, size, memory_length=MEMORY[size], dropout=DROPOUT[size])
learning_rate = transfer.WarmupPolynomialDecay(LEARNING_RATE[size], steps // 10, steps)
# Unlike the original's, with corrected moments: the runs are short, and so the warm-up is.
model.compile(transfer.xlnet_optimizer(learning_rate, bias_correction=True))
step = 0
if arguments.resume:  # with more steps the schedule is another one
    step = tasks.resume(model, output / "checkpoint", may_differ=["learning_rate"])
print(f"XLNet with {model.count_params():,} parameters, at step {step:,} of {steps:,}.")

examples = data.examples(training, model.objective, batch_size, arguments.seed, start=step)
# Held-out rows are read in order; fewer rows where the held-out text is short.
held_out_examples = data.examples(held_out, model.objective, 4, training=False)
held_out_batches = min(arguments.held_out_batches, held_out_examples.steps_per_epoch)

# === What a model without context would reach ===

counts = training.token_counts() + 1  # a piece that was never seen is not impossible
surprise = -np.log(counts / counts.sum())  # nats, by token
held_out_targets = [held_out_examples.batch_at(n)[1:] for n in range(held_out_batches)]
unigram = np.average(
    np.concatenate([surprise[y["tokens"]].ravel() for y, _ in held_out_targets]),
    weights=np.concatenate([weight["tokens"].ravel() for _, weight in held_out_targets]),
)


def evaluate():
    logs = model.evaluate(held_out_examples, steps=held_out_batches, verbose=0, return_dict=True)
    return np.log(logs["perplexity"]), logs["accuracy"]


before = evaluate()

# === Training ===

report = max(steps // REPORTS, 1)
if step < steps:
    model.fit(
        examples,
        steps_per_epoch=report,
        initial_epoch=step // report,
        epochs=steps // report,
        validation_data=held_out_examples,
        validation_steps=held_out_batches,
        callbacks=[
            tasks.Checkpoint(output / "checkpoint", start=step),
            keras.callbacks.CSVLogger(str(output / "history.csv"), append=step > 0),
        ],
    )
after = evaluate()
print(f"Held-out text, {held_out_batches} batches:")
print(f"  before    cross-entropy {before[0]:.3f} nats, accuracy {before[1]:.3f}")
print(f"  after     cross-entropy {after[0]:.3f} nats, accuracy {after[1]:.3f}")
print(f"  unigram   cross-entropy {unigram:.3f} nats (a model without context)")

# === Filling blanks in a chosen order ===


def fill_blanks(sentence, order):
    """Fill the blanks `___`, each with the likeliest piece given the text and those before."""
    token_ids, blanks = [], []
    for index, part in enumerate(sentence.split("___")):
        if index:
            blanks.append(len(token_ids))
            token_ids.append(tokenizer.mask_token_id)  # nobody sees it before it is filled
        token_ids += tokenizer.encode(part.strip())
    steps = np.zeros(len(token_ids), "int32")
    for rank, blank in enumerate(order):
        steps[blanks[blank]] = 1 + rank
    for rank, blank in enumerate(order):
        encoded = model.backbone.encode(
            {
                "token_ids": np.array([token_ids], "int32"),
                "order": steps[None],
                "target_positions": np.array([[blanks[blank]]], "int32"),
            }
        )
        logits = model.heads["tokens"](encoded["target_output"])[0, 0]  # (V,)
        probability = keras.ops.convert_to_numpy(keras.ops.softmax(logits))
        best = np.argsort(-probability)[:5]
        pieces = zip(tokenizer.pieces(best), probability[best])
        shown = ", ".join(f"{piece!r} {p:.3f}" for piece, p in pieces)
        print(f"  {rank + 1}. blank {blank + 1}: {shown}")
        token_ids[blanks[blank]] = int(best[0])
    return tokenizer.decode(token_ids)


print(f"Filling {SENTENCE!r}, blank {' then '.join(str(blank + 1) for blank in ORDER)}:")
print(f"  {fill_blanks(SENTENCE, ORDER)}")

# === Preset and picture ===

model.save_to_preset(output / "preset")

with open(output / "history.csv", encoding="utf-8") as file:
    history = list(csv.DictReader(file))
curves = {key: [float(row[key]) for row in history] for key in ("loss", "val_loss")}
x = examples.batch_at(0)[0]
mask = keras.ops.convert_to_numpy(ops.content_visibility(x["order"][:1]))[0]  # (T, T)


UPRIGHT = 'transform="rotate(-90)" text-anchor="middle"'


def text(x, y, words, style='text-anchor="middle"'):
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{words}</text>'


def draw_losses(side):
    """The losses by step: axes with numbers, a legend, and a line and dots for each."""
    at = report * np.arange(1, len(history) + 1)
    lines = {
        "training": ("#1f77b4", curves["loss"]),
        "held out": ("#d62728", curves["val_loss"]),
        "unigram, a model without context": ("#888888", [unigram] * len(at)),
    }
    known = [loss for _, losses in lines.values() for loss in losses]
    ticks = np.linspace(min(known), max(known), 5)
    high, low = ticks[-1] + 0.05, ticks[0] - 0.05

    def place(step, loss):
        return side * step / at[-1], side * (high - loss) / (high - low)

    yield f'<rect width="{side}" height="{side}" fill="none" stroke="black"/>'
    yield text(side / 2, -15, "Permutation language modelling")
    yield text(side / 2, side + 40, "step")
    yield text(
        -side / 2, -50, "cross-entropy, nats", 'transform="rotate(-90)" text-anchor="middle"'
    )
    for step in dict.fromkeys((0, int(at[(len(at) - 1) // 2]), int(at[-1]))):
        yield text(place(step, low)[0], side + 18, step)
    for loss in ticks:
        x, y = place(0, loss)
        yield f'<path d="M0 {y:.1f}H{side}" stroke="#e0e0e0"/>'
        yield text(-6, y + 4, f"{loss:.2f}", 'text-anchor="end"')
    for number, (name, (colour, losses)) in enumerate(lines.items()):
        points = [place(*one) for one in zip(at, losses)]
        corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        yield f'<polyline points="{corners}" fill="none" stroke="{colour}" stroke-width="2"/>'
        yield from (f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points)
        yield text(side - 15, 25 + 18 * number, name, f'fill="{colour}" text-anchor="end"')


def draw_mask(side):
    """Who sees whom in one example: a row of the square is a row of attention, black is seen."""
    last = len(mask) - 1
    yield text(side / 2, -15, "Factorisation mask: the row sees the black columns")
    yield text(side / 2, side + 40, "key: position in the example")
    yield text(-side / 2, -30, "row: position", UPRIGHT)
    for words, place in ((0, 0), (last, side)):
        yield text(place, side + 18, words)
        yield text(-6, place + 4, words, 'text-anchor="end"')
    yield f'<g transform="scale({side / len(mask)})" shape-rendering="crispEdges">'
    for y, row in enumerate(mask):
        edges = np.flatnonzero(np.diff(np.r_[0, row, 0])).reshape(-1, 2)
        yield f'<path d="{"".join(f"M{a} {y}H{b}V{y + 1}H{a}z" for a, b in edges)}"/>'
    yield f'</g><rect width="{side}" height="{side}" fill="none" stroke="black"/>'


def draw(path, side=400):
    """Write the picture as SVG, which every browser shows and no library is needed for."""
    size = f'width="{2 * side + 220}" height="{side + 110}"'
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" ']
    parts += ['font-size="13"><rect width="100%" height="100%" fill="white"/>']
    for left, panel in ((80, draw_losses(side)), (side + 180, draw_mask(side))):
        parts += [f'<g transform="translate({left},50)">', *panel, "</g>"]
    path.write_text("\n".join([*parts, "</svg>"]), "utf-8")


draw(output / "pretraining.svg")
print(f"Wrote {output / 'preset'} and {output / 'pretraining.svg'}.")
print(f"Done in {time.time() - begin:.0f} s.")
