"""What takes long shows Keras's bar, and nothing where `verbose=0`."""

import pytest

from keras_plm import tasks

TEXTS = ["the dog sat", "the cat ran"]


@pytest.fixture(scope="module")
def writer(make_transformer, tokenizer):
    preprocessor = tasks.TextPreprocessor(tokenizer, 16)
    writer = tasks.CausalLM(make_transformer(tokenizer.vocabulary_size, causal=True), preprocessor)
    writer.compile(jit_compile=False)
    return writer


CALLS = {
    "generate": lambda task, **options: task.generate(TEXTS, 12, batch_size=1, **options),
    "score": lambda task, **options: task.score(TEXTS, batch_size=1, **options),
    "choose": lambda task, **options: task.choose(TEXTS, [["a", "b"]] * 2, batch_size=1, **options),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_texts_that_are_written_and_scored(call, writer, capsys):
    call(writer, verbose=0)
    assert not capsys.readouterr().out
    call(writer, verbose=2)
    assert "2/2" in capsys.readouterr().out
    call(writer)
    assert "2/2" in capsys.readouterr().out


def test_what_is_done_at_once_shows_no_bar(writer, capsys):
    writer.generate(TEXTS[:1], 12)
    assert not capsys.readouterr().out


def test_texts_that_are_read(make_transformer, wordpiece, capsys):
    backbone = make_transformer(wordpiece.vocabulary_size)
    embedder = tasks.TextEmbedder(backbone, tasks.TextPreprocessor(wordpiece, 16))
    embedder.compile(jit_compile=False)
    embedder.embed(TEXTS, batch_size=1, verbose=0)
    assert not capsys.readouterr().out
    embedder.embed(TEXTS, batch_size=1)
    assert "2/2" in capsys.readouterr().out


def test_one_step_per_masked_token(make_transformer, wordpiece, capsys):
    model = tasks.MaskedLM(
        make_transformer(wordpiece.vocabulary_size), tasks.TextPreprocessor(wordpiece, 16)
    )
    model.compile(jit_compile=False)
    model.score(TEXTS, verbose=2)
    number = sum(map(len, wordpiece.encode(TEXTS)))
    assert f"{number}/{number}" in capsys.readouterr().out
    model.fill_mask([f"the {wordpiece.mask_token} sat"], verbose=0)
    assert not capsys.readouterr().out
