import pytest

from keras_plm.checkpoints.families.distilbert import DISTILBERT, read_head_settings

RELEASED = {  # distilbert-base-uncased
    "activation": "gelu",
    "attention_dropout": 0.1,
    "dim": 768,
    "dropout": 0.1,
    "hidden_dim": 3072,
    "initializer_range": 0.02,
    "max_position_embeddings": 512,
    "n_heads": 12,
    "n_layers": 6,
    "pad_token_id": 0,
    "sinusoidal_pos_embds": False,
    "tie_weights_": True,
    "vocab_size": 30522,
}


def test_the_released_configuration():
    arguments, notes = DISTILBERT.read_hugging_face(RELEASED, None)
    assert not notes and arguments["num_segments"] == 0 and not arguments["pooler"]
    assert (arguments["hidden_dim"], arguments["intermediate_dim"]) == (768, 3072)
    assert arguments["layer_norm_epsilon"] == 1e-12
    written, _ = DISTILBERT.write_hugging_face({**arguments, "head_dim": None, "window": None})
    assert written == {**RELEASED, "model_type": "distilbert", "dtype": "float32"}


@pytest.mark.parametrize(
    "changes, message",
    [
        (dict(layer_norm_epsilon=1e-5), "layer_norm_epsilon=1e-05"),
        (dict(pooler=True), "'pooler': False"),
        (dict(num_segments=2), "'num_segments': 0"),
    ],
)
def test_what_it_is_not(changes, message):
    arguments = DISTILBERT.read_hugging_face(RELEASED, None)[0]
    with pytest.raises(ValueError, match=message):
        DISTILBERT.write_hugging_face({**arguments, "head_dim": None, "window": None, **changes})


def test_heads_of_texts_and_of_words():
    config = {"activation": "relu", "dropout": 0.3, "seq_classif_dropout": 0.4}
    words = read_head_settings(config, {"classifier.weight": (3, 12)})
    assert (words["num_classes"], words["dropout"], "pooling" in words) == (3, 0.3, False)
    shapes = {"classifier.weight": (3, 12), "pre_classifier.weight": (12, 12)}
    texts = read_head_settings(config, shapes)
    assert (texts["pooling"], texts["summary_activation"], texts["dropout"]) == (
        "first",
        "relu",
        0.4,
    )
    assert texts["head_activation"] == "relu"
