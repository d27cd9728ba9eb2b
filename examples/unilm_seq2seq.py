"""
Title: One Transformer that reads a text and writes another: UniLM
Description: Four patterns of visibility in pretraining, then a target for each source.
Accelerator: none needed

Run it as it is for a tiny UniLM in a few minutes on two cores, on the sentence pairs in `pairs`, or
on your own: two text files, line n of one the target for line n of the other.

    python examples/unilm_seq2seq.py
    python examples/unilm_seq2seq.py --sources essays.src --targets essays.ref --steps 6000

There is no decoder. First the model learns the four patterns (both directions, each one alone, and
a source that is seen whole before a target that is read from left to right) on text. Then, on the
pairs, 70 % of the target is masked, its end included, and predicted with the last pattern. To
write, it is given a mask behind what it has written, again and again.

What it leaves in `--output`: the tokenizer, the files that were learnt from and held out, the
corpora, `pretrained/` and `preset/` for `from_preset`, and `written.txt`.
"""

import argparse
import collections
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow: errors only

import keras
import numpy as np

from keras_plm import data, models, objectives, tasks, transfer

# === Settings ===

VOCABULARY = {"tiny": 1_000, "small": 8_000, "base": 30_000}  # lowered to what the text carries
LENGTH = {"tiny": 48, "small": 128, "base": 512}  # tokens of a source and its target
PRETRAINING_STEPS = {"tiny": 100, "small": 20_000, "base": 500_000}
STEPS = {"tiny": 1_500, "small": 10_000, "base": 30_000}
BATCH_SIZE = {"tiny": 32, "small": 32, "base": 64}
LEARNING_RATE = {"tiny": 1e-3, "small": 5e-4, "base": 1e-4}
DROPOUT = {"tiny": 0.0, "small": 0.1, "base": 0.1}
MASKED = 0.7  # of a target, in fine-tuning
HELD_OUT = 0.1  # of the pairs, but not more than
MOST_HELD_OUT = 500
HELD_OUT_ROWS = 16  # in a batch
BEAMS, LENGTH_PENALTY = 5, 0.7
SHOWN = 4  # targets that are printed

parser = argparse.ArgumentParser(description="Pretrain UniLM, and write a target for each source.")
folder = Path(__file__).parent
parser.add_argument("--corpus", nargs="+", metavar="PATH", help="text to pretrain on")
parser.add_argument("--sources", type=Path, default=folder / "pairs/sentences.en", metavar="PATH")
parser.add_argument("--targets", type=Path, default=folder / "pairs/sentences.de", metavar="PATH")
parser.add_argument("--size", choices=list(VOCABULARY), default="tiny")
parser.add_argument("--pretraining-steps", type=int, help="default: by size, as the next five")
parser.add_argument("--steps", type=int, help="of fine-tuning")
parser.add_argument("--vocabulary-size", type=int)
parser.add_argument("--sequence-length", type=int)
parser.add_argument("--batch-size", type=int)
parser.add_argument("--learning-rate", type=float)
parser.add_argument("--output", type=Path, default=Path("output/unilm"), metavar="DIR")
parser.add_argument("--limit", type=int, help="write targets for so many held-out sources only")
parser.add_argument("--seed", type=int, default=0)
arguments = parser.parse_args()
size, output = arguments.size, arguments.output
texts = arguments.corpus or sorted((folder / "texts").glob("*.txt"))
length = arguments.sequence_length or LENGTH[size]
pretraining_steps = arguments.pretraining_steps or PRETRAINING_STEPS[size]
steps = arguments.steps or STEPS[size]
batch_size = arguments.batch_size or BATCH_SIZE[size]
peak = arguments.learning_rate or LEARNING_RATE[size]
keras.utils.set_random_seed(arguments.seed)
begin = time.time()


def optimizer(steps):
    """BERT's; the learning rate rises for a tenth of the steps and then falls to 0."""
    schedule = transfer.WarmupPolynomialDecay(peak, steps // 10, steps)
    return transfer.bert_optimizer(schedule, bias_correction=True, beta_2=0.98)


# === Pairs to learn from, and pairs held out ===

output.mkdir(parents=True, exist_ok=True)
sources, targets = (
    path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    for path in (arguments.sources, arguments.targets)
)
if len(sources) != len(targets):
    raise SystemExit(f"{len(sources):,} sources need as many targets, not {len(targets):,}.")
order = np.random.default_rng(arguments.seed).permutation(len(sources))
number = min(MOST_HELD_OUT, max(HELD_OUT_ROWS, round(HELD_OUT * len(order))))
files = {}
for part, chosen in {"held_out": order[:number], "train": order[number:]}.items():
    for side, lines in {"source": sources, "target": targets}.items():
        files[part, side] = output / f"{part}.{side}"
        content = "".join(f"{lines[index]}\n" for index in chosen)
        files[part, side].write_text(content, encoding="utf-8")

# === Tokenizer, corpora ===

tokenizer = data.train_tokenizer(
    [files["train", "source"], files["train", "target"]],
    arguments.vocabulary_size or VOCABULARY[size],
    model="wordpiece",
)
tokenizer.save(output / "tokenizer")
text = data.Corpus.build(texts, tokenizer, output / "text")
training, held_out = (
    data.Corpus.build_pairs(files[part, "source"], files[part, "target"], tokenizer, output / part)
    for part in ("train", "held_out")
)
print(
    f"{text.num_tokens:,} tokens of text, {training.num_documents:,} pairs to learn from, "
    f"{number:,} held out; a vocabulary of {tokenizer.vocabulary_size:,} pieces."
)

# === Pretraining: the four patterns by turns ===

settings = {"dropout": DROPOUT[size], "attention_dropout": DROPOUT[size]}
model = models.unilm(tokenizer, size, length, **settings)
print(f"A model with {model.count_params():,} parameters; the patterns and their weights:")
for pattern, weight in zip(model.objective.objectives, model.objective.weights):
    print(f"  {weight} {pattern}"[:98])
model.compile(optimizer(pretraining_steps))
examples = data.examples(text, model.objective, batch_size, arguments.seed)
model.fit(examples, steps_per_epoch=pretraining_steps, verbose=2)
model.save_to_preset(output / "pretrained")

# === Fine-tuning: the target is masked, the source is not ===

objective = objectives.PrefixModeling.for_tokenizer(
    tokenizer,
    pattern="sequence_to_sequence",
    targets="masked_target",
    select=objectives.RandomSelection(rate=MASKED),
    rows="text_pair",
    sequence_length=length,
)
model = tasks.Pretrainer.from_preset(output / "pretrained", objective=objective)
model.compile(optimizer(steps))
own = data.examples(held_out, objective, HELD_OUT_ROWS, training=False)
before = model.evaluate(own, verbose=0, return_dict=True)["perplexity"]
examples = data.examples(training, objective, batch_size, arguments.seed)
epoch = max(steps // 10, 1)
model.fit(examples, steps_per_epoch=epoch, epochs=steps // epoch, validation_data=own, verbose=2)
after = model.evaluate(own, verbose=0, return_dict=True)["perplexity"]
model.save_to_preset(output / "preset")
print(f"Held-out targets, nats per masked token: {np.log(before):.3f}, then {np.log(after):.3f}.")

# === Writing ===


def overlap(text, wanted):
    """The F1 of the words of a text against those of another, order aside."""
    ours, theirs = (collections.Counter(one.lower().split()) for one in (text, wanted))
    common = sum((ours & theirs).values())
    return 2 * common / max(sum(ours.values()) + sum(theirs.values()), 1)


def in_pieces(text):
    """A text as the tokenizer gives it back."""
    return tokenizer.decode(tokenizer.encode(text))


asked, wanted = (
    files["held_out", side].read_text(encoding="utf-8").splitlines()[: arguments.limit]
    for side in ("source", "target")
)
wanted = [in_pieces(target) for target in wanted]
learned = [sources[index] for index in order[number:]]
nearest = [max(range(len(learned)), key=lambda i: overlap(learned[i], one)) for one in asked]
writer = tasks.PrefixLM.from_preset(output / "preset")
beam = tasks.BeamSearch(num_beams=BEAMS, length_penalty=LENGTH_PENALTY)
longest = max(len(tokenizer.encode(target)) for target in targets) + 1
longest = min(longest, length // 2)
written = {
    "the target of the most similar source": [
        in_pieces(targets[order[number:][index]]) for index in nearest
    ],
    "greedy": writer.generate(asked, longest, "greedy", batch_size=HELD_OUT_ROWS),
    f"{BEAMS} beams": writer.generate(asked, longest, beam, batch_size=HELD_OUT_ROWS),
}
print(f"{len(asked)} held-out sources:")
for name, ours in written.items():
    exact = np.mean([one == two for one, two in zip(ours, wanted)])
    words = np.mean([overlap(one, two) for one, two in zip(ours, wanted)])
    print(f"  {name:38s} exactly right {exact:.3f}, F1 of the words {words:.3f}")
for source, target, ours in list(zip(asked, wanted, written[f"{BEAMS} beams"]))[:SHOWN]:
    print(f"{source}\n  wanted:  {target}\n  written: {ours}")
(output / "written.txt").write_text("\n".join(written[f"{BEAMS} beams"]) + "\n", encoding="utf-8")
print(f"Wrote {output / 'preset'}. Done in {time.time() - begin:.0f} s.")
if not after < before:
    raise SystemExit("The held-out loss did not fall.")
