"""Objectives travel as plain dicts, and only the package's own classes are made from them."""

import subprocess
import sys

import pytest

from keras_plm.objectives import Objective, PermutationModeling

OBJECTIVE = PermutationModeling(32, 16, 9, 16, span_unit="word", bidirectional=True)


class Foreign(Objective):
    __call__ = heads = feature_names = draws_per_row = None


@pytest.mark.parametrize(
    "change, message",
    [
        ({"class": "os.system"}, "Unknown objective"),
        ({"class": "Foreign"}, "Unknown objective"),
        ({"class": None}, "Unknown objective"),
        ({"class": ["PermutationModeling"]}, "Unknown objective"),
        ({"new_setting": 1}, r"unknown \['new_setting'\]"),
        ({"num_predict": "9"}, "`num_predict` must be an integer"),
    ],
)
def test_bad_config(change, message):
    with pytest.raises(ValueError, match=message):
        Objective.from_config({**OBJECTIVE.get_config(), **change})


def test_missing_setting():
    config = OBJECTIVE.get_config()
    del config["alpha"]
    with pytest.raises(ValueError, match=r"missing \['alpha'\]"):
        Objective.from_config(config)
    with pytest.raises(ValueError, match="must be a dict"):
        Objective.from_config("PermutationModeling")


def test_what_row_builders_ask_for():
    assert OBJECTIVE.row_settings == {"sequence_length": 32, "reuse_length": 16}
    assert OBJECTIVE.hides and OBJECTIVE.static_passes == OBJECTIVE.samples_per_row == 0
    assert OBJECTIVE.head_names == ("tokens",) and OBJECTIVE.target_shape("tokens") == (9,)
    with pytest.raises(ValueError, match=r"has the heads \['tokens'\]. Received: name='other'"):
        OBJECTIVE.target_shape("other")


def test_objectives_never_import_a_backend():
    code = (
        "import sys, keras_plm.objectives; print([m for m in sys.modules if m in {'keras', "
        "'tensorflow', 'jax', 'torch'}])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr
