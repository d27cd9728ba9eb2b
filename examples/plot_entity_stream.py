"""
Title: Two streams, of tokens and of entities
Description: What the vector of one entity changes, block by block, in both streams of ERNIE-THU.
Accelerator: none needed

    python examples/plot_entity_stream.py
    python examples/plot_entity_stream.py --layers 8 --seed 7

A sentence mentions two entities. The vector of the first one is changed, and what follows is
measured: how far the states of a small model with random weights move, of every token and of every
entity, behind each block. The picture is that measurement: below, the streams know nothing of each
other; where they meet, a mention tells its own token; from the next block on attention carries it
everywhere. Prints all of it as text, and draws `entity_stream.png` in `--output` if matplotlib is
there (`pip install -e ".[plot]"`).
"""

import argparse
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow: errors only

import keras
import numpy as np

from keras_plm.backbones import KnowledgeBackbone

# === Settings ===

# Figure 1 of the paper (Zhang et al. 2019); an entity stands at the first token of its mention.
WORDS = "[CLS] bob dylan wrote blowin ' in the wind in 1962 [SEP]".split()
ENTITIES = {1: "Bob Dylan", 4: "Blowin' in the Wind"}
CHANGED = 1  # where the entity is whose vector is changed
WIDTH, ENTITY_WIDTH = 64, 16
KINDS = {
    "text": "text: tokens read tokens",
    "fuse": "fuse: and both streams meet",
    "fuse_attend": "fuse_attend: and entities read entities",
}

parser = argparse.ArgumentParser(description="Draw what an entity changes in both streams.")
parser.add_argument("--layers", type=int, default=6, help="half of them read the text alone")
parser.add_argument("--seed", type=int, default=0, help="of the weights and vectors")
parser.add_argument("--output", type=Path, default=Path("output"), metavar="DIR")
arguments = parser.parse_args()
keras.utils.set_random_seed(arguments.seed)

# === A small model, and its table ===

random = np.random.default_rng(arguments.seed)
vectors = random.normal(size=(1 + len(ENTITIES), ENTITY_WIDTH))
vectors[0] = 0  # no entity
backbone = KnowledgeBackbone(
    vocabulary_size=len(WORDS),
    num_layers=arguments.layers,
    num_heads=4,
    hidden_dim=WIDTH,
    intermediate_dim=4 * WIDTH,
    max_sequence_length=len(WORDS),
    entity_dim=ENTITY_WIDTH,
    entity_vectors=vectors,
    initializer_range=0.12,
)
entity_ids = np.zeros((1, len(WORDS)), "int32")
entity_ids[0, list(ENTITIES)] = 1 + np.arange(len(ENTITIES))
features = {"token_ids": np.arange(len(WORDS), dtype="int32")[None], "entity_ids": entity_ids}


def states():
    """The states behind each block of both streams: dict of arrays (blocks + 1, tokens, width)."""
    encoded = backbone.encode(features)
    names = {"tokens": "hidden_states", "entities": "entity_states"}
    return {
        stream: np.stack([keras.ops.convert_to_numpy(one)[0] for one in encoded[name]])
        for stream, name in names.items()
    }


# === What changes with the vector of one entity ===

before = states()
changed = vectors.copy()
changed[entity_ids[0, CHANGED]] *= -1
backbone.entity_table.give(changed)
after = states()
moved = {  # of how long states are
    name: np.linalg.norm(after[name] - one, axis=-1) / np.linalg.norm(one, axis=-1).max()
    for name, one in before.items()
}
# Behind a block every token has some state in the stream of entities, which the next one hides.
is_read = entity_ids[0] > 0
is_read[0] = True  # [CLS], whose entity is the zero vector

# === As text ===

blocks = ["input", *backbone.block_types]
for name, one in moved.items():
    print(f"{name}: how far states move, in per cent")
    print(" " * 14 + " ".join(f"{word[:6]:>6}" for word in WORDS))
    for block, row in reversed(list(zip(blocks, one))):
        print(f"  {block:12}" + " ".join(f"{100 * value:6.2f}" for value in row))

# === As a picture ===


def draw_stream(axes, name, title):
    """Rows are blocks, the last one on top; columns are tokens."""
    shares = np.log10(np.maximum(moved[name], 1e-5))
    image = axes.imshow(shares, origin="lower", cmap="YlOrRd", vmin=-3, vmax=0, aspect="auto")
    axes.set_yticks(range(len(blocks)), blocks, fontsize=8)
    labels = WORDS
    if name == "entities":
        labels = [ENTITIES.get(place, "-").replace(" in", "\nin") for place in range(len(WORDS))]
        for level, place in np.argwhere(np.ones_like(shares) * ~is_read > 0):
            axes.plot(place, level, marker="x", color="0.6", markersize=5, lw=0)
    axes.set_xticks(range(len(WORDS)), labels, fontsize=8, rotation=40, ha="right")
    axes.set_title(title, fontsize=10, loc="left")
    meeting = 0.5 + sum(kind == "text" for kind in backbone.block_types)
    axes.axhline(meeting, color="black", lw=1.2, ls="--")
    axes.text(
        len(WORDS) - 0.6, meeting - 0.08, "the streams meet", fontsize=8, va="top", ha="right"
    )
    return image


def draw(path):
    """Both streams side by side."""
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(13, 4.4), layout="constrained")
    name = ENTITIES[CHANGED]
    draw_stream(left, "tokens", f"the stream of tokens, if the vector of {name} changes")
    image = draw_stream(right, "entities", "the stream of entities (x: hidden from the next block)")
    bar = figure.colorbar(image, ax=[left, right], shrink=0.9, ticks=[-3, -2, -1, 0])
    bar.ax.set_yticklabels(["0.1 % or less", "1 %", "10 %", "100 %"], fontsize=8)
    bar.set_label("how far a state moves, of its length", fontsize=8)
    kinds = [text for kind, text in KINDS.items() if kind in backbone.block_types]
    figure.suptitle("; ".join(kinds), fontsize=9, color="0.3")
    figure.savefig(path, dpi=85)


try:
    from matplotlib import pyplot
except ImportError:
    print('Without matplotlib (pip install -e ".[plot]") there is no picture.')
else:
    arguments.output.mkdir(parents=True, exist_ok=True)
    draw(arguments.output / "entity_stream.png")
    print(f"Wrote {arguments.output / 'entity_stream.png'}.")
