"""A metric run over batches as a jitted training step runs it."""

import numpy as np
import pytest


@pytest.fixture
def streamed(jitted):
    """A function (metric, batches of arguments) -> result, with jitted updates and result."""
    import keras

    def streamed(metric, batches):
        if keras.backend.backend() == "jax":
            update = jitted(lambda state, *batch: metric.stateless_update_state(state, *batch))
            state = [variable.value for variable in metric.variables]
            for batch in batches:
                state = update(state, *batch)
            for variable, value in zip(metric.variables, state):
                variable.assign(value)
            result = jitted(metric.stateless_result)(state)
        else:
            update = jitted(lambda *batch: metric.update_state(*batch))
            for batch in batches:
                update(*batch)
            result = jitted(metric.result)()
        return float(np.array(keras.ops.convert_to_numpy(result)))

    return streamed
