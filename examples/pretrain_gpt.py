"""
Title: Pretraining a small GPT on a handful of novels
Description: From text files to a language model that continues texts and says how likely they are.
Accelerator: none needed

Run it as it is for a tiny GPT-2 in a few minutes on two cores, as another GPT, or on your own text:

    python examples/pretrain_gpt.py
    python examples/pretrain_gpt.py --system gpt3
    python examples/pretrain_gpt.py --corpus my_texts/*.txt --size small --steps 20000

What it leaves in `--output`: the tokenizer, the corpus, a checkpoint (`--resume` goes on from
it), `preset/` for `from_preset`, and `history.csv`.
"""

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow: errors only

import keras
import keras_hub
import numpy as np

from keras_plm import data, models, tasks, transfer

# === Settings ===

SYSTEMS = {"gpt1": models.gpt1, "gpt2": models.gpt2, "gpt3": models.gpt3}
VOCABULARY = {"tiny": 4_000, "small": 8_000, "base": 50_257}  # lowered to what the text carries
LENGTH = {"tiny": 64, "small": 256, "base": 1_024}  # tokens of a row
STEPS = {"tiny": 2_000, "small": 20_000, "base": 500_000}
BATCH_SIZE = {"tiny": 16, "small": 32, "base": 512}
LEARNING_RATE = {"tiny": 2e-3, "small": 1e-3, "base": 6e-4}
DROPOUT = {"tiny": 0.0, "small": 0.1, "base": 0.1}
HELD_OUT = 0.05  # of the documents
HELD_OUT_ROWS = 16  # in a batch
REPORTS = 10  # evaluations, and checkpoints, in the course of training
PROMPTS = ["The old man looked at his watch, and then", '"I do not know what you mean,"']
MAX_LENGTH = 48  # of a prompt and what is written behind it, in tokens
SENTENCE = "The old man looked at his watch, and then he went out of the room."

parser = argparse.ArgumentParser(description="Pretrain by predicting the next token.")
texts = sorted((Path(__file__).parent / "texts").glob("*.txt"))
parser.add_argument("--system", choices=list(SYSTEMS), default="gpt2")
parser.add_argument("--corpus", nargs="+", default=texts, metavar="PATH", help="text or jsonl")
parser.add_argument("--size", choices=list(VOCABULARY), default="tiny")
parser.add_argument("--vocabulary-size", type=int, help="default: by size, as the next four")
parser.add_argument("--sequence-length", type=int)
parser.add_argument("--steps", type=int)
parser.add_argument("--batch-size", type=int)
parser.add_argument("--learning-rate", type=float)
parser.add_argument("--output", type=Path, metavar="DIR", help="default: output/<system>")
parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in --output")
parser.add_argument("--held-out-batches", type=int, default=20, help="that are evaluated")
parser.add_argument("--seed", type=int, default=0)
arguments = parser.parse_args()
size = arguments.size
output = arguments.output or Path("output") / arguments.system
length = arguments.sequence_length or LENGTH[size]
steps = arguments.steps or STEPS[size]
batch_size = arguments.batch_size or BATCH_SIZE[size]
peak = arguments.learning_rate or LEARNING_RATE[size]
keras.utils.set_random_seed(arguments.seed)
begin = time.time()

# === Text, tokenizer, corpus ===

if arguments.resume:
    tokenizer = data.Tokenizer.load(output / "tokenizer")
    corpus = data.Corpus.open(output / "corpus")
    corpus.check_tokenizer(tokenizer)
else:
    vocabulary_size = arguments.vocabulary_size or VOCABULARY[size]
    tokenizer = data.train_tokenizer(arguments.corpus, vocabulary_size, model="bpe", layout="gpt")
    tokenizer.save(output / "tokenizer")
    corpus = data.Corpus.build(arguments.corpus, tokenizer, output / "corpus")
training, held_out = corpus.split(HELD_OUT)
print(
    f"{training.num_tokens:,} tokens in {training.num_documents:,} documents to learn from, "
    f"{held_out.num_tokens:,} in {held_out.num_documents:,} held out; "
    f"a vocabulary of {tokenizer.vocabulary_size:,} pieces."
)

# === Model ===

model = SYSTEMS[arguments.system](
    tokenizer, size, length, dropout=DROPOUT[size], attention_dropout=DROPOUT[size]
)
learning_rate = transfer.WarmupPolynomialDecay(peak, steps // 10, steps)
model.compile(transfer.gpt3_optimizer(learning_rate))  # for all three systems
step = 0
if arguments.resume:  # with more steps the schedule is another one
    step = tasks.resume(model, output / "checkpoint", may_differ=["learning_rate"])
print(f"A model with {model.count_params():,} parameters, at step {step:,} of {steps:,}.")

examples = data.examples(training, model.objective, batch_size, arguments.seed, start=step)
# Held-out rows are read in order; fewer batches where the held-out text is short.
held_out_examples = data.examples(held_out, model.objective, HELD_OUT_ROWS, training=False)
held_out_batches = min(arguments.held_out_batches, held_out_examples.steps_per_epoch)

# === What a model without context would reach ===

counts = training.token_counts() + 1  # a piece that was never seen is not impossible
surprise = -np.log(counts / counts.sum())  # nats, by token
targets = [held_out_examples.batch_at(number)[1:] for number in range(held_out_batches)]
unigram = np.average(
    np.concatenate([surprise[y["tokens"]].ravel() for y, _ in targets]),
    weights=np.concatenate([weight["tokens"].ravel() for _, weight in targets]),
)


def evaluate():
    """The cross-entropy per token of held-out text, in nats."""
    logs = model.evaluate(held_out_examples, steps=held_out_batches, verbose=0, return_dict=True)
    return np.log(logs["perplexity"])


before = evaluate()

# === Training ===

epoch = max(steps // REPORTS, 1)
if step < steps:
    model.fit(
        examples,
        steps_per_epoch=epoch,
        initial_epoch=step // epoch,
        epochs=steps // epoch,
        validation_data=held_out_examples,
        validation_steps=held_out_batches,
        callbacks=[
            tasks.Checkpoint(output / "checkpoint", start=step),
            keras.callbacks.CSVLogger(str(output / "history.csv"), append=step > 0),
        ],
        verbose=2,
    )
model.save_to_preset(output / "preset")
after = evaluate()
print(f"Held-out text, {held_out_batches} batches, cross-entropy per token:")
for name, nats in {"before": before, "after": after, "unigram": unigram}.items():
    print(f"  {name:9s} {nats:.3f} nats, perplexity {np.exp(nats):,.1f}")
below = "below" if after < unigram else "above"
print(f"  The model is {abs(unigram - after):.3f} nats {below} the unigram model.")
if step < steps and not after < before:
    raise SystemExit("The held-out loss did not fall.")

# === Continuing texts ===

causal_lm = tasks.CausalLM.from_preset(output / "preset")
samplers = {
    "top-p 0.9": keras_hub.samplers.TopPSampler(p=0.9),
    "4 beams": tasks.BeamSearch(num_beams=4, length_penalty=0.6),
}
max_length = min(MAX_LENGTH, length - 1)  # behind the token that ends a document
for name, sampler in samplers.items():
    written, nats = causal_lm.generate(
        PROMPTS, max_length, sampler, seed=arguments.seed, return_scores=True, verbose=0
    )
    for text, log_likelihood in zip(written, nats):
        print(f"{name}, {log_likelihood:.1f} nats: {text!r}")

# === How likely is a sentence, and how likely are its words in another order? ===

words = SENTENCE.split()
shuffled = " ".join(np.random.default_rng(arguments.seed).permutation(words))
for sentence, score in zip([SENTENCE, shuffled], causal_lm.score([SENTENCE, shuffled], verbose=0)):
    per_token = score.total / len(score.tokens)
    print(f"{score.total:.1f} nats, {per_token:.2f} per token: {sentence!r}")
print(f"Wrote {output / 'preset'}. Done in {time.time() - begin:.0f} s.")
