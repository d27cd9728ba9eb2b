"""
Title: Whole-word masking for Chinese
Description: A vocabulary of characters, words from a segmenter: which characters go together.
Accelerator: none needed

BERT reads Chinese character by character, so its vocabulary cannot tell where words are. Whole-word
masking takes the words from elsewhere: from text that is segmented, or from any function that
segments a sentence (`data.Corpus.build(..., split_words=jieba.lcut)`).

    python examples/chinese_wwm.py
    python examples/chinese_wwm.py --masking character
    python examples/chinese_wwm.py --corpus news.txt --words characters --size small --steps 20000
    python examples/chinese_wwm.py --corpus zh_gsdsimp-ud-train.conllu --words conllu

A corpus is text with a sentence on each line and blank lines between documents, the words separated
by spaces (`--words spaces`) or not at all (`--words characters`: each character is a word); or a
treebank of Universal Dependencies (`--words conllu`), in which documents begin at `# newdoc`, or,
where it has none, after every tenth sentence. The default are paragraphs by Lu Xun and Zhu Ziqing,
segmented by hand (`examples/texts_zh`): enough to see what is masked, not to learn Chinese. With so
little text the held-out loss falls towards that of a model without context, and not below it.
"""

import argparse
import dataclasses
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow: errors only

import keras
import numpy as np

from keras_plm import data, models, objectives, tasks, transfer

# === Settings ===

VOCABULARY = {"tiny": 4_000, "small": 8_000, "base": 21_128}  # lowered to what the text carries
LENGTH = {"tiny": 64, "small": 128, "base": 512}  # tokens per row
STEPS = {"tiny": 300, "small": 20_000, "base": 200_000}
BATCH_SIZE = {"tiny": 16, "small": 32, "base": 32}
LEARNING_RATE = {"tiny": 1e-3, "small": 5e-4, "base": 1e-4}
DROPOUT = 0.1
HELD_OUT = 0.15  # of the documents
DOCUMENT = 10  # sentences of a treebank that does not say where documents begin
SENTENCE = "父亲 说 ， 我 [MASK] [MASK] 的 是 他 的 背 影 。"

parser = argparse.ArgumentParser(description="Pretrain a Chinese BERT by whole-word masking.")
texts = sorted((Path(__file__).parent / "texts_zh").glob("*.txt"))
parser.add_argument("--corpus", nargs="+", default=texts, metavar="PATH", help="see above")
parser.add_argument("--words", choices=["spaces", "characters", "conllu"], default="spaces")
parser.add_argument("--masking", choices=["word", "character"], default="word")
parser.add_argument("--size", choices=list(VOCABULARY), default="tiny")
parser.add_argument("--steps", type=int, help="default: 300, 20,000 or 200,000 by size")
parser.add_argument("--batch-size", type=int, help="default: 16, 32 or 32 by size")
parser.add_argument("--output", type=Path, default=Path("output/chinese_wwm"), metavar="DIR")
parser.add_argument("--held-out-batches", type=int, default=20, help="that are evaluated")
parser.add_argument("--seed", type=int, default=0)
arguments = parser.parse_args()
size, output, seed = arguments.size, arguments.output, arguments.seed
steps = arguments.steps or STEPS[size]
batch_size = arguments.batch_size or BATCH_SIZE[size]
keras.utils.set_random_seed(seed)
output.mkdir(parents=True, exist_ok=True)
begin = time.time()

# === Text, tokenizer, corpus ===


def read_conllu(path):
    """The sentences of a treebank, the words separated by spaces, with blank lines between
    documents."""
    lines, words, told = [], [], False
    for line in [*path.read_text(encoding="utf-8").split("\n"), ""]:
        if line.startswith("# newdoc"):
            told = True
            lines.append("")
        columns = line.split("\t")
        if columns[0].isdigit():  # not 1-2, which is written out below it, and not 1.1
            words.append(columns[1])
        if not line.strip() and words:
            lines.append(" ".join(words))
            words = []
    if not told:
        lines = [one for n in range(0, len(lines), DOCUMENT) for one in [*lines[n:][:DOCUMENT], ""]]
    return "\n".join(lines) + "\n"


paths = [Path(path) for path in arguments.corpus]
if arguments.words == "conllu":
    segmented = output / "segmented.txt"
    segmented.write_text("\n".join(read_conllu(path) for path in paths), encoding="utf-8")
    paths = [segmented]
# Chinese characters are words of their own to WordPiece: nothing is merged.
tokenizer = data.train_tokenizer(paths, VOCABULARY[size], model="wordpiece")
corpus = data.Corpus.build(
    paths,
    tokenizer,
    output / "corpus",
    split_sentences=None,  # a sentence on each line
    split_words=None if arguments.words == "characters" else str.split,
)
training, held_out = corpus.split(HELD_OUT)
print(
    f"{training.num_tokens:,} characters, {int(corpus.word_starts.sum()):,} words in all, "
    f"{training.num_documents:,} documents to learn from, {held_out.num_documents:,} held out; "
    f"a vocabulary of {tokenizer.vocabulary_size:,} pieces."
)

# === Model ===

build = {"word": models.bert_wwm, "character": models.bert}[arguments.masking]
model = build(tokenizer, size, sequence_length=LENGTH[size], dropout=DROPOUT)
learning_rate = transfer.WarmupPolynomialDecay(LEARNING_RATE[size], steps // 10, steps)
model.compile(transfer.bert_optimizer(learning_rate, bias_correction=True))
print(f"{build.__name__} with {model.count_params():,} parameters.")

# The same objective with the one and the other selection: all else is kept.
masked, pairs = model.objective.objectives
maskings = {
    f"{name}s": objectives.ObjectiveSum((dataclasses.replace(masked, select=select), pairs))
    for name, select in {
        "character": objectives.RandomSelection("token"),
        "word": objectives.RandomSelection("word"),
    }.items()
}

# === One row: characters and words ===

MASK = tokenizer.mask_token_id


def show(name, objective):
    """Prints what is hidden of one row, and in how many words in part; words between spaces."""
    x, _, weight = objective(rows, np.random.default_rng(seed))
    hidden = np.zeros(rows["token_ids"].shape, bool)
    row, slot = np.nonzero(weight["tokens"])
    hidden[row, x["target_positions"][row, slot]] = True
    word = np.cumsum(rows["word_starts"], axis=1)  # its number, from 1
    size_of_word, hidden_of_word = np.zeros((2, len(hidden), word.max() + 1), int)
    row = np.arange(len(hidden))[:, None]
    np.add.at(size_of_word, (row, word), 1)
    np.add.at(hidden_of_word, (row, word), hidden)
    in_part = (hidden_of_word > 0) & (hidden_of_word < size_of_word)
    text = ""
    pieces = zip(tokenizer.pieces(rows["token_ids"][0]), tokenizer.pieces(x["token_ids"][0]))
    for place, (before, after) in enumerate(pieces):
        text += " " * int(rows["word_starts"][0, place])
        if hidden[0, place]:
            kept = "=" if before == after else after
            text += f"{before}→{'□' if x['token_ids'][0, place] == MASK else kept}"
        elif rows["padding_mask"][0, place]:
            text += before
    print(f"  {name}: {in_part.sum()} of {(hidden_of_word > 0).sum()} hidden words only in part")
    print(f"  {text.strip()}")


examples = data.examples(training, model.objective, batch_size, seed)
rows = examples.rows_at(0)
print(f"The first {batch_size} rows, and the first of them (→□ masked, →x replaced, →= kept):")
for name, objective in maskings.items():
    show(name, objective)

# === Training ===


def evaluate(objective):
    """Held-out cross-entropy in nats: of the model, and of one that reads no context."""
    examples = data.examples(held_out, objective, 4, training=False)
    number = min(arguments.held_out_batches, examples.steps_per_epoch)
    batches = [examples.batch_at(n) for n in range(number)]
    # as plain batches: examples of another objective than its own are refused by the model
    logs = model.evaluate((one for one in batches), steps=number, verbose=0, return_dict=True)
    tokens = np.concatenate([y["tokens"].ravel() for _, y, _ in batches])
    weights = np.concatenate([weight["tokens"].ravel() for _, _, weight in batches])
    return logs["tokens_loss"], np.average(surprise[tokens], weights=weights), int(weights.sum())


counts = training.token_counts() + 1  # a piece that was never seen is not impossible
surprise = -np.log(counts / counts.sum())  # nats, by token

before = {name: evaluate(objective)[0] for name, objective in maskings.items()}
report = max(steps // 5, 1)
model.fit(examples, steps_per_epoch=report, epochs=steps // report, verbose=2)

print(f"Held-out text, trained with masked {arguments.masking}s:")
for name, objective in maskings.items():
    after, unigram, number = evaluate(objective)
    print(
        f"  masked {name:<10}  before {before[name]:.3f}, after {after:.3f}, "
        f"unigram {unigram:.3f} nats ({number} targets)"
    )

# === Preset, and a blank ===

model.save_to_preset(output / "preset")
reader = tasks.MaskedLM.from_preset(str(output / "preset"))
print(f"Filling {SENTENCE!r}:")
for number, fillings in enumerate(reader.fill_mask([SENTENCE], verbose=0)[0], start=1):
    shown = ", ".join(f"{filling.token} {filling.probability:.3f}" for filling in fillings)
    print(f"  {number}. {shown}")
print(f"Wrote {output / 'preset'}.")
print(f"Done in {time.time() - begin:.0f} s.")
