"""A metric run over batches."""

import numpy as np
import pytest


@pytest.fixture
def streamed(jitted):
    """A function (metric, batches of arguments) -> result.

    Jitted on JAX, where it saves time; tests/test_parts_contract.py has each metric under jit.
    """
    import keras

    def streamed(metric, batches):
        if keras.backend.backend() == "jax":
            update = jitted(metric.stateless_update_state)
            state = [variable.value for variable in metric.variables]
            for batch in batches:
                state = update(state, *batch)
            for variable, value in zip(metric.variables, state):
                variable.assign(value)
            result = jitted(metric.stateless_result)(state)
        else:
            for batch in batches:
                metric.update_state(*batch)
            result = metric.result()
        return float(np.array(keras.ops.convert_to_numpy(result)))

    return streamed
