"""variable_lengths.py: the lengths of batches, and what CausalModeling makes of them."""

import numpy as np
import pytest

from keras_plm.objectives import CausalModeling, Mixture
from keras_plm.objectives.variable_lengths import draw_lengths, lengths_of_batches


def test_the_six_lengths_of_the_paper():
    assert lengths_of_batches(70) == (35, 60, 65, 70, 75, 80)


def test_how_often_each_is_drawn():
    """40,000 batches, four standard deviations; shares of a normal distribution by its table."""
    drawn = draw_lengths(70, 40_000, np.random.default_rng(0))
    # Within half a deviation .38292, from there to one and a half .24173, and beyond .06681.
    shares = {35: 0.05, 60: 0.06681, 65: 0.24173, 70: 0.38292, 75: 0.24173, 80: 0.06681}
    for length, share in shares.items():
        share *= 1 if length == 35 else 0.95
        deviation = np.sqrt(share * (1 - share) / 40_000)
        assert abs((drawn == length).mean() - share) < 4 * deviation, length


def batch_of(length):
    return {
        "token_ids": np.arange(2 * length, dtype="int32").reshape(2, length),
        "padding_mask": np.ones((2, length), bool),
        "next_token_ids": np.array([50, 60], "int32"),
        "fresh": np.zeros(2, bool),
    }


def test_batches_of_any_of_the_lengths():
    objective = CausalModeling(14, "stream", documents_apart=False, variable_length=True)
    for length in (7, 16, 14):
        x, y, weight = objective(batch_of(length), None)
        assert {one.shape for one in (x["target_positions"], y["tokens"], weight["tokens"])} == {
            (2, length)
        }
        assert y["tokens"][:, -1].tolist() == [50, 60] and y["tokens"][1, 0] == length + 1
    with pytest.raises(ValueError, match=r"token_ids.*11"):
        objective(batch_of(11), None)
    with pytest.raises(ValueError, match=r"token_ids.*16"):
        CausalModeling(14, "stream", documents_apart=False)(batch_of(16), None)


def test_what_is_refused():
    for setting in ("variable_length", "backward"):
        with pytest.raises(ValueError, match="rows=\"stream\".*rows='packed'"):
            CausalModeling(14, **{setting: True})
    varying = CausalModeling(14, "stream", documents_apart=False, variable_length=True)
    with pytest.raises(ValueError, match="rows of one length.*variable_length=True"):
        Mixture((varying, varying))
    assert CausalModeling.from_config(varying.get_config()) == varying
    assert varying.row_settings == {"sequence_length": 14, "variable_length": True}
