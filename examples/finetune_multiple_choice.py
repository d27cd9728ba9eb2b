"""
Title: Fine-tuning a pretrained model to choose one of several answers
Description: Raw contexts, questions and choices to a choice; DREAM, or novels.
Accelerator: none needed

Run it after `pretrain_xlnet.py` (else it starts from random weights), on the shipped novels (which
sentence continues the paragraph?) or on the directory of DREAM (arXiv:1902.00164), which has
`train.json` and `dev.json`:

    python examples/finetune_multiple_choice.py
    python examples/finetune_multiple_choice.py --data dream

Half of DREAM's dialogues are longer than a row; `--context-words N` keeps, of each, the sentences
that share most words with the question and the choices, up to N words, in their order.

The wrong choices of the default data are sentences of other novels. Quotation marks and dashes
are taken out, which would give the edition away; whole chapters are held out.
"""

import argparse
import json
import os
import re
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow: errors only

import keras
import numpy as np

from keras_plm import data, models, tasks, transfer

# === Settings ===

HELD_OUT = 5  # every fifth chapter is held out
CHOICES = 3
CHOICE_WORDS = 10  # of a sentence that continues a paragraph; the rest is dropped
VOCABULARY = 4_000  # of the tokenizer that is trained where no preset is given
PRESET = Path("output/xlnet/preset")  # where pretrain_xlnet.py leaves it
TEXTS = Path(__file__).parent / "texts"

parser = argparse.ArgumentParser(description="Fine-tune a pretrained model to choose an answer.")
parser.add_argument("--preset", metavar="DIR", help=f"default: {PRESET}; none: random weights")
parser.add_argument(
    "--data", type=Path, metavar="DIR", help="with train.json and dev.json of DREAM"
)
parser.add_argument("--output", type=Path, default=Path("output/multiple_choice"), metavar="DIR")
parser.add_argument("--epochs", type=int, default=4)
parser.add_argument("--batch-size", type=int, default=16)
parser.add_argument("--learning-rate", type=float, default=1e-3, help="for a base model 2e-5")
parser.add_argument("--sequence-length", type=int, default=128)
parser.add_argument("--context-words", type=int, metavar="N", help="see above; default: all")
parser.add_argument("--limit", type=int, help="use so many training questions only")
parser.add_argument("--held-out-limit", type=int, help="and so many to evaluate on")
parser.add_argument("--seed", type=int, default=0)
arguments = parser.parse_args()
keras.utils.set_random_seed(arguments.seed)
rng = np.random.default_rng(arguments.seed)
arguments.output.mkdir(parents=True, exist_ok=True)

# === Contexts, questions, choices and labels ===


def long_words(text):
    return {word for word in re.findall(r"\w+", text.lower()) if len(word) > 3}


def nearest_sentences(context, question, choices):
    """The part of a context that is kept."""
    if arguments.context_words is None:
        return context
    asked = long_words(" ".join([question, *choices]))
    sentences = re.split(r"(?<=[.?!]) ", context)
    shares = [len(long_words(one) & asked) / (len(one.split()) + 5) for one in sentences]
    kept, room = [], arguments.context_words
    for index in sorted(range(len(sentences)), key=lambda index: -shares[index]):
        length = len(sentences[index].split())
        if length <= room or not kept:
            kept.append(index)
            room -= length
    return " ".join(sentences[index] for index in sorted(kept))


def read_dream(path):
    """(context, question, choices, label) of every question; a dialogue is the context."""
    for turns, asked, _ in json.loads(path.read_text(encoding="utf-8")):
        for one in asked:
            question, choices = one["question"], one["choice"]
            context = nearest_sentences(" ".join(turns), question, choices)
            yield context, question, choices, choices.index(one["answer"])


def read_novels(directory, held_out):
    """The same of paragraphs; the choices are the next sentence and two of other novels."""
    found = []  # (novel, context, next sentence)
    chapter = 0
    for novel, path in enumerate(sorted(directory.glob("*.txt"))):
        for line in path.read_text(encoding="utf-8").splitlines():
            chapter += not line  # an empty line ends a chapter
            text = " ".join(re.sub("[\"'“”‘’`—–-]", " ", line).split())
            sentences = re.findall(r"[^.!?]+[.!?]", text)
            if len(sentences) >= 4 and (chapter % HELD_OUT == 0) == held_out:
                for end in range(3, len(sentences), 4):
                    continuation = " ".join(sentences[end].split()[:CHOICE_WORDS])
                    found.append((novel, "".join(sentences[end - 3 : end]), continuation))
        chapter += 1
    for novel, context, sentence in found:
        others = [row for row in found if row[0] != novel]
        wrong = [others[index][2] for index in rng.integers(len(others), size=CHOICES - 1)]
        label = int(rng.integers(CHOICES))
        yield context, "What comes next?", wrong[:label] + [sentence] + wrong[label:], label


if arguments.data:
    training, held_out = (list(read_dream(arguments.data / f"{n}.json")) for n in ("train", "dev"))
else:
    training, held_out = (list(read_novels(TEXTS, held_out)) for held_out in (False, True))
held_out = held_out[: arguments.held_out_limit]
chosen = rng.permutation(len(training))[: arguments.limit]
*texts, labels = zip(*(training[index] for index in chosen))
*held_out_texts, held_out_labels = zip(*held_out)
texts, held_out_texts = tuple(map(list, texts)), tuple(map(list, held_out_texts))
held_out_labels = np.array(held_out_labels)
print(
    f"{len(training):,} questions to learn from, of which {len(chosen):,} are used; "
    f"{len(held_out):,} held out."
)

# === What a model that understands nothing would reach ===


def words(text):
    return set(re.findall(r"\w+", text.lower()))


def shared(row):
    """What share of the words of each choice occurs in the context."""
    context, _, choices, _ = row
    return [len(words(one) & words(context)) / max(len(words(one)), 1) for one in choices]


most_frequent = np.mean(held_out_labels == np.bincount(labels).argmax())
overlap = np.mean([np.argmax(shared(row)) == row[-1] for row in held_out])

# === Model ===

settings = {
    "sequence_length": arguments.sequence_length,
    "max_choice_length": arguments.sequence_length // 2,  # tokens of question and choice
}
preset = arguments.preset or (PRESET if PRESET.exists() else "none")
if preset == "none":
    path = arguments.output / "texts.txt"
    lines = [text for context, _, choices, _ in training for text in (context, *choices)]
    path.write_text("\n".join(dict.fromkeys(lines)), encoding="utf-8")
    tokenizer = data.train_tokenizer([path], VOCABULARY)
    backbone = models.xlnet(tokenizer, "tiny").backbone
    model = tasks.MultipleChoice(backbone, tasks.ChoicePreprocessor(tokenizer, **settings))
    print("Not pretrained: a tiny XLNet from random weights.")
else:
    model = tasks.MultipleChoice.from_preset(str(preset), **settings)
    print(f"Pretrained: {preset}.")

steps = arguments.epochs * -(-len(labels) // arguments.batch_size)
schedule = transfer.WarmupPolynomialDecay(arguments.learning_rate, steps // 10, steps)
model.compile(transfer.xlnet_optimizer(schedule, bias_correction=True))
print(f"{model.count_params():,} parameters; {steps:,} steps.")

# === Fine-tuning ===

model.fit(
    texts,
    list(labels),
    batch_size=arguments.batch_size,
    epochs=arguments.epochs,
    verbose=2,
)
logits = model.predict(held_out_texts, batch_size=arguments.batch_size, verbose=0)
accuracy = np.mean(logits.argmax(axis=1) == held_out_labels)
print(f"Held out, accuracy on {len(held_out):,} questions:")
print(f"  chance                                  {1 / CHOICES:.3f}")
print(f"  always the most frequent position       {most_frequent:.3f}")
print(f"  the choice with most words of the text  {overlap:.3f}")
print(f"  this model                              {accuracy:.3f}")
for (_, question, choices, label), row in list(zip(held_out, logits))[:: len(held_out) // 3][:3]:
    verdict = "right" if row.argmax() == label else "wrong"
    print(f"  {question[:60]} -> {choices[row.argmax()][:60]!r} ({verdict})")

model.save_to_preset(arguments.output / "preset")
print(f"Wrote {arguments.output / 'preset'}.")
