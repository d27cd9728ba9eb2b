"""Settings travel as plain JSON, nested ones too, and only the package's own classes are made."""

from dataclasses import dataclass

import pytest

from keras_plm.objectives import (
    Corruption,
    MaskedModeling,
    Objective,
    ObjectiveSum,
    RandomSelection,
    Selection,
    SentencePair,
)
from keras_plm.objectives.settings import DEEPEST, Settings

MASKED = MaskedModeling(100, 4, (0, 1), RandomSelection("word", 0.2), rows="sentence_pair")
SUM = ObjectiveSum((MASKED, SentencePair(short_rate=0.2)))


def test_literal_example():
    """The example of the module's docstring."""
    config = {"class": "RandomSelection", "unit": "word", "rate": 0.15, "count": "exact"}
    assert RandomSelection("word", 0.15).get_config() == config
    assert Settings.from_config(config) == RandomSelection("word", 0.15)


def test_nested_settings_are_written_as_configs():
    config = SUM.get_config()
    assert [one["class"] for one in config["objectives"]] == ["MaskedModeling", "SentencePair"]
    assert config["objectives"][0]["select"]["class"] == "RandomSelection"
    assert config["objectives"][0]["special_token_ids"] == [0, 1]


@dataclass(frozen=True)
class ForeignSelection(Selection):
    """A selection of somebody else."""

    rate: float = 0.5
    draws = _select = None


def test_only_the_package_is_known():
    for name in ("ForeignSelection", "Selection", "Settings", "Corruption", "Objective", "dict"):
        with pytest.raises(ValueError, match="Unknown objective.*'MaskedModeling'.*Received"):
            Objective.from_config({"class": name})
    with pytest.raises(ValueError, match="Unknown selection.*'RandomSelection'"):
        RandomSelection.from_config({"class": "ForeignSelection", "rate": 0.5})
    with pytest.raises(ValueError, match="Unknown setting"):
        Objective.from_config({**MASKED.get_config(), "select": {"class": "ForeignSelection"}})
    with pytest.raises(ValueError, match="A selection's config must be a dict"):
        RandomSelection.from_config([])


@pytest.mark.parametrize(
    "change, message",
    [
        ({"select": Corruption().get_config()}, "select must be a Selection"),
        ({"select": None}, "select must be a Selection"),
        ({"corrupt": {"class": "Corruption"}}, r"Corruption must have exactly .* missing \['mask'"),
        ({"select": {"class": "RandomSelection", "unit": "word", "rate": 2, "count": "exact"}},
         "rate"),
    ],
)  # fmt: skip
def test_bad_nested_settings(change, message):
    with pytest.raises(ValueError, match=message):
        Objective.from_config({**MASKED.get_config(), **change})


def test_depth_is_bounded():
    config = SUM.get_config()
    for _ in range(DEEPEST):
        config = {"class": "ObjectiveSum", "objectives": [config, config]}
    with pytest.raises(ValueError, match=f"nested at most {DEEPEST} deep"):
        Objective.from_config(config)


def registered():
    """A selection of a user's own, registered with Keras, and a function that is."""
    import keras

    @keras.saving.register_keras_serializable(package="me")
    @dataclass(frozen=True)
    class EverySecond(Selection):
        rate: float = 0.5
        plan: object = None

        def draws(self, sequence_length):
            return 0

        def _select(self, batch, maskable, uniform, most):
            return batch["word_starts"] * 1

    @keras.saving.register_keras_serializable(package="me")
    def my_plan(stream, room, rng):
        return None

    return EverySecond, my_plan


def test_what_a_user_registered_is_found():
    own, plan = registered()
    config = own(0.25, plan).get_config()
    assert config == {"class": "me>EverySecond", "rate": 0.25, "plan": {"function": "me>my_plan"}}
    assert Selection.from_config(config) == own(0.25, plan)
    masked = MaskedModeling(100, 4, select=own(0.25))
    assert Objective.from_config(masked.get_config()) == masked
    with pytest.raises(ValueError, match="Unknown objective"):  # it is of another kind
        Objective.from_config(config)
    with pytest.raises(ValueError, match="custom_objects.*Received: function='me>other'"):
        Selection.from_config({**config, "plan": {"function": "me>other"}})


def test_what_a_user_hands_over_is_found():
    import keras

    @dataclass(frozen=True)
    class HandedOver(Selection):
        rate: float = 0.5

        def draws(self, sequence_length):
            return 0

        def _select(self, batch, maskable, uniform, most):
            return batch["word_starts"] * 1

    config = HandedOver(0.1).get_config()
    assert config == {"class": "HandedOver", "rate": 0.1}
    with pytest.raises(ValueError, match="register_keras_serializable.*Received: class='Handed"):
        Selection.from_config(config)
    with keras.saving.custom_object_scope({"HandedOver": HandedOver}):
        assert Selection.from_config(config) == HandedOver(0.1)
