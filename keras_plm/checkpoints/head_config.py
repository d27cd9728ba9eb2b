"""What configurations say about heads: whose they are, their classes, and what they read."""

from keras_plm.checkpoints.config_values import ACTIVATIONS

# What a text's vector is, by transformers' `summary_type`. "cls_index" without an index, which its
# classifiers give none, is the last token.
POOLINGS = {"first": "first", "last": "last", "mean": "mean", "cls_index": "last"}
SUMMARY_ACTIVATIONS = {**ACTIVATIONS, "": "linear", None: "linear"}
# Where one layer makes the logits of the token's vector, and an activation would be theirs.
LOGITS_AT_ONCE = {
    "summary_activation": (None, ""),
    "summary_proj_to_labels": (True,),
    "summary_use_proj": (True,),
}
MULTI_LABEL = "multi_label_classification"
REGRESSION = "regression"


def other_head(architectures, config, head):
    """What a checkpoint has under the names of a head that is not ours, as far as it says it.

    The classifiers of texts, tokens and choices have the same names in one system; and the
    numbers of a regression are logits of no classes.

    Args:
        architectures: dict, see `System.architectures`.
        config: dict, the Hugging Face config.
        head: str. The name of our head.

    Returns:
        str, which head it is; None: ours.
    """
    said = config.get("architectures")
    said = [name for name in said if isinstance(name, str)] if isinstance(said, list) else []
    kinds = set(architectures.values())
    known = {kind for name in said for kind in kinds if name.endswith(kind)}
    own = {kind for heads, kind in architectures.items() if head in heads}
    if known and not known & own:
        return f"its architecture is {', '.join(said)}"
    if config.get("problem_type") == {"label": REGRESSION, "score": MULTI_LABEL}.get(head, ""):
        return f"its problem_type is {config['problem_type']!r}"
    return None


def read_class_names(config, num_classes):
    """The names of the classes of a head.

    Args:
        config: dict.
        num_classes: int or None. How many classes the head has.

    Returns:
        dict of `class_names`, if the config has as many, of which no two are the same, and which
        are not the generic "LABEL_0", "LABEL_1", ...; else {}.
    """
    labels = config.get("id2label")
    if isinstance(labels, dict) and len(labels) == num_classes:
        names = [labels.get(str(index)) for index in range(len(labels))]
        different = all(isinstance(name, str) for name in names) and len(set(names)) == len(names)
        if different and names != _generic_names(len(names)):
            return {"class_names": names}
    return {}


def read_problem_type(config):
    """Whether the classes of a checkpoint exclude each other, as far as its config says it.

    Args:
        config: dict.

    Returns:
        dict of `multi_label`, or {}.
    """
    return {"multi_label": True} if config.get("problem_type") == MULTI_LABEL else {}


def read_summary(config, pooling, activation):
    """How a checkpoint makes one vector of a text.

    Args:
        config: dict.
        pooling: str. Its `summary_type` where the config has none.
        activation: str or None. Its `summary_activation` where the config has none.

    Returns:
        dict of arguments of a task, `pooling` and `summary_activation`; what is unknown is left
        to `check_summary`, for the tasks that need it.
    """
    pooling = config.get("summary_type", pooling)
    activation = config.get("summary_activation", activation)
    found = {}
    if isinstance(pooling, str) and pooling in POOLINGS:
        found["pooling"] = POOLINGS[pooling]
    if isinstance(activation, (str, type(None))) and activation in SUMMARY_ACTIVATIONS:
        found["summary_activation"] = SUMMARY_ACTIVATIONS[activation]
    return found


def check_summary(config, **required):
    """Refuse a summary that ours cannot compute.

    Args:
        config: dict.
        required: the values that other settings can have, or these when they can have fewer.

    Returns:
        None.

    Raises:
        ValueError: naming the setting.
    """
    known = {
        "summary_type": list(POOLINGS),
        "summary_activation": list(SUMMARY_ACTIVATIONS),
        **{key: list(values) for key, values in required.items()},
    }
    for key, values in known.items():
        if key in config and config[key] not in values:
            raise ValueError(
                f"A head with {key}={config[key]!r:.100} is not supported: it must be one of "
                f"{values}. Load the backbone alone, and make a task with a new head."
            )


def write_class_config(task, head, weights):
    """What a config says about the classes of a head.

    Args:
        task: the task, for its `class_names`, if it has any.
        head: str. The head's name.
        weights: dict of the path below the head to array.

    Returns:
        dict.
    """
    count = weights["logits/kernel"].shape[-1]
    labels = getattr(task, "class_names", None) or _generic_names(count)
    config = {
        "id2label": {str(index): label for index, label in enumerate(labels)},
        "label2id": {label: index for index, label in enumerate(labels)},
    }
    if head == "score":
        config["problem_type"] = REGRESSION
    elif head == "label":
        several = getattr(task, "multi_label", False)
        config["problem_type"] = MULTI_LABEL if several else "single_label_classification"
    return config


def write_summary(task, head):
    """Say in a config how a task makes one vector of a text.

    Args:
        task: the task.
        head: str. The head's name.

    Returns:
        dict.
    """
    pooling, activation = summary_of(task, head)
    theirs = {ours: name for name, ours in reversed(ACTIVATIONS.items())}
    theirs["linear"] = ""  # null is refused by transformers 5's config of XLNet
    if pooling == "pooler" or activation not in theirs:
        raise ValueError(
            "transformers' summary of a text is the first or last token or the mean, with one of "
            f"the activations {sorted(theirs)}. Received: {pooling!r} with {activation!r}."
        )
    return {"summary_type": pooling, "summary_activation": theirs[activation]}


def summary_of(task, head):
    """How a task makes one vector of a text.

    Args:
        task: the task.
        head: str. The head's name.

    Returns:
        Tuple of str: "first", "last", "mean" or "pooler", and the name of the activation behind
        that, or behind the dense layer that follows; "linear" is none.

    Raises:
        ValueError: if it adds the vectors of two texts.
    """
    if getattr(task, "both_orders", False):
        raise ValueError("transformers has no head that adds both orders of a pair (both_orders).")
    layer, backbone = task.heads[head], task.backbone
    own = "pooler" if backbone.pooler else backbone.summary_row
    activation = layer.activation or ("linear" if layer.summary is None else "tanh")
    return getattr(task, "pooling", None) or own, activation


def _generic_names(count):
    """The names that transformers gives to classes without names."""
    return [f"LABEL_{index}" for index in range(count)]
