import json

import keras
import numpy as np
import pytest
from keras import ops

from keras_plm.layers import CarriedState, UpdateCarriedState

SPEC = {
    "cells": [keras.KerasTensor((None, 3)), keras.KerasTensor((None, 2, 2), "bfloat16")],
    "count": keras.KerasTensor((None,), "int32"),
}
CONTINUES, HALF = np.array([False, False]), np.array([False, True])


def filled(value):
    """A new state of two rows whose numbers are all the same."""
    return {
        "cells": [np.full((2, 3), value, "float32"), np.full((2, 2, 2), value, "float32")],
        "count": np.full(2, value, "int32"),
    }


def numbers(nest):
    return [ops.convert_to_numpy(ops.cast(leaf, "float32")) for leaf in keras.tree.flatten(nest)]


def written(value, training=True):
    state = CarriedState(SPEC)
    state.resize(2, training)
    UpdateCarriedState(state)(np.zeros(2), filled(value), training=training)
    return state


def test_every_leaf_is_zero_where_fresh_and_keeps_its_dtype():
    state = written(3)
    assert state.leaf_names() == ["cells.0", "cells.1", "count"]
    dtypes = [keras.backend.standardize_dtype(v.dtype) for v in state.weights]
    assert dtypes == ["float32", "bfloat16", "int32"] and not state.trainable_weights
    for leaf in numbers(state(HALF, training=True)):
        assert (leaf[0] == 3).all() and not leaf[1].any()
    assert all((leaf == 3).all() for leaf in numbers(state(CONTINUES, training=True)))


def test_training_and_evaluation_are_two():
    state = written(3)
    assert state.evaluation_state is None
    state.resize(2, training=False)
    UpdateCarriedState(state)(np.zeros(2), filled(5), training=False)
    assert all((leaf == 3).all() for leaf in numbers(state.training_state))
    assert all((leaf == 5).all() for leaf in numbers(state.evaluation_state))
    state.forget()
    assert state.training_state is None and not state.weights


def test_a_spec_survives_json():
    state = CarriedState(SPEC)
    again = CarriedState.from_config(json.loads(json.dumps(state.get_config())))
    assert again.leaf_names() == state.leaf_names()
    for one, other in zip(*(keras.tree.flatten(s.leaf_specs()) for s in (state, again))):
        assert (one.shape, one.dtype) == (other.shape, other.dtype)


def test_what_is_refused():
    with pytest.raises(ValueError, match=r"known behind B.*\(None, None\)"):
        CarriedState({"rows": keras.KerasTensor((None, None))})
    with pytest.raises(ValueError, match="known behind B"):
        CarriedState({"number": keras.KerasTensor(())})
    new = filled(1)
    new["cell"] = new.pop("cells")
    with pytest.raises(ValueError, match=r"leaves \['cells.0'.*Received: \['cell.0'"):
        UpdateCarriedState(written(1))(np.zeros(2), new, training=True)
