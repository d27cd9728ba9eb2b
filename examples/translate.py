"""
Title: Translation with the original Transformer
Description: An encoder and a decoder learn from pairs of sentences, and translate others.
Accelerator: none needed

Run it as it is for a small Transformer on the sentence pairs in `pairs/`, in two minutes on two
cores, or on your own: a folder with `train.de`, `train.en`, `val.de` and `val.en` (or `.gz`), such
as that of Multi30k's task 1:

    python examples/translate.py
    python examples/translate.py --data multi30k --pairs 1000 5000 --vocabulary-size 4000

Of a folder the last 1,000 training pairs are looked at in the course of training, and `val` is
translated: with no reference of it anything is chosen. It prints the loss of unseen pairs before
and after, some translations, and for a folder BLEU (`pip install -e ".[metrics]"`) of each number
of pairs, written greedily and by four beams, with the weights at the end and with the mean of those
at five times. Of the shipped pairs a small grammar made all: BLEU says nothing there. What it
leaves in `--output` for each number of pairs: `preset_<pairs>/` and `average_<pairs>/` for
`from_preset`, and `written_<pairs>.txt`.

Source: Vaswani et al., arXiv:1706.03762, sections 3, 5.3, 5.4 and 6.1.
"""

import argparse
import gzip
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow: errors only

import keras
import numpy as np

from keras_plm import data, tasks, transfer
from keras_plm.backbones import Seq2SeqBackbone

# === Settings ===

LAYERS, HEADS, WIDTH = 2, 4, 128  # the paper's base: 6 + 6, 8 and 512
HELD_OUT = 80  # of the shipped pairs
DEVELOPMENT = 1_000  # pairs of a folder, its last
SHOWN = 4  # translations that are printed
REPORTS = 10  # lines in the course of training, and presets
AVERAGED = 5  # of these, the last

parser = argparse.ArgumentParser(description="Train a Transformer on pairs, and translate.")
parser.add_argument("--data", type=Path, metavar="DIR", help="default: the shipped pairs")
parser.add_argument("--languages", nargs=2, default=["de", "en"], help="from, and to")
parser.add_argument("--pairs", nargs="+", type=int, help="how many to learn from; default: all")
parser.add_argument("--vocabulary-size", type=int, default=1_000, help="for both languages")
parser.add_argument("--length", type=int, default=40, help="most tokens of a sentence")
parser.add_argument("--steps", type=int, default=1_000)
parser.add_argument("--batch-size", type=int, default=32)
parser.add_argument("--learning-rate", type=float, default=2e-3, help="the peak")
parser.add_argument("--dropout", type=float, default=0.1)
parser.add_argument("--limit", type=int, help="translate so many sentences only")
parser.add_argument("--output", type=Path, default=Path("output/translate"), metavar="DIR")
parser.add_argument("--seed", type=int, default=0)
arguments = parser.parse_args()
output, length = arguments.output, arguments.length
output.mkdir(parents=True, exist_ok=True)

# === Pairs ===


def read(part, language):
    """The lines of a file of `--data`, which may be compressed."""
    path = arguments.data / f"{part}.{language}"
    path, opener = (path, open) if path.exists() else (f"{path}.gz", gzip.open)
    with opener(path, "rt", encoding="utf-8") as file:
        return file.read().removesuffix("\n").split("\n")


def read_pairs(part):
    """Sources and targets, line by line."""
    return list(zip(*(read(part, language) for language in arguments.languages), strict=True))


if arguments.data:
    pairs, asked = read_pairs("train"), read_pairs("val")
    pairs, development = pairs[:-DEVELOPMENT], pairs[-DEVELOPMENT:]
else:
    folder = Path(__file__).parent / "pairs"
    files = [folder / f"sentences.{language}" for language in arguments.languages]
    pairs = list(zip(*(file.read_text("utf-8").splitlines() for file in files), strict=True))
    order = np.random.default_rng(0).permutation(len(pairs))
    pairs = [pairs[index] for index in order]
    asked = development = pairs[:HELD_OUT]
    pairs = pairs[HELD_OUT:]
asked = asked[: arguments.limit]

# === Training ===


def train(number):
    """Leave presets of a model that has learned from so many pairs; whether it knows more."""
    keras.utils.set_random_seed(arguments.seed)
    sources, targets = map(list, zip(*pairs[:number]))
    tokenizer = data.train_tokenizer(
        [*sources, *targets], arguments.vocabulary_size, model="bpe", verbose=0
    )
    backbone = Seq2SeqBackbone(
        tokenizer.vocabulary_size, LAYERS, HEADS, WIDTH, 2 * WIDTH, dropout=arguments.dropout
    )
    preprocessor = tasks.Seq2SeqPreprocessor(tokenizer, length)
    model = tasks.Seq2SeqLM(backbone, preprocessor, label_smoothing=0.1)
    rate = transfer.InverseSquareRootDecay(arguments.learning_rate, max(arguments.steps // 5, 1))
    model.compile(keras.optimizers.Adam(rate, beta_1=0.9, beta_2=0.98, epsilon=1e-9))
    print(
        f"{number:,} pairs, a vocabulary of {tokenizer.vocabulary_size:,} pieces, "
        f"{model.count_params():,} parameters."
    )
    unseen = tuple(map(list, zip(*development[: arguments.limit])))
    before = nats_per_token(model, *unseen)
    per_epoch = max(len(sources) // arguments.batch_size, 1)
    epochs = max(round(arguments.steps / per_epoch), 1)
    report = Report(epochs, output / f"checkpoints_{number}")
    begin = time.time()
    model.fit(
        sources,
        targets,
        batch_size=arguments.batch_size,
        epochs=epochs,
        steps_per_epoch=min(per_epoch, arguments.steps),
        verbose=0,
        callbacks=[report],
    )
    after = nats_per_token(model, *unseen)
    print(f"Trained for {epochs:,} epochs in {time.time() - begin:.0f} s.")
    print(f"Unseen pairs, nats per token: {before:.3f}, then {after:.3f}.")
    model.save_to_preset(output / f"preset_{number}")
    transfer.average_checkpoints(report.saved[-AVERAGED:], output / f"average_{number}")
    return after < before


def nats_per_token(model, sources, targets):
    """The cross-entropy of targets, without smoothing: as they are."""
    scores = model.score(sources, targets, batch_size=32, verbose=0)
    return -np.concatenate([one.tokens for one in scores]).mean()


class Report(keras.callbacks.Callback):
    """A line for each tenth of the training, and a preset."""

    def __init__(self, epochs, folder):
        super().__init__()
        self.every = max(epochs // REPORTS, 1)
        self.folder, self.saved = folder, []

    def on_epoch_end(self, epoch, logs=None):
        if not (epoch + 1) % self.every:
            print(f"  epoch {epoch + 1:4}: loss {logs['loss']:.3f}")
            self.saved.append(self.folder / str(epoch + 1))
            self.model.save_to_preset(self.saved[-1])


# === Translating ===

SAMPLERS = {"greedy": "greedy", "4 beams": tasks.BeamSearch(num_beams=4, length_penalty=0.6)}


def translate(preset):
    """What a preset writes for each unseen source, by each way of writing."""
    model = tasks.Seq2SeqLM.from_preset(preset)
    sources = [source for source, _ in asked]
    return {
        name: model.generate(sources, sampler=sampler, batch_size=32, verbose=0)
        for name, sampler in SAMPLERS.items()
    }


def bleu(hypotheses, references):
    """BLEU of a corpus, as sacrebleu computes it by default: 13a, with case."""
    import sacrebleu

    return sacrebleu.corpus_bleu(hypotheses, [references]).score


wanted = [target for _, target in asked]
lines, fell = [], True
for number in arguments.pairs or [len(pairs)]:
    number = min(number, len(pairs))
    fell &= bool(train(number))
    for kind, name in (("preset", "last"), ("average", f"mean of {AVERAGED}")):
        written = translate(output / f"{kind}_{number}")
        for sampler, texts in written.items():
            right = np.mean([one == two for one, two in zip(texts, wanted)])
            said = f"{number:7,} pairs, {name}, {sampler}: exactly right {right:.3f}"
            lines.append(said + (f", BLEU {bleu(texts, wanted):.1f}" if arguments.data else ""))
    best = written["4 beams"]
    (output / f"written_{number}.txt").write_text("\n".join(best) + "\n", encoding="utf-8")
    for (source, target), ours in list(zip(asked, best))[:SHOWN]:
        print(f"{source}\n  wanted:  {target}\n  written: {ours}")
print(f"{len(asked):,} unseen sentences:")
print("\n".join(lines))
if not fell:
    raise SystemExit("The loss of unseen pairs did not fall.")
