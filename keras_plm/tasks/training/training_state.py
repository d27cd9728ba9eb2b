"""All that training depends on: the variables of a model by the names of their arrays."""

import keras
import numpy as np

from keras_plm.layers.carried_state import StateCarrier

PURPOSES = ("training", "evaluation")  # what is carried is kept for each


def state_of(model):
    """Weights, seeds and optimizer, in the order of the model, by the names of their arrays.

    Without what no checkpoint has, such as a table of vectors, of which the settings have a digest.
    """
    left_out = {id(v) for v in (*model.metrics_variables, *carried_variables(model).values())}
    outside = getattr(getattr(model, "backbone", None), "not_in_checkpoints", ())
    left_out |= {id(v) for v in model.backbone.weights if v.path in outside} if outside else set()
    state = {
        "model": [v for v in model.variables if id(v) not in left_out],
        "optimizer": model.optimizer.variables,
    }
    return {
        f"{kind}/{index:05d}": variable
        for kind, variables in state.items()
        for index, variable in enumerate(variables)
    }


def other_dtypes(variables, arrays):
    """The data types of the variables that numpy has not, by name."""
    dtypes = {name: keras.backend.standardize_dtype(v.dtype) for name, v in variables.items()}
    return {name: dtype for name, dtype in dtypes.items() if dtype != arrays[name].dtype.name}


def has_dtype(array, variable, dtypes, name):
    """Whether an array was saved of a variable of this data type."""
    needed = keras.backend.standardize_dtype(variable.dtype)
    if {needed, array.dtype.name} == {"int32", "int64"}:  # counts: int64 on TensorFlow alone
        return (array == array.astype(needed)).all()
    if dtypes is None and array.dtype.kind == "f" and "float" in needed:
        return needed == array.dtype.name or needed not in ("float16", "float32", "float64")
    return needed == (dtypes or {}).get(name, array.dtype.name)


def carried_variables(model):
    """The variables of what is carried, as far as they are made, by the names of their arrays.

    A leaf's name and its purpose, such as "memory/training".
    """
    carrier, found = _carrier(model), {}
    for purpose in PURPOSES if carrier is not None else ():
        state = carrier.state(purpose == "training")
        for name, variable in zip(carrier.leaf_names(), keras.tree.flatten(state)):
            if state is not None:
                found[f"{name}/{purpose}"] = variable
    return found


def _carrier(model):
    """The layer that carries the state of a `Pretrainer`, or None."""
    state = getattr(model, "state", None)
    return state if isinstance(state, StateCarrier) else None


def checked_carried(model, arrays, directory):
    """Take what was carried out of the arrays: it by name, and the rows of each purpose."""
    carrier, found, sizes = _carrier(model), {}, {}
    for purpose in PURPOSES if carrier is not None else ():
        specs = zip(carrier.leaf_names(), keras.tree.flatten(carrier.leaf_specs()))
        specs = {f"{name}/{purpose}": (name, spec) for name, spec in specs}
        if not specs.keys() & arrays.keys():
            continue
        missing = sorted(specs.keys() - arrays.keys())
        if missing:
            raise ValueError(
                f"{directory} is the checkpoint of another model: it lacks {missing} of what is "
                "carried from batch to batch. Build the model as it was."
            )
        values = {name: arrays.pop(name) for name in specs}
        state = carrier.state(purpose == "training")
        made = values[next(iter(specs))] if state is None else keras.tree.flatten(state)[0]
        rows = tuple(made.shape[:1])
        for array_name, (name, spec) in specs.items():
            value, expected = values[array_name], (*rows, *spec.shape[1:])
            if value.shape != expected:
                raise ValueError(
                    f"{directory} is the checkpoint of another model: its {name} of {purpose} has "
                    f"the shape {value.shape}, this model's {expected}. Build the model as it was."
                )
            if (value.dtype.kind == "f") != ("float" in spec.dtype):
                raise ValueError(
                    f"{directory} is the checkpoint of another model: its {name} of {purpose} is "
                    f"{value.dtype}, this model's {spec.dtype}. Build the model as it was."
                )
        found |= values
        sizes[purpose] = rows[0]
    return found, sizes


def copied(variable, array=None):
    """A copy of a variable's value, in the memory of an array that was one before."""
    value = keras.ops.convert_to_numpy(variable.value)
    value = value if value.dtype.kind in "biuf" else value.astype("float32")  # bfloat16
    if array is None or (array.shape, array.dtype) != (value.shape, value.dtype):
        return np.array(value, order="C")
    np.copyto(array, value)
    return array
