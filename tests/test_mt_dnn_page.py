"""Runs docs/mt_dnn.md from top to bottom, as a reader would, with data and a preset at hand."""

import numpy as np
import pytest

from keras_plm import tasks

FEWER = {'"bert_base_en_uncased"': '"bert"', "epochs=5": "epochs=1"}
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
def test_the_page_runs(run_page, tmp_path, tokenizers, make_transformer):
    tokenizer = tokenizers["bert"]
    preprocessor = tasks.TextPreprocessor(tokenizer, 32)
    bert = tasks.TextClassifier(make_transformer(tokenizer.vocabulary_size), 2, preprocessor)
    bert.save_to_preset("bert")
    names = run_page("mt_dnn", FEWER, **DATA, teachers=[bert, bert])
    logs = names["multi"].history.history
    assert np.isfinite([logs["cola_loss"], logs["stsb_loss"]]).all()
    np.testing.assert_allclose(names["soft"].sum(axis=-1), 1, atol=1e-5)
    assert (tmp_path / "cola").is_dir()
