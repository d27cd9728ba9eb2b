"""MASS's names: BART's weights under them, with queries, keys and values in one."""

import numpy as np
import pytest
import seq2seq_checkpoints
from seq2seq_checkpoints import logits, reference, weights_of

from keras_plm.backbones import Backbone
from keras_plm.checkpoints import export_huggingface
from keras_plm.checkpoints.families.mass import MASS
from keras_plm.tasks import Seq2SeqLM

CASE = "bart_scaled"  # all that MASS computes


def renamed(weights):
    """transformers' names of BART as those of fairseq 0.8."""
    found = {}
    for name, value in weights.items():
        name = name.removeprefix("model.").replace("layernorm_embedding", "emb_layer_norm")
        if name == "shared.weight":
            found["encoder.embed_tokens.weight"] = found["decoder.embed_tokens.weight"] = value
        elif "embed_positions" in name:
            found[name] = value[1:]  # BART's rows 0 and 1 are not used, MASS's row 0 is not
        elif "q_proj" in name:
            parts = [weights["model." + name.replace("q_proj", f"{one}_proj")] for one in "qkv"]
            found[name.replace("q_proj.", "in_proj_")] = np.concatenate(parts)
        elif "k_proj" not in name and "v_proj" not in name and name != "final_logits_bias":
            found[name] = value
    return found | {
        f"{side}.version": np.array([3.0], "float32") for side in ("encoder", "decoder")
    }


def write(directory, change=None, **changes):
    """A directory as the docstring of the table makes it."""
    weights = renamed(weights_of(CASE))
    if change is not None:
        change(weights)
    config = {"model_type": "mass", "num_heads": 4, **changes}
    return seq2seq_checkpoints.write(directory, config, weights)


def test_computes_what_bart_does(tmp_path):
    model = Seq2SeqLM.from_preset(write(tmp_path / "mass"))
    arrays, _ = reference()
    expected = arrays[f"{CASE}/logits"][arrays["padding_mask"]]
    near = 1e-5 * max(1, np.abs(expected).max())
    np.testing.assert_allclose(logits(model, CASE), expected, atol=near)
    assert model.backbone.position_offset == 1 and model.backbone.max_sequence_length == 12
    with pytest.raises(ValueError, match="transformers has no model with these settings"):
        export_huggingface(model, str(tmp_path / "out"))


def test_the_table_has_the_names_of_fairseq():
    sizes = dict(vocabulary_size=9, num_layers=1, num_decoder_layers=2, num_heads=2, hidden_dim=4)
    sizes |= dict(intermediate_dim=8, max_sequence_length=5, positions="learned")
    places = MASS.backbone_weights({**sizes, "position_offset": 1}, "hugging_face")
    key = places["decoder_block_1/cross_attention/key/kernel"]
    assert key.names == ("decoder.layers.1.encoder_attn.in_proj_weight",)
    assert key.shape == (12, 4) and key.row.part == 1
    assert places["encoder_position_embedding/embeddings"].shape == (6, 4)


def test_its_tokenizer(tmp_path, wordpiece):
    directory = write(tmp_path / "mass")
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz"]
    (tmp_path / "mass" / "vocab.txt").write_text("\n".join(pieces) + "\n")
    model = Seq2SeqLM.from_preset(directory, sequence_length=8)
    assert model.preprocessor.source_rows(["b a"]) == [[6, 5, 3]]  # no [CLS] in front
    assert model.preprocessor.target_rows(["b"]) == [[6, 3]]
    features = model.preprocess_samples(["a"], ["b"])[0]
    assert features["token_ids"][0, :2].tolist() == [3, 6]  # behind [SEP]


def test_what_does_not_fit(tmp_path):
    with pytest.raises(ValueError, match="'num_heads' must divide the width, 16"):
        Backbone.from_preset(write(tmp_path / "heads", num_heads=3))
    with pytest.raises(ValueError, match="num_heads"):
        Backbone.from_preset(write(tmp_path / "none", num_heads=None))

    def without(weights):
        del weights["encoder.embed_positions.weight"]

    with pytest.raises(ValueError, match="embed_positions"):
        Backbone.from_preset(write(tmp_path / "positions", without))

    def differ(weights):
        weights["decoder.embed_tokens.weight"] = weights["decoder.embed_tokens.weight"] + 1

    with pytest.raises(ValueError, match="differs"):
        Seq2SeqLM.from_preset(write(tmp_path / "tables", differ))
