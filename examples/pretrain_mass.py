"""
Title: MASS: pretraining for translation on text of each language alone
Description: What pretraining is worth by the number of pairs, and how much of a sentence to hide.
Accelerator: none needed

Run it as it is for a small MASS on the sentences in `pairs/`, in a few minutes on two cores, or on
a folder with `train.de`, `train.en`, `val.de` and `val.en` (or `.gz`), such as Multi30k's task 1:

    python examples/pretrain_mass.py
    python examples/pretrain_mass.py --data multi30k --pairs 1000 5000 --vocabulary-size 4000
    python examples/pretrain_mass.py --data multi30k --pairs 500 --shares 0.1 0.3 0.5 0.7 0.9 \\
        --seeds 3 --width 64 --vocabulary-size 2000 --length 24 --pretraining-steps 400 --steps 300

First a model learns from all sentences of both languages, each by itself: half of it is hidden
from the encoder, and the decoder is asked for it. Then it learns to translate from a number of
pairs, as does one with random weights; training ends where the loss of pairs that neither has seen
no longer falls. It prints the loss of other unseen pairs of both, and for a folder BLEU as well
(`pip install -e ".[metrics]"`). The claim: the fewer the pairs, the larger the gain.

With `--shares` it asks how much of a sentence to hide, for the first number of `--pairs`, and
draws `mass.png` if matplotlib is there. What it leaves in `--output`: the tokenizer, the corpus and
`preset/` for `from_preset`.

Source: MASS, arXiv:1905.02450, sections 3.1, 4.2, 4.3 (few pairs) and figure 5 (shares).
"""

import argparse
import gzip
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow: errors only

import keras
import numpy as np

from keras_plm import data, models, tasks, transfer
from keras_plm.backbones import Seq2SeqBackbone

# === Settings ===

HEADS = 4
HELD_OUT = 80  # of the shipped pairs, twice
DEVELOPMENT = 1_000  # pairs of a folder, its last
WATCHED = 200  # of these, in every epoch
PATIENCE = 5  # epochs without a better loss of these
PAIRS = {"shipped": [50, 200], "folder": [1_000, 5_000]}

parser = argparse.ArgumentParser(description="Pretrain MASS, then learn to translate from pairs.")
parser.add_argument("--data", type=Path, metavar="DIR", help="default: the shipped pairs")
parser.add_argument("--languages", nargs=2, default=["de", "en"], help="from, and to")
parser.add_argument("--pairs", nargs="+", type=int, help="default: 50 200, or 1000 5000")
parser.add_argument("--shares", nargs="+", type=float, help="compare these, which are hidden")
parser.add_argument("--seeds", type=int, default=1, help="how many, from 0")
parser.add_argument("--vocabulary-size", type=int, default=1_000, help="for both languages")
parser.add_argument("--layers", type=int, default=2, help="of each side; the paper's: 6")
parser.add_argument("--width", type=int, default=128, help="the paper's: 1,024")
parser.add_argument("--length", type=int, default=32, help="most tokens of a sentence")
parser.add_argument("--pretraining-steps", type=int, default=1_500)
parser.add_argument("--steps", type=int, default=1_000, help="of learning from pairs, at most")
parser.add_argument("--batch-size", type=int, default=32)
parser.add_argument("--learning-rate", type=float, default=1e-3)
parser.add_argument("--dropout", type=float, default=0.1)
parser.add_argument("--limit", type=int, help="ask for so many unseen pairs only")
parser.add_argument("--output", type=Path, default=Path("output/mass"), metavar="DIR")
arguments = parser.parse_args()
output, length = arguments.output, arguments.length
numbers = arguments.pairs or PAIRS["folder" if arguments.data else "shipped"]
output.mkdir(parents=True, exist_ok=True)
begin = time.time()

# === Pairs, and the text of each language ===


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
    pairs, watched = pairs[:-DEVELOPMENT], pairs[-DEVELOPMENT:]
else:
    folder = Path(__file__).parent / "pairs"
    files = [folder / f"sentences.{language}" for language in arguments.languages]
    pairs = list(zip(*(file.read_text("utf-8").splitlines() for file in files), strict=True))
    pairs = [pairs[index] for index in np.random.default_rng(0).permutation(len(pairs))]
    asked, watched, pairs = pairs[:HELD_OUT], pairs[HELD_OUT : 2 * HELD_OUT], pairs[2 * HELD_OUT :]
asked = list(map(list, zip(*asked[: arguments.limit])))  # sources, targets
watched = list(map(list, zip(*watched[: arguments.limit or WATCHED])))

texts = []
for language, sentences in zip(arguments.languages, zip(*pairs)):
    texts.append(output / f"text.{language}")
    texts[-1].write_text("\n\n".join(sentences) + "\n", encoding="utf-8")  # documents
tokenizer = data.train_tokenizer(texts, arguments.vocabulary_size, model="bpe", verbose=0)
tokenizer.save(output / "tokenizer")
corpus = data.Corpus.build(texts, tokenizer, output / "corpus", split_sentences=None, verbose=0)
print(
    f"{corpus.num_tokens:,} tokens of text, {len(asked[0]):,} unseen pairs; a vocabulary of "
    f"{tokenizer.vocabulary_size:,} pieces."
)

# === Pretraining ===


def adam(steps):
    """With a learning rate that rises for a tenth of the steps and then falls to 0."""
    rate = transfer.WarmupPolynomialDecay(arguments.learning_rate, steps // 10, steps)
    return keras.optimizers.Adam(rate, beta_1=0.9, beta_2=0.98, global_clipnorm=1.0)


def pretrain(share, seed):
    """Learn from the text of both languages, and leave a preset; returns its folder."""
    keras.utils.set_random_seed(seed)
    sizes = dict(num_layers=arguments.layers, num_heads=HEADS, hidden_dim=arguments.width)
    sizes |= dict(intermediate_dim=2 * arguments.width, dropout=arguments.dropout)
    model = models.mass(tokenizer, "tiny", length, share=share, **sizes)
    steps = arguments.pretraining_steps
    model.compile(adam(steps))
    examples = data.examples(corpus, model.objective, arguments.batch_size, seed)
    epochs = min(5, steps)
    history = model.fit(examples, epochs=epochs, steps_per_epoch=steps // epochs, verbose=0).history
    losses = ", ".join(f"{loss:.2f}" for loss in history["loss"])
    print(
        f"MASS of {share:.0%}, {model.count_params():,} parameters, its loss: {losses}.", flush=True
    )
    model.save_to_preset(output / "preset")
    return output / "preset"


# === Learning from pairs ===


def fine_tune(preset, number, seed, pretrained):
    """What a model that learns from so many pairs knows of others: nats per token, and BLEU."""
    keras.utils.set_random_seed(seed)
    backbone = Seq2SeqBackbone.from_preset(preset, load_weights=pretrained)
    preprocessor = tasks.Seq2SeqPreprocessor(tokenizer, length)
    model = tasks.Seq2SeqLM(backbone, preprocessor, label_smoothing=0.1)
    sources, targets = map(list, zip(*pairs[:number]))
    epochs = max(round(arguments.steps / (len(sources) / arguments.batch_size)), 1)
    model.compile(adam(arguments.steps))
    best = keras.callbacks.EarlyStopping(patience=PATIENCE, restore_best_weights=True)
    history = model.fit(
        sources,
        targets,
        batch_size=arguments.batch_size,
        epochs=epochs,
        validation_data=tuple(watched),
        length_buckets=None,
        verbose=0,
        callbacks=[best],
    )
    scores = model.score(*asked, batch_size=32, verbose=0)
    nats = -np.concatenate([one.tokens for one in scores]).mean()
    name = "after MASS" if pretrained else "at random "
    said = f"{number:7,} pairs, {name}: {nats:.3f} nats per unseen token"
    if arguments.data and not arguments.shares:
        import sacrebleu

        written = model.generate(asked[0], batch_size=64, verbose=0)
        said += f", BLEU {sacrebleu.corpus_bleu(written, [asked[1]]).score:.1f}"
    print(f"{said} ({len(history.epoch)} epochs).", flush=True)
    return nats


def compare_numbers():
    """With and without pretraining, for each number of pairs; the gains in nats."""
    gains = {number: [] for number in numbers}
    for seed in range(arguments.seeds):
        preset = pretrain(0.5, seed)
        for number, own in gains.items():
            nats = [fine_tune(preset, number, seed, pretrained) for pretrained in (False, True)]
            own.append(nats[0] - nats[1])
    for number, own in gains.items():
        print(f"{number:7,} pairs: {np.mean(own):.3f} nats better after MASS (of each seed: "
            f"{', '.join(f'{gain:.3f}' for gain in own)}).")  # fmt: skip
    return gains


def compare_shares():
    """Nats after MASS of each seed and share, (seeds, shares), and without it, (seeds,)."""
    found, without = [], []
    for seed in range(arguments.seeds):
        own = []
        for share in arguments.shares:
            preset = pretrain(share, seed)
            if not own:
                without.append(fine_tune(preset, numbers[0], seed, False))
            own.append(fine_tune(preset, numbers[0], seed, True))
        found.append(own)
        draw(np.array(found), np.array(without), output / "mass.png")
    for share, own in zip(arguments.shares, zip(*found)):
        nats = ", ".join(f"{one:.3f}" for one in own)
        print(
            f"A share of {share:.0%}: {np.mean(own):.3f} nats in the mean (of each seed: {nats})."
        )
    print(f"Without pretraining: {np.mean(without):.3f} nats in the mean.")
    return np.array(found)


def draw(found, without, path):
    """Each seed a dot, their means a line, and the loss without pretraining."""
    try:
        from matplotlib import pyplot
    except ImportError:
        print('Without matplotlib (pip install -e ".[plot]") there is no picture.')
        return
    figure, axes = pyplot.subplots(figsize=(6.5, 4), layout="constrained")
    percent = 100 * np.array(arguments.shares)
    axes.axhspan(without.min(), without.max(), color="0.9")
    axes.axhline(without.mean(), color="gray", linestyle=":", label="without pretraining")
    axes.plot(np.tile(percent, (len(found), 1)), found, "o", color="0.6", markersize=4)
    axes.plot(percent, found.mean(axis=0), color="black", label=f"after MASS, seeds: {len(found)}")
    axes.set(
        xlabel="tokens of a sentence that MASS hides, %",
        ylabel="nats per token of unseen translations",
        title=f"Learned from {numbers[0]:,} pairs",
    )
    axes.legend(frameon=False)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


if arguments.shares:
    finite = np.isfinite(compare_shares()).all()
else:
    finite = np.isfinite(list(compare_numbers().values())).all()
print(f"Done in {time.time() - begin:.0f} s.")
if not finite:
    raise SystemExit("A loss is not finite.")
