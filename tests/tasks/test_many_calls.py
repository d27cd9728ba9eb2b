"""Memory, open files and threads of many calls: they level off.

python tests/tasks/test_many_calls.py 200      prints them, of 200 calls of each kind
"""

import os
import sys
from pathlib import Path

import pytest

BOOK = Path(__file__).parents[1] / "fixtures" / "botchan.txt"
TEXTS = ["the dog was red", "a fish", "I went to the boat of the red fish", "he was there"]


def used():
    """What this process has now: MB of memory, open files, threads."""
    status = Path("/proc/self/status").read_text()
    lines = dict(line.split(":", 1) for line in status.splitlines())
    files = len(os.listdir("/proc/self/fd"))
    return int(lines["VmRSS"].split()[0]) / 1e3, files, int(lines["Threads"])


def calls():
    """Functions of a round's number, by name; the numbers of rows and steps differ."""
    from keras_plm import backbones, data, tasks

    tokenizer = data.train_tokenizer([BOOK], vocabulary_size=300, model="bpe")
    sizes = dict(num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=16)
    backbone = backbones.TransformerBackbone(
        300, **sizes, max_sequence_length=32, num_segments=0, causal=True
    )
    preprocessor = tasks.TextPreprocessor(tokenizer, sequence_length=16)
    classifier = tasks.TextClassifier(backbone, 2, preprocessor)
    writer = tasks.CausalLM(backbone, preprocessor)
    embedder = tasks.TextEmbedder(backbone, preprocessor)
    for task in (classifier, writer, embedder):
        task.compile(jit_compile=False)
    labels = [0, 1, 0, 1]

    def refused(number):
        with pytest.raises(ValueError, match="Received"):
            classifier.fit(TEXTS, labels, sample_weight=[-1.0] * 4)

    return {
        "fit": lambda n: classifier.fit(TEXTS * (1 + n % 2), labels * (1 + n % 2), verbose=0),
        "fit refused": refused,
        "evaluate": lambda n: classifier.evaluate(TEXTS, labels, verbose=0),
        "predict": lambda n: classifier.predict(TEXTS[: 1 + n % 4], verbose=0),
        "embed": lambda n: embedder.embed(TEXTS[: 1 + n % 4]),
        "generate": lambda n: writer.generate(TEXTS[: 1 + n % 2], max_length=12, seed=n),
        "score": lambda n: writer.score(TEXTS[: 1 + n % 2]),
    }


def levels(call, rounds, settled):
    """What is used after `settled` rounds, and after all."""
    for number in range(rounds):
        call(number)
        if number + 1 == settled:
            before = used()
    return before, used()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="there is no /proc")
def test_many_calls_use_no_more():
    for name, call in calls().items():
        (memory, files, threads), after = levels(call, rounds=40, settled=15)
        assert after[0] - memory < 15, (name, memory, after)
        assert after[1] <= files + 2 and after[2] <= threads + 2, (name, files, threads, after)


if __name__ == "__main__":
    rounds = int(sys.argv[1])
    print("call          MB, files, threads after 2/5 of the rounds, and after all")
    for name, call in calls().items():
        before, after = levels(call, rounds, 2 * rounds // 5)
        print(
            f"{name:12}",
            *(f"{memory:7.1f} {files} {threads}" for memory, files, threads in (before, after)),
        )
