"""
Title: ERNIE 2.0, tasks that are added one by one
Description: Masked words and label tasks, trained all at once, one after the other, and as ERNIE
    2.0 does, where a new task comes and the old ones go on; what is forgotten.
Accelerator: none needed

Run it as it is to train on the shipped novels, in some twenty minutes on two cores, or on text of
your own:

    python examples/continual_ernie2.py
    python examples/continual_ernie2.py --texts books/ --steps 1000 --label-tasks capitals \\
        token_document sentence_reordering

Every strategy has the same number of batches of each task, `--steps`, the same rate of learning,
and the same first weights. The text has capitals, the tokenizer makes them small, and the corpus
keeps them beside the ids. A head whose task has no turn stands still whole
(`GroupedOptimizer(rest_when_idle=True)`).

What it leaves in `--output`: `results.json`, with the held-out loss of each task along the
training, and `ernie2.png` if matplotlib is there.

Source: Sun et al., ERNIE 2.0, arXiv:1907.12412, sections 3.3 and 5.5.
"""

import argparse
import json
import os
import time
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow: errors only

import keras
import numpy as np

from keras_plm import data, models, objectives, transfer

# === Settings ===

TEXTS = sorted((Path(__file__).parent / "texts").glob("*.txt"))
LABELS = ["capitals", "discourse_relation", "sentence_distance", "sentence_reordering"]
LABELS += ["token_document"]
STRATEGIES = {
    "all at once": lambda tasks, steps: ((steps,) * tasks,),
    "one after the other": lambda tasks, steps: tuple(
        tuple(steps * (task == stage) for task in range(tasks)) for stage in range(tasks)
    ),
    "ERNIE 2.0's stages": objectives.continual_stages,
}

parser = argparse.ArgumentParser(description="Tasks that are added one by one.")
parser.add_argument("--texts", nargs="+", default=TEXTS, metavar="PATH", help="text with capitals")
parser.add_argument(
    "--label-tasks", nargs="+", choices=LABELS, default=["capitals", "sentence_distance"]
)
parser.add_argument("--steps", type=int, default=600, help="batches of each task")
parser.add_argument("--seeds", type=int, default=3)
parser.add_argument("--layers", type=int, default=2)
parser.add_argument("--width", type=int, default=64)
parser.add_argument("--vocabulary-size", type=int, default=4_000)
parser.add_argument("--sequence-length", type=int, default=64)
parser.add_argument("--batch-size", type=int, default=16)
parser.add_argument("--learning-rate", type=float, default=2e-3)
parser.add_argument("--looks", type=int, default=6, help="how often losses are measured")
parser.add_argument("--held-out-batches", type=int, default=8, help="of each task")
parser.add_argument("--output", type=Path, default=Path("output/ernie2"), metavar="DIR")
arguments = parser.parse_args()
output, length, begin = arguments.output, arguments.sequence_length, time.time()
output.mkdir(parents=True, exist_ok=True)
names = ["masked words", *(name.replace("_", " ") for name in arguments.label_tasks)]
total = arguments.steps * len(names)

# === Text whose capitals are kept beside the ids ===

tokenizer = data.train_tokenizer(
    list(map(str, arguments.texts)), arguments.vocabulary_size, model="wordpiece", lowercase=True
)
annotate = {
    "capitals": data.find_capitals,
    "discourse_markers": data.find_discourse_markers,
}
corpus = data.Corpus.build(arguments.texts, tokenizer, output / "corpus", annotate=annotate)
training, held_out = corpus.split(held_out=0.1)
print(f"{training}, {held_out.num_tokens:,} tokens held out.")

# === One model, and the batches of each strategy ===


def make(seed):
    """A pretrainer that is ready to be trained."""
    keras.utils.set_random_seed(seed)
    sizes = dict(
        num_layers=arguments.layers,
        num_heads=4,
        hidden_dim=arguments.width,
        intermediate_dim=4 * arguments.width,
        num_tasks=len(names),
        dropout=0.0,
        attention_dropout=0.0,
    )
    label_tasks = tuple(arguments.label_tasks)
    model = models.ernie2(tokenizer, "tiny", length, label_tasks, spans=False, **sizes)
    adam = keras.optimizers.Adam(arguments.learning_rate, global_clipnorm=1.0)
    groups = transfer.head_groups(model)
    model.compile(transfer.GroupedOptimizer(adam, groups, rest_when_idle=True))
    model.optimizer.build(model.trainable_variables)
    return model


def variables(model):
    """All that a training changes."""
    return [*model.variables, *model.optimizer.variables]


def held_out_batches(objective):
    """For each task the same batches, whatever the strategy."""
    batches = []
    for part, head in enumerate(objective.head_names):
        alone = replace(objective, stages=(tuple(int(part == one) for one in range(len(names))),))
        examples = data.examples(held_out, alone, arguments.batch_size, training=False)
        count = min(arguments.held_out_batches, examples.steps_per_epoch)
        made = [examples.batch_at(number) for number in range(count)]
        joined = (
            {name: np.concatenate([one[place][name] for one in made]) for name in made[0][place]}
            for place in range(3)
        )
        batches.append((head, tuple(joined)))
    return batches


def measure(model, batches):
    """The loss and, of labels, the accuracy of each task."""
    found = []
    for head, (x, y, weight) in batches:
        logs = model.evaluate(
            x,
            y=y,
            sample_weight=weight,
            batch_size=arguments.batch_size,
            verbose=0,
            return_dict=True,
        )
        found.append((float(logs[f"{head}_loss"]), float(logs[f"{head}_accuracy"])))
    return found


def train(model, strategy, seed):
    """Losses and accuracies along a training: (looks + 1, tasks, 2)."""
    stages = STRATEGIES[strategy](len(names), arguments.steps)
    model.objective = replace(model.objective, stages=stages)  # the graph is the same
    found = [measure(model, batches)]
    ends = np.linspace(0, total, arguments.looks + 1).round().astype(int)
    for start, end in zip(ends, ends[1:]):
        examples = data.examples(
            training, model.objective, arguments.batch_size, seed=seed, start=int(start)
        )
        model.fit(examples, steps_per_epoch=int(end - start), verbose=0)
        found.append(measure(model, batches))
    if not np.isfinite(found).all():
        raise SystemExit("Losses are not finite.")
    return found


# === All strategies ===

found = {strategy: [] for strategy in STRATEGIES}
model = make(0)  # compiled once
batches = held_out_batches(model.objective)
for seed in range(arguments.seeds):
    first = [np.array(keras.ops.convert_to_numpy(one)) for one in variables(make(seed))]
    for strategy, runs in found.items():
        for variable, value in zip(variables(model), first):  # the same begin for each strategy
            variable.assign(value)
        runs.append(train(model, strategy, seed))
        last = ", ".join(f"{name} {loss:.3f}" for name, (loss, _) in zip(names, runs[-1][-1]))
        seconds = time.time() - begin
        print(f"Seed {seed}, {strategy}: {last} ({seconds:.0f} s).", flush=True)

print("\nHeld-out loss (accuracy) after all batches, means of the seeds, and least to most loss:")
for strategy, runs in found.items():
    last = np.array(runs)[:, -1]  # (seeds, tasks, 2)
    cells = [
        f"{name} {one[:, 0].mean():.3f} ({one[:, 1].mean():.1%}), "
        f"{one[:, 0].min():.3f} to {one[:, 0].max():.3f}"
        for name, one in zip(names, last.transpose(1, 0, 2))
    ]
    print(f"  {strategy}: " + "; ".join(cells))


def draw(path):
    """A panel for each task: its loss along the training, each seed a thin line."""
    try:
        from matplotlib import pyplot
    except ImportError:
        print('Without matplotlib (pip install -e ".[plot]") there is no picture.')
        return
    figure, panels = pyplot.subplots(1, len(names), figsize=(3.6 * len(names), 3.4))
    steps = np.linspace(0, total, arguments.looks + 1)
    for task, axes in enumerate(panels):
        for color, (strategy, runs) in zip(("0.6", "tab:orange", "black"), found.items()):
            losses = np.array(runs)[:, :, task, 0]  # (seeds, looks + 1)
            axes.plot(steps, losses.T, color=color, linewidth=0.6, alpha=0.6)
            axes.plot(steps, losses.mean(axis=0), color=color, linewidth=2, label=strategy)
        stages = STRATEGIES["ERNIE 2.0's stages"](len(names), arguments.steps)
        for end in np.cumsum(np.sum(stages, axis=1))[:-1]:
            axes.axvline(end, color="black", linewidth=0.6, linestyle=":")
        after = np.array([np.array(runs)[:, 1:, task, 0] for runs in found.values()])
        axes.set_ylim(0.95 * after.min(), 1.05 * after.max())
        axes.set(title=names[task], xlabel="batches")
    panels[0].set_ylabel("held-out loss, nats")
    panels[-1].legend(frameon=False, fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


results = {"tasks": names, "steps": arguments.steps, "looks": arguments.looks, "found": found}
(output / "results.json").write_text(json.dumps(results, indent=1), encoding="utf-8")
draw(output / "ernie2.png")
print(f"Done in {time.time() - begin:.0f} s.")
