"""
Title: What each objective hides
Description: One sentence under seven objectives: what is hidden, who sees whom, what is predicted.
Accelerator: none needed

    python examples/plot_objectives.py
    python examples/plot_objectives.py --seed 7 --rate 0.15

Every panel is made by the objective itself, from the same row. The settings are the published
ones, but for the rate: 15 % of so short a sentence is too little to look at. Prints all of it as
text, and draws `objectives.png` in `--output` if matplotlib is there (`pip install -e ".[plot]"`).
"""

import argparse
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow: errors only

import numpy as np

from keras_plm import ops
from keras_plm.objectives import (
    Corruption,
    MaskedModeling,
    NgramSelection,
    ObjectiveSum,
    PermutationModeling,
    RandomSelection,
    SpanBoundary,
    SpanSelection,
)

# === Settings ===

# The pieces of each word; the words of a name or a phrase, for ERNIE, are in a tuple.
SENTENCE = [
    ("Sher ##lock", "Holmes"),
    *("walked", "slow ##ly", "to"),
    ("Baker", "Street"),
    "in",
    ("the", "pour ##ing", "rain"),
    *("again", "."),
]
OTHERS = "tea cat letter ran blue mat very old of door saw sang dog pipe cab key".split()
SPECIALS = ["[PAD]", "[CLS]", "[SEP]", "[MASK]"]

parser = argparse.ArgumentParser(description="Draw what each objective hides.")
parser.add_argument("--rate", type=float, default=0.3, help="share of the tokens; published: 0.15")
parser.add_argument("--seed", type=int, default=377, help="of all that is drawn")
parser.add_argument("--output", type=Path, default=Path("output"), metavar="DIR")
arguments = parser.parse_args()
rate = arguments.rate

# === One row ===

pieces, word_starts, span_marks = [], [], []
for unit in SENTENCE:
    words = [unit] if isinstance(unit, str) else unit
    own = " ".join(words).split()
    pieces += own
    word_starts += [not piece.startswith("##") for piece in own]
    span_marks += [0] * len(own) if words == [unit] else [1] + [2] * (len(own) - 1)
vocabulary = [*SPECIALS, *dict.fromkeys([*pieces, *OTHERS])]
ids = {piece: index for index, piece in enumerate(vocabulary)}
length = len(pieces) + 2  # T


def make_row(before, after):
    """The sentence between special tokens, as a row builder makes it: a batch of one row."""
    special = [True] * len(before), [True] * len(after)
    token_ids = [ids[piece] for piece in [*before, *pieces, *after]]
    arrays = {
        "token_ids": np.array(token_ids, "int32"),
        "padding_mask": np.ones(length, bool),
        "functional": np.array([*special[0], *[False] * len(pieces), *special[1]]),
        "word_starts": np.array([*special[0], *word_starts, *special[1]]),
        "span_marks": np.array([0] * len(before) + span_marks + [0] * len(after), "uint8"),
        "segment_ids": np.zeros(length, "int32"),
    }
    one = np.zeros(1, bool)
    return {name: array[None] for name, array in arrays.items()} | {"fresh": one, "backward": one}


# === Objectives ===


def masked(select, corrupt=Corruption(), **settings):
    """Masked modelling of the row."""
    return MaskedModeling(
        len(vocabulary),
        ids["[MASK]"],
        tuple(range(len(SPECIALS))),
        select,
        corrupt,
        length,
        **settings,
    )


# Random tokens are ordinary ones: BERT's may be special too, SpanBERT's are as frequent as in the
# corpus, and here is none.
OBJECTIVES = {
    "BERT: tokens": masked(RandomSelection("token", rate)),
    "BERT-wwm: whole words": masked(RandomSelection("word", rate)),
    "RoBERTa: tokens, anew in every pass": masked(RandomSelection("token", rate, "rounded")),
    "SpanBERT: spans and what is beside them": ObjectiveSum(
        (masked(SpanSelection(rate=rate), Corruption(per="span")), SpanBoundary(20))
    ),
    "ERNIE 1.0: phrases, names and words": masked(RandomSelection("span", rate, "bernoulli")),
    "ALBERT: n-grams": masked(NgramSelection(rate=rate)),
    "XLNet: in the order of a permutation": PermutationModeling(
        sequence_length=length,
        reuse_length=0,
        num_predict=max(4, round(rate * length)),
        permutation_size=length,
        alpha=round(1 / rate),
    ),
}
BERT_ROW, XLNET_ROW = make_row(["[CLS]"], ["[SEP]"]), make_row([], ["[SEP]", "[CLS]"])


def look(objective, seed):
    """What an objective makes of the row: a dict of plain arrays and lists."""
    permutes = isinstance(objective, PermutationModeling)
    batch = XLNET_ROW if permutes else BERT_ROW
    (x, y, weight), hidden = objective.hide(batch, np.random.default_rng(seed))
    used = weight["tokens"][0] > 0
    targets = x["target_positions"][:, used]  # (1, P)
    order = x.get("order", np.zeros_like(x["token_ids"]))  # none: all see all
    content = np.array(ops.content_visibility(order, x.get("padding_mask")))[0]  # (T, T)
    # XLNet predicts from query rows, the others from the row in which the token stands.
    seen = np.array(ops.query_visibility(order, targets))[0] if permutes else content[targets[0]]
    found = {
        "reads": [vocabulary[index] for index in x["token_ids"][0]],
        "functional": batch["functional"][0],
        "targets": targets[0],
        "predicts": [vocabulary[index] for index in y["tokens"][0][used]],
        "content": content,
        "seen": seen,  # (P, T)
        "boundaries": [None] * int(used.sum()),
    }
    if permutes:
        return found | {"marks": order[0], "mark": "order"}
    units = np.zeros(length, "int32")  # which targets were selected together
    units[targets[0]] = hidden.units[0][used]
    if "span_boundary" in weight:
        features = ("left_positions", "right_positions", "span_offsets")
        pairs = zip(*(x[name][0][used] for name in features), weight["span_boundary"][0][used])
        found["boundaries"] = [one[:3] if one[3] else None for one in pairs]
    return found | {"marks": units, "mark": "unit"}


panels = {name: [look(one, arguments.seed)] for name, one in OBJECTIVES.items()}
again = "RoBERTa: tokens, anew in every pass"
panels[again].append(look(OBJECTIVES[again], arguments.seed + 1))

# === As text ===


def line(name, cells):
    print(f"  {name:<9}" + " ".join(f"{cell:<7}" for cell in cells).rstrip())


for name, passes in panels.items():
    print(name)
    for found in passes:
        line("reads", found["reads"])
        line(found["mark"], found["marks"])
        targets = dict(zip(found["targets"], found["predicts"]))
        line("predicts", [targets.get(place, ".") for place in range(length)])
        if not targets:
            print("  sees     no target: each unit was passed over by chance")
        elif found["seen"].all():
            print(f"  sees     every target sees all {length} tokens of the row")
        else:
            for target, seen in zip(found["targets"], found["seen"]):
                cells = ["#" if one else "." for one in seen]
                cells[target] = "?"
                line("sees", cells)
        for target, pair in zip(found["predicts"], found["boundaries"]):
            if pair is not None:
                left, right = found["reads"][pair[0]], found["reads"][pair[1]]
                print(f"  boundary {target!r} from {left!r}, {right!r} and place {pair[2]}")

# === As a picture ===

COLOURS = {
    "masked": "#f4a261",
    "random": "#c77dff",
    "kept": "#90be6d",
    "in its own place, unseen": "#8ecae6",
    "special": "#d9d9d9",
}
SEEN = "#a5a5a5"


def fate(found, place):
    """What became of the token at a place, or None if it is simply there."""
    if found["functional"][place]:
        return "special"
    if place not in found["targets"]:
        return None
    if found["mark"] == "order":
        return "in its own place, unseen"
    now, was = found["reads"][place], dict(zip(found["targets"], found["predicts"]))[place]
    return "masked" if now == "[MASK]" else "kept" if now == was else "random"


def draw_row(axes, found, top):
    """The tokens as the model reads them, and a line under those that belong together."""
    for place, piece in enumerate(found["reads"]):
        kind = fate(found, place)
        colour = COLOURS.get(kind, "white")
        axes.add_patch(Rectangle((place, top), 1, 0.9, facecolor=colour, edgecolor="0.6", lw=0.5))
        axes.text(place + 0.5, top + 0.45, piece, ha="center", va="center", fontsize=7.5)
        mark = found["marks"][place]
        if found["mark"] == "order":
            axes.text(place + 0.5, top + 1.2, mark, ha="center", va="center", fontsize=7)
        elif mark:
            joined = place + 1 < length and found["marks"][place + 1] == mark
            end = place + (1 if joined else 0.92)
            begun = place and found["marks"][place - 1] == mark
            axes.plot([place + (0 if begun else 0.08), end], [top + 1.05] * 2, color="0.2", lw=2)
    said = "order" if found["mark"] == "order" else "selected together"
    axes.text(length + 0.2, top + 1.1, said, va="center", fontsize=7, color="0.4")
    return top + 1.4


def draw_targets(axes, found, top):
    """A row of cells per target: which tokens it sees, and what it is to be."""
    for target, seen, piece, pair in zip(
        found["targets"], found["seen"], found["predicts"], found["boundaries"]
    ):
        for place in range(length):
            colour = SEEN if seen[place] else "white"
            axes.add_patch(
                Rectangle((place, top), 1, 0.5, facecolor=colour, edgecolor="white", lw=0.5)
            )
        axes.add_patch(Rectangle((target, top), 1, 0.5, fill=False, edgecolor="#d00000", lw=1.3))
        label = f"→ {piece}"
        if pair is not None:
            for place in pair[:2]:
                axes.add_patch(Rectangle((place, top), 1, 0.5, facecolor="#0077b6", lw=0))
            label += f"   and from both blue ones, place {pair[2]}"
        axes.text(length + 0.2, top + 0.25, label, va="center", fontsize=7.5)
        top += 0.55
    return top


def draw(path):
    """One panel below the other, each with its matrix of who sees whom."""
    heights = [
        sum(1.4 + 0.55 * len(found["targets"]) for found in passes) + 0.6
        for passes in panels.values()
    ]
    figure, rows = pyplot.subplots(
        len(panels),
        2,
        figsize=(13, 0.34 * sum(heights) + 0.5),
        layout="constrained",
        gridspec_kw={"width_ratios": [8.5, 1], "height_ratios": heights},
    )
    for (name, passes), (axes, square) in zip(panels.items(), rows):
        top = 0
        for found in passes:
            top = draw_targets(axes, found, draw_row(axes, found, top)) + 0.3
        axes.set(xlim=(-0.1, length + 5.5), ylim=(top, -0.1))
        axes.set_title(name, loc="left", fontsize=10, fontweight="bold")
        axes.axis("off")
        square.imshow(passes[0]["content"], cmap=ListedColormap(["white", SEEN]), vmin=0, vmax=1)
        square.set(xticks=[], yticks=[], anchor="N")
        square.set_xlabel("key", fontsize=6.5)
        square.set_ylabel("row", fontsize=6.5)
    rows[0][1].set_title("who sees whom", fontsize=8)
    patches = [Patch(facecolor=colour, label=name) for name, colour in COLOURS.items()]
    patches += [
        Patch(facecolor=SEEN, label="seen by the target's row"),
        Patch(facecolor="none", edgecolor="#d00000", label="the target, to be predicted (→)"),
    ]
    figure.legend(handles=patches, loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


try:
    from matplotlib import pyplot
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch, Rectangle
except ImportError:
    print('Without matplotlib (pip install -e ".[plot]") there is no picture.')
else:
    draw(arguments.output / "objectives.png")
    print(f"Wrote {arguments.output / 'objectives.png'}.")
