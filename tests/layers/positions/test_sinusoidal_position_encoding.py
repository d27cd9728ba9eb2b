import numpy as np
import pytest
from keras import ops

from keras_plm.layers import SinusoidalPositionEncoding

POSITIONS = np.array([[0, 1, 2]], "int32")
# Of width 4 at positions 0, 1 and 2, by hand.
ROWS = {
    "interleaved": [[0, 1, 0, 1], [0.841471, 0.540302, 0.01, 0.99995]],
    "halves": [[0, 0, 1, 1], [0.841471, 0.01, 0.540302, 0.99995]],
    "halves_inclusive": [[0, 0, 1, 1], [0.841471, 0.0001, 0.540302, 1]],
}
ROWS["interleaved"].append([0.909297, -0.416147, 0.019999, 0.9998])
ROWS["halves"].append([0.909297, 0.019999, -0.416147, 0.9998])
ROWS["halves_inclusive"].append([0.909297, 0.0002, -0.416147, 1])


@pytest.mark.parametrize("kind", ROWS)
def test_equals_the_numbers_of_the_papers(kind):
    encoding = SinusoidalPositionEncoding(4, kind)(POSITIONS)
    np.testing.assert_allclose(ops.convert_to_numpy(encoding)[0], ROWS[kind], atol=1e-6)
    one_on = SinusoidalPositionEncoding(4, kind, start=1)(POSITIONS[:, :2])
    np.testing.assert_allclose(ops.convert_to_numpy(one_on)[0], ROWS[kind][1:], atol=1e-6)


def test_the_longest_wave_of_a_wide_one():
    """10000 where it is inclusive; else a little less."""
    for kind, length in (("halves_inclusive", 10000.0), ("halves", 10000 ** (7 / 8))):
        last = ops.convert_to_numpy(SinusoidalPositionEncoding(16, kind)(POSITIONS))[0, 1, 7]
        assert last == pytest.approx(np.sin(1 / length), rel=1e-5)


@pytest.mark.parametrize(
    "width, kind", [(3, "interleaved"), (5, "halves"), (2, "halves_inclusive")]
)
def test_widths_that_have_no_such_waves_are_refused(width, kind):
    with pytest.raises(ValueError, match=f"must be even, and at least.*hidden_dim={width}"):
        SinusoidalPositionEncoding(width, kind)


def test_the_smallest_widths():
    for width, kind in ((2, "interleaved"), (2, "halves"), (4, "halves_inclusive")):
        encoding = ops.convert_to_numpy(SinusoidalPositionEncoding(width, kind)(POSITIONS))
        assert np.isfinite(encoding).all()
