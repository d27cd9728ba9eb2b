import pytest

from keras_plm.data import SubwordTokenizer
from keras_plm.tasks import CausalLM, MaskedLM, TextPreprocessor
from keras_plm.tasks.target_task import TargetTask, constant_features, target_head


def test_head(make_transformer):
    backbone = make_transformer(12, activation="relu", layer_norm_epsilon=1e-3)
    head = target_head(backbone, True, None, False)
    assert head.token_embedding is backbone.token_embedding and head.name == "tokens"
    assert (head.activation, head.layer_norm_epsilon, head.use_bias) == ("relu", 1e-3, False)
    assert head.transform is not None
    assert target_head(backbone, False, "gelu", True).activation == "gelu"


def test_settings_come_from_a_head():
    heads = {"tokens": {"transform": True, "activation": "relu", "use_bias": False, "other": 1}}
    expected = {"transform": True, "head_activation": "relu", "use_bias": False}
    assert CausalLM.settings_of_heads(heads) == expected
    assert CausalLM.settings_of_heads({}) == {}


def test_texts_have_no_targets(make_transformer):
    """What to do instead is said, by the name of the task."""
    for model, instead in (
        (CausalLM(make_transformer(12, causal=True)), "CausalLM .*`generate` for texts"),
        (MaskedLM(make_transformer(12)), "MaskedLM .*`fill_mask` and `score` for texts"),
    ):
        assert isinstance(model, TargetTask)
        with pytest.raises(ValueError, match=instead):
            model.preprocess_samples(["a text"])


def test_the_language_of_texts(make_transformer, wordpiece):
    assert constant_features(make_transformer(12), None) == {}
    backbone = make_transformer(300, num_languages=2)
    with pytest.raises(ValueError, match="languages: give a preprocessor"):
        constant_features(backbone, None)
    with pytest.raises(ValueError, match="the tokenizer has none"):
        constant_features(backbone, TextPreprocessor(wordpiece, 16))
    spoken = SubwordTokenizer(
        wordpiece.model, wordpiece.special_tokens, languages={"de": 0, "en": 1}
    )
    preprocessor = TextPreprocessor(spoken, 16, language="en")
    assert constant_features(backbone, preprocessor) == {"language_ids": 1}
