"""How many training examples one core makes: the objective, the whole pipeline, a reference.

    python tests/benchmarks/examples_per_second.py [--texts PATH ...]

Rows of 512 tokens, 85 predictions (XLNet) or 77 (BERT). All figures are examples per second of
process CPU time (of all threads together, so per core), the median of interleaved rounds. Needs
the extras `reference` for the collators of transformers, which are left out otherwise (null).
Masks are made by KerasHub and transformers on the same token ids, each in the faster of its ways.
The last line is a JSON object of the figures.
"""

import argparse
import itertools
import json
import os
import statistics
import tempfile
import time
import warnings
from pathlib import Path

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np  # noqa: E402

from keras_plm.data import Corpus, examples, train_tokenizer  # noqa: E402
from keras_plm.data.examples import READ_OPTIONS  # noqa: E402
from keras_plm.data.rows.passes import RowRequest  # noqa: E402
from keras_plm.data.rows.row_plans import make_rows  # noqa: E402
from keras_plm.objectives import (  # noqa: E402
    Corruption,
    MaskedModeling,
    ObjectiveSum,
    PermutationModeling,
    RandomSelection,
    SpanBoundary,
    SpanSelection,
)

TEXTS = sorted((Path(__file__).parents[2] / "examples" / "texts").glob("*.txt"))
GOALS = {"permutation_b32": 8_000, "permutation_b256": 15_000, "pipeline": 3_000}
GOALS |= {"masked_tokens": 20_000, "masked_words": 20_000, "masked_spans": 5_000}
GOALS |= {"masked_pipeline": 3_000}
OBJECTIVE = PermutationModeling(512, 256, 85, 256)


def masked_objectives(corpus):
    """Masks of tokens, of whole words, and of spans with their boundaries."""
    special_ids = corpus.special_token_ids
    special = tuple(sorted(set(special_ids.values())))
    settings = (corpus.vocabulary_size, special_ids["mask"], special)
    per_span = Corruption(per="span")
    return {
        "masked_tokens": MaskedModeling(*settings),
        "masked_words": MaskedModeling(*settings, RandomSelection("word")),
        "masked_spans": ObjectiveSum(
            (MaskedModeling(*settings, SpanSelection(), per_span), SpanBoundary(20))
        ),
    }


def ready_batches(corpus, objective, batch_size):
    """All batches of one pass, as the objective takes them."""
    rows = make_rows(objective.rows, RowRequest(corpus, batch_size), objective.row_settings)
    return [rows(step) for step in range(rows.steps_per_pass)]


def objective_case(corpus, objective, batch_size):
    """The objective alone, on rows that lie ready."""
    rng = np.random.default_rng(0)
    batches = itertools.cycle(ready_batches(corpus, objective, batch_size))
    return lambda: len(objective(next(batches), rng)[0]["token_ids"])


def fit_case(corpus, objective, batch_size, steps=200):
    """The whole pipeline into `fit`, of a model that does next to nothing with the batch."""
    import keras

    shapes = {"fresh": (), "target_positions": objective.target_shape("tokens")}
    names = objective.feature_names
    inputs = {name: keras.Input(shapes.get(name, (512,)), name=name) for name in names}
    tokens = keras.layers.Dense(1, name="tokens")(inputs["target_positions"][..., None])
    model = keras.Model(inputs, {"tokens": tokens})
    model.compile("sgd", lambda y, output: keras.ops.abs(keras.ops.cast(y, "float32") - output))
    starts = itertools.count(0, steps)

    def case():
        dataset = examples(corpus, objective, batch_size, start=next(starts))
        model.fit(dataset, steps_per_epoch=steps, shuffle=False, verbose=0)
        return steps * batch_size

    return case


def pipeline_case(corpus, batch_size):
    """What `fit` iterates over: rows, objective, Grain's threads and queue."""
    iterator = iter(examples(corpus, OBJECTIVE, batch_size))
    return lambda: len(next(iterator)[0]["token_ids"])


def kerashub_case(corpus, objective, batch_size, in_tf_data):
    """KerasHub's generator of masks on the same ids: called on arrays, or inside tf.data."""
    from keras_hub.layers import MaskedLMMaskGenerator

    generator = MaskedLMMaskGenerator(
        objective.vocabulary_size,
        mask_selection_rate=0.15,
        mask_token_id=objective.mask_token_id,
        mask_selection_length=objective.num_predict,
        unselectable_token_ids=list(objective.special_token_ids),
    )
    ids = [batch["token_ids"] for batch in ready_batches(corpus, objective, batch_size)]
    if not in_tf_data:
        ids = itertools.cycle(ids)
        return lambda: len(generator(next(ids))["mask_ids"])
    try:
        import tensorflow as tf
        import tensorflow_text  # noqa: F401
    except ImportError:
        return None
    dataset = tf.data.Dataset.from_tensor_slices(np.stack(ids)).repeat().map(generator)
    iterator = iter(dataset)
    return lambda: len(next(iterator)["mask_ids"])


def transformers_tokenizer(tokenizer):
    """A tokenizer of transformers with the same vocabulary; None if it is not there."""
    try:
        import torch
        import transformers
        from tokenizers import Tokenizer, models
    except ImportError:
        return None
    torch.set_num_threads(1)
    pieces = tokenizer.pieces(list(range(tokenizer.vocabulary_size)))
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>")),
        mask_token="<mask>", pad_token="<pad>", sep_token="<sep>", cls_token="<cls>",
        unk_token="<unk>",
    )  # fmt: skip


def collator_case(corpus, reference, batch_size, return_tensors):
    """The permutation collator of transformers on the same tokens; None if it is not there."""
    if reference is None:
        return None
    from transformers import DataCollatorForPermutationLanguageModeling

    collator = DataCollatorForPermutationLanguageModeling(reference, return_tensors=return_tensors)
    batches = ready_batches(corpus, OBJECTIVE, batch_size)
    batches = itertools.cycle([batch["token_ids"].tolist() for batch in batches])
    return lambda: len(collator([{"input_ids": row} for row in next(batches)])["input_ids"])


def whole_word_case(corpus, reference, objective, batch_size, return_tensors):
    """The whole-word collator of transformers on the same words; None if it is not there.

    `DataCollatorForWholeWordMask` was its name before version 5. It finds words by character
    offsets: pieces of one word touch.
    """
    if reference is None:
        return None
    from transformers import DataCollatorForLanguageModeling

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it masks always, and says so
        collator = DataCollatorForLanguageModeling(
            reference, whole_word_mask=True, return_tensors=return_tensors
        )
    batches = []
    for batch in ready_batches(corpus, objective, batch_size):
        begins = np.arange(batch["token_ids"].shape[1]) * 2
        begins = begins + np.cumsum(batch["word_starts"], axis=1)  # words are one character apart
        offsets = np.stack([begins, begins + 2], axis=-1)
        features = zip(batch["token_ids"], batch["functional"].astype(int), offsets)
        names = ("input_ids", "special_tokens_mask", "offset_mapping")
        batches.append([dict(zip(names, (a.tolist() for a in row))) for row in features])
    batches = itertools.cycle(batches)
    return lambda: len(collator([dict(row) for row in next(batches)])["input_ids"])


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
        reference = transformers_tokenizer(tokenizer)
        masked = masked_objectives(corpus)
        tokens, words = masked["masked_tokens"], masked["masked_words"]
        cases = {
            "permutation_b32": objective_case(corpus, OBJECTIVE, 32),
            "permutation_b256": objective_case(corpus, OBJECTIVE, 256),
            "pipeline": fit_case(corpus, OBJECTIVE, 32),
            "pipeline_before_keras": pipeline_case(corpus, 32),
            "transformers_collator_torch": collator_case(corpus, reference, 32, "pt"),
            "transformers_collator_numpy": collator_case(corpus, reference, 32, "np"),
            **{name: objective_case(corpus, one, 256) for name, one in masked.items()},
            "masked_pipeline": fit_case(corpus, tokens, 256, steps=100),
            "kerashub_arrays": kerashub_case(corpus, tokens, 256, False),
            "kerashub_tf_data": kerashub_case(corpus, tokens, 256, True),
            "transformers_wwm_torch": whole_word_case(corpus, reference, words, 256, "pt"),
            "transformers_wwm_numpy": whole_word_case(corpus, reference, words, 256, "np"),
        }
        rates = {name: [] for name in cases}
        for case in filter(None, cases.values()):
            rate(case, 0.0, 1)
        for _ in range(options.rounds):
            for name, case in cases.items():
                fitted = name in ("pipeline", "masked_pipeline")
                warm_up = 0 if fitted else READ_OPTIONS.prefetch_buffer_size + 4
                if case is not None:
                    rates[name].append(rate(case, options.seconds, warm_up))
    figures = {
        name: round(statistics.median(values)) if values else None for name, values in rates.items()
    }
    print("examples per second and core      median    lowest   highest      goal")
    for name, values in rates.items():
        shown = [statistics.median(values), min(values), max(values)] if values else []
        columns = "".join(f"{value:>10,.0f}" for value in shown) or "  (not installed)"
        print(f"{name:30}{columns}" + (f"{GOALS[name]:>10,}" if name in GOALS else ""))
    for name in ("transformers_collator", "kerashub", "transformers_wwm"):
        ways = [figures.pop(way) for way in list(figures) if way.startswith(name + "_")]
        figures[name] = max(filter(None, ways), default=None)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
