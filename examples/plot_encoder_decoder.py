"""
Title: What an encoder and a decoder see
Description: Two sentences under the noises of MASS, T5 and BART, and three kinds of sinusoids.
Accelerator: none needed

    python examples/plot_encoder_decoder.py
    python examples/plot_encoder_decoder.py --seed 7 --share 0.5

For each noise: what the encoder reads, what the decoder reads, and for each token that is asked
for what of both its row sees. What is seen is not said by this file: it is where a small model
with random weights puts attention. Prints all of it as text, and draws `encoder_decoder.png` and
`sinusoids.png` in `--output` if matplotlib is there (`pip install -e ".[plot]"`).
"""

import argparse
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow: errors only

import keras
import numpy as np

from keras_plm import data, families
from keras_plm.backbones import Seq2SeqBackbone
from keras_plm.layers import SinusoidalPositionEncoding
from keras_plm.objectives import MASS, Denoising, SpanCorruption, TextInfilling

# === Settings ===

SENTENCES = ["The old man walked slowly home.", "It rained again."]
OTHERS = "tea cat letter ran blue mat very of door saw sang dog pipe cab key two green river house"
KINDS = {  # of sinusoids, and who has them
    "interleaved": "the paper",
    "halves": "transformers' Marian",
    "halves_inclusive": "Tensor2Tensor, fairseq, Marian itself",
}
SPECIAL = "[CLS]", "[SEP]", "[PAD]"
PLACES, WIDTH = 64, 64  # of the sinusoids

parser = argparse.ArgumentParser(description="Draw what an encoder and a decoder see.")
parser.add_argument("--share", type=float, default=0.4, help="of the tokens that is hidden")
parser.add_argument("--seed", type=int, default=1, help="of all that is drawn")
parser.add_argument("--output", type=Path, default=Path("output"), metavar="DIR")
arguments = parser.parse_args()
output, share = arguments.output, arguments.share
output.mkdir(parents=True, exist_ok=True)
keras.utils.set_random_seed(arguments.seed)

# === Two sentences, and a tokenizer whose pieces are their words ===

(output / "two_sentences.txt").write_text("\n".join(SENTENCES) + "\n", encoding="utf-8")
often = [*SENTENCES, OTHERS] * 50
tokenizer = data.train_tokenizer(often, 124, model="wordpiece", verbose=0)
with_sentinels = data.add_special_tokens(tokenizer, data.SENTINEL_TOKENS)
corpus = data.Corpus.build([output / "two_sentences.txt"], tokenizer, output / "two_sentences")
length = corpus.num_tokens + 2  # T, with [CLS] and [SEP]

# === Noises ===

NOISES = {
    "MASS: one span is asked for; the decoder does not see masks": (
        MASS(share),
        families.MASS["flags"] | {"max_sequence_length": length + 1},
    ),
    "T5: spans behind sentinels": (SpanCorruption(share, 2.0), families.T5["flags"]),
    "BART: sentences are permuted, spans infilled; the whole text is asked for": (
        TextInfilling(share, 2.0),
        families.BART["flags"] | {"max_sequence_length": length + 1},
    ),
}


def look(noise, flags):
    """What a noise makes of the sentences, and what a model sees of it: a dict of plain arrays."""
    own = with_sentinels if isinstance(noise, SpanCorruption) else tokenizer
    rows = {"rows": "doc_sentences", "sequence_length": length}
    objective = Denoising.for_tokenizer(own, noise, **rows)
    x, y, weight = data.examples(corpus, objective, 1, arguments.seed).batch_at(0)
    backbone = Seq2SeqBackbone(own.vocabulary_size, 1, 1, 16, 32, **flags)
    maps = backbone.encode(x, attention_maps=True)
    source, target = x["source_padding_mask"][0], weight["tokens"][0] > 0
    seen = {
        name: keras.ops.convert_to_numpy(maps[name][0])[0, 0] > 0  # (rows, keys)
        for name in ("encoder_attention_maps", "cross_attention_maps", "attention_maps")
    }
    found = {
        "source": words(x["source_token_ids"][0][source]),
        "reads": words(x["token_ids"][0][target]),
        "predicts": words(y["tokens"][0][target]),
        "encoder": seen["encoder_attention_maps"][source][:, source],
        "across": seen["cross_attention_maps"][target][:, source],
        "decoder": seen["attention_maps"][target][:, target],
    }
    hidden = set()  # places that are asked for, where not all are
    if "position_ids" in x:
        hidden = set((x["position_ids"][0][target] + 1).tolist())
    kinds = [fate(word, place in hidden) for place, word in enumerate(found["source"])]
    return found | {"fates": kinds}


def words(token_ids):
    """The pieces as words; a sentinel by its number."""
    pieces = with_sentinels.pieces(np.asarray(token_ids).tolist())
    return [piece.replace("extra_id_", "") for piece in pieces]


def fate(word, hidden):
    """What became of a token of the source, or None if it is simply there."""
    if word == "[MASK]" or word[1:-1].isdecimal():
        return "mask or sentinel"
    if word not in TEXT and word not in SPECIAL:
        return "random"
    return "kept" if hidden else "special" if word in SPECIAL else None


TEXT = words(tokenizer.encode(" ".join(SENTENCES)))
panels = {name: look(*noise) for name, noise in NOISES.items()}

# === As text ===

for name, found in panels.items():
    print(name)
    print("  the encoder reads  " + " ".join(found["source"]))
    for place, word in enumerate(found["predicts"]):
        sees = " ".join("#" if one else "." for one in found["across"][place])
        print(f"  {sees}   {' '.join(found['reads'][: place + 1])} -> {word}")

# === As pictures ===

COLOURS = {
    "mask or sentinel": "#f4a261",
    "random": "#c77dff",
    "kept": "#90be6d",
    "special": "#d9d9d9",
}
SEEN, GAP = "#a5a5a5", 0.5
LABELS = 2.4  # the width of what is predicted


def draw_cells(axes, left, top, colours, height, labels=None, edge="0.6"):
    """Cells side by side, with what they say."""
    for place, colour in enumerate(colours):
        cell = Rectangle((left + place, top), 1, height, facecolor=colour, edgecolor=edge, lw=0.6)
        axes.add_patch(cell)
        if labels:
            middle = left + place + 0.5, top + height / 2
            axes.text(*middle, labels[place], ha="center", va="center", fontsize=8)


def draw_panel(axes, found):
    """Both sides beside each other; below, a row for each token that is asked for."""
    right = length + GAP  # where the decoder begins
    decoder = [COLOURS["special"] if word in SPECIAL else "white" for word in found["reads"]]
    draw_cells(axes, 0, 0, [COLOURS.get(one, "white") for one in found["fates"]], 0.9,
        found["source"])  # fmt: skip
    draw_cells(axes, right, 0, decoder, 0.9, found["reads"])
    axes.text(0, -0.2, "the encoder reads", fontsize=8, color="0.4")
    axes.text(right, -0.2, "the decoder reads", fontsize=8, color="0.4")
    for place, word in enumerate(found["predicts"]):
        top = 1.1 + 0.55 * place
        for left, seen in ((0, found["across"][place]), (right, found["decoder"][place])):
            draw_cells(
                axes, left, top, [SEEN if one else "white" for one in seen], 0.5, edge="0.85"
            )
        axes.add_patch(
            Rectangle((right + place, top), 1, 0.5, fill=False, edgecolor="#d00000", lw=1.2)
        )
        end = right + len(found["reads"]) + 0.2
        axes.text(end, top + 0.25, f"→ {word}", va="center", fontsize=8)
    axes.set(xlim=(-0.1, 2 * length + GAP + LABELS), ylim=(height_of(found), -0.7))
    axes.axis("off")


def height_of(found):
    """Of a panel, in its own unit."""
    return 1.3 + 0.55 * len(found["predicts"])


def draw_square(axes, found):
    """Who sees whom: rows and keys of the encoder, then those of the decoder."""
    encoder, decoder = len(found["encoder"]), len(found["decoder"])
    nothing = np.zeros((encoder, decoder), bool)
    square = np.block([[found["encoder"], nothing], [found["across"], found["decoder"]]])
    axes.imshow(square, cmap=ListedColormap(["white", SEEN]), vmin=0, vmax=1)
    axes.axhline(encoder - 0.5, color="black", lw=0.7)
    axes.axvline(encoder - 0.5, color="black", lw=0.7)
    middles = [encoder / 2 - 0.5, encoder + decoder / 2 - 0.5]
    axes.set_xticks(middles, ["encoder", "decoder"], fontsize=7)
    axes.set_yticks(middles, ["encoder", "decoder"], fontsize=7, rotation=90, va="center")
    axes.tick_params(length=0)
    axes.set_anchor("N")


def draw_noises(path):
    """One panel below the other, each with its matrix of who sees whom."""
    heights = [height_of(found) + 0.9 for found in panels.values()]
    figure, rows = pyplot.subplots(
        len(panels),
        2,
        figsize=(19, 0.36 * sum(heights) + 0.8),
        layout="constrained",
        gridspec_kw={"width_ratios": [8.5, 1.1], "height_ratios": heights},
    )
    for (name, found), (axes, square) in zip(panels.items(), rows):
        axes.set_title(name, loc="left", fontsize=11, fontweight="bold")
        draw_panel(axes, found)
        draw_square(square, found)
    rows[0][1].set_title("who (rows) sees whom", fontsize=8)
    patches = [Patch(facecolor=colour, label=name) for name, colour in COLOURS.items()]
    patches += [
        Patch(facecolor=SEEN, label="seen"),
        Patch(facecolor="none", edgecolor="#d00000", label="the row that predicts (→)"),
    ]
    figure.legend(handles=patches, loc="outside lower center", ncols=6, fontsize=9, frameon=False)
    figure.savefig(path, dpi=85)


def draw_sinusoids(path):
    """The three kinds side by side, and the lengths of their waves."""
    positions = np.arange(PLACES)[None]
    figure, axes = pyplot.subplots(1, 4, figsize=(14, 3.8), layout="constrained")
    for kind, own in zip(KINDS, axes):
        encoding = SinusoidalPositionEncoding(WIDTH, kind)(positions)[0]  # (T, D)
        image = own.imshow(keras.ops.convert_to_numpy(encoding), cmap="RdBu", vmin=-1, vmax=1)
        own.set_title(f'"{kind}"\n{KINDS[kind]}', fontsize=9)
        own.set(xlabel="column", ylabel="position")
    figure.colorbar(image, ax=axes[2], shrink=0.8)
    wave = np.arange(WIDTH // 2)
    for steps, name in ((WIDTH / 2, "the first two"), (WIDTH / 2 - 1, '"halves_inclusive"')):
        axes[3].plot(wave, 2 * np.pi * 10_000 ** (wave / steps), label=name)
    axes[3].set(yscale="log", xlabel="wave", title="length of a wave, in tokens")
    axes[3].title.set_fontsize(9)
    axes[3].legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=85)


try:
    from matplotlib import pyplot
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch, Rectangle
except ImportError:
    print('Without matplotlib (pip install -e ".[plot]") there is no picture.')
else:
    for name, draw in (("encoder_decoder.png", draw_noises), ("sinusoids.png", draw_sinusoids)):
        draw(output / name)
        print(f"Wrote {output / name}.")
