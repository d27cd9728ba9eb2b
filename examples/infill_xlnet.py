"""
Title: Filling blanks, scoring and writing with XLNet
Description: One pretrained XLNet fills blanks in any order, scores sentences and continues a text.
Accelerator: none needed

Run it after `pretrain_xlnet.py`; else it pretrains for a moment, which shows how everything is
called, not how well it can be done:

    python examples/infill_xlnet.py

What the orders, modes and scores mean: docs/infilling.md.
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

BLANKS = [  # every <mask> is one piece of the vocabulary
    "The old man looked at <mask> watch, and then he went out of <mask> room.",
    "She opened the <mask> and looked into the <mask>.",
]
ORDERS = ["left_to_right", "right_to_left", "random"]
SAMPLERS = ["top_k", "beam"]  # beside greedy
SENTENCES = [  # not from the corpus
    "He put his hand into his pocket and gave her a letter.",
    "The door was open, and there was a light in the room.",
    "I do not know what you mean, said the young man.",
    "She sat down by the fire and began to read.",
    "It was a cold night, and the streets were dark.",
    "They went up the hill, and came to a little house.",
    "The boy ran away as fast as he could.",
    "What is the matter with you, my dear?",
    "There was nothing to be seen but the sea and the sky.",
    "He had been waiting for an hour when the train came.",
]
PREFIX = "It was late in the evening. The fire was low, and the two friends sat in their chairs."
PROMPTS = ["The old man", "There was a little"]
LENGTH = 24  # tokens of prompt and continuation
PRESET = Path("output/xlnet/preset")  # where pretrain_xlnet.py leaves it
STEPS = 20  # of pretraining, where there is none
TEXTS = Path(__file__).parent / "texts"

parser = argparse.ArgumentParser(description="Fill blanks, score and write with XLNet.")
parser.add_argument("--preset", metavar="DIR", help=f"default: {PRESET}; none: pretrain")
parser.add_argument("--output", type=Path, default=Path("output/infill"), metavar="DIR")
parser.add_argument("--seed", type=int, default=0)
arguments = parser.parse_args()
keras.utils.set_random_seed(arguments.seed)
rng = np.random.default_rng(arguments.seed)
begin = time.time()

# === Model ===

preset = arguments.preset or (PRESET if PRESET.exists() else "none")
if preset == "none":
    print(f"Without a preset: {STEPS} steps of pretraining; expect no sense.")
    paths = sorted(TEXTS.glob("*.txt"))
    tokenizer = data.train_tokenizer(paths, 2_000)
    corpus = data.Corpus.build(paths, tokenizer, arguments.output / "corpus")
    pretrainer = models.xlnet(tokenizer, "tiny", sequence_length=64, dropout=0.0)
    schedule = transfer.WarmupPolynomialDecay(2e-3, STEPS // 10, STEPS)
    pretrainer.compile(transfer.xlnet_optimizer(schedule, bias_correction=True))
    examples = data.examples(corpus, pretrainer.objective, 8, arguments.seed)
    pretrainer.fit(examples, steps_per_epoch=STEPS, verbose=2)
    preset = arguments.output / "preset"
    pretrainer.save_to_preset(preset)
model = tasks.PermutationLM.from_preset(str(preset))

# === Filling blanks ===


def show(filled, scores):
    for text, score in zip(filled, scores):
        print(f"    {score:7.2f}  {text}")


print("Blanks, and the log-likelihood of what was filled in, in nats:")
options = {"prefix": PREFIX, "return_scores": True, "seed": arguments.seed, "verbose": 0}
for order in ORDERS:
    print(f"  {order}, greedy")
    show(*model.infill(BLANKS, order=order, **options))
print("  the first blank of each sentence last, bidirectional")
show(*model.infill(BLANKS, order=[[1, 0], [1, 0]], mode="bidirectional", **options))
for sampler in SAMPLERS:
    print(f"  left_to_right, {sampler}")
    show(*model.infill(BLANKS, sampler=sampler, **options))

# === Scoring sentences ===

shuffled = []
for sentence in SENTENCES:
    words = sentence.split()
    shuffled.append(" ".join(words[index] for index in rng.permutation(len(words))))
print("Sentences against the same words in another order, nats per token:")
for order in ORDERS[:2]:
    scores = model.score(SENTENCES + shuffled, order=order, prefix=PREFIX, batch_size=20, verbose=0)
    real, other = np.reshape([one.total / len(one.tokens) for one in scores], (2, -1))
    wins = np.sum(real > other)
    print(
        f"  {order:13s}  sentences {real.mean():.2f}, shuffled {other.mean():.2f}; "
        f"the sentence is likelier in {wins} of {len(real)} (chance: {len(real) / 2:.0f})"
    )
pieces = model.preprocessor.tokenizer.pieces(scores[0].token_ids)
print("  " + " ".join(f"{piece}{score:.1f}" for piece, score in zip(pieces, scores[0].tokens)))

# === Writing ===

print("Continuations, top_k:")
options = {"sampler": "top_k", "prefix": PREFIX, "seed": arguments.seed, "verbose": 0}
for text in model.generate(PROMPTS, LENGTH, **options):
    print(f"  {text}")

model.save_to_preset(arguments.output / "preset")
print(f"Wrote {arguments.output / 'preset'}. Done in {time.time() - begin:.0f} s.")
