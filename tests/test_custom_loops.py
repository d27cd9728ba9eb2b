"""Runs docs/custom_loops.md as a reader would, and compares its losses with those of `fit`."""

import re
from pathlib import Path

import keras
import pytest

from keras_plm import data, models

PAGE = Path(__file__).parents[1] / "docs" / "custom_loops.md"
BOOK = Path(__file__).parent / "fixtures" / "botchan.txt"
OTHER = {"tensorflow": "JAX", "jax": "TensorFlow"}[keras.backend.backend()]

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quick_compilation")]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The names of the page's code, without the section of the other backend."""
    text = PAGE.read_text("utf-8")
    names = {"__name__": "__custom_loops__", "paths": [str(BOOK)]}
    section = re.search(rf"## {OTHER}\n.*?(?=\n## )", text, re.DOTALL)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("custom_loops"))
        for block in re.finditer(r"```python\n(.*?)```", text, re.DOTALL):
            if section.start() < block.start() < section.end():
                continue
            line = text[: block.start(1)].count("\n")
            exec(compile("\n" * line + block.group(1), str(PAGE), "exec"), names)
    return names


def losses_of_fit(model, examples):
    """The loss of each of three batches."""
    options = dict(steps_per_epoch=1, epochs=3, verbose=0)
    return model.fit(examples, **options).history["loss"]


def test_the_losses_of_the_page_are_those_of_fit(page):
    keras.utils.set_random_seed(0)
    model = models.bert(page["tokenizer"], "tiny", sequence_length=16, **page["sizes"])
    model.compile(jit_compile=keras.backend.backend() == "jax")
    losses = losses_of_fit(model, page["examples"])
    assert len(set(losses)) == 3
    assert page["losses"] == pytest.approx(losses, rel=1e-5)


def test_a_memory_is_carried_from_step_to_step(page, make_pretrainer, corpus):
    one, other = (make_pretrainer(memory_length=8) for _ in range(2))
    other.set_weights(one.get_weights())
    examples = data.examples(corpus, one.objective, batch_size=4)
    for model in (one, other):
        model.compile("sgd", jit_compile=keras.backend.backend() == "jax")
    one.state.resize(4, training=True)
    losses = page["train"](one, [examples.batch_at(step) for step in range(3)])
    assert losses == pytest.approx(losses_of_fit(other, examples), rel=1e-5)
    memory = keras.ops.convert_to_numpy(one.state.training_state["memory"])
    assert memory.any()
    assert memory == pytest.approx(
        keras.ops.convert_to_numpy(other.state.training_state["memory"]), abs=1e-4
    )
