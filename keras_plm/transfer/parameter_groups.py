"""Groups of variables with rates of their own, from the bottom of a model to its top."""

import re

import keras

from keras_plm.checks import check_number
from keras_plm.tasks.optimizers.grouped_optimizer import GroupedOptimizer


def parameter_groups(model, groups=None):
    """Group the variables of a model, from bottom to top.

    Args:
        model: Keras model. A task of this package has groups by itself: those of its backbone,
            the embeddings first, then each block (`Backbone.layer_groups`), and last what stands
            on it, such as a head.
        groups: list, bottom to top, or None: as the task has them. Each is a layer or a list of
            layers, a list of variables, a regular expression that is looked for in the paths of
            variables, such as "block_0/", or a function of a path that returns a bool. What is in
            none of them is a group by itself, the last one, if there is such.

    Returns:
        list of lists of `keras.Variable`; for `GroupedOptimizer`.

    Raises:
        ValueError: if a group has no variable, a variable is in two groups, or `groups` is missing
            and the model has no backbone with groups.

    Example:

    ```python
    import keras
    from keras_plm.transfer import parameter_groups

    model = keras.Sequential([keras.layers.Dense(3, name="below"), keras.layers.Dense(1)])
    model.build((None, 2))
    below, above = parameter_groups(model, ["below/"])
    assert [one.name for one in below] == ["kernel", "bias"]
    ```
    """
    variables = model.trainable_variables
    if groups is None:
        backbone = getattr(model, "backbone", model)
        if not hasattr(backbone, "layer_groups"):
            raise ValueError(
                "`groups` must be given: only the backbones of this package, and tasks on them, "
                f"say groups by themselves. Received: {type(model).__name__}."
            )
        groups = backbone.layer_groups()
    members = [_members(one, variables) for one in groups]
    for number, group in enumerate(members):
        if not group:
            raise ValueError(
                f"Group {number} has no variables that are trained. Received: "
                f"{groups[number]!r:.200}; there are such as {[v.path for v in variables[:5]]}."
            )
    taken = [id(one) for group in members for one in group]
    twice = sorted({v.path for v in variables if taken.count(id(v)) > 1})
    if twice:
        raise ValueError(f"A variable must be in one group. Received several times: {twice[:5]}.")
    rest = [one for one in variables if id(one) not in set(taken)]
    return [*members, rest] if rest else members


def head_groups(model):
    """Group the variables of a pretrainer that some batches of a `Mixture` have no gradient for.

    Args:
        model: `keras_plm.tasks.Pretrainer`, or another task of this package.

    Returns:
        list of lists of `keras.Variable`: of each head what it does not share with the backbone or
        a head before it, and last of the backbone's pooler, if it has one. The rest of the model
        is no group here, and the last one of `GroupedOptimizer(..., rest_when_idle=True)`.

    Raises:
        ValueError: if the model has no backbone and heads.

    Source: MT-DNN, arXiv:1901.11504, algorithm 1: a step of one task changes the shared layers and
    those of that task.

    Example:

    ```python
    import keras
    from keras_plm import models
    from keras_plm.transfer import GroupedOptimizer, head_groups

    def compiled(tokenizer):
        model = models.ernie2(tokenizer, "tiny")
        adam = keras.optimizers.AdamW(1e-4)
        model.compile(GroupedOptimizer(adam, head_groups(model), rest_when_idle=True))
        return model
    ```
    """
    backbone, heads = getattr(model, "backbone", None), getattr(model, "heads", None)
    if backbone is None or not isinstance(heads, dict):
        raise ValueError(
            "`model` must be a task with a backbone and heads, such as a Pretrainer. Received: "
            f"{type(model).__name__}."
        )
    pooler = getattr(backbone, "pooler_layer", None)
    last = [] if pooler is None else pooler.trainable_variables
    taken = {id(one) for one in backbone.trainable_variables}
    groups = []
    for head in heads.values():
        own = [one for one in head.trainable_variables if id(one) not in taken]
        taken |= {id(one) for one in own}
        groups.append(own)
    return [group for group in [*groups, last] if group]


def _members(group, variables):
    """Those of the variables that are in a group."""
    if isinstance(group, str):
        return [one for one in variables if re.search(group, one.path)]
    if isinstance(group, keras.Layer):
        group = group.trainable_variables
    elif callable(group):
        return [one for one in variables if group(one.path)]
    elif isinstance(group, (list, tuple)):
        parts = [one.variables if isinstance(one, keras.Layer) else [one] for one in group]
        group = [one for part in parts for one in part]
    else:
        raise ValueError(
            "A group must be a layer, a list of layers or of variables, a regular expression, or "
            f"a function of a variable's path. Received: {group!r:.200}."
        )
    wanted = {id(one) for one in group}
    return [one for one in variables if id(one) in wanted]


def discriminative_rates(optimizer, groups, decay=2.6):
    """Let each group of variables learn at a smaller rate than the one above it.

    The top group learns at the optimizer's rate, the next one at `1 / decay` of it, and so on.

    Args:
        optimizer: Keras optimizer, see `GroupedOptimizer`.
        groups: list of lists of variables, bottom to top, as `parameter_groups` gives them.
        decay: float of at least 1. 2.6 in ULMFiT. What others call a layer-wise decay of 0.95 is
            `1 / 0.95` here: 0.95 in Sun et al. 2019 (arXiv:1905.05583, section 5.4.3), 0.75 for
            XLNet-Large on SQuAD (arXiv:1906.08237, table 8), 0.8 and 0.9 for ELECTRA base and
            large (arXiv:2003.10555, table 7).

    Returns:
        `GroupedOptimizer`.

    Raises:
        ValueError: if `decay` is no number of at least 1; see `GroupedOptimizer`.

    Source: Howard and Ruder, ULMFiT, arXiv:1801.06146, section 3.3.

    Example:

    ```python
    import keras
    from keras_plm.transfer import discriminative_rates, parameter_groups

    model = keras.Sequential([keras.layers.Dense(3, name="below"), keras.layers.Dense(1)])
    model.build((None, 2))
    groups = parameter_groups(model, ["below/"])
    model.compile(discriminative_rates(keras.optimizers.Adam(1e-3), groups), "mse")
    ```
    """
    check_number("decay", decay, 1)
    factors = [float(decay) ** -number for number in reversed(range(len(groups)))]
    return GroupedOptimizer(optimizer, groups, factors)
