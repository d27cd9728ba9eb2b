"""
Title: Vectors of words in a tagger of your own
Description: A small Keras tagger without vectors, with static ones, and with ELMo's top layer or
    the mix of all its layers; beside its word embedding, beside its states, or both.
Accelerator: none needed

Run it as it is to find the names in the shipped novels, in ten minutes on two cores, or on a
treebank of Universal Dependencies (what kind of word is this?), with an ELMo that
`pretrain_elmo.py` left and a file of static vectors:

    python examples/elmo_tagger.py
    python examples/elmo_tagger.py --elmo output/elmo/preset --vectors glove.6B.50d.txt.gz \\
        --train en_ewt-ud-train.conllu --held-out en_ewt-ud-dev.conllu

The tagger is ordinary Keras: words that it learns from its own sentences, one BiLSTM, a softmax.
The vectors are frozen: ELMo reads each sentence once, all its layers are kept, and the tagger gets
them as numbers. It mixes them by weights of its own, `[x; v]` where its BiLSTM reads and `[h; v]`
behind it. A seed stands for the sentences, the first weights and the order of the batches; all
kinds of vectors have the same seeds, so that what a kind gains is seen seed by seed.

The default data are sentences of the novels in lower case; a name is what had a capital letter and
is never written without. Every fifth chapter is held out; the ELMo of the default, which is made on
the spot, has read all chapters, but not which words are names.

What it leaves in `--output`: `results.json`, and without `--elmo` the ELMo in `preset/`.

Source: ELMo, arXiv:1802.05365, sections 3.2, 3.3 and 5.2 (where in the model).
"""

import argparse
import collections
import gzip
import json
import os
import re
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow: errors only

import keras
import numpy as np

from keras_plm import data, layers, models, tasks

# === Settings ===

TEXTS = Path(__file__).parent / "texts"
HELD_OUT = 5  # every fifth chapter is held out, and of --train every fifth sentence
KINDS = {"static": "static vectors", "top": "ELMo, top layer", "mix": "ELMo, all layers"}
PLACES = {"input": "[x; v]", "output": "[h; v]", "both": "both"}

parser = argparse.ArgumentParser(description="Vectors of words in a tagger of your own.")
parser.add_argument("--elmo", type=Path, metavar="DIR", help="a preset; default: one is made")
parser.add_argument("--vectors", type=Path, metavar="FILE", help="of GloVe, word2vec, fastText")
parser.add_argument("--train", type=Path, metavar="FILE", help="a treebank, .conllu(.gz)")
parser.add_argument("--held-out", type=Path, metavar="FILE", help="as --train, to evaluate on")
parser.add_argument("--kinds", nargs="+", choices=list(KINDS), help="of vectors; default: all")
parser.add_argument("--places", nargs="+", choices=list(PLACES), default=list(PLACES))
parser.add_argument("--seeds", type=int, default=3)
parser.add_argument("--limit", type=int, default=2_000, help="sentences to learn from")
parser.add_argument("--held-out-limit", type=int, help="evaluate on so many sentences only")
parser.add_argument("--epochs", type=int, default=12)
parser.add_argument("--batch-size", type=int, default=64)
parser.add_argument("--width", type=int, default=50, help="of x, and of each side of the BiLSTM")
parser.add_argument("--sequence-length", type=int, default=48, help="words of a sentence at most")
parser.add_argument("--pretraining-steps", type=int, default=500, help="of an ELMo that is made")
parser.add_argument("--output", type=Path, default=Path("output/elmo_tagger"), metavar="DIR")
arguments = parser.parse_args()
if "static" in (arguments.kinds or []) and not arguments.vectors:
    parser.error("--kinds static needs --vectors, the file.")
kinds = arguments.kinds or [kind for kind in KINDS if kind != "static" or arguments.vectors]
output, length, begin = arguments.output, arguments.sequence_length, time.time()
output.mkdir(parents=True, exist_ok=True)
keras.utils.set_random_seed(0)

# === Words and tags ===


def read_treebank(path):
    """(number, words, tags) of every sentence."""
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as lines:
        sentences = lines.read().strip().split("\n\n")
    for number, sentence in enumerate(sentences):
        columns = [line.split("\t") for line in sentence.split("\n")]
        columns = [own for own in columns if own[0].isdigit()]  # neither 1-2 nor 1.1
        yield number, [own[1] for own in columns], [own[3] for own in columns]


def read_novels():
    """(chapter, words in lower case, tags) of every sentence."""
    sentences, chapter = [], 0
    for path in sorted(TEXTS.glob("*.txt")):
        for line in path.read_text(encoding="utf-8").splitlines():
            chapter += not line  # an empty line ends a chapter
            for sentence in re.split(r"(?<=[.!?])\s+", line):
                words = re.findall(r"\w+(?:['’]\w+)*|[^\w\s]", sentence)
                sentences += [(chapter, words)] if words else []
        chapter += 1
    small = {word for _, words in sentences for word in words if not word[0].isupper()} | {"i"}
    for chapter, words in sentences:
        lower = [word.lower() for word in words]
        names = [a != b and re.split("['’]", b)[0] not in small for a, b in zip(words, lower)]
        yield chapter, lower, ["name" if is_name else "other" for is_name in names]


rows = list(read_treebank(arguments.train) if arguments.train else read_novels())
if arguments.held_out:
    training, held_out = rows, list(read_treebank(arguments.held_out))
else:
    training = [row for row in rows if row[0] % HELD_OUT]
    held_out = [row for row in rows if not row[0] % HELD_OUT]
held_out = held_out[: arguments.held_out_limit]
names = sorted({tag for _, _, tags in training for tag in tags})
# Each seed has sentences of its own.
number, seeds = min(arguments.limit, len(training)), range(arguments.seeds)
chosen = [np.random.default_rng(seed).permutation(len(training))[:number] for seed in seeds]
print(f"{number:,} of {len(training):,} sentences to learn from, {len(held_out):,} held out;")
print(f"tags {' '.join(names)}.")

# === An ELMo of the novels, unless there is one ===


def pretrain():
    """The directory of a tiny ELMo that has read the novels in lower case."""
    chapters = collections.defaultdict(list)
    for chapter, words, _ in read_novels():
        chapters[chapter].append(" ".join(words))
    path = output / "words.txt"
    path.write_text("\n\n".join(map("\n".join, chapters.values())), encoding="utf-8")
    tokenizer = data.train_tokenizer([path], 6_000, model="word", layout="elmo")
    corpus = data.Corpus.build([path], tokenizer, output / "corpus", split_sentences=None)
    model = models.elmo(tokenizer, "tiny", num_sampled=1_000)
    optimizer = keras.optimizers.Adam(3e-3, global_clipnorm=1.0)
    model.compile(optimizer)
    examples = data.examples(corpus, model.objective, batch_size=32)
    model.fit(examples, steps_per_epoch=arguments.pretraining_steps, verbose=2)
    model.save_to_preset(output / "preset")
    return output / "preset"


# === Vectors, once for every sentence ===

sentences = {tuple(words) for _, words, _ in held_out}
sentences = sorted(sentences | {tuple(training[index][1]) for own in chosen for index in own})
cached = {}  # of each kind: a sentence to its vectors, (words, layers, width)


def elmo_vectors(preset):
    """All layers of ELMo, float16, of each sentence."""
    embedder = tasks.TextEmbedder.from_preset(preset)
    backbone, tokenizer = embedder.backbone, embedder.preprocessor.tokenizer
    inputs = {name: backbone.input[name] for name in ("token_ids", "character_ids", "padding_mask")}
    states = keras.ops.stack(backbone.encode(inputs)["hidden_states"], axis=2)  # (B, T, L, D)
    reader = keras.Model(inputs, states)
    preprocessor = tasks.WordPreprocessor(tokenizer, length + 2)  # with both marks
    found = {}
    for start in range(0, len(sentences), 512):
        part = sentences[start : start + 512]
        features, places = preprocessor.features_and_words(part)
        features = {name: features[name] for name in inputs}
        states = reader.predict(features, batch_size=32, verbose=0).astype("float16")
        found |= {text: own[there] for text, own, there in zip(part, states, places)}
    return found


def static_vectors(path):
    """The vector of each word in lower case, 0 where the file has none."""
    known, table = data.read_vectors(path, words={w.lower() for text in sentences for w in text})
    places = {word: place for place, word in enumerate(known)}
    table = np.concatenate([table, np.zeros_like(table[:1])])[:, None]  # (words + 1, 1, width)
    ids = {text: [places.get(word.lower(), -1) for word in text] for text in sentences}
    missing = np.mean([place < 0 for own in ids.values() for place in own])
    print(f"{path.name}: vectors of {table.shape[-1]} numbers for {1 - missing:.1%} of all words.")
    return {text: table[own] for text, own in ids.items()}


if "static" in kinds:
    cached["static"] = static_vectors(arguments.vectors)
if {"top", "mix"} & set(kinds):
    cached["mix"] = elmo_vectors(arguments.elmo or pretrain())
    cached["top"] = {text: own[:, -1:] for text, own in cached["mix"].items()}
    size = sum(own.nbytes for own in cached["mix"].values()) / 2**20
    print(f"ELMo: {len(sentences):,} sentences, {size:.0f} MiB ({time.time() - begin:.0f} s).")

# === The tagger ===


def make_tagger(num_words, shape, place):
    """Word ids and frozen vectors of a shape (layers, width) to tags; words 0 are padding."""
    ids = keras.Input((length,), dtype="int32", name="words")
    inputs, width = {"words": ids}, arguments.width

    def beside(states, where):
        """States, and beside them the vectors, if they have a place here; (B, T, D)."""
        if place in (where, "both"):
            mix = layers.ScalarMix(len(several) == 1, regularization=1e-3, name=f"mix_of_{where}")
            states = keras.layers.Concatenate()([states, mix(several)])
        return keras.layers.Dropout(0.5)(states)

    if shape:
        inputs["vectors"] = keras.Input((length, *shape), name="vectors")
        several = keras.ops.unstack(inputs["vectors"], axis=2)  # of each layer (B, T, width)
    x = keras.layers.Embedding(num_words, width, mask_zero=True)(ids)
    h = keras.layers.LSTM(width, return_sequences=True)
    h = keras.layers.Bidirectional(h)(beside(x, "input"))
    logits = keras.layers.Dense(len(names))(beside(h, "output"))
    return keras.Model(inputs, logits)


def padded(values, shape=(), dtype="int32"):
    """Values of the words of each sentence in one array (N, T, *shape)."""
    array = np.zeros((len(values), length, *shape), dtype)
    for row, own in zip(array, values):
        row[: len(own)] = own[:length]
    return array


def accuracies(kind, place, seed):
    """Of all held-out words, of those that are new, and the shares of layers of each mix."""
    keras.utils.set_random_seed(seed)
    own = [training[index] for index in chosen[seed]]
    counts = collections.Counter(word for _, words, _ in own for word in words)
    known = [word for word, count in counts.items() if count > 1]
    word_ids = {word: number for number, word in enumerate(known, 2)}  # 1: unknown
    shape = next(iter(cached[kind].values())).shape[1:] if kind else ()

    def features(rows):
        found = {"words": padded([[word_ids.get(word, 1) for word in row[1]] for row in rows])}
        if kind:
            vectors = [cached[kind][tuple(row[1])] for row in rows]
            found["vectors"] = padded(vectors, shape, "float16")
        return found

    tagger = make_tagger(len(known) + 2, shape, place)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    tagger.compile(keras.optimizers.Adam(3e-3), loss)
    tags = padded([[names.index(tag) for tag in row[2]] for row in own])
    there = padded([np.ones(len(row[1])) for row in own], dtype="float32")
    options = dict(batch_size=arguments.batch_size, verbose=0)
    tagger.fit(features(own), tags, sample_weight=there, epochs=arguments.epochs, **options)
    found = tagger.predict(features(held_out), **options)
    if not np.isfinite(found).all():
        raise SystemExit("Logits are not finite.")
    right, new = [], []
    for (_, words, tags), row in zip(held_out, found.argmax(axis=-1)):
        row = [names[number] for number in row[: len(words)]]
        row += [None] * (len(words) - len(row))  # words beyond the length are wrong
        right += [one == tag for one, tag in zip(row, tags)]
        new += [word not in counts for word in words]
    mixes = [layer for layer in tagger.layers if layer.name.startswith("mix_of_") and shape[0] > 1]
    shares = {m.name: np.asarray(keras.ops.softmax(m.scores)).tolist() for m in mixes}
    keras.backend.clear_session()
    return float(np.mean(right)), float(np.mean(np.array(right)[new])), shares


# === All kinds of vectors in all places, from the same seeds ===

table = [(None, None)] + [(kind, place) for kind in kinds for place in arguments.places]
counted = collections.Counter(tag for _, _, tags in held_out for tag in tags)
commonest, times = counted.most_common(1)[0]
print(f"Always {commonest}: {times / counted.total():.1%}. Of all held-out words, and of new ones,")
print(f"these are right, the mean of {arguments.seeds} seeds; points more than without vectors,")
print("seed by seed, ± their standard deviation:")
results = []
for kind, place in table:
    start = time.time()
    found = [accuracies(kind, place, seed) for seed in seeds]
    scores = 100 * np.array([one[:2] for one in found])  # (seeds, 2)
    without = scores if kind is None else np.array(results[0]["accuracies"])
    gain = (scores - without)[:, 0]
    shares = [one[2] for one in found]
    results.append(dict(kind=kind, place=place, accuracies=scores.tolist(), shares=shares))
    (output / "results.json").write_text(json.dumps(results, indent=1), encoding="utf-8")
    name = f"{KINDS[kind]}, {PLACES[place]}" if kind else "no vectors"
    spread = f"{gain.mean():+6.2f} ± {np.std(gain, ddof=len(gain) > 1):.2f}" if kind else ""
    each = (time.time() - start) / arguments.seeds
    line = f"  {name:26}{scores[:, 0].mean():7.2f}{scores[:, 1].mean():7.2f} {spread:16}"
    print(f"{line} ({each:.0f} s each)", flush=True)
    for mix in shares[0]:
        mean = np.mean([own[mix] for own in shares], axis=0)
        print(f"    {mix}: shares of the layers {' '.join(f'{one:.2f}' for one in mean)}")
print(f"Done in {time.time() - begin:.0f} s.")
