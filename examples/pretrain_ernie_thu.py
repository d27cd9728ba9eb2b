"""
Title: Pretraining ERNIE (Tsinghua): text that knows whom it is about
Description: From text with entities, and their vectors, to a model that tells which one is meant.
Accelerator: none needed

Run it as it is for a tiny model in some minutes on two cores: the characters of five novels, found
by a dictionary of their names, with vectors that only tell them apart. Or on the released sample of
the original's pretraining data, with vectors of a knowledge graph:

    python examples/pretrain_ernie_thu.py
    python examples/pretrain_ernie_thu.py --tokens wiki_token.gz --entities wiki_entity.gz \\
        --vocabulary vocab.txt --vectors codex-m_transe_100d.npz

`--vectors` is a .npz file with the arrays `entity_id` (names) and `entity` (vectors); an entity
that it has not gets a vector of length 1 in a direction that is drawn. Ten documents are held out.

What is printed: how often the entity of a mention is told right on held-out text, where the model
was given it (kept), another one (replaced), or none (dropped; seen: that occurs in the text which
was learned from); beside a model without the entity stream, the commonest entity of a batch, and
the same model with the candidates permuted behind its back, which must take the kept ones to
chance: the model points at vectors, not at places.
"""

import argparse
import json
import os
import shutil
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow: errors only

import keras
import numpy as np

from keras_plm import backbones, data, objectives, tasks, transfer

# === Settings ===

CHARACTERS = {  # of the novels: what they are called there
    "Alice": ["Alice"],
    "the White Rabbit": ["White Rabbit", "Rabbit"],
    "the Hatter": ["Hatter"],
    "the March Hare": ["March Hare", "Hare"],
    "the Dormouse": ["Dormouse"],
    "the Cheshire Cat": ["Cheshire Cat", "Cheshire Puss", "Cat"],
    "the Caterpillar": ["Caterpillar"],
    "the Duchess": ["Duchess"],
    "the Mock Turtle": ["Mock Turtle"],
    "the Gryphon": ["Gryphon"],
    "the Red Queen": ["Red Queen"],
    "the White Queen": ["White Queen"],
    "the White Knight": ["White Knight", "Knight"],
    "Humpty Dumpty": ["Humpty Dumpty", "Humpty"],
    "Tweedledum": ["Tweedledum"],
    "Tweedledee": ["Tweedledee"],
    "Dinah": ["Dinah"],
    "Ebenezer Scrooge": ["Ebenezer Scrooge", "Scrooge", "Ebenezer"],
    "Jacob Marley": ["Jacob Marley", "Marley", "Jacob"],
    "Bob Cratchit": ["Bob Cratchit", "Bob"],
    "Tiny Tim": ["Tiny Tim"],
    "old Fezziwig": ["Fezziwig", "Old Fezziwig"],
    "Sherlock Holmes": ["Sherlock Holmes", "Holmes", "Sherlock"],
    "Dr. Watson": ["Dr. Watson", "Doctor Watson", "Watson", "Doctor"],
    "Lestrade": ["Lestrade"],
    "Tobias Gregson": ["Tobias Gregson", "Gregson"],
    "Enoch Drebber": ["Enoch J. Drebber", "Enoch Drebber", "Drebber"],
    "Joseph Stangerson": ["Joseph Stangerson", "Stangerson"],
    "Jefferson Hope": ["Jefferson Hope", "Hope"],
    "John Ferrier": ["John Ferrier", "Ferrier"],
    "Lucy Ferrier": ["Lucy Ferrier", "Lucy"],
    "the Time Traveller": ["Time Traveller"],
    "the Psychologist": ["Psychologist"],
    "the Medical Man": ["Medical Man"],
    "the Editor": ["Editor"],
    "Filby": ["Filby"],
    "Weena": ["Weena"],
    "the Morlocks": ["Morlocks", "Morlock"],
}
HELD_OUT = 10  # documents
PASSES = 5  # over what is held out, with other mentions replaced and dropped in each

parser = argparse.ArgumentParser(description="Pretrain ERNIE (Tsinghua).")
texts = sorted((Path(__file__).parent / "texts").glob("*.txt"))
parser.add_argument("--tokens", type=Path, help="token ids; default: the novels")
parser.add_argument("--entities", type=Path, help="entities of these tokens")
parser.add_argument("--vocabulary", type=Path, help="vocab.txt of the tokens, BERT's, uncased")
parser.add_argument("--vectors", type=Path, help="npz of entity_id and entity; default: drawn")
parser.add_argument("--blocks", type=int, default=4)
parser.add_argument("--width", type=int, default=128)
parser.add_argument("--sequence-length", type=int, help="default: 64; of aligned files 128")
parser.add_argument("--min-entities", type=int, help="mentions in a row; default: 2; 5")
parser.add_argument("--candidates", type=int, default=256)
parser.add_argument("--predictions", type=int, help="masked tokens of a row; default: 15 %%")
parser.add_argument("--batch-size", type=int, default=32)
parser.add_argument("--epochs", type=int, default=20)
parser.add_argument("--steps", type=int, help="in place of epochs")
parser.add_argument("--learning-rate", type=float, default=1e-3)
parser.add_argument("--output", type=Path, default=Path("output/ernie_thu"), metavar="DIR")
parser.add_argument("--seed", type=int, default=0)
arguments = parser.parse_args()
aligned = [arguments.tokens, arguments.entities, arguments.vocabulary]
if any(aligned) and not all(aligned):
    parser.error("--tokens, --entities and --vocabulary go together")
if arguments.vectors and not arguments.tokens:
    parser.error("--vectors needs --tokens: the novels' characters are in no graph")
length = arguments.sequence_length or (128 if arguments.tokens else 64)
least = (5 if arguments.tokens else 2) if arguments.min_entities is None else arguments.min_entities
output = arguments.output
begin = time.time()

# === Text with entities, and the table of their vectors ===


def bert_tokenizer(vocabulary):
    """BERT's tokenizer, from its list of pieces."""
    directory = output / "bert"
    directory.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(vocabulary, directory / "vocab.txt")
    number = len(vocabulary.read_text("utf-8").splitlines())
    sizes = {"num_hidden_layers": 1, "num_attention_heads": 1, "max_position_embeddings": 512}
    sizes |= {"hidden_size": 8, "intermediate_size": 8, "vocab_size": number}
    (directory / "config.json").write_text(json.dumps({"model_type": "bert", **sizes}))
    return data.Tokenizer.from_preset(directory)


if arguments.tokens:
    tokenizer = bert_tokenizer(arguments.vocabulary)
    names = data.read_entity_names(arguments.entities)
    numbers = {name: number for number, name in enumerate(names, 1)}
    corpus = data.build_entity_corpus(
        arguments.tokens, arguments.entities, tokenizer, output / "corpus", numbers
    )
else:
    tokenizer = data.train_tokenizer(texts, 2_000, model="wordpiece", lowercase=True)
    names = list(CHARACTERS)
    called = {one: n for n, ones in enumerate(CHARACTERS.values(), 1) for one in ones}
    linker = data.DictionaryLinker(called)
    corpus = data.Corpus.build(texts, tokenizer, output / "corpus", annotate={"entities": linker})
vectors = {}
if arguments.vectors:
    with np.load(arguments.vectors) as graph:
        vectors = dict(zip(graph["entity_id"].tolist(), graph["entity"].astype("float32")))
dim = len(next(iter(vectors.values()))) if vectors else 100
table = data.entity_table(names, vectors or {"": np.zeros(dim)}, seed=arguments.seed)
training, held_out = corpus.split(HELD_OUT / corpus.num_documents)
print(
    f"{corpus.num_tokens:,} tokens with {np.count_nonzero(corpus.entities):,} mentions of "
    f"{len(np.unique(corpus.entities)) - 1:,} entities, of which "
    f"{len(vectors.keys() & set(names)):,} have a vector of the graph; "
    f"{held_out.num_documents} of {corpus.num_documents} documents are held out."
)

# === Model ===

rows = {"sequence_length": length, "rows": "sentence_pair"}
objective = objectives.ObjectiveSum(
    (
        objectives.MaskedModeling.for_tokenizer(
            tokenizer,
            corrupt=objectives.Corruption(random_ids="vocabulary"),
            num_predict=arguments.predictions,
            **rows,
        ),
        objectives.SentencePair(length),
        objectives.EntityDenoising(arguments.candidates, min_entities=least, **rows),
    )
)
examples = data.examples(training, objective, arguments.batch_size, arguments.seed)
steps = arguments.steps or arguments.epochs * examples.steps_per_epoch
validation = data.examples(held_out, objective, arguments.batch_size, training=False)
print(
    f"{examples.steps_per_epoch} batches of {arguments.batch_size} rows in a pass, "
    f"{validation.steps_per_epoch} held out, {steps} steps."
)


def trained(block_types):
    """A model of such blocks, trained; None: the upper half has a stream of entities."""
    keras.utils.set_random_seed(arguments.seed)
    backbone = backbones.KnowledgeBackbone(
        tokenizer.vocabulary_size,
        num_layers=arguments.blocks,
        num_heads=arguments.width // 32,
        hidden_dim=arguments.width,
        intermediate_dim=4 * arguments.width,
        max_sequence_length=length,
        entity_dim=dim,
        block_types=block_types,
        entity_vectors=table,
        dropout=0.0,
        attention_dropout=0.0,
    )
    model = tasks.Pretrainer(backbone, objective, tasks.TextPreprocessor(tokenizer, length))
    rate = transfer.WarmupPolynomialDecay(arguments.learning_rate, max(steps // 10, 1), steps)
    model.compile(transfer.bert_optimizer(rate, bias_correction=True))
    before = model.evaluate(validation, verbose=0, return_dict=True)
    epoch = max(steps // 10, 1)
    model.fit(examples, steps_per_epoch=epoch, epochs=steps // epoch, verbose=2)
    after = model.evaluate(validation, verbose=0, return_dict=True)
    print(f"{model.count_params():,} parameters. Held out, before and after:")
    for name in sorted(after):
        print(f"  {name:24s} {before[name]:8.3f} {after[name]:8.3f}")
    return model


# === Which entity is meant? ===

KINDS = ("kept", "replaced", "dropped", "dropped, seen")
known = np.unique(np.concatenate([[0], *(
    corpus.entities[slice(*corpus.document_offsets[[one, one + 1]])] for one in training.documents
)]))  # fmt: skip


def reader(model):
    """A function of features to the logits of the candidates alone."""
    candidates = keras.Input((None,), dtype="int32", name="candidate_entity_ids")
    inputs = {**model.backbone.input, "candidate_entity_ids": candidates}
    features = {name: one for name, one in inputs.items() if name != "candidate_entity_ids"}
    logits = model.heads["entities"].read(model.backbone.encode(features), inputs)
    read = keras.Model(inputs, logits)
    return lambda x: read.predict_on_batch({name: x[name] for name in inputs})


def measured(tell, permuted=False):
    """The share of mentions that `tell` gets right by kind, and how many there are."""
    right, asked = dict.fromkeys(KINDS, 0), dict.fromkeys(KINDS, 0)
    rng = np.random.default_rng(0)
    for seed in range(PASSES):
        found = data.examples(held_out, objective, arguments.batch_size, seed, training=False)
        for number in range(found.steps_per_epoch):
            x, y, weight = found.batch_at(number)
            candidates, labels = x["candidate_entity_ids"], y["entities"]
            original = np.take_along_axis(candidates, labels, axis=1)  # (B, T)
            given, is_asked = x["entity_ids"], weight["entities"] > 0
            of_kind = {
                "kept": given == original,
                "replaced": (given != original) & (given > 0),
                "dropped": given == 0,
                "dropped, seen": (given == 0) & np.isin(original, known),
            }
            if permuted:
                used = np.count_nonzero(candidates[0])
                order = np.concatenate([[0], 1 + rng.permutation(used)])
                x = {**x, "candidate_entity_ids": candidates.copy()}
                x["candidate_entity_ids"][:, : used + 1] = candidates[:, order]
            is_right = tell(x, labels[is_asked]) == labels
            for kind, where in of_kind.items():
                asked[kind] += np.count_nonzero(where & is_asked)
                right[kind] += np.count_nonzero(where & is_asked & is_right)
    return {kind: right[kind] / max(asked[kind], 1) for kind in KINDS}, asked


def by(model):
    """Tell by the largest logit."""
    read = reader(model)
    return lambda x, labels: read(x).argmax(axis=-1)


def chance(x, labels):
    """Tell by a draw from the candidates."""
    used = np.count_nonzero(x["candidate_entity_ids"][0])
    return np.random.default_rng(len(labels)).integers(1, 1 + used, x["entity_ids"].shape)


def show(what, shares):
    """Print a row of the table."""
    print(f"| {what} | {' | '.join(f'{shares[kind]:.3f}' for kind in KINDS)} |", flush=True)


model = trained(None)
model.save_to_preset(output / "preset")
print(f"| accuracy on held-out mentions | {' | '.join(KINDS)} |")
print("|---" * (1 + len(KINDS)) + "|")
shares, asked = measured(by(model))
show("with the entity stream", shares)
show("the same, candidates permuted", measured(by(model), permuted=True)[0])
show("chance", measured(chance)[0])
commonest = measured(lambda x, labels: np.bincount(labels, minlength=2).argmax())[0]
show("the commonest candidate", commonest)
plain = trained(["text"] * arguments.blocks)
show("without the entity stream", measured(by(plain))[0])
print(f"| mentions | {' | '.join(f'{asked[kind]:,}' for kind in KINDS)} |")
print(f"Wrote {output / 'preset'}. Done in {time.time() - begin:.0f} s.")
