import keras
import keras_hub
import numpy as np
import pytest
from safetensors.numpy import load_file

from keras_plm import data, presets
from keras_plm.backbones import Backbone, Seq2SeqBackbone, TransformerBackbone
from keras_plm.tasks import CausalLM, MaskedLM, PermutationLM, TextClassifier, TextPreprocessor
from keras_plm.tokenizers.tokenizer import Tokenizer
from keras_plm.transfer.vocabulary_extension import extend_vocabulary

NEW = ["Botchan school", "tokyobotchan"]


def embeddings(backbone):
    return keras.ops.convert_to_numpy(backbone.token_embedding.embeddings)


def check_rows(old, new, tokenizer, new_tokens):
    """The old rows, then the means of the rows of the old pieces."""
    size = tokenizer.vocabulary_size
    np.testing.assert_array_equal(new[:size], old[:size])
    for index, token in enumerate(new_tokens, start=size):
        ids = tokenizer.encode(token)
        assert len(ids) > 1
        np.testing.assert_allclose(new[index], old[ids].mean(axis=0), atol=1e-6)


@pytest.fixture(scope="module")
def masked_lm(wordpiece, make_transformer):
    """A masked language model whose head's bias is not zero."""
    backbone = make_transformer(wordpiece.vocabulary_size, pooler=True)
    task = MaskedLM(backbone, TextPreprocessor(wordpiece, 16))
    bias = task.heads["tokens"].bias
    bias.assign(np.random.default_rng(0).normal(size=bias.shape))
    return task


def test_a_masked_language_model(masked_lm, wordpiece, tmp_path):
    masked_lm.save_to_preset(str(tmp_path / "old"))
    ids = extend_vocabulary(str(tmp_path / "old"), NEW, str(tmp_path / "new"))
    size = wordpiece.vocabulary_size
    assert ids == dict(zip(NEW, (size, size + 1)))
    task = MaskedLM.from_preset(str(tmp_path / "new"))
    tokenizer = task.preprocessor.tokenizer
    assert tokenizer.vocabulary_size == task.backbone.vocabulary_size == size + 2
    assert tokenizer.encode("botchan school") == [size]
    check_rows(embeddings(masked_lm.backbone), embeddings(task.backbone), wordpiece, NEW)
    old, new = (keras.ops.convert_to_numpy(one.heads["tokens"].bias) for one in (masked_lm, task))
    check_rows(old, new, wordpiece, NEW)
    # What the old ids become, and how the old pieces are predicted, is what it was.
    texts = ["the red school of the moon", "he was there"]
    x = {
        **masked_lm.preprocessor(texts),
        "target_positions": np.array([[1, 2], [3, 1]], "int32"),
    }
    again = {**task.preprocessor(texts), "target_positions": x["target_positions"]}
    assert all((again[name] == x[name]).all() for name in x)
    logits = [keras.ops.convert_to_numpy(one(x)["tokens"]) for one in (masked_lm, task)]
    np.testing.assert_allclose(logits[1][..., :size], logits[0], atol=1e-5)
    np.testing.assert_allclose(  # linear in the embedding and the bias
        logits[1][..., size], logits[0][..., wordpiece.encode(NEW[0])].mean(axis=-1), atol=1e-4
    )


def test_the_same_directory_can_be_extended_again(masked_lm, tmp_path):
    masked_lm.save_to_preset(str(tmp_path / "old"))
    extend_vocabulary(str(tmp_path / "old"), NEW, str(tmp_path / "new"))
    extend_vocabulary(str(tmp_path / "new"), ["the tokyobotchan"], str(tmp_path / "old"))
    tokenizer = Tokenizer.from_preset(str(tmp_path / "old"))
    assert tokenizer.encode("the tokyobotchan") == [tokenizer.vocabulary_size - 1]


def test_rows_behind_the_vocabulary_are_used_first(wordpiece, make_transformer, tmp_path):
    size = wordpiece.vocabulary_size
    backbone = make_transformer(size + 1)
    task = TextClassifier(backbone, 2, TextPreprocessor(wordpiece, 16))
    task.save_to_preset(str(tmp_path / "old"))
    extend_vocabulary(str(tmp_path / "old"), NEW[:1], str(tmp_path / "one"))
    one = TextClassifier.from_preset(str(tmp_path / "one"))
    assert one.backbone.vocabulary_size == size + 1
    check_rows(embeddings(backbone), embeddings(one.backbone), wordpiece, NEW[:1])
    for old, new in zip(task.heads["label"].weights, one.heads["label"].weights, strict=True):
        np.testing.assert_array_equal(old.numpy(), new.numpy())
    extend_vocabulary(str(tmp_path / "old"), NEW, str(tmp_path / "two"))
    two = Backbone.from_preset(str(tmp_path / "two"))
    assert two.vocabulary_size == size + 2
    check_rows(embeddings(backbone), embeddings(two), wordpiece, NEW)


def test_special_tokens_of_gpt_1(byte_level, make_transformer, tmp_path, quick):
    """Their rows are new, all else is what it was; the new preset has GPT-1's rows."""
    plain = data.SubwordTokenizer(byte_level.model, {"eos": "</s>"}, layout="gpt")
    size = plain.vocabulary_size
    backbone = make_transformer(size + 1, num_segments=0, causal=True)
    model = CausalLM(backbone, TextPreprocessor(plain, 16), use_bias=True)
    model.heads["tokens"].bias.assign(np.arange(size + 1))
    model.save_to_preset(str(tmp_path / "old"))
    arguments = (str(tmp_path / "new"), data.TRANSFER_TOKENS, "gpt1_transfer")
    ids = extend_vocabulary(str(tmp_path / "old"), [], *arguments)
    assert ids == dict(zip(data.TRANSFER_TOKENS.values(), range(size, size + 3)))
    new = CausalLM.from_preset(str(tmp_path / "new"))
    rows = embeddings(new.backbone)
    assert rows.shape[0] == size + 3
    np.testing.assert_array_equal(rows[:size], embeddings(backbone)[:size])
    assert (np.abs(rows[size:]).max(axis=1) > 0.01).all()  # truncated normal, 0.3
    assert np.abs(rows[size] - embeddings(backbone)[size]).max() > 0  # not an unused row
    bias = keras.ops.convert_to_numpy(new.heads["tokens"].bias)
    assert bias.tolist() == [*range(size), 0, 0, 0]
    tokenizer = new.preprocessor.tokenizer
    assert tokenizer.layout.name == "gpt1_transfer"
    text = tokenizer.encode("the dog")
    row = new.preprocessor(["the dog"])["token_ids"][0, : len(text) + 2].tolist()
    assert row == [size, *text, size + 2]
    new.compile(**quick)
    (written,) = new.generate(["the dog"], 12, "greedy", stop_token_ids=None, strip_prompt=True)
    assert "_" not in written  # the new tokens are not text
    both = extend_vocabulary(str(tmp_path / "old"), ["Botchan school"], *arguments)
    assert both == {"Botchan school": size, **{piece: one + 1 for piece, one in ids.items()}}
    with pytest.raises(ValueError, match="Another `layout` needs its `special_tokens`"):
        extend_vocabulary(str(tmp_path / "old"), NEW, str(tmp_path / "x"), layout="bert")
    with pytest.raises(ValueError, match="at least"):
        extend_vocabulary(str(tmp_path / "old"), [], str(tmp_path / "x"))


def test_xlnet_of_hugging_face(make_backbone, tokenizer, tmp_path):
    task = PermutationLM(make_backbone(), TextPreprocessor(tokenizer, 16))
    bias = task.heads["tokens"].bias
    bias.assign(np.random.default_rng(0).normal(size=bias.shape))
    presets.export_huggingface(task, str(tmp_path / "theirs"))
    extend_vocabulary(str(tmp_path / "theirs"), NEW, str(tmp_path / "ours"))
    new = PermutationLM.from_preset(str(tmp_path / "ours"))
    check_rows(embeddings(task.backbone), embeddings(new.backbone), tokenizer, NEW)
    check_rows(bias.numpy(), new.heads["tokens"].bias.numpy(), tokenizer, NEW)
    extended = new.preprocessor.tokenizer
    assert extended.pieces([tokenizer.vocabulary_size]) == ["▁Botchan▁school"]


def test_bert_of_hugging_face(masked_lm, wordpiece, tmp_path):
    presets.export_huggingface(masked_lm, str(tmp_path / "theirs"))
    extend_vocabulary(str(tmp_path / "theirs"), NEW, str(tmp_path / "ours"))
    new = MaskedLM.from_preset(str(tmp_path / "ours"))
    check_rows(embeddings(masked_lm.backbone), embeddings(new.backbone), wordpiece, NEW)
    old_head, new_head = (
        {weight.path: weight.numpy() for weight in one.heads["tokens"].weights}
        for one in (masked_lm, new)
    )
    check_rows(old_head["tokens/bias"], new_head["tokens/bias"], wordpiece, NEW)
    kernel = "tokens/transform/kernel"
    np.testing.assert_array_equal(old_head[kernel], new_head[kernel])


def test_gpt2_of_keras_hub(tmp_path):
    vocabulary = {piece: i for i, piece in enumerate([*"abcĠ", "ab", "<|endoftext|>"])}
    tokenizer = keras_hub.models.GPT2Tokenizer(vocabulary, ["a b"])
    hub = keras_hub.models.GPT2Backbone(6, 1, 2, 4, 6, max_sequence_length=8)
    hub.save_to_preset(str(tmp_path / "hub"))
    tokenizer.save_to_preset(str(tmp_path / "hub"))
    assert extend_vocabulary(str(tmp_path / "hub"), ["cab"], str(tmp_path / "new")) == {"cab": 6}
    task = TextClassifier.from_preset(str(tmp_path / "new"), num_classes=2)
    assert task.preprocessor.tokenizer.encode("a cab") == [0, 3, 6]
    old = keras.ops.convert_to_numpy(hub.token_embedding.embeddings)
    np.testing.assert_allclose(embeddings(task.backbone)[6], old[[2, 4]].mean(axis=0), atol=1e-6)


def test_what_cannot_be_extended(masked_lm, wordpiece, make_transformer, tmp_path):
    old, new = str(tmp_path / "old"), tmp_path / "new"
    masked_lm.save_to_preset(old)
    with pytest.raises(ValueError, match="must be another than the preset's"):
        extend_vocabulary(old, NEW, old)
    with pytest.raises(ValueError, match="is a piece already"):
        extend_vocabulary(old, ["covid", "the"][1:], str(new))
    with pytest.raises(TypeError, match="must be a list of strings"):
        extend_vocabulary(old, "covid", str(new))
    assert not new.exists()
    new.mkdir()
    (new / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="holds no config.json"):
        extend_vocabulary(old, NEW, str(new))
    assert (new / "notes.txt").read_text() == "mine"
    backbone = make_transformer(wordpiece.vocabulary_size)
    backbone.save_to_preset(str(tmp_path / "bare"))
    with pytest.raises(FileNotFoundError, match="no file 'tokenizer.json'"):
        extend_vocabulary(str(tmp_path / "bare"), NEW, str(tmp_path / "other"))


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method")
def test_a_quantized_model_is_refused(wordpiece, make_transformer, tmp_path):
    backbone = make_transformer(wordpiece.vocabulary_size)
    backbone.quantize("int8")
    task = TextClassifier(backbone, 2, TextPreprocessor(wordpiece, 16))
    task.save_to_preset(str(tmp_path / "q"))
    with pytest.raises(ValueError, match="quantized model cannot grow"):
        extend_vocabulary(str(tmp_path / "q"), NEW, str(tmp_path / "new"))


def test_a_damaged_file_of_heads_is_refused(masked_lm, tmp_path):
    masked_lm.save_to_preset(str(tmp_path / "old"))
    path = tmp_path / "old" / "heads.safetensors"
    assert {"tokens/bias", "tokens/transform/kernel"} <= set(load_file(path))
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match="not a usable file of heads"):
        extend_vocabulary(str(tmp_path / "old"), NEW, str(tmp_path / "new"))
    assert not (tmp_path / "new").exists()


def test_bfloat16(wordpiece, make_transformer, tmp_path):
    backbone = make_transformer(wordpiece.vocabulary_size, dtype="bfloat16")
    task = TextClassifier(backbone, 2, TextPreprocessor(wordpiece, 16))
    task.save_to_preset(str(tmp_path / "b"))
    extend_vocabulary(str(tmp_path / "b"), NEW, str(tmp_path / "new"))
    new = TransformerBackbone.from_preset(str(tmp_path / "new"))
    assert new.dtype_policy.name == "bfloat16"
    rows = embeddings(new).astype("float32")
    size = wordpiece.vocabulary_size
    np.testing.assert_array_equal(rows[:size], embeddings(backbone).astype("float32"))
    assert np.abs(rows[size:] - rows[wordpiece.encode(NEW[0])].mean(axis=0)).min() < 0.01


def test_an_output_matrix_of_its_own(wordpiece, tmp_path):
    """Its columns are those of the tokens (T5 1.1)."""
    sizes = dict(num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=12)
    backbone = Seq2SeqBackbone(wordpiece.vocabulary_size, **sizes, tie_weights=False)
    backbone.save_to_preset(str(tmp_path / "old"))
    wordpiece.save(str(tmp_path / "old"))
    extend_vocabulary(str(tmp_path / "old"), NEW, str(tmp_path / "new"))
    new = Backbone.from_preset(str(tmp_path / "new"))
    for name in ("embeddings", "reverse_embeddings"):
        old_rows, rows = (
            keras.ops.convert_to_numpy(getattr(one.token_embedding, name))
            for one in (backbone, new)
        )
        if name == "reverse_embeddings":
            old_rows, rows = old_rows.T, rows.T
        check_rows(old_rows, rows, wordpiece, NEW)
