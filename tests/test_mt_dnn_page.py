"""Runs docs/mt_dnn.md from top to bottom, as a reader would, with data and a preset at hand."""

import re
from pathlib import Path

import numpy as np
import pytest

from keras_plm import tasks

PAGE = Path(__file__).parents[1] / "docs" / "mt_dnn.md"
TEXTS = ["the dog was red", "a fish", "he went to the boat", "the fish was there"]
CLASSES, SCORES = np.array([0, 1, 1, 0]), np.array([1.0, 3.0, 2.0, 5.0])
CANDIDATES = [["a dog", "no"], ["yes", "no"], ["the boat", "it"], ["a", "b"]]
DATA = {
    **dict.fromkeys(("texts", "first_texts", "premises", "questions", "held_out"), TEXTS),
    **dict.fromkeys(("second_texts", "hypotheses"), TEXTS[::-1]),
    **dict.fromkeys(("labels", "entailed", "right_ones", "held_out_labels"), CLASSES),
    "candidates": CANDIDATES,
    "scores": SCORES,
    "pairs": (TEXTS, TEXTS[::-1]),
}


@pytest.mark.slow
@pytest.mark.usefixtures("quick_compilation")
def test_the_page_runs(tmp_path, monkeypatch, tokenizers, make_transformer):
    monkeypatch.chdir(tmp_path)
    tokenizer = tokenizers["bert"]
    preprocessor = tasks.TextPreprocessor(tokenizer, 32)
    bert = tasks.TextClassifier(make_transformer(tokenizer.vocabulary_size), 2, preprocessor)
    bert.save_to_preset("bert")
    names = {**DATA, "teachers": [bert, bert], "__name__": "__mt_dnn__"}
    text, few = (
        PAGE.read_text("utf-8"),
        {'"bert_base_en_uncased"': '"bert"', "epochs=5": "epochs=1"},
    )
    for block in re.finditer(r"```python\n(.*?)```", text, re.DOTALL):
        code, line = block.group(1), text[: block.start(1)].count("\n")
        if line < 40:  # the first block
            assert all(many in code for many in few)
        for many, one in few.items():
            code = code.replace(many, one)
        exec(compile("\n" * line + code, str(PAGE), "exec"), names)
    logs = names["multi"].history.history
    assert np.isfinite([logs["cola_loss"], logs["stsb_loss"]]).all()
    np.testing.assert_allclose(names["soft"].sum(axis=-1), 1, atol=1e-5)
    assert (tmp_path / "cola").is_dir()
