import keras
import numpy as np
from keras import ops

from keras_plm.layers import ChoicesToRows, RowsToChoices


def test_there_and_back():
    x = np.arange(24, dtype="int32").reshape(2, 3, 4)
    rows = ops.convert_to_numpy(ChoicesToRows()(x))
    np.testing.assert_array_equal(rows, x.reshape(6, 4))
    assert rows.dtype == "int32"
    scores = RowsToChoices()(rows[:, :1].astype("float32"), x)
    np.testing.assert_array_equal(ops.convert_to_numpy(scores), x[:, :, 0])


def test_free_lengths_and_dtypes():
    for dtype in ("bool", "int32"):
        x = keras.Input((None, None), dtype=dtype)
        rows = ChoicesToRows(dtype="mixed_bfloat16")(x)
        assert rows.shape == (None, None) and rows.dtype == dtype
        assert RowsToChoices()(keras.Input((1,)), x).shape == (None, None)
    mask = ChoicesToRows(dtype="mixed_bfloat16")(np.ones((1, 2, 3), bool))
    assert keras.backend.standardize_dtype(mask.dtype) == "bool"
