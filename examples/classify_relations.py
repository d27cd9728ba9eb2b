"""
Title: The relation of two marked mentions
Description: FewRel's relations, classified by a small ERNIE of Tsinghua, with vectors or without.
Accelerator: a GPU helps

    python examples/classify_relations.py
    python examples/classify_relations.py --fewrel val_wiki.json
    python examples/classify_relations.py --fewrel val_wiki.json --vectors codex-m_transe_100d.npz

`--fewrel` is a file of github.com/thunlp/FewRel: for each relation sentences, with the words and
the Wikidata numbers of head and tail; a sample of it lies beside this file. The last ones of each
relation are held out. `#` stands around the head and `$` around the tail, as in the released code.
`--vectors` is a `.npz` file of `entity_id` (N,), names such as Q42, and `entity` (N, E). A preset
takes the place of the small new model: `--preset`, with the same vectors.
"""

import argparse
import json
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow: errors only

import keras
import numpy as np

from keras_plm import data, models, tasks
from keras_plm.preprocessing import mark_mentions

# === Settings ===

parser = argparse.ArgumentParser(description="Classify relations of marked mentions.")
sample = Path(__file__).parent / "relations" / "fewrel_sample.json"
parser.add_argument("--fewrel", type=Path, default=sample, metavar="FILE")
parser.add_argument("--vectors", type=Path, metavar="FILE", help="vectors of entities; none")
parser.add_argument("--preset", help="a saved ERNIE; a small new one")
parser.add_argument("--limit", type=int, default=700, help="sentences of each relation")
parser.add_argument("--held-out", type=int, default=100, help="of these, at most a half")
parser.add_argument("--steps", type=int, default=600)
parser.add_argument("--batch-size", type=int, default=32)
parser.add_argument("--sequence-length", type=int, default=96, help="released: 256")
parser.add_argument("--learning-rate", type=float, default=3e-4, help="released: 2e-5")
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--output", type=Path, default=Path("output"), metavar="DIR")
arguments = parser.parse_args()
keras.utils.set_random_seed(arguments.seed)

# === Entities, numbered from 1 ===

numbers, vectors = {}, None
if arguments.vectors:
    with np.load(arguments.vectors) as graph:
        numbers = {name: place for place, name in enumerate(graph["entity_id"].tolist(), start=1)}
        vectors = np.concatenate([np.zeros_like(graph["entity"][:1]), graph["entity"]])

# === Sentences, with marks around both mentions ===


def marked(sentence):
    """The marked text, and its entities that have a vector."""
    ends = np.cumsum([len(token) + 1 for token in sentence["tokens"]]) - 1
    begins = np.concatenate([[0], ends[:-1] + 1])
    mentions, entities = [], []
    for side in "ht":
        _, name, (tokens, *_) = sentence[side]
        mentions.append((int(begins[tokens[0]]), int(ends[tokens[-1]])))
        if name in numbers:
            entities.append((*mentions[-1], numbers[name]))
    return mark_mentions(" ".join(sentence["tokens"]), mentions, entities=entities)


relations = json.loads(arguments.fewrel.read_text("utf-8"))
entities_of, left_out = {}, 0
splits = {"training": ([], []), "held out": ([], [])}
for label, sentences in enumerate(relations.values()):
    sentences = sentences[: arguments.limit]
    num_held_out = min(arguments.held_out, len(sentences) // 2)
    for place, sentence in enumerate(sentences):
        try:
            text, entities_of_text = marked(sentence)
        except ValueError:  # mentions that overlap
            left_out += 1
            continue
        is_held_out = place >= len(sentences) - num_held_out
        texts, labels = splits["held out" if is_held_out else "training"]
        texts.append(text)
        labels.append(label)
        entities_of[text] = entities_of_text
texts, labels = splits["training"]
linked = sum(bool(found) for found in entities_of.values())
print(f"{len(texts)} sentences, {len(splits['held out'][0])} held out, {left_out} left out.")
print(f"{linked} of {len(entities_of)} have an entity with a vector.")

# === A classifier ===

given = {"linker": entities_of.get, "sequence_length": arguments.sequence_length}
table = {} if vectors is None else {"entity_vectors": vectors}
if arguments.preset:
    model = tasks.TextClassifier.from_preset(
        arguments.preset, num_classes=len(relations), **table, **given
    )
else:
    size = min(4_000, 300 + len(texts))
    tokenizer = data.train_tokenizer(texts, size, model="wordpiece", lowercase=True, verbose=0)
    length = arguments.sequence_length
    backbone = models.ernie_thu(tokenizer, "tiny", length, **table).backbone
    preprocessor = tasks.TextPreprocessor(tokenizer, **given)
    model = tasks.TextClassifier(backbone, len(relations), preprocessor)
model.compile(optimizer=keras.optimizers.AdamW(arguments.learning_rate, weight_decay=0.01))
steps_per_epoch = -(-len(texts) // arguments.batch_size)
epochs = max(1, round(arguments.steps / steps_per_epoch))
model.fit(texts, labels, batch_size=arguments.batch_size, epochs=epochs, verbose=2)

# === How many are right ===

texts, labels = splits["held out"]
right = [found.label == label for found, label in zip(model.classify(texts, verbose=0), labels)]
print(f"accuracy {np.mean(right):.3f} of {len(right)}; by chance {1 / len(relations):.3f}")
with_entity = [bool(entities_of[text]) for text in texts]
if any(with_entity) and not all(with_entity):
    for name, share in (("with", True), ("without", False)):
        chosen = [one for one, has in zip(right, with_entity) if has == share]
        print(f"  {name} an entity: {np.mean(chosen):.3f} of {len(chosen)}")
model.save_to_preset(arguments.output / "relations")
print(f"Saved {arguments.output / 'relations'}.")
