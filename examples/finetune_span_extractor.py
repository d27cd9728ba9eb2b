"""
Title: Fine-tuning a pretrained model to answer questions from a text
Description: Raw questions and contexts to answers with their places; SQuAD 2.0, or novels.
Accelerator: none needed

Run it after `pretrain_xlnet.py` (else it starts from random weights), on cloze questions about the
shipped novels or on a file in the form of SQuAD:

    python examples/finetune_span_extractor.py
    python examples/finetune_span_extractor.py --data dev-v2.0.json --beam

The default questions are sentences of a paragraph in which "what" stands for a phrase; the phrase
is the answer. One in four is asked about another paragraph, which does not answer it. Of the
articles of a file (or the chapters of the novels) whole ones are held out: some to find the
threshold for "no answer", others for the final score.
"""

import argparse
import json
import os
import re
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow: errors only

import keras
import numpy as np

from keras_plm import data, metrics, models, tasks, transfer

# === Settings ===

EIGHTH = 8  # every eighth article is for development, another eighth for the final score
QUESTION_WORDS = 24  # the most words of a question in a file; the rest is dropped
VOCABULARY = 4_000  # of the tokenizer that is trained where no preset is given
CLOZE_QUESTIONS = 2  # of a paragraph
CLOZE_CHARACTERS = range(200, 1_000)  # of the paragraph
UNANSWERABLE = 0.25  # of the cloze questions
PRESET = Path("output/xlnet/preset")  # where pretrain_xlnet.py leaves it
TEXTS = Path(__file__).parent / "texts"

parser = argparse.ArgumentParser(description="Fine-tune a pretrained model to answer questions.")
parser.add_argument("--preset", metavar="DIR", help=f"default: {PRESET}; none: random weights")
parser.add_argument(
    "--data", type=Path, metavar="FILE", help="json in the form of SQuAD 1.1 or 2.0"
)
parser.add_argument("--output", type=Path, default=Path("output/span_extractor"), metavar="DIR")
parser.add_argument("--beam", action="store_true", help="an end depends on its start; as in XLNet")
parser.add_argument("--answerable", action="store_true", help="leave out all other questions")
parser.add_argument("--epochs", type=int, default=4)
parser.add_argument("--batch-size", type=int, default=16)
parser.add_argument("--learning-rate", type=float, default=1e-3, help="for a base model 3e-5")
parser.add_argument("--sequence-length", type=int, default=256)
parser.add_argument("--limit", type=int, help="use so many training questions only")
parser.add_argument("--held-out-limit", type=int, help="and so many to evaluate on")
parser.add_argument("--seed", type=int, default=0)
arguments = parser.parse_args()
keras.utils.set_random_seed(arguments.seed)
rng = np.random.default_rng(arguments.seed)
arguments.output.mkdir(parents=True, exist_ok=True)

# === Questions, contexts and answers ===


def read_squad(path):
    """(article, question, context, answer) of every question; None = there is no answer."""
    articles = json.loads(path.read_text(encoding="utf-8"))["data"]
    for number, article in enumerate(articles):
        for paragraph in article["paragraphs"]:
            for asked in paragraph["qas"]:
                found = asked["answers"]
                answer = {
                    "text": [one["text"] for one in found],
                    "answer_start": [one["answer_start"] for one in found],
                }
                question = " ".join(asked["question"].split()[:QUESTION_WORDS])
                yield number, question, paragraph["context"], answer if found else None


def read_novels(directory):
    """The same of cloze questions; an article is a chapter."""
    chapter = 0
    for path in sorted(directory.glob("*.txt")):
        before = ""
        for paragraph in path.read_text(encoding="utf-8").splitlines():
            chapter += not paragraph  # an empty line ends a chapter
            if len(paragraph) not in CLOZE_CHARACTERS:
                continue
            sentences = re.findall(r"(?<=[.!?] )[^.!?]{30,120}[.!?]", paragraph)
            for index in rng.permutation(len(sentences))[:CLOZE_QUESTIONS]:
                sentence = sentences[index]
                phrases = list(re.finditer(r"\b[A-Za-z]{4,}( [A-Za-z]{4,})?\b", sentence))
                if not phrases:
                    continue
                phrase = phrases[rng.integers(len(phrases))]
                question = sentence[: phrase.start()] + "what" + sentence[phrase.end() :]
                if before and rng.random() < UNANSWERABLE:
                    yield chapter, question, before, None
                else:
                    start = paragraph.index(sentence) + phrase.start()
                    answer = {"text": [phrase[0]], "answer_start": [start]}
                    yield chapter, question, paragraph, answer
            before = paragraph
        chapter += 1


rows = list(read_squad(arguments.data) if arguments.data else read_novels(TEXTS))
if arguments.answerable:
    rows = [row for row in rows if row[-1]]
most = arguments.held_out_limit
development = [row[1:] for row in rows if row[0] % EIGHTH == 0][:most]
held_out = [row[1:] for row in rows if row[0] % EIGHTH == EIGHTH // 2][:most]
training = [row[1:] for row in rows if row[0] % EIGHTH not in (0, EIGHTH // 2)]
chosen = rng.permutation(len(training))[: arguments.limit]
questions, contexts, answers = zip(*(training[index] for index in chosen))
print(
    f"{len(training):,} questions to learn from, of which {len(chosen):,} are used; "
    f"{len(development):,} for development, {len(held_out):,} held out."
)

# === What a model that understands nothing would reach ===


def percent(scores):
    return f"exact match {100 * np.mean(scores[0]):5.1f}, F1 {100 * np.mean(scores[1]):5.1f}"


def random_span(context):
    """A span of a random place, as long as the answer to some training question."""
    words = list(re.finditer(r"\S+", context))
    length = lengths[rng.integers(len(lengths))]
    first = rng.integers(max(len(words) - length, 0) + 1)
    return context[words[first].start() : words[min(first + length, len(words)) - 1].end()]


lengths = [len(answer["text"][0].split()) for answer in answers if answer]
answerable = [row for row in held_out if row[-1]]
truth = [answer for _, _, answer in answerable] * 20  # twenty draws for each question
drawn = [random_span(context) for _, context, _ in answerable * 20]
baseline = metrics.squad_scores(truth, drawn)

# === Model ===

settings = {
    "sequence_length": arguments.sequence_length,
    "max_question_length": arguments.sequence_length // 3,
    "stride": arguments.sequence_length // 2,  # tokens from one window of a context to the next
}
preset = arguments.preset or (PRESET if PRESET.exists() else "none")
if preset == "none":
    texts = arguments.output / "texts.txt"
    lines = dict.fromkeys(text for row in training for text in row[:2])
    texts.write_text("\n".join(lines), encoding="utf-8")
    tokenizer = data.train_tokenizer([texts], VOCABULARY)
    backbone = models.xlnet(tokenizer, "tiny").backbone
    preprocessor = tasks.SpanPreprocessor(tokenizer, **settings)
    extractor = tasks.SpanExtractor(backbone, preprocessor, beam=arguments.beam)
    print("Not pretrained: a tiny XLNet from random weights.")
else:
    extractor = tasks.SpanExtractor.from_preset(str(preset), beam=arguments.beam, **settings)
    print(f"Pretrained: {preset}.")

# A long context is several rows, one for each window.
num_rows = len(extractor.preprocessor.windows((questions, contexts))[1])
steps = arguments.epochs * -(-num_rows // arguments.batch_size)
schedule = transfer.WarmupPolynomialDecay(arguments.learning_rate, steps // 10, steps)
extractor.compile(transfer.xlnet_optimizer(schedule, bias_correction=True))
print(f"{extractor.count_params():,} parameters; {num_rows:,} rows, {steps:,} steps.")

# === Fine-tuning ===


def predict(rows):
    """Answers, null scores and what is right, of rows (question, context, answer)."""
    asked, read, right = zip(*rows)
    found = extractor.answer(asked, read, max_answer_length=16, batch_size=32, verbose=0)
    return [one.text for one in found], [one.null_score for one in found], right


def scores(predicted, right, only_answerable):
    """Exact match and F1 of each question, or of those that have an answer."""
    pairs = [(t, p) for t, p in zip(right, predicted) if t or not only_answerable]
    return metrics.squad_scores(*zip(*pairs))


for epoch in range(arguments.epochs):
    extractor.fit(
        (questions, contexts),
        answers,
        batch_size=arguments.batch_size,
        initial_epoch=epoch,
        epochs=epoch + 1,
        verbose=2,
    )
    predicted, null_scores, right = predict(development)
    print(f"  development, answerable: {percent(scores(predicted, right, True))}")

# === Final scores ===

# Above the threshold a question has no answer; found on other articles than those of the score.
threshold = metrics.best_threshold(null_scores, right, predicted)["threshold"]
predicted, null_scores, right = predict(held_out)
print(f"Held out, {len(answerable):,} answerable questions, each answered:")
print(f"  a random span         {percent(baseline)}")
print(f"  this model            {percent(scores(predicted, right, True))}")
if len(answerable) < len(held_out):
    thresholded = [t if null <= threshold else "" for t, null in zip(predicted, null_scores)]
    print(f"Held out, all {len(held_out):,} questions, threshold {threshold:.2f}:")
    print(f"  always unanswerable   {percent(scores([''] * len(held_out), right, False))}")
    print(f"  never unanswerable    {percent(scores(predicted, right, False))}")
    print(f"  this model            {percent(scores(thresholded, right, False))}")
for (question, context, _), text in list(zip(held_out, predicted))[:: len(held_out) // 3][:3]:
    print(f"  {question[:80]} -> {text!r}")

extractor.save_to_preset(arguments.output / "preset")
print(f"Wrote {arguments.output / 'preset'}.")
