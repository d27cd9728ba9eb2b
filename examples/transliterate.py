"""
Title: Transliteration, and what a decoder looks at
Description: A small encoder-decoder writes Cyrillic names in Latin letters; its attention as a map.
Accelerator: none needed

Run it as it is, in a minute or two on two cores, or on pairs of your own: a text file with a word,
a tab and the other word in each line:

    python examples/transliterate.py
    python examples/transliterate.py --names words.tsv --epochs 30

The units are letters. It prints how many unseen names are exactly right, greedily and by four
beams, and draws `cross_attention.png`: to which letters of the source each row of the decoder
attends when it writes the next letter. What else it leaves in `--output`: `preset/` for
`from_preset`.

Source: Vaswani et al., arXiv:1706.03762, section 3.2.3 (attention of a decoder to an encoder).
"""

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow: errors only

import keras
import numpy as np

from keras_plm import data, tasks, transfer
from keras_plm.backbones import Seq2SeqBackbone

# === Settings ===

HELD_OUT = 60
LONGEST = 24  # letters, and the two tokens around them
SHOWN = 4  # unseen names that are printed
DRAWN = 3  # of these: right, and with the most letters more than were read

parser = argparse.ArgumentParser(description="Learn to write names in other letters.")
names = Path(__file__).parent / "names" / "names.tsv"
parser.add_argument("--names", type=Path, default=names, metavar="PATH", help="pairs of words")
parser.add_argument("--layers", type=int, default=2, help="of the encoder, and of the decoder")
parser.add_argument("--width", type=int, default=64)
parser.add_argument("--epochs", type=int, default=60)
parser.add_argument("--batch-size", type=int, default=16)
parser.add_argument("--learning-rate", type=float, default=3e-3)
parser.add_argument("--limit", type=int, help="learn from so many names only")
parser.add_argument("--output", type=Path, default=Path("output/transliterate"), metavar="DIR")
parser.add_argument("--seed", type=int, default=0)
arguments = parser.parse_args()
output = arguments.output
output.mkdir(parents=True, exist_ok=True)
keras.utils.set_random_seed(arguments.seed)

# === Words as letters with spaces between ===

lines = arguments.names.read_text(encoding="utf-8").splitlines()
pairs = [[" ".join(word) for word in line.split("\t")] for line in lines if line.strip()]
asked, learned = pairs[:HELD_OUT], pairs[HELD_OUT:][: arguments.limit]
letters = [word for pair in pairs for word in pair]
size = len(set("".join(letters))) * 2 + 5  # a letter begins a word, or goes on with one
tokenizer = data.train_tokenizer(letters, size, model="wordpiece", verbose=0)


def word_of(text):
    """The word whose letters a text has."""
    return text.replace(" ", "")


# === Training ===

backbone = Seq2SeqBackbone(
    tokenizer.vocabulary_size,
    num_layers=arguments.layers,
    num_heads=4,
    hidden_dim=arguments.width,
    intermediate_dim=2 * arguments.width,
    normalize_first=True,
)
model = tasks.Seq2SeqLM(backbone, tasks.Seq2SeqPreprocessor(tokenizer, LONGEST))
steps = arguments.epochs * -(-len(learned) // arguments.batch_size)
rate = transfer.WarmupPolynomialDecay(arguments.learning_rate, steps // 10, steps)
model.compile(keras.optimizers.Adam(rate, beta_2=0.98))
print(
    f"{len(learned):,} pairs to learn from, {len(asked):,} unseen; {tokenizer.vocabulary_size} "
    f"pieces, {model.count_params():,} parameters."
)
begin = time.time()
history = model.fit(
    *map(list, zip(*learned)),
    batch_size=arguments.batch_size,
    epochs=arguments.epochs,
    length_buckets=None,
    verbose=0,
).history["loss"]
print(f"{steps:,} steps took {time.time() - begin:.0f} s; the loss: "
    f"{', '.join(f'{loss:.2f}' for loss in history[:: max(len(history) // 6, 1)])}.")  # fmt: skip
model.save_to_preset(output / "preset")

# === Writing ===

sources, wanted = map(list, zip(*asked))
for name, sampler in {"greedy": "greedy", "4 beams": tasks.BeamSearch(num_beams=4)}.items():
    written = model.generate(sources, LONGEST - 2, sampler, batch_size=32, verbose=0)
    right = [one == two for one, two in zip(written, wanted)]
    print(f"Unseen names that are exactly right, {name}: {np.mean(right):.3f}.")
for source, target, ours in list(zip(sources, wanted, written))[:SHOWN]:
    print(f"  {word_of(source)}: {word_of(ours)}, wanted {word_of(target)}")

# === What the decoder looks at ===


def cross_attention(source, target):
    """The letters of both, and for each layer the attention to each letter, (T, N)."""
    preprocessor = model.preprocessor
    features = preprocessor.call([source])
    features["token_ids"] = np.array([model.preprocessor.source_rows([target])[0][:-1]], "int32")
    maps = backbone.encode(features, attention_maps=True)["cross_attention_maps"]  # (1, H, T, N)
    real = features["source_padding_mask"][0]
    maps = [keras.ops.convert_to_numpy(one)[0].mean(axis=0)[:, real] for one in maps]
    pieces = tokenizer.pieces(features["source_token_ids"][0][real].tolist())
    return (
        pieces,
        [*target.split(" "), tokenizer.pieces([tokenizer.special_token_id("sep")])[0]],
        maps,
    )


def draw(path):
    """For each layer, the mean of its heads: rows are what is written, columns what is read."""
    said = [ours or target for ours, target in zip(written, wanted)]  # a beginner writes nothing
    grown = [len(target) - len(source) for source, target in zip(sources, said)]
    chosen = sorted(zip(right, grown, sources, said), reverse=True)[:DRAWN]
    figure, axes = pyplot.subplots(
        arguments.layers, DRAWN, figsize=(4.2 * DRAWN, 4 * arguments.layers), layout="constrained"
    )
    for column, (_, _, source, target) in enumerate(chosen):
        reads, writes, maps = cross_attention(source, target)
        for layer, one in enumerate(maps):
            own = axes.reshape(arguments.layers, DRAWN)[layer, column]
            own.imshow(one, cmap="Greys", vmin=0, vmax=1, aspect="auto")
            own.set_xticks(range(len(reads)), reads, fontsize=9)
            own.set_yticks(range(len(writes)), writes, fontsize=9)
            own.xaxis.tick_top()
            own.tick_params(length=0)
            if not column:
                own.set_ylabel(f"layer {layer + 1}: the decoder writes")
    figure.savefig(path, dpi=90)


try:
    from matplotlib import pyplot
except ImportError:
    print('Without matplotlib (pip install -e ".[plot]") there is no picture.')
else:
    draw(output / "cross_attention.png")
    print(f"Wrote {output / 'cross_attention.png'}.")
if len(history) > 1 and not history[-1] < history[0]:
    raise SystemExit("The loss did not fall.")
