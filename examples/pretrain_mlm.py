"""
Title: Pretraining BERT and its relatives on a handful of novels
Description: One corpus, six masked objectives, each from text files to a fine-tuned classifier.
Accelerator: none needed

Run it as it is for a tiny BERT in a few minutes on two cores, with another objective, or on your
own text:

    python examples/pretrain_mlm.py
    python examples/pretrain_mlm.py --objective span
    python examples/pretrain_mlm.py --corpus my_texts/*.txt --size small --steps 20000

What the objectives hide: `bert` tokens, and it is asked for the next sentence; `wwm` whole words;
`roberta` byte-level pieces, anew in every pass; `span` spans of words, predicted from their
bounds too; `ernie` names and phrases; `mpnet` whole words, which are predicted in a random order,
each with those before it in sight.

What it leaves in `--output`: the tokenizer, the corpus, a checkpoint (`--resume` goes on from
it), `preset/` for `from_preset`, and `history.csv`.
"""

import argparse
import os
import re
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow: errors only

import keras
import numpy as np

from keras_plm import data, models, objectives, tasks, transfer

# === Settings ===

OBJECTIVES = {  # the system, and the tokenizer that it was published with
    "bert": (models.bert, "wordpiece"),
    "wwm": (models.bert_wwm, "wordpiece"),
    "roberta": (models.roberta, "bpe"),
    "span": (models.spanbert, "wordpiece"),
    "ernie": (models.ernie1, "wordpiece"),
    "mpnet": (models.mpnet, "wordpiece"),
}
VOCABULARY = {"tiny": 2_000, "small": 8_000, "base": 30_000}  # lowered to what the text carries
LENGTH = {"tiny": 32, "small": 128, "base": 512}  # tokens of a row
STEPS = {"tiny": 4_000, "small": 20_000, "base": 500_000}
BATCH_SIZE = {"tiny": 16, "small": 32, "base": 256}
LEARNING_RATE = {"tiny": 1e-3, "small": 5e-4, "base": 1e-4}
DROPOUT = {"tiny": 0.0, "small": 0.1, "base": 0.1}
HELD_OUT = 0.05  # of the documents
HELD_OUT_ROWS = 16  # in a batch
REPORTS = 10  # evaluations, and checkpoints, in the course of training
SENTENCES = [  # the mask is written as the tokenizer writes it
    "The old man looked at {} watch, and then he went out of the room.",
    "I do not {} what you mean, said the young man.",
]
AUTHORS = {  # of the novels, for the question at the end
    "a_christmas_carol": "Dickens",
    "a_study_in_scarlet": "Doyle",
    "alices_adventures_in_wonderland": "Carroll",
    "the_time_machine": "Wells",
    "through_the_looking_glass": "Carroll",
}
PARAGRAPHS = 400  # to learn the answer from

parser = argparse.ArgumentParser(description="Pretrain by masked language modelling.")
texts = sorted((Path(__file__).parent / "texts").glob("*.txt"))
parser.add_argument("--objective", choices=list(OBJECTIVES), default="bert")
parser.add_argument("--corpus", nargs="+", default=texts, metavar="PATH", help="text or jsonl")
parser.add_argument("--size", choices=list(VOCABULARY), default="tiny")
parser.add_argument("--vocabulary-size", type=int, help="default: by size, as the next four")
parser.add_argument("--sequence-length", type=int)
parser.add_argument("--steps", type=int)
parser.add_argument("--batch-size", type=int)
parser.add_argument("--learning-rate", type=float)
parser.add_argument("--output", type=Path, metavar="DIR", help="default: output/<objective>")
parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in --output")
parser.add_argument("--held-out-batches", type=int, default=20, help="that are evaluated")
parser.add_argument("--held-out-limit", type=int, help="paragraphs whose author is asked")
parser.add_argument("--seed", type=int, default=0)
parser.add_argument(
    "--dialogue", action="store_true", help="ernie: of the texts what is quoted, turn by turn"
)
arguments = parser.parse_args()
if arguments.dialogue and arguments.objective != "ernie":
    parser.error("--dialogue needs --objective ernie")
size = arguments.size
output = arguments.output or Path("output") / arguments.objective
length = arguments.sequence_length or LENGTH[size]
steps = arguments.steps or STEPS[size]
batch_size = arguments.batch_size or BATCH_SIZE[size]
peak = arguments.learning_rate or LEARNING_RATE[size]
make_model, tokenizer_model = OBJECTIVES[arguments.objective]
keras.utils.set_random_seed(arguments.seed)
begin = time.time()

# === Names and phrases, for ERNIE ===

WORD = "[A-Z][a-z]+"
NAME = (  # Dr. Watson, Sherlock Holmes; the Queen, if that is not how a sentence begins
    rf"(?:Mrs?|Dr|St)\. {WORD}(?: {WORD})*|{WORD}(?: {WORD})+|(?<=[a-z,;] ){WORD}"
)
PHRASE = (  # the little door, his own watch
    r"\b(?:an?|the|my|your|his|her|its|our|their|this|that|no) "
    r"(?:(?:little|great|old|young|poor|good|long|large|white|red|same|own|other) )?[a-z]{3,}"
)
TIMES = r"\b(?:one|two|three|four|five|six|seven|eight|nine|ten|\d+) [a-z]{3,}"  # two hours


def find_names_and_phrases(sentence):
    """The (begin, end) of names and phrases: three rules, where ERNIE had a tagger."""
    return [match.span() for match in re.finditer(f"{NAME}|{PHRASE}|{TIMES}", sentence)]


# === Text, tokenizer, corpus ===

if arguments.resume:
    tokenizer = data.Tokenizer.load(output / "tokenizer")
    corpus = data.Corpus.open(output / "corpus")
    corpus.check_tokenizer(tokenizer)
else:
    vocabulary_size = arguments.vocabulary_size or VOCABULARY[size]
    tokenizer = data.train_tokenizer(
        arguments.corpus, vocabulary_size, model=tokenizer_model, lowercase=True
    )
    tokenizer.save(output / "tokenizer")
    bounds = {}
    if arguments.objective == "ernie":
        bounds["find_spans"] = find_names_and_phrases
    if arguments.dialogue:
        bounds["split_sentences"] = data.quoted_turns
    corpus = data.Corpus.build(arguments.corpus, tokenizer, output / "corpus", **bounds)
training, held_out = corpus.split(HELD_OUT)
print(
    f"{training.num_tokens:,} tokens in {training.num_documents:,} documents to learn from, "
    f"{held_out.num_tokens:,} in {held_out.num_documents:,} held out; "
    f"a vocabulary of {tokenizer.vocabulary_size:,} pieces."
)

# === Model ===

settings = {"dropout": DROPOUT[size], "attention_dropout": DROPOUT[size]}
if arguments.dialogue:
    settings["dialogue"] = True
model = make_model(tokenizer, size, length, **settings)
learning_rate = transfer.WarmupPolynomialDecay(peak, steps // 10, steps)
# BERT's; for short runs with corrected moments, and RoBERTa's shorter memory of the second.
optimizer = transfer.bert_optimizer(learning_rate, bias_correction=True, beta_2=0.98)
model.compile(optimizer)
step = 0
if arguments.resume:  # with more steps the schedule is another one
    step = tasks.resume(model, output / "checkpoint", may_differ=["learning_rate"])
print(f"A model with {model.count_params():,} parameters, at step {step:,} of {steps:,}.")

examples = data.examples(training, model.objective, batch_size, arguments.seed, start=step)

# === What is measured on held-out text, and what a model without context would reach ===

counts = training.token_counts() + 1  # a piece that was never seen is not impossible
surprise = -np.log(counts / counts.sum())  # nats, by token


def held_out_examples(objective):
    """Rows that are read in order, and how many batches of them are evaluated."""
    found = data.examples(held_out, objective, HELD_OUT_ROWS, training=False)
    return found, min(arguments.held_out_batches, found.steps_per_epoch)


def unigram(examples, batches):
    """The cross-entropy of the tokens' frequencies on the targets of these examples."""
    targets = [examples.batch_at(number)[1:] for number in range(batches)]
    return np.average(
        np.concatenate([surprise[y["tokens"]].ravel() for y, _ in targets]),
        weights=np.concatenate([weight["tokens"].ravel() for _, weight in targets]),
    )


def evaluate(model, examples, batches):
    """What is measured of each head: its cross-entropy in nats where it has one, its accuracy."""
    logs = model.evaluate(examples, steps=batches, verbose=0, return_dict=True)
    measured = {}
    for name in model.heads:
        prefix = f"{name}_" if len(model.heads) > 1 else ""  # of several heads' metrics
        measured[name] = {"accuracy": logs[f"{prefix}accuracy"]}
        if f"{prefix}perplexity" in logs:
            measured[name]["cross-entropy"] = np.log(logs[f"{prefix}perplexity"])
    return measured


def report(when, measured):
    """Print a line for each head."""
    for name, values in measured.items():
        shown = [f"{what} {value:.3f}" for what, value in sorted(values.items())[::-1]]
        print(f"  {when:9s} {name:13s} {', '.join(shown)}")


own, own_batches = held_out_examples(model.objective)
before = evaluate(model, own, own_batches)

# === Training ===

epoch = max(steps // REPORTS, 1)
if step < steps:
    model.fit(
        examples,
        steps_per_epoch=epoch,
        initial_epoch=step // epoch,
        epochs=steps // epoch,
        validation_data=own,
        validation_steps=own_batches,
        callbacks=[
            tasks.Checkpoint(output / "checkpoint", start=step),
            keras.callbacks.CSVLogger(str(output / "history.csv"), append=step > 0),
        ],
        verbose=2,
    )
model.save_to_preset(output / "preset")
after = evaluate(model, own, own_batches)
print(f"Held-out text, {own_batches} batches of this objective, cross-entropy in nats:")
report("before", before)
report("after", after)
report("unigram", {"tokens": {"cross-entropy": unigram(own, own_batches)}})
if step < steps and not after["tokens"]["cross-entropy"] < before["tokens"]["cross-entropy"]:
    raise SystemExit("The held-out loss did not fall.")

# === One yardstick for all objectives: tokens chosen as BERT does, all of them masked ===

yardstick = objectives.MaskedModeling.for_tokenizer(
    tokenizer, corrupt=objectives.ALL_MASK, sequence_length=length
)
measured = tasks.Pretrainer.from_preset(output / "preset", objective=yardstick)
plain, plain_batches = held_out_examples(yardstick)
print(f"Held-out text, {plain_batches} batches, single tokens masked:")
report("after", evaluate(measured, plain, plain_batches))
report("unigram", {"tokens": {"cross-entropy": unigram(plain, plain_batches)}})

# === Filling masks ===

masked_lm = tasks.MaskedLM.from_preset(output / "preset")
masked = [sentence.format(tokenizer.mask_token) for sentence in SENTENCES]
for sentence, (fillings,) in zip(masked, masked_lm.fill_mask(masked, verbose=0)):
    shown = ", ".join(f"{one.token!r} {one.probability:.3f}" for one in fillings)
    print(f"{sentence}\n  {shown}")

# === Fine-tuning from the preset: who wrote this paragraph? ===

learned, asked = [], []  # (text, author); every fifth paragraph is asked
for path in texts:
    # Without quotation marks and dashes, which would give the edition away.
    lines = re.sub("[\"'“”‘’`—–-]", " ", path.read_text(encoding="utf-8")).splitlines()
    paragraphs = [" ".join(line.split()) for line in lines if len(line) >= 80]
    learned += [(text, AUTHORS[path.stem]) for n, text in enumerate(paragraphs) if n % 5]
    asked += [(text, AUTHORS[path.stem]) for text in paragraphs[::5]]
asked = asked[: arguments.held_out_limit]
rng = np.random.default_rng(arguments.seed)
learned = [learned[index] for index in rng.permutation(len(learned))[:PARAGRAPHS]]
names = sorted(set(AUTHORS.values()))
asked_labels = [names.index(author) for _, author in asked]
classifier = tasks.TextClassifier.from_preset(output / "preset", num_classes=len(names))
rate = 1e-3 if size == "tiny" else 5e-5
classifier.compile(transfer.bert_optimizer(rate, bias_correction=True))
classifier.fit(
    [text for text, _ in learned],
    [names.index(author) for _, author in learned],
    batch_size=32,
    epochs=2,
    verbose=2,
)
logits = classifier.predict([text for text, _ in asked], batch_size=32, verbose=0)
accuracy = np.mean(logits.argmax(axis=1) == asked_labels)
print(
    f"Who wrote it? {len(learned)} paragraphs to learn from, {len(asked)} asked: accuracy "
    f"{accuracy:.3f}; always the commonest author: "
    f"{np.bincount(asked_labels).max() / len(asked):.3f}."
)
print(f"Wrote {output / 'preset'}. Done in {time.time() - begin:.0f} s.")
