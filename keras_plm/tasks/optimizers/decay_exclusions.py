"""What weight decay leaves out, which Keras does not save, of any optimizer and those it wraps."""


def weight_decay_exclusions(model):
    """Say what the optimizers of a model leave out of weight decay, as plain JSON values.

    Args:
        model: compiled Keras model.

    Returns:
        list, an entry per optimizer as `inner_optimizers` gives them: a dict with the `pattern`
        of names, or None, and the `paths` of single variables.
    """
    found = []
    for optimizer in inner_optimizers(model.optimizer):
        optimizer = getattr(optimizer, "optimizer", optimizer)  # what groups of variables have
        pattern = getattr(optimizer, "_exclude_from_weight_decay_pattern", None)
        keys = getattr(optimizer, "_exclude_from_weight_decay", set())
        single = [v.path for v in model.variables if keys and optimizer._var_key(v) in keys]
        found.append({"pattern": pattern and pattern.pattern, "paths": single})
    return found


def exclude_from_weight_decay(model, exclusions):
    """Leave out of weight decay what `weight_decay_exclusions` said; before optimizers are built.

    Args:
        model: compiled Keras model.
        exclusions: what that function returned; str, as one pattern was saved before; or None.

    Raises:
        ValueError: if the optimizers are others, or the model has no such variable.
    """
    if exclusions is None:
        return
    optimizers = inner_optimizers(model.optimizer)
    if isinstance(exclusions, str):
        exclusions = [{"pattern": exclusions, "paths": []} for _ in optimizers]
    if len(exclusions) != len(optimizers):
        raise ValueError(
            "What weight decay leaves out was saved of other optimizers. "
            f"Received: {len(exclusions)} for {len(optimizers)} optimizers."
        )
    variables = {variable.path: variable for variable in model.variables}
    for optimizer, left_out in zip(optimizers, exclusions):
        unknown = [path for path in left_out["paths"] if path not in variables]
        if unknown:
            raise ValueError(
                "Weight decay leaves out variables that the model has not. "
                f"Received: {unknown[:5]}."
            )
        pattern = left_out["pattern"]
        optimizer.exclude_from_weight_decay(
            var_list=[variables[path] for path in left_out["paths"]],
            var_names=[pattern] if pattern else None,
        )


def inner_optimizers(optimizer):
    """The optimizers that update variables: one itself, or those that it wraps, in their order.

    Args:
        optimizer: Keras optimizer, such as `LossScaleOptimizer` or `MultiOptimizer`.

    Returns:
        list of Keras optimizers.
    """
    inner = getattr(optimizer, "inner_optimizer", None)
    wrapped = [inner] if inner is not None else list(getattr(optimizer, "optimizers", ()))
    return [one for each in wrapped for one in inner_optimizers(each)] if wrapped else [optimizer]


def assigning_optimizers(optimizer):
    """The optimizers that assign variables: the inner ones, and those of groups for each group.

    Args:
        optimizer: Keras optimizer, built.

    Returns:
        list of Keras optimizers.
    """
    found = [getattr(one, "group_optimizers", [one]) for one in inner_optimizers(optimizer)]
    return [one for own in found for one in own if one is not None]
