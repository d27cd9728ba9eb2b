"""A document of 10,000 tokens: a question about it, and its class.

    python tests/benchmarks/long_document.py --model PATH --text PATH
    python tests/benchmarks/long_document.py --cases class

`question` is `SpanExtractor.answer` of a question and the beginning of a text (`--text`, a book in
one file or a folder of them), with a BERT in Hugging Face's files (`--model`, such as MiniLM; its
head is random): rows of 384 tokens, which begin 128 apart, tokenizing and the choice of the answer
included. The peer is what `transformers` documents for that: `AutoModelForQuestionAnswering` on
the overflowing windows of its fast tokenizer, 32 at once, and the best start and end of each.

`class` is `TextClassifier.predict` of an AWD-LSTM of fastai's sizes (3 LSTMs, 400 and 1,152 wide,
10,000 words) whose pooling reads all of the text; the peer is the same of `torch.nn.LSTM`.

Figures are medians over rounds of CPU time, one compute thread, and the peak of the process during
a call beyond what it held before, see interleaved.py; ratios are ratios of medians, with the 10th
and 90th percentile of the ratios within a round behind them. The last line is one JSON object.
"""

import argparse
import json
import pathlib
import sys
import time

import numpy as np
from interleaved import measure, processor, ratio
from turns import Turns, keras_product, one_core, torch_product

ENGINES = {"tensorflow": ("tensorflow", "ours"), "jax": ("jax", "ours"), "torch": ("torch", "peer")}
ROW, APART, BATCH = 384, 128, 32
QUESTION = "Who was the man that came to the house in the evening?"
WIDTHS = [400, 1152, 1152, 400]  # of the AWD-LSTM
VOCABULARY = 10_000


def document(settings):
    """The ids (1, T) of random words."""
    shape = 1, settings["tokens"]
    return np.random.default_rng(0).integers(5, VOCABULARY, shape).astype("int32")


def text_of(settings):
    """So many words as make up the tokens, about."""
    path = pathlib.Path(settings["text"])
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    words = " ".join(file.read_text(encoding="utf-8") for file in files).split()
    return " ".join(words[: int(settings["tokens"] / settings["tokens_per_word"])])


def keras_question(settings):
    from keras_plm.tasks import SpanExtractor

    extractor = SpanExtractor.from_preset(settings["model"], sequence_length=ROW, stride=APART)
    context = text_of(settings)
    number = len(extractor.preprocessor.windows(([QUESTION], [context]))[1])

    def call():
        extractor.answer([QUESTION], [context], batch_size=BATCH, verbose=0)
        return number

    return call


def keras_class(settings):
    from keras_plm import families
    from keras_plm.backbones import AWDLSTMBackbone
    from keras_plm.tasks import TextClassifier

    backbone = AWDLSTMBackbone(
        VOCABULARY, 3, WIDTHS[0], WIDTHS[1], **families.AWD_LSTM["classifier"]
    )
    model = TextClassifier(backbone, 2, pooling="concat")
    token_ids = document(settings)
    features = {"token_ids": token_ids, "padding_mask": np.ones(token_ids.shape, bool)}

    def call():
        model.predict(features, verbose=0)
        return 1

    return call


def torch_question(settings):
    import torch
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(settings["model"])
    model = transformers.AutoModelForQuestionAnswering.from_pretrained(settings["model"]).eval()
    context = text_of(settings)
    room = ROW - len(tokenizer(QUESTION)["input_ids"]) - 1

    def call():
        found = tokenizer(
            QUESTION,
            context,
            truncation="only_second",
            max_length=ROW,
            stride=room - APART,  # of two windows in common
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
            padding=True,
            return_tensors="pt",
        )
        inputs = {name: found[name] for name in tokenizer.model_input_names}
        best, number = [], len(found["input_ids"])
        with torch.inference_mode():
            for start in range(0, number, BATCH):
                rows = model(**{key: value[start : start + BATCH] for key, value in inputs.items()})
                scores = rows.start_logits[:, :, None] + rows.end_logits[:, None, :]
                scores = torch.triu(scores) - torch.triu(scores, 64)  # answers of 64 tokens at most
                best.append(scores.flatten(1).max(1).values)
        torch.cat(best).max().item()
        return number

    return call


def torch_class(settings):
    import torch

    torch.manual_seed(0)
    table = torch.nn.Embedding(VOCABULARY, WIDTHS[0])
    pairs = zip(WIDTHS, WIDTHS[1:])
    layers = torch.nn.ModuleList(torch.nn.LSTM(*pair, batch_first=True) for pair in pairs)
    head = torch.nn.Linear(3 * WIDTHS[-1], 2)
    token_ids = torch.tensor(document(settings), dtype=torch.long)

    def call():
        with torch.inference_mode():
            rows = table(token_ids)
            for layer in layers:
                rows = layer(rows)[0]
            pooled = torch.cat([rows[:, -1], rows.max(1).values, rows.mean(1)], dim=-1)
            head(pooled).numpy()
        return 1

    return call


CASES = {"question": (keras_question, torch_question), "class": (keras_class, torch_class)}


def serve(settings):
    """One call whenever the parent asks."""
    one_core()
    is_torch = settings["backend"] == "torch"
    call = CASES[settings["case"]][is_torch](settings)
    product, library = (torch_product if is_torch else keras_product)(settings)
    turns = Turns(product)
    before = time.process_time()
    call()
    first = time.process_time() - before
    turns.answer(ready=library)
    while True:
        turns.wait()
        turns.finish(rows=call(), first=first)


def report(workers, case):
    """Print the figures of one case and return them."""
    figures = {}
    for engine, worker in workers.items():
        milliseconds = np.median([step["cpu"] for step in worker.steps]) * 1e3
        memory = np.median([step["memory"] or 0 for step in worker.steps])
        last = worker.steps[-1]
        print(
            f"  {engine:12}{milliseconds:8.0f} ms{memory:8.0f} MB, {last['rows']} rows, "
            f"first call {last['first']:.1f} s"
        )
        figures[f"{case}_{engine}"] = [round(float(one), 1) for one in (milliseconds, memory)]
        found = ratio(workers, engine, "torch", "cpu") if engine != "torch" else None
        if found:
            print(f"    of torch: {found[0]:.2f} [{found[1]:.2f}, {found[2]:.2f}]")
            figures[f"{case}_{engine}_vs_torch"] = found
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", type=pathlib.Path, help="for `question`")
    parser.add_argument("--text", type=pathlib.Path, help="for `question`")
    parser.add_argument("--tokens", type=int, default=10_000)
    parser.add_argument("--tokens-per-word", type=float, default=1.35)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    options = parser.parse_args()
    if "question" in options.cases and not (options.model and options.text):
        parser.error("`question` needs --model and --text.")
    figures = {"processor": processor()}
    print(f"processor: {figures['processor']}; {options.rounds} rounds")
    for case in options.cases:
        print(f"=== {case}")
        settings = {
            "case": case,
            "device": "cpu",
            "dtype": "float32",
            "tokens": options.tokens,
            "tokens_per_word": options.tokens_per_word,
            "model": options.model and str(options.model.resolve()),
            "text": options.text and str(options.text.resolve()),
        }
        workers, _ = measure("long_document.py", ENGINES, settings, options.rounds)
        figures |= report(workers, case)
    print(json.dumps(figures))


if __name__ == "__main__":
    if sys.argv[1:] and sys.argv[1].startswith("{"):
        serve(json.loads(sys.argv[1]))
    main()
