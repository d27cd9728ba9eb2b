"""What three kinds of dropout of positions do to XLNet: held-out loss, for several seeds.

    KERAS_BACKEND=jax python tests/benchmarks/position_dropout.py books/*.md --steps 1500

The kinds are dropout of whole features of the encoding, by which positions still factorise (the
default), dropout of single numbers, as the released code has it (`factorise_positions=False`), and
none (`position_dropout=0`). The model is a small `models.xlnet` with a dropout of .1 everywhere
else. A seed gives weights, order of rows and dropout, and all kinds have the same seeds. Every
twentieth document is held out. The last line is one JSON object.

This is a measurement of quality, not of time.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import keras
import numpy as np

from keras_plm import data, models, transfer

KINDS = {
    "features": {},
    "numbers": {"factorise_positions": False},
    "none": {"position_dropout": 0.0},
}


def main():
    """Train all kinds with all seeds, and print what they reach."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("texts", nargs="+", type=Path)
    parser.add_argument("--steps", type=int, default=1_500)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--size", default="tiny")
    parser.add_argument("--sequence-length", type=int, default=128)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    arguments = parser.parse_args()
    steps = arguments.steps
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = data.train_tokenizer(arguments.texts, 4_000)
        corpus = data.Corpus.build(arguments.texts, tokenizer, Path(folder) / "corpus")
        training, held_out = corpus.split(0.05)
        found = {kind: [] for kind in KINDS}
        for seed in range(arguments.seeds):
            for kind, options in KINDS.items():
                keras.utils.set_random_seed(seed)
                model = models.xlnet(
                    tokenizer, arguments.size, arguments.sequence_length, dropout=0.1, **options
                )
                rate = transfer.WarmupPolynomialDecay(arguments.learning_rate, steps // 10, steps)
                model.compile(transfer.xlnet_optimizer(rate, bias_correction=True))
                examples = data.examples(training, model.objective, arguments.batch_size, seed)
                begin = time.time()
                model.fit(examples, steps_per_epoch=steps, verbose=0)
                held = data.examples(held_out, model.objective, 8, training=False)
                logs = model.evaluate(held, verbose=0, return_dict=True)
                found[kind].append(float(np.log(logs["perplexity"])))
                seconds = time.time() - begin
                print(
                    f"seed {seed}, {kind:9} {found[kind][-1]:.4f} nats ({seconds:.0f} s)",
                    flush=True,
                )
                keras.backend.clear_session()
    for kind, losses in found.items():
        print(f"{kind:9} {np.mean(losses):.4f} ({min(losses):.4f}-{max(losses):.4f})")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
