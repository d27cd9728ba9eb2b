"""How many training examples one core makes: the objective, the whole pipeline, a reference.

    python tests/benchmarks/examples_per_second.py [--texts PATH ...]

Rows of 512 tokens, 85 predictions. All figures are examples per second of process CPU time (of
all threads together, so per core), the median of interleaved rounds. Needs the extras `reference`
for the collator of transformers, which is left out otherwise (null). The last line is a JSON
object of the figures.
"""

import argparse
import itertools
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np  # noqa: E402

from keras_plm.data import Corpus, examples, train_tokenizer  # noqa: E402
from keras_plm.data.examples import READ_OPTIONS  # noqa: E402
from keras_plm.data.segment_pair import SegmentPairRows  # noqa: E402
from keras_plm.objectives import PermutationModeling  # noqa: E402

TEXTS = sorted((Path(__file__).parents[2] / "examples" / "texts").glob("*.txt"))
GOALS = {"permutation_b32": 8_000, "permutation_b256": 15_000, "pipeline": 3_000}
OBJECTIVE = PermutationModeling(512, 256, 85, 256)


def objective_case(corpus, batch_size):
    """The objective alone, on rows that lie ready."""
    rows = SegmentPairRows(corpus, OBJECTIVE, batch_size, 0, True, False)
    batches = [rows(step) for step in range(rows.steps_per_pass)]
    rng = np.random.default_rng(0)
    batches = itertools.cycle(batches)
    return lambda: len(OBJECTIVE(next(batches), rng)[0]["token_ids"])


def fit_case(corpus, batch_size, steps=200):
    """The whole pipeline into `fit`, of a model that does next to nothing with the batch."""
    import keras

    shapes = {"fresh": (), "target_positions": (85,)}
    names = OBJECTIVE.feature_names
    inputs = {name: keras.Input(shapes.get(name, (512,)), name=name) for name in names}
    tokens = keras.layers.Dense(1, name="tokens")(inputs["target_positions"][..., None])
    model = keras.Model(inputs, {"tokens": tokens})
    model.compile("sgd", lambda y, output: keras.ops.abs(keras.ops.cast(y, "float32") - output))
    starts = itertools.count(0, steps)

    def case():
        dataset = examples(corpus, OBJECTIVE, batch_size, start=next(starts))
        model.fit(dataset, steps_per_epoch=steps, shuffle=False, verbose=0)
        return steps * batch_size

    return case


def pipeline_case(corpus, batch_size):
    """What `fit` iterates over: rows, objective, Grain's threads and queue."""
    iterator = iter(examples(corpus, OBJECTIVE, batch_size))
    return lambda: len(next(iterator)[0]["token_ids"])


def collator_case(corpus, tokenizer, batch_size, return_tensors):
    """The collator of transformers on the same tokens; None if transformers is not there."""
    try:
        import torch
        import transformers
        from tokenizers import Tokenizer, models
    except ImportError:
        return None
    torch.set_num_threads(1)
    pieces = tokenizer.pieces(list(range(tokenizer.vocabulary_size)))
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    reference = transformers.PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>")),
        mask_token="<mask>", pad_token="<pad>", sep_token="<sep>", cls_token="<cls>",
        unk_token="<unk>",
    )  # fmt: skip
    collator = transformers.DataCollatorForPermutationLanguageModeling(
        reference, return_tensors=return_tensors
    )
    rows = SegmentPairRows(corpus, OBJECTIVE, batch_size, 0, True, False)
    batches = [rows(step)["token_ids"].tolist() for step in range(rows.steps_per_pass)]
    batches = itertools.cycle(batches)
    return lambda: len(collator([{"input_ids": row} for row in next(batches)])["input_ids"])


def rate(case, seconds, warm_up):
    """Examples per second of CPU time over about `seconds`, from an empty queue to an empty one."""
    for _ in range(warm_up):
        case()
    begin, count = time.process_time(), 0
    while count == 0 or time.process_time() - begin < seconds:
        count += case()
    result, before = count / (time.process_time() - begin), 0.0
    while time.process_time() - before > 0.005:  # Grain's threads fill their queue once more
        before = time.process_time()
        time.sleep(0.05)
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", nargs="+", type=Path, default=TEXTS, metavar="PATH")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.5, help="CPU time per case and round")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        tokenizer = train_tokenizer(options.texts, vocabulary_size=4_000)
        corpus = Corpus.build(options.texts, tokenizer, Path(directory) / "corpus")
        print(
            f"{len(options.texts)} texts, {corpus.num_tokens:,} tokens, "
            f"{len(corpus.documents):,} documents; T 512, P 85\n"
        )
        cases = {
            "permutation_b32": objective_case(corpus, 32),
            "permutation_b256": objective_case(corpus, 256),
            "pipeline": fit_case(corpus, 32),
            "pipeline_before_keras": pipeline_case(corpus, 32),
            "transformers_collator_torch": collator_case(corpus, tokenizer, 32, "pt"),
            "transformers_collator_numpy": collator_case(corpus, tokenizer, 32, "np"),
        }
        rates = {name: [] for name in cases}
        for case in filter(None, cases.values()):
            rate(case, 0.0, 1)
        for _ in range(options.rounds):
            for name, case in cases.items():
                warm_up = 0 if name == "pipeline" else READ_OPTIONS.prefetch_buffer_size + 4
                if case is not None:
                    rates[name].append(rate(case, options.seconds, warm_up))
    figures = {
        name: round(statistics.median(values)) if values else None for name, values in rates.items()
    }
    collators = [figures.pop(name) for name in list(figures) if name.startswith("transformers")]
    print("examples per second and core      median    lowest   highest      goal")
    for name, values in rates.items():
        shown = [statistics.median(values), min(values), max(values)] if values else []
        columns = "".join(f"{value:>10,.0f}" for value in shown) or "  (not installed)"
        print(f"{name:30}{columns}" + (f"{GOALS[name]:>10,}" if name in GOALS else ""))
    figures["transformers_collator"] = max(filter(None, collators), default=None)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
